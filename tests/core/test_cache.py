"""What is kept from one process to the next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weft import cache


def test_what_is_kept_is_there_whole(tmp_path: Path) -> None:
    cache.keep(tmp_path / "a" / "b", b"1")
    cache.keep(tmp_path / "a" / "b", b"2")
    assert {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()} == {"b": b"2"}


def test_what_can_t_be_kept_leaves_nothing_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*names: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    cache.keep(tmp_path / "a" / "b", b"1")
    assert list((tmp_path / "a").iterdir()) == []
    (tmp_path / "file").touch()
    cache.keep(tmp_path / "file" / "b", b"1")
