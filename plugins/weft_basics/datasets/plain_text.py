"""Text files: which a folder has, and what is in one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn


def read(path: Path) -> str:
    """Return what a file in UTF-8 says, its lines ended by a line feed alone. A byte order mark is no part of it.

    Raises:
        ValueError: the file can't be read, or isn't UTF-8; names the byte.
    """
    try:
        found = path.read_bytes().decode()
    except OSError as error:
        _refuse(error)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in UTF-8: byte {error.start} is 0x{error.object[error.start]:02x} ({error.reason})"
        ) from error
    return found.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def files(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the files in a folder, and in those in it, that end in a suffix: each by the name that leads to it from there,
    in these names' order. What is hidden is passed over, and so are links to folders.

    Raises:
        ValueError: a folder can't be read.
    """
    found: dict[str, Path] = {}
    for here, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(here, name) for name in names if not name.startswith(".")):
            if path.suffix.lower() == suffix and os.path.isfile(path):
                found[path.relative_to(folder).as_posix()] = path
    return dict(sorted(found.items()))


def _refuse(error: OSError) -> NoReturn:
    raise ValueError(f"{error.filename} can't be read: {error.strerror}") from error
