"""Learning rate schedules, by name. They are stepped after every step of the run, so their lengths are steps."""

from typing import Annotated, Any

from weft import Range, fixed, supplied

_FACTOR = Annotated[float, Range(0, 1)]
_RATE = Annotated[float, Range(0, 100)]
_STEPS = Annotated[int, Range(1, 2**31)]


def register_schedulers(register: Any) -> None:
    """Offer each under its name."""
    torchs, ours = "torch.optim.lr_scheduler", "weft_basics.schedulers"
    last = {"last_epoch": fixed(-1)}
    register(
        f"{torchs}:StepLR",
        name="step",
        summary="Multiply the learning rate by gamma every step_size steps",
        step_size=_STEPS,
        gamma=_FACTOR,
        **last,
    )
    register(
        f"{torchs}:ExponentialLR",
        name="exponential",
        summary="Multiply the learning rate by gamma every step",
        gamma=_FACTOR,
        **last,
    )
    register(
        f"{torchs}:ConstantLR",
        name="constant",
        summary="A fraction of the learning rate for the first total_iters steps",
        factor=_FACTOR,
        total_iters=_STEPS,
        **last,
    )
    register(
        f"{torchs}:LinearLR",
        name="linear",
        summary="From start_factor to end_factor of the learning rate, along a line over the run",
        start_factor=Annotated[float, Range(1e-9, 1)],
        end_factor=_FACTOR,
        total_iters=supplied("total_steps"),
        **last,
    )
    register(
        f"{torchs}:PolynomialLR",
        name="polynomial",
        summary="Down to nothing over the run, along a polynomial",
        power=Annotated[float, Range(0, 10)],
        total_iters=supplied("total_steps"),
        **last,
    )
    register(
        f"{torchs}:CosineAnnealingLR",
        name="cosine",
        summary="Down to eta_min over the run, along half a cosine",
        eta_min=_RATE,
        T_max=supplied("total_steps"),
        **last,
    )
    register(
        f"{torchs}:CosineAnnealingWarmRestarts",
        name="cosine_restarts",
        summary="Along half a cosine, again and again, T_mult times as long each time",
        T_0=_STEPS,
        T_mult=Annotated[int, Range(1, 100)],
        eta_min=_RATE,
        **last,
    )
    register(f"{ours}.milestones:MultiStep", name="multi_step")
    register(f"{ours}.cycles:Cyclic", name="cyclic")
    register(f"{ours}.cycles:OneCycle", name="one_cycle")
