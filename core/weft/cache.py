"""What is kept from one process to the next because it takes long to come by. All of it can be lost: that costs time, nothing
else."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def folder(name: str) -> Path:
    """Return the folder for one sort of thing, in `WEFT_CACHE` or the user's cache folder. It need not be there."""
    import platformdirs

    return Path(os.environ.get("WEFT_CACHE") or platformdirs.user_cache_dir("weft", appauthor=False)) / name


def keep(file: Path, content: bytes) -> None:
    """Write a file whole, or not at all where that can't be."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.replace(name, file)
        except OSError:  # a full disk
            os.unlink(name)
            raise
