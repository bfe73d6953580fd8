"""What every Python brings along: the sources of its standard library, read as text and never run."""

from __future__ import annotations

import platform
import sysconfig
from pathlib import Path


def folder() -> Path:
    """Return the folder of the standard library."""
    return Path(sysconfig.get_path("stdlib"))


def source(part: str) -> str:
    """Return where a dataset comes from: what is in the library changes with the version."""
    return f"Python {platform.python_version()}, {part}"
