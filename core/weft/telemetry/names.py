"""Names as MLflow takes them: of metrics, params and tags."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

_LENGTH = 250


@lru_cache(maxsize=100_000)
def mended(name: str) -> str:
    """Return the name with what MLflow refuses in one replaced by underscores, at most 250 characters of it."""
    parts = re.sub(r"[^/\w.\- :]", "_", name).split("/")
    key = "/".join("_" * max(1, len(part)) if part in ("", ".", "..") else part for part in parts)
    return key if len(key) <= _LENGTH else _with_digest(key, name)


def _with_digest(key: str, name: str) -> str:
    return f"{key[: _LENGTH - 9]}_{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


class Names:
    """The names of one run, each with one of its own: where two would be mended to the same, the second gets a digest. The
    same names in the same order give the same ones again."""

    def __init__(self) -> None:
        self._mended: dict[str, str] = {}
        self._taken: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        found = self._mended.get(name)
        if found is None:
            found = mended(name)
            if self._taken.setdefault(found, name) != name:
                found = _with_digest(found, name)
                self._taken[found] = name
            self._mended[name] = found
        return found
