"""Losses, by name."""

from typing import Any


def register_losses(register: Any) -> None:
    """Offer each under its name."""
    register("weft_basics.losses.classification:CrossEntropy", name="cross_entropy")
    register("weft_basics.losses.classification:NLL", name="nll")
    register("weft_basics.losses.classification:Hinge", name="hinge")
    register("weft_basics.losses.classification:SquaredHinge", name="squared_hinge")
    register("weft_basics.losses.regression:MSE", name="mse")
    register("weft_basics.losses.regression:MAE", name="mae")
    register("weft_basics.losses.regression:Huber", name="huber")
    register("weft_basics.losses.regression:SmoothL1", name="smooth_l1")
