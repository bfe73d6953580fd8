"""Keras's losses under their own names, for weft's outputs and targets.

Of labels: outputs (N, C) are scores, or logits as Keras says, and targets (N,) labels from 0 to C - 1; for sequences outputs
(N, length, C) and targets (N, length), where a label below zero is none and its place is passed over. Of numbers: outputs and
targets are (N, K). All are means: Keras's reduction `sum_over_batch_size`.
"""

from weft import Register

_OF_LABELS = {
    "keras_sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "keras_categorical_crossentropy": "CategoricalCrossentropy",
    "keras_categorical_focal_crossentropy": "CategoricalFocalCrossentropy",
    "keras_binary_crossentropy": "BinaryCrossentropy",
    "keras_binary_focal_crossentropy": "BinaryFocalCrossentropy",
    "keras_kl_divergence": "KLDivergence",
    "keras_hinge": "Hinge",
    "keras_squared_hinge": "SquaredHinge",
    "keras_categorical_hinge": "CategoricalHinge",
}
_OF_NUMBERS = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
    "cosine_similarity",
)


def register_all(register: Register) -> None:
    for name, attribute in _OF_LABELS.items():
        register(f"weft_keras.losses.labels:{attribute}", name)
    for name in _OF_NUMBERS:
        register(f"weft_keras.losses.numbers:{name}", f"keras_{name}")
