"""Models, by name."""

from typing import Any


def register_models(register: Any) -> None:
    """Offer each under its name."""
    register("weft_basics.models.linear:Linear", name="linear")
    register("weft_basics.models.mlp:MLP", name="mlp")
    register("weft_basics.models.cnn:CNN", name="cnn")
    register("weft_basics.models.rnn:RNN", name="rnn")
