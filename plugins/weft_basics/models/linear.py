"""The linear model."""

import math

from torch import nn


class Linear(nn.Sequential):
    """Weights and a bias for each output, over all inputs: y = Wx + b.

    With mse it is linear regression, with cross entropy multinomial logistic regression, with hinge and l2 an SVM.
    Inputs of shape (batch, *inputs) are flattened; outputs are (batch, outputs).
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int):
        super().__init__(nn.Flatten(), nn.Linear(math.prod(inputs), outputs))
