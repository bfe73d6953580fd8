"""Datasets, by name. None of them is downloaded."""

from typing import Any


def register_datasets(register: Any) -> None:
    """Offer each under its name."""
    for name in ("digits", "iris", "wine", "breast_cancer", "diabetes"):
        register(f"weft_basics.datasets.scikit:{name}", name=name)
    register("weft_basics.datasets.synthetic:Moons", name="moons")
    register("weft_basics.datasets.synthetic:Waves", name="waves")
    register("weft_basics.datasets.table:CSV", name="csv")
