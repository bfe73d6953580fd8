"""The summary as Markdown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.sweep.sweeps import grid, job
from weft.sweep.markdown import cut, page, tuning
from weft.sweep.results import Skipped, entries


def section(text: str, title: str) -> list[str]:
    """Return the lines below a title, up to the next."""
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0].strip().splitlines()


def test_all_of_it_is_there(tmp_path: Path) -> None:
    sweep = grid(tmp_path / "one", {"optimizer=sgd": [0.3, 0.4], "optimizer=adam": [0.1, None]})
    text = page("one", entries(sweep), [Skipped(("optimizer=muon", "sweep.name=one"), "takes matrices only")])
    assert text.startswith("# Sweep one\n\n4 runs: 3 FINISHED, 1 FAILED; 1 skipped.\n")
    assert "| 2 | sgd | 0.3500 ± 0.0707 ? | -0.2853 to 0.9853 | 1.3500 | 2 |" in section(text, "Leaderboard")
    assert section(text, "Not finished") == [
        "- **FAILED** `optimizer=adam seed=1`, in `3`: NonFiniteError: the loss became NaN"
    ]
    assert section(text, "Skipped") == ["- `optimizer=muon`: takes matrices only"]
    assert section(text, "Best so far: valid/loss")[-2:] == ["| 1 | sgd | 0 | 0.3000 |", "| 3 | adam | 0 | 0.1000 |"]
    assert section(text, "Repeat a row") == [
        "1. `weft run -m optimizer=adam seed=0,1`",
        "2. `weft run -m optimizer=sgd seed=0,1`",
    ]


def test_what_isn_t_there_has_no_section(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5, "epochs=1")
    text = page("one", entries(tmp_path), [])
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert titles == ["## Leaderboard", "## Best so far: valid/loss", "## Repeat a row"]


def test_references_are_held_against(tmp_path: Path) -> None:
    reference = {"score": "test/loss", "wanted": "≤ 2", "source": "somebody", "reached": 1.5, "met": True}
    job(tmp_path, 0, 0.5, "a=1", reference=reference)
    job(tmp_path, 1, 0.6, "a=2")
    lines = section(page("one", entries(tmp_path), []), "References")
    assert lines[0] == "1 of 1 met their reference:"
    assert lines[-1] == "| 1 | test/loss | ≤ 2 | somebody | 1.5000 | met |"


def test_tuned_or_default(tmp_path: Path) -> None:
    settings = [f"optimizer=sgd optimizer.lr={rate} optimizer.momentum=0.9" for rate in (0.1, 0.01, 0.001)]
    found = entries(grid(tmp_path, {key: [0.1, 0.2] for key in [*settings, "optimizer=adam"]}))
    assert tuning(found) == [
        ("optimizer=sgd", "tuned: lr (3 values); set: momentum=0.9", 3),
        ("optimizer=adam", "default", 1),
    ]
    text = "\n".join(section(page("one", found, []), "Tuned or default"))
    assert "Unequal numbers of settings favour those of which more were tried: optimizer." in text


def test_equal_efforts_need_no_warning(tmp_path: Path) -> None:
    settings = [f"optimizer={name} optimizer.lr={rate}" for name in ("sgd", "adam") for rate in (0.1, 0.01)]
    found = entries(grid(tmp_path, {key: [0.1] for key in settings}))
    assert [(said, tried) for _, said, tried in tuning(found)] == [("tuned: lr (2 values)", 2)] * 2
    assert "Unequal" not in page("one", found, [])


def test_parts_that_aren_t_compared_are_not_spoken_of(tmp_path: Path) -> None:
    assert tuning(entries(grid(tmp_path, {"model=mlp a=1": [0.1], "model=mlp a=2": [0.1]}))) == []


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("a | b *c* <script> [x](y)", r"a \| b \*c\* \<script\> \[x\](y)"),
        ("two\nlines", "two lines"),
        ("__init__ of batch_size", r"\__init_\_ of batch_size"),
        ("sent token=abc to http://me:pw@host", r"sent token=\[redacted\] to http://\[redacted\]@host"),
    ],
)
def test_a_reason_is_a_line_of_plain_text(tmp_path: Path, reason: str, shown: str) -> None:
    job(tmp_path, 0, 0.5)
    assert section(page("one", entries(tmp_path), [Skipped(("a=1",), reason)]), "Skipped") == [f"- `a=1`: {shown}"]


def test_overrides_are_code_word_for_word_but_for_secrets(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5)
    lines = section(page("one", entries(tmp_path), [Skipped(("name=`x`", "hub.token=abc"), "no")]), "Skipped")
    assert lines == ["- ``name=`x` hub.token=[redacted]``: no"]


def test_lists_are_cut_to_so_many_lines(tmp_path: Path) -> None:
    for place in range(9):
        job(tmp_path, place, float(place), f"a={place}")
    skipped = [Skipped((f"a={place}",), "no") for place in range(5)]
    text = page("one", entries(tmp_path), skipped, 3)
    assert section(text, "Skipped") == ["- `a=0`: no", "- `a=1`: no", "- `a=2`: no", "", "and 2 more"]
    assert "- and 6 more" in section(text, "Leaderboard")
    assert section(text, "Repeat a row")[-1] == "and 6 more"


@given(st.lists(st.text("ab", max_size=20), min_size=1), st.integers(20, 200))
def test_a_cut_is_at_a_line_and_within_its_length(lines: list[str], most: int) -> None:
    text = "\n".join(["head", *lines])
    shown = cut(text, most, "the rest")
    if len(text) <= most:
        assert shown == text
    else:
        kept, rest = shown.rsplit("\n\n", 1)
        assert len(shown) <= most
        assert rest == "the rest"
        assert text.startswith(kept)
        assert text[len(kept)] == "\n"
