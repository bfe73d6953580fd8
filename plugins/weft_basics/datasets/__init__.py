"""Datasets that need no download, some that are drawn from a formula, and readers for files of your own."""

from weft import Register


def register_all(register: Register) -> None:
    register("weft_basics.datasets.digits:digits", "digits")
    for name in ("iris", "wine", "breast_cancer", "diabetes"):
        register(f"weft_basics.datasets.tables:{name}", name)
    register("weft_basics.datasets.two_moons:two_moons", "two_moons")
    register("weft_basics.datasets.planes:separable", "separable")
    register("weft_basics.datasets.planes:xor", "xor")
    register("weft_basics.datasets.friedman:friedman", "friedman")
    register("weft_basics.datasets.tones:tones", "tones")
    for name in ("python_topics", "python_tokens", "python_packages"):
        register(f"weft_basics.datasets.{name}:{name}", name)
    register("weft_basics.datasets.unlabelled:unlabelled", "unlabelled")
    register("weft_basics.datasets.episodes:Episodes", "episodes")
    register("weft_basics.datasets.replay:Replay", "replay")
    register("weft_basics.datasets.csv:csv", "csv")
    register("weft_basics.datasets.text:text", "text")
    register("weft_basics.datasets.text_folder:text_folder", "text_folder")
    register("weft_basics.datasets.image_folder:image_folder", "image_folder")
    register("weft_basics.datasets.idx:idx", "idx")
    register("weft_basics.datasets.sound_folder:sound_folder", "sound_folder")
