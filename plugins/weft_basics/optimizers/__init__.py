"""Optimizers, by name: torch's own, as they are, and Muon for models that aren't all matrices.

SparseAdam is not here: it trains sparse gradients only. Where torch has a fused or a foreach implementation, `fused` and
`foreach` are options; weft takes the fused one when nothing is said.
"""

from typing import Annotated, Any, Literal

from weft import Range, fixed

_RATE = Annotated[float, Range(0, 100)]
_SHARE = Annotated[float, Range(0, 1)]
_BETAS = Annotated[tuple[float, float], Range(0, 1)]
_SMALL = Annotated[float, Range(0, 1)]
_POSITIVE = Annotated[float, Range(0, 1e9)]
_DECAY = {"weight_decay": Annotated[float, Range(0, 10)]}
_ADAM = {"lr": _RATE, "betas": _BETAS, "eps": _SMALL, **_DECAY}
_FIXED = {"maximize": fixed(False), "capturable": fixed(False), "differentiable": fixed(False)}
_FUSED = {"maximize": fixed(False), "differentiable": fixed(False)}


def register_optimizers(register: Any) -> None:
    """Offer each under its name."""
    register("torch.optim:SGD", name="sgd", lr=_RATE, momentum=_SHARE, dampening=_SHARE, **_DECAY, **_FUSED)
    register("torch.optim:Adam", name="adam", **_ADAM, **_FIXED)
    register("torch.optim:AdamW", name="adamw", **_ADAM, **_FIXED)
    register("torch.optim:NAdam", name="nadam", **_ADAM, momentum_decay=_SMALL, **_FIXED)
    register("torch.optim:RAdam", name="radam", **_ADAM, **_FIXED)
    register("torch.optim:Adamax", name="adamax", **_ADAM, **_FIXED)
    register("torch.optim:Adadelta", name="adadelta", lr=_RATE, rho=_SHARE, eps=_SMALL, **_DECAY, **_FIXED)
    register(
        "torch.optim:Adagrad",
        name="adagrad",
        lr=_RATE,
        lr_decay=_POSITIVE,
        initial_accumulator_value=_POSITIVE,
        eps=_SMALL,
        **_DECAY,
        **_FUSED,
    )
    register(
        "torch.optim:Adafactor",
        name="adafactor",
        lr=_RATE,
        beta2_decay=Annotated[float, Range(-10, 0)],
        d=Annotated[float, Range(1, 1e6)],
        **_DECAY,
        maximize=fixed(False),
    )
    register("torch.optim:ASGD", name="asgd", lr=_RATE, lambd=_SMALL, alpha=_SHARE, t0=_POSITIVE, **_DECAY, **_FIXED)
    register("torch.optim:RMSprop", name="rmsprop", lr=_RATE, alpha=_SHARE, eps=_SMALL, momentum=_SHARE, **_DECAY, **_FIXED)
    register(
        "torch.optim:Rprop",
        name="rprop",
        lr=_RATE,
        etas=Annotated[tuple[float, float], Range(0, 100)],
        step_sizes=Annotated[tuple[float, float], Range(0, 1e6)],
        **_FIXED,
    )
    register(
        "torch.optim:LBFGS",
        name="lbfgs",
        lr=_RATE,
        max_iter=Annotated[int, Range(1, 10_000)],
        max_eval=Annotated[int | None, Range(1, 100_000)],
        tolerance_grad=_SMALL,
        tolerance_change=_SMALL,
        history_size=Annotated[int, Range(1, 10_000)],
        line_search_fn=Literal["strong_wolfe"] | None,
    )
    register("weft_basics.optimizers.muon:Muon", name="muon")
