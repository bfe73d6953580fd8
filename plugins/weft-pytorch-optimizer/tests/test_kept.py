"""A state goes through a checkpoint as it was: types, queues, helper objects, and the order of a matrix in memory."""

from __future__ import annotations

from collections import deque
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_optimizer.optimizer.utils.galore import GaLoreProjector
from training import Training

from weft import checkpoint
from weft_pytorch_optimizer.kept import packed, unpacked


class Whole(IntEnum):
    ONE = 1


class Colour(Enum):
    RED = "red"


def through(value: Any, folder: Path) -> Any:
    checkpoint.write(folder / "checkpoint", {"it": packed(value)})
    return unpacked(checkpoint.read(folder / "checkpoint")["it"])


@pytest.mark.parametrize(
    "order",
    [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)],
)
def test_a_tensor_keeps_its_order_in_memory(order: tuple[int, ...], tmp_path: Path) -> None:
    tensor = torch.arange(24.0).reshape(2, 3, 4).permute(order)
    found = through({"tensor": tensor}, tmp_path)["tensor"]
    assert torch.equal(found, tensor)
    assert found.stride() == tensor.stride()


def test_a_tensor_with_gaps_keeps_its_numbers(tmp_path: Path) -> None:
    tensor = torch.arange(24.0).reshape(4, 6)[:, ::2]
    assert torch.equal(through(tensor, tmp_path), tensor)


def test_other_values_come_back_as_they_were(tmp_path: Path) -> None:
    value = {
        "queue": deque([torch.ones(2), torch.zeros(2)], maxlen=5),
        "type": torch.float64,
        "number": Whole.ONE,
        "none": None,
    }
    found = through(value, tmp_path)
    assert found["queue"].maxlen == 5
    assert [item.tolist() for item in found["queue"]] == [[1, 1], [0, 0]]
    assert found["type"] is torch.float64
    assert found["number"] == 1
    assert type(found["number"]) is int
    assert found["none"] is None
    assert through(torch.Size([2, 3]), tmp_path) == (2, 3)


def test_a_helper_object_comes_back_with_all_that_it_knew(tmp_path: Path) -> None:
    projector = GaLoreProjector(rank=2, projection_type="full")
    gradient = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    expected = projector.project(gradient, 1)
    found = through(projector, tmp_path)
    assert isinstance(found, GaLoreProjector)
    assert torch.equal(found.project(gradient, 2), expected)
    assert (found.rank, found.last_svd_step) == (2, 1)


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(TypeError, match="a Colour is no state that can be kept"):
        packed({"state": [Colour.RED]})


def test_a_loaded_state_has_the_types_that_it_had_and_not_its_weights() -> None:
    training = Training("kron", torch.float64)
    training.train(3)
    other = Training("kron", torch.float64)
    other.train(1)
    other.optimizer.load_state_dict(training.optimizer.state_dict())
    types = {tensor.dtype for state in other.optimizer.state.values() for tensor in state["Q"]}
    assert types == {torch.float32}
