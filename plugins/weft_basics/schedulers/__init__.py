"""Learning rate schedulers. All are stepped after every step of the optimizer: their lengths count steps, not epochs."""

from typing import Annotated

from weft import Range, Register, fixed, supplied

_TORCH = "torch.optim.lr_scheduler"
_START = {"last_epoch": fixed(-1)}


def register_all(register: Register) -> None:
    for name in ("step", "multi_step", "linear", "exponential", "cosine_restarts"):
        register(f"weft_basics.schedulers.decay:{name}", name)
    for name in ("cyclic", "one_cycle"):
        register(f"weft_basics.schedulers.cycles:{name}", name)
    register(
        f"{_TORCH}:ConstantLR",
        "constant",
        "The rate times a factor for the first steps, then the rate itself.",
        factor=Annotated[float, Range(1e-6, 1, log=True)],
        total_iters=Annotated[int, Range(0, 1_000_000_000), "steps with the factor"],
        **_START,
    )
    register(
        f"{_TORCH}:CosineAnnealingLR",
        "cosine",
        "Half a cosine from the rate down to eta_min at the run's end (Loshchilov and Hutter 2017).",
        T_max=supplied("total_steps"),
        eta_min=Annotated[float, Range(0, 10), "the last rate"],
        **_START,
    )
    register(
        f"{_TORCH}:PolynomialLR",
        "polynomial",
        "From the rate down to nothing at the run's end, as (1 - step / steps) ^ power.",
        total_iters=supplied("total_steps"),
        power=Annotated[float, Range(0.1, 10, log=True)],
        **_START,
    )
