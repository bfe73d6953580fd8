"""Learning from wrong labels: a dataset, a loss and a regularizer, as a plugin of weft.

Everything is registered by its path, so importing this imports neither torch nor scikit-learn: a component is imported
when a run chooses it.
"""

from weft import Register, hookimpl


@hookimpl
def register_datasets(register: Register) -> None:
    register("weft_example.mislabelled:MislabelledDigits", "mislabelled_digits")


@hookimpl
def register_losses(register: Register) -> None:
    register("weft_example.symmetric:SymmetricCrossEntropy", "symmetric_cross_entropy")


@hookimpl
def register_regularizers(register: Register) -> None:
    register("weft_example.confidence:ConfidencePenalty", "confidence_penalty")
