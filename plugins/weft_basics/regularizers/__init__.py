"""Regularizers, by name."""

from typing import Any


def register_regularizers(register: Any) -> None:
    """Offer each under its name."""
    register("weft_basics.regularizers.penalties:l1", name="l1")
    register("weft_basics.regularizers.penalties:l2", name="l2")
    register("weft_basics.regularizers.penalties:elastic_net", name="elastic_net")
    register("weft_basics.regularizers.dropout:Dropout", name="dropout")
    register("weft_basics.regularizers.max_norm:MaxNorm", name="max_norm")
    register("weft_basics.regularizers.label_smoothing:LabelSmoothing", name="label_smoothing")
    register("weft_basics.regularizers.gradient_noise:GradientNoise", name="gradient_noise")
