"""Losses. Those for classification take scores (N, C) and labels (N,), those for regression two tensors (N, K)."""

from weft import Register


def register_all(register: Register) -> None:
    for name in ("mse", "mae", "huber", "smooth_l1"):
        register(f"weft_basics.losses.regression:{name}", name)
    register("weft_basics.losses.cross_entropy:CrossEntropy", "cross_entropy")
    register("weft_basics.losses.hinge:Hinge", "hinge")
    register("weft_basics.losses.hinge:SquaredHinge", "squared_hinge")
