"""Where the groups of a model begin that knows no sample when it is made."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from weft import Callback, ConfigError


class BeginAtSamples(Callback):
    """Puts centroids, or the means of Gaussians, at training samples that are far from each other: k-means++.

    The first is drawn, each further one with a probability that goes by its squared distance to the nearest that there is, the
    best of a few draws (Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", 2007). The run's seed draws.
    A run that goes on from a checkpoint stays where it is.
    """

    beside: ClassVar[dict[str, Any]] = {"dataset": {"name": "unlabelled", "of": "digits"}, "model": {"name": "kmeans"}}

    def check(self, run: Any) -> None:
        """Refuse a model without such places.

        Raises:
            ConfigError: that.
        """
        if not hasattr(run.model, "begin_at"):
            kind = type(run.model).__name__
            raise ConfigError(f"callback=begin_at_samples: is for gaussians and kmeans, and {kind} has no places for it")

    def on_fit_start(self, run: Any) -> None:
        """Move the model's places, before its first step."""
        if run.step == 0:
            from sklearn.cluster import kmeans_plusplus

            inputs, _ = run.data.splits["train"]
            seed = run.configuration.settings.seed % 2**32  # as many as NumPy takes
            places = min(run.model.components, len(inputs))  # a sweep tries a run on a few samples first
            _, chosen = kmeans_plusplus(inputs.flatten(1).cpu().double().numpy(), places, random_state=seed)
            run.model.begin_at(inputs[torch.from_numpy(chosen).to(inputs.device)])
