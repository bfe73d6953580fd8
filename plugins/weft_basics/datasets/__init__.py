"""Datasets that need no download, two that are drawn from a formula, and a reader for your own tables."""

from weft import Register


def register_all(register: Register) -> None:
    register("weft_basics.datasets.digits:digits", "digits")
    for name in ("iris", "wine", "breast_cancer", "diabetes"):
        register(f"weft_basics.datasets.tables:{name}", name)
    register("weft_basics.datasets.two_moons:two_moons", "two_moons")
    register("weft_basics.datasets.friedman:friedman", "friedman")
    register("weft_basics.datasets.csv:csv", "csv")
