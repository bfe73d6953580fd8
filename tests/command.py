"""weft's command as tests give it.

`call` runs it in the tests' own process, which has torch and MLflow imported; who ships has its own process nonetheless, and so
have a sweep's jobs, forked from one server for all. `own_process` and `WEFT` are for processes of their own: for what is about
signals, dying, starting.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import pytest

from weft import cli
from weft.catalog import catalog

WEFT = [sys.executable, "-m", "weft.cli"]


def call(*arguments: str, folder: Path, check: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command from a folder, with more variables; its exit code must be `check`, if that isn't None."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _own_log():
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["weft", *arguments])
        for name, value in environment.items():
            patch.setenv(name, value)
        catalog.cache_clear()
        with pytest.raises(SystemExit) as ended:
            cli.main()
    code = ended.value.code
    assert isinstance(code, int)
    assert check is None or code == check, out.getvalue() + err.getvalue()
    return subprocess.CompletedProcess(["weft", *arguments], code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _own_log() -> Iterator[None]:
    """Take away what Hydra makes of logging while inside, its open files among it."""
    before = [*logging.root.handlers]
    level = logging.root.level
    try:
        yield
    finally:
        for handler in set(logging.root.handlers).difference(before):
            handler.close()
        logging.root.handlers = before
        logging.root.setLevel(level)


def forget_server() -> None:
    """End the server that jobs are forked from: the next one knows of plugins that were installed since this one began."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def own_process(*arguments: str, folder: Path, check: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Do the same in a process of its own."""
    done = subprocess.run(
        [*WEFT, *arguments], cwd=folder, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300
    )
    assert check is None or done.returncode == check, done.stdout + done.stderr
    return done
