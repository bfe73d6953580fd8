"""The step of the first neurons, which has no gradient of its own."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from weft import Range


class Step(nn.Module):
    """1 where the input is at least 0, else 0 (McCulloch and Pitts 1943).

    Its derivative is 0 almost everywhere, so nothing below it would learn. Backward it passes a surrogate instead, the
    derivative of a sigmoid of steepness `slope`: slope · σ(slope·x) · (1 - σ(slope·x)) (Neftci et al. 2019).
    """

    def __init__(self, slope: Annotated[float, Range(0.01, 100, log=True), "steepness of the surrogate"] = 4.0):
        super().__init__()
        self.slope = slope

    def forward(self, input: Tensor) -> Tensor:
        return _Heaviside.apply(input, self.slope)

    def extra_repr(self) -> str:
        return f"slope={self.slope}"


class _Heaviside(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, input: Tensor, slope: float) -> Tensor:
        context.save_for_backward(input)
        context.slope = slope
        return (input >= 0).to(input.dtype)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (input,) = context.saved_tensors
        sigmoid = torch.sigmoid(context.slope * input)
        return gradient * context.slope * sigmoid * (1 - sigmoid), None
