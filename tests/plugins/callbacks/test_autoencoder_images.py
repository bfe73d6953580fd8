"""Images of an autoencoder: samples beside what is made of them, and new ones, along a run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.experiments.fitting import fit
from weft import Callback, ConfigError


class Kept(Callback):
    """Keeps the images of a run."""

    def __init__(self) -> None:
        self.images: list[tuple[int, str, Tensor]] = []

    def on_fit_start(self, run: Any) -> None:
        run.image = lambda name, image: self.images.append((run.epoch, name, image.clone()))


def test_it_draws_samples_above_their_reconstructions_and_new_ones() -> None:
    kept = Kept()
    run = fit("vae", "epochs=7", "callback.autoencoder_images={every: 3, columns: 5}", watching=(kept,))
    assert [(epoch, name) for epoch, name, _ in kept.images] == [
        (epoch, f"images/{name}") for epoch in (1, 3, 6, 7) for name in ("reconstructions", "samples")
    ]
    reconstructions, samples = (image for _, _, image in kept.images[-2:])
    assert reconstructions.shape == (2 * 34, 5 * 34, 1)  # 8 pixels, four times as large, and a line
    assert samples.shape == (4 * 34, 5 * 34, 1)
    originals = run.data.splits["valid"][0][:5]
    made = run.model.eval()(originals).reconstructions.unflatten(1, run.data.inputs)
    scale = originals.max() - originals.min()
    for row, images in enumerate((originals, made)):
        for place, image in enumerate(images):
            drawn = reconstructions[row * 34 : row * 34 + 32 : 4, place * 34 : place * 34 + 32 : 4, 0]
            torch.testing.assert_close(drawn, ((image - originals.min()) / scale).squeeze(0).detach())


def test_a_last_epoch_that_is_due_is_drawn_once() -> None:
    kept = Kept()
    fit("vae", "epochs=4", "callback.autoencoder_images.every=2", watching=(kept,))
    assert [epoch for epoch, name, _ in kept.images if name == "images/samples"] == [1, 2, 4]


def test_what_has_no_decoder_has_reconstructions_alone() -> None:
    kept = Kept()
    fit("vae", "model=mlp", "regularizer=none", "callback=autoencoder_images", "epochs=1", watching=(kept,))
    assert {name for _, name, _ in kept.images} == {"images/reconstructions"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.of=iris"], r"samples of shape \[4\] are no images"),
        (
            ["dataset=digits", "model=mlp", "loss=cross_entropy", "regularizer=none", "callback=autoencoder_images"],
            "is for reconstruction, and dataset digits is classification",
        ),
    ],
)
def test_what_it_refuses(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit("vae", *(["~dataset.of", "~dataset.task"] if "dataset=digits" in overrides else []), *overrides)
