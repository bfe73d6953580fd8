"""What could come next on the command line of `weft run`: groups, names, keys, and the values of a choice."""

from __future__ import annotations

from collections.abc import Sequence

from click.shell_completion import CompletionItem
from hydra.plugins.completion_plugin import DefaultCompletionPlugin

from weft import compose, settings
from weft.catalog import catalog
from weft.errors import WeftError
from weft.kinds import KINDS
from weft.typed import Type


def overrides(before: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """Return the completions of a word. bash splits words at `=`, so `model=m` may come in three pieces."""
    words = _joined([*before, incomplete])
    word, given = words[-1], words[:-1]
    cut = len(word) - len(incomplete.lstrip("=")) if before and (before[-1] == "=" or incomplete == "=") else 0
    try:
        found = _values(word, given) or _hydra(word, given)
    except WeftError:
        return []  # half a command line may well be wrong; running it will say so
    return [CompletionItem(item[cut:]) for item in found]


def _joined(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        glue = found and (word.startswith("=") or found[-1].endswith("="))
        if glue and (word == "=" or found[-1].endswith("=")):
            found[-1] += word
        else:
            found.append(word)
    return found or [""]


def _hydra(word: str, given: Sequence[str]) -> list[str]:
    with compose.hydra_app() as hydra:
        completer = DefaultCompletionPlugin(hydra.config_loader)
        line = " ".join([*(item for item in given if not item.startswith("-")), word])
        return sorted(completer._query(config_name=compose.CONFIG, line=line))


def _values(word: str, given: Sequence[str]) -> list[str]:
    """Return `key=value` for every value of a key that is a choice, a literal or a truth; nothing for other keys."""
    key, equals, start = word.partition("=")
    if not equals or key in KINDS:
        return []
    with compose.hydra_app() as hydra:
        chosen = compose.read(compose.compose(hydra, [item for item in given if "=" in item]), given)
    known: dict[str, Type] = {option.name: option.type for option in settings.options()}
    for part in chosen.every_part():
        known |= {f"{part.place}.{option.name}": option.type for option in part.component.options}
    if key not in known:
        return []
    kind = known[key]
    names = {"bool": ["true", "false"], "literal": [str(value) for value in kind.values]}.get(kind.name, [])
    if kind.name == "choice":
        names = catalog().names(kind.kind)
    return [f"{key}={name}" for name in names if name.startswith(start)]
