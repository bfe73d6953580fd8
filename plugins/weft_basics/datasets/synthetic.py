"""Made data, as much of it as is wanted: the same for the same options."""

from typing import Annotated

import numpy as np

from weft import Range
from weft_basics.datasets.split import Classes, Numbers, Share

_Samples = Annotated[int, Range(20, 10_000_000, log=True), "in all three splits"]
_Seed = Annotated[int, Range(0, 2**32 - 1), "of the samples themselves; split_seed cuts them"]


class Moons(Classes):
    """Two half moons in the plane, one inside the other's arms: no straight line parts them."""

    def __init__(
        self,
        split_seed: int,
        samples: _Samples = 1000,
        noise: Annotated[float, Range(0, 10), "standard deviation around the moons"] = 0.2,
        seed: _Seed = 0,
        valid: Share = 0.15,
        test: Share = 0.15,
    ):
        draw = np.random.default_rng(seed)
        targets = np.arange(samples) % 2
        angle = draw.uniform(0, np.pi, samples)
        upper = np.stack([np.cos(angle), np.sin(angle)], 1)
        lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
        points = np.where(targets[:, None] == 0, upper, lower) + noise * draw.normal(size=(samples, 2))
        super().__init__(points, targets, ["upper", "lower"], "weft_basics moons", valid, test, split_seed, table=True)


class Waves(Numbers):
    """A sum of sines of several inputs: y = Σ sin(frequency · x_i) / √features + noise."""

    def __init__(
        self,
        split_seed: int,
        samples: _Samples = 1000,
        features: Annotated[int, Range(1, 1000)] = 2,
        frequency: Annotated[float, Range(0, 100), "radians a unit"] = 3.0,
        noise: Annotated[float, Range(0, 10), "standard deviation of the targets"] = 0.1,
        seed: _Seed = 0,
        valid: Share = 0.15,
        test: Share = 0.15,
    ):
        draw = np.random.default_rng(seed)
        inputs = draw.uniform(-1, 1, (samples, features))
        targets = np.sin(frequency * inputs).sum(1) / features**0.5 + noise * draw.normal(size=samples)
        super().__init__(inputs, targets, "weft_basics waves", valid, test, split_seed)
