"""Counts of magnitudes, against NumPy's frexp."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from weft.telemetry.histograms import BINS, SMALLEST, apart, counted
from weft.telemetry.statistics import InMemory, Meter, OnDevice

TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
EDGES = [0.0, -0.0, 1.0, -1.0, 2.0**-126, 2.0**-127, -(2.0**-149), 2.0**-1074, 3.4e38, -1e300, 2.0**-24, 65504.0]
EDGES += [0.99999999999, -1.9999999, float("inf"), -float("inf"), float("nan")]


def by_hand(numbers: NDArray[np.float64]) -> tuple[NDArray[np.int64], int, int]:
    """Return the counts by sign and exponent, of zeros and of what is not finite."""
    counts = np.zeros((2, 255), np.int64)
    finite = numbers[np.isfinite(numbers) & (numbers != 0)]
    _, exponents = np.frexp(finite)
    for number, exponent in zip(finite, exponents - 1, strict=True):
        counts[int(number > 0), int(np.clip(exponent, SMALLEST, 127)) - SMALLEST] += 1
    return counts, int((numbers == 0).sum()), int((~np.isfinite(numbers)).sum())


def check(tensor: torch.Tensor) -> None:
    found = apart(counted(tensor).numpy())
    counts, zeros, nonfinite = by_hand(tensor.double().numpy().reshape(-1))
    assert found.counts.tolist() == counts.tolist()
    assert (int(found.zeros), int(found.nonfinite)) == (zeros, nonfinite)
    assert counts.sum() + zeros + nonfinite == tensor.numel()


@pytest.mark.parametrize("name", TYPES)
def test_numbers_at_the_edges_of_their_types(name: str) -> None:
    check(torch.tensor(EDGES, dtype=torch.float64).to(TYPES[name]))
    check(torch.tensor(EDGES[:12], dtype=torch.float64).to(TYPES[name]).reshape(2, 3, 2).transpose(0, 2))
    check(torch.empty(0, dtype=TYPES[name]))
    check(torch.tensor(-0.3, dtype=TYPES[name]))


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=60, deadline=None)
@given(numbers=arrays.arrays(np.float64, st.integers(0, 40), elements=st.floats(width=64) | st.sampled_from(EDGES)))
def test_any_numbers(name: str, numbers: NDArray[np.float64]) -> None:
    check(torch.from_numpy(numbers).to(TYPES[name]))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_every_number_of_a_half_precision_type(name: str) -> None:
    """All 65,536 of them."""
    check(torch.arange(-(2**15), 2**15).to(torch.int16).view(TYPES[name]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [InMemory, OnDevice])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_meters_count_what_they_were_asked_to(kind: type[Meter], dtype: torch.dtype, data: st.DataObject) -> None:
    """Of some looks among many: gradients, weights before the update, updates."""
    width = 64 if dtype is torch.float64 else 32
    shapes = [(3,), (2, 2), ()]
    weights = [torch.zeros(shape, dtype=dtype) for shape in shapes]
    gauge, expected = kind(weights), []  # type: ignore[call-arg]
    for look in range(data.draw(st.integers(1, 40), label="looks")):
        fresh = (
            [data.draw(_numbers(width, shape)) for shape in shapes]
            if look < 3
            else [weight.numpy().copy() for weight in weights]
        )
        gradients = [torch.from_numpy(np.asarray(numbers)) for numbers in fresh]
        asked = data.draw(st.booleans(), label="asked")
        before = [weight.clone() for weight in weights]
        gauge.look(gradients, asked)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.copy_(gradient * 0.5 - weight)
        gauge.look_again()
        if asked:
            moves = [after - old for after, old in zip(weights, before, strict=True)]
            expected.append([[counted(part).tolist() for part in parts] for parts in (gradients, before, moves)])
    assert len(gauge.take())
    found, wanted = apart(gauge.counts().numpy()), apart(np.array(expected, dtype=np.int32).reshape(-1, 3, len(shapes), BINS))
    for ours, theirs in zip(found, wanted, strict=True):
        assert np.array_equal(ours, theirs)
    assert gauge.counts().shape == (0, 3, len(shapes), BINS)


def _numbers(width: int, shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[np.floating]]:
    kind = np.float64 if width == 64 else np.float32
    return arrays.arrays(
        kind, shape, elements=st.floats(-(2.0**99), 2.0**99, width=width) | st.sampled_from([0.0, float("inf")])
    )  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("deterministic", [False, True])
def test_on_a_gpu(name: str, deterministic: bool) -> None:
    numbers = torch.randn(100_003, generator=torch.Generator().manual_seed(0)).to(TYPES[name])
    numbers[::7] = 0
    torch.use_deterministic_algorithms(deterministic)
    try:
        torch.cuda.set_sync_debug_mode("error")
        there = numbers.cuda()
        found = counted(there)
    finally:
        torch.cuda.set_sync_debug_mode("default")
        torch.use_deterministic_algorithms(False)
    assert found.tolist() == counted(numbers).tolist()
