"""The losses with what they are fed in tests: what serves sequences, by default and by other options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.plugins.box import box, make, names
from weft.build import Bound
from weft_basics.experience import Experience, packed
from weft_basics.sequences import IGNORED, LABELS, ONE_LABEL

CLASSES = 4
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)


def serving(tasks: tuple[str, ...]) -> list[str]:
    return [name for name in names("loss") if box()["loss", name].component.tasks == tasks]


OF_LABELS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in serving(LABELS)},
    "smoothed": ("cross_entropy", {"label_smoothing": 0.1}),
    "focal_0.5": ("focal", {"gamma": 0.5}),
    "hinge_crammer_singer": ("hinge", {"multiclass": "crammer_singer", "margin": 0.5}),
    "hinge_one_vs_rest": ("hinge", {"multiclass": "one_vs_rest"}),
    "squared_hinge_crammer_singer": ("squared_hinge", {"multiclass": "crammer_singer"}),
    "squared_hinge_one_vs_rest": ("squared_hinge", {"multiclass": "one_vs_rest"}),
}
OF_EMBEDDINGS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in serving(ONE_LABEL)},
    "contrastive_2": ("contrastive", {"margin": 2.0}),
    "triplet_1": ("triplet", {"margin": 1.0}),
}
OF_NUMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in serving(("regression",))},
    "quantile_0.9": ("quantile", {"quantile": 0.9}),
}
OF_GROUPS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in ("mixture_nll", "distortion")}
OF_SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {"reconstruction_nll": ("reconstruction_nll", {"noise": 1.0})}
OF_EXPERIENCE: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in ("policy_gradient", "action_value")}
EVERY = OF_LABELS | OF_EMBEDDINGS | OF_NUMBERS | OF_GROUPS | OF_SAMPLES | OF_EXPERIENCE
WEIGHED = [case for case, (name, _) in OF_LABELS.items() if "class_weights" in box()["loss", name].component.supplied]


def loss(case: str, **supplied: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """Build the loss of a case; it takes scores where it wants log-probabilities."""
    name, options = EVERY[case]
    loaded = box()["loss", name]
    if loaded.signature.bound:
        return Bound(loaded.factory, {option.name: option.default for option in loaded.component.options} | options)
    made = make("loss", name, **{"outputs": CLASSES, **options, **supplied})
    if name != "nll":
        return made  # type: ignore[no-any-return]

    def of_scores(outputs: Tensor, targets: Tensor) -> Tensor:
        return made(outputs.log_softmax(-1), targets)  # type: ignore[no-any-return]

    of_scores.batch_weight = made.batch_weight  # type: ignore[attr-defined]
    return of_scores


def scores(samples: int = 9, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    return 2 * torch.randn(samples, classes, dtype=torch.float64), torch.randint(classes, (samples,))


def sequences(samples: int = 5, length: int = 6) -> tuple[Tensor, Tensor]:
    """Scores and labels of sequences, of which about half the places have none, the first one always one."""
    targets = torch.randint(CLASSES, (samples, length))
    targets[:, 1:] = targets[:, 1:].masked_fill(torch.rand(samples, length - 1) < 0.5, IGNORED)
    return 2 * torch.randn(samples, length, CLASSES, dtype=torch.float64), targets


def numbers(samples: int = 9, places: int = 2) -> tuple[Tensor, Tensor]:
    """Outputs and targets of a regression; the targets are counts, which suit every loss."""
    return 2 * torch.randn(samples, places, dtype=torch.float64), torch.randint(5, (samples, places)).double()


def experience(samples: int = 9) -> tuple[Tensor, Tensor]:
    """Scores of actions, and what was done and came of it."""
    actions, worth = torch.randint(CLASSES, (samples,)), torch.randn(samples, dtype=torch.float64)
    done = Experience(actions, worth, torch.ones(samples), torch.zeros(samples))
    return 2 * torch.randn(samples, CLASSES, dtype=torch.float64), packed(done)


def fed(case: str) -> tuple[Tensor, Tensor]:
    if case in OF_EXPERIENCE:
        return experience()
    return numbers() if case in (*OF_NUMBERS, *OF_SAMPLES) else scores()
