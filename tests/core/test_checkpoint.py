"""Checkpoints: whole or not at all, every bit back, no pickle."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weft import ConfigError, checkpoint

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.uint8]).flatmap(
        lambda kind: st.lists(st.integers(0, 3), max_size=3).map(lambda shape: torch.ones(shape).to(kind))
    ),
)
keys = st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.none())
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return (a == b and (not isinstance(a, float) or math.copysign(1, a) == math.copysign(1, b))) or (a != a and b != b)


@settings(deadline=None)
@given(tree=st.dictionaries(st.text(max_size=4), trees, max_size=4))
def test_a_tree_comes_back_as_it_was(tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("tree") / "tree.safetensors"
    checkpoint.write(path, tree)
    assert same(tree, checkpoint.read(path))


def test_tied_tensors_and_slices_are_kept(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    checkpoint.write(tmp_path / "c", {"whole": whole, "part": whole[2:4], "turned": whole.view(2, 3).T})
    found = checkpoint.read(tmp_path / "c")
    assert torch.equal(found["part"], whole[2:4])
    assert torch.equal(found["turned"], whole.view(2, 3).T)


def test_what_cannot_be_kept_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="/parts/callback: a set can't be kept"):
        checkpoint.write(tmp_path / "c", {"parts": {"callback": {1, 2}}})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"
    checkpoint.write(path, {"a": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(path, {"a": 2})
    assert checkpoint.read(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_a_checkpoint_is_refused_and_never_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "boom",)

    (tmp_path / "bomb").write_bytes(pickle.dumps(Bomb()))
    torch.save({"bomb": Bomb()}, tmp_path / "torch")
    for name in ("bomb", "torch"):
        with pytest.raises(ConfigError, match="not a checkpoint of weft"):
            checkpoint.read(tmp_path / name)
    with pytest.raises(ConfigError, match="there is no such checkpoint"):
        checkpoint.read(tmp_path / "nothing")
    assert not (tmp_path / "boom").exists()


def test_tensors_lie_in_memory_as_torch_lays_them(tmp_path: Path) -> None:
    """The last bits of a product can depend on where its factors begin, and a run that goes on must have the same ones."""
    checkpoint.write(tmp_path / "c", {"a" * length: torch.ones(length) for length in range(1, 20)})
    found = checkpoint.read(tmp_path / "c")
    assert {tensor.data_ptr() % 64 for tensor in found.values()} == {0}
