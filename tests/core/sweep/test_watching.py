"""What is shown of a sweep while it goes."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from weft.folder import Folder
from weft.sweep.ledger import Job, State
from weft.sweep.slots import Slot
from weft.sweep.watching import Board, Lines, watch
from weft.sweep.words import Progress

TITLES = {0: "model=mlp", 1: "model=cnn"}


def job(number: int, state: State = State.RUNNING, reason: str = "") -> Job:
    return Job(number, str(number), ("model=mlp", "tracking.uri=postgresql://me:secret@host/db"), {}, state, reason)


def console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)


def said(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def test_each_end_is_a_line(tmp_path: Path) -> None:
    Folder(tmp_path / "0").path.mkdir()
    Folder(tmp_path / "0").note(score=0.25, objective="valid/loss")
    shown = console()
    with watch(shown, tmp_path, TITLES, 3) as lines:
        assert type(lines) is Lines
        lines.begun(job(0), Slot("cpu", 1))
        lines.said(job(0), Progress(1, 10, 0, "valid/loss", None))
        lines.ended(job(0, State.FINISHED), 1.25)
        lines.ended(job(1, State.FAILED, "its process was ended by SIGSEGV"), 2.0)
        lines.stopping()
        lines.ended(job(2, State.INTERRUPTED), 0.5)
    text = said(shown)
    assert "1/3 #0 model=mlp: valid/loss 0.25 (1.2 s)\n" in text
    assert "2/3 #1 model=cnn: FAILED: its process was ended by SIGSEGV\n" in text
    assert "repeat it: weft run model=mlp " in text
    assert "secret" not in text
    assert "job.log" in text
    assert "stopping: jobs under way write a checkpoint" in text
    assert "3/3 #2: stopped\n" in text


def test_a_terminal_shows_what_is_under_way(tmp_path: Path) -> None:
    shown = console(terminal=True)
    with watch(shown, tmp_path, TITLES, 2) as board:
        assert type(board) is Board
        board.begun(job(0), Slot("cuda:0", 1))
        board.begun(job(1), Slot("cpu", 1))
        board.said(job(0), Progress(30, 60, 3, "valid/loss", 0.123456))
        picture = console()
        picture.print(board._table())
        under_way = said(picture)
        board.ended(job(0, State.FAILED, "no"), 1.0)
        picture = console()
        picture.print(board._table())
        later = said(picture)
    assert "#0 model=mlp" in under_way
    assert "valid/loss 0.1235" in under_way
    assert "cuda:0" in under_way
    assert "#1 model=cnn" in under_way
    assert "starting" in under_way
    assert "0 of 2 done" in under_way
    assert "#0" not in later
    assert "1 of 2 done, 1 failed" in later
    assert "#0 model=mlp: FAILED: no" in said(shown)
