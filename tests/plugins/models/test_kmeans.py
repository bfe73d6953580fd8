"""k-means: distances, Lloyd's step, and what becomes of a centroid that nothing is near to."""

from __future__ import annotations

import pytest
import torch

from weft_basics.losses.mixture import distortion
from weft_basics.models.kmeans import KMeans


def placed(*centroids: tuple[float, float]) -> KMeans:
    model = KMeans((2,), len(centroids))
    model.begin_at(torch.tensor(centroids))
    return model


def assigned(model: KMeans, samples: torch.Tensor) -> torch.Tensor:
    """Return minus the loss's gradient, as the optimizer em has it."""
    outputs = model(samples).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(distortion(outputs, samples), outputs)
    return -gradient


def test_outputs_are_minus_squared_distances() -> None:
    model = placed((0, 0), (3, 4))
    assert model(torch.tensor([[3.0, 0.0]])).tolist() == [[-9.0, -16.0]]
    assert distortion(model(torch.tensor([[3.0, 0.0], [3.0, 4.0]])), torch.zeros(2)).item() == 4.5


def test_a_step_is_to_the_mean_of_what_is_nearest() -> None:
    model = placed((0, 0), (10, 10))
    samples = torch.tensor([[0.0, 2.0], [2.0, 0.0], [9.0, 9.0]])
    found = model.maximized(samples, assigned(model, samples), 1.0)["centroids"]
    assert found.tolist() == [[1.0, 1.0], [9.0, 9.0]]
    half = model.maximized(samples, assigned(model, samples), 0.5)["centroids"]
    assert half.tolist() == [[0.5, 0.5], [9.5, 9.5]]


def test_a_centroid_that_nothing_is_near_to_goes_to_the_farthest_sample() -> None:
    model = placed((0, 0), (100, 100))
    samples = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-7.0, 0.0]])
    found = model.maximized(samples, assigned(model, samples), 1.0)["centroids"]
    assert found.tolist() == [[0.5, 0.5], [-7.0, 0.0]]


def test_in_a_part_of_the_samples_it_stays_where_it_is() -> None:
    model = placed((0, 0), (100, 100))
    samples = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-7.0, 0.0]])
    found = model.maximized(samples, assigned(model, samples), 0.5)["centroids"]
    assert found[1].tolist() == [100.0, 100.0]


def test_more_centroids_than_samples_leave_some_where_they_are() -> None:
    model = placed((0, 0), (50, 50), (60, 60), (70, 70))
    samples = torch.tensor([[0.0, 1.0], [4.0, 0.0]])
    found = model.maximized(samples, assigned(model, samples), 1.0)["centroids"]
    assert found.isfinite().all()
    assert found[3].tolist() == [70.0, 70.0]


def test_components_of_a_classification_are_its_classes() -> None:
    assert KMeans((2,), 3, components=7).components == 7
    assert KMeans((2,), 3, task="classification").components == 3
    with pytest.raises(ValueError, match="components=7: the dataset has 3 classes"):
        KMeans((2,), 3, task="classification", components=7)
    with pytest.raises(ValueError, match="kmeans takes numbers"):
        KMeans((5,), 2, vocabulary=9)
