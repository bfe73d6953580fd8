"""Texts that look like numbers, or like nothing. Hydra's grammar reads `name=2024_01` as 202401, a run id such as 12e4567 as
infinity, and of `dataset.path=~/data` it can make nothing."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException

from weft import settings
from weft.catalog import Catalog
from weft.kinds import KINDS


def quoted(overrides: Sequence[str], catalog: Catalog) -> list[str]:
    """Return overrides in which what goes to a text option is quoted, where Hydra would not give it back as it was typed."""
    return [_quoted(override, catalog) for override in overrides]


def given_keys(overrides: Iterable[str]) -> set[str]:
    """Return the keys that overrides give a value, also inside of a mapping: `tracking.uri` of `tracking={uri: …}`."""
    found: set[str] = set()
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+~")
        found.add(key)
        parsed = parse(override) if value.lstrip().startswith("{") else None
        if parsed is not None and isinstance(mapping := parsed.value(), dict):
            found.update(f"{key}.{name}" for name in mapping)
    return found


def _quoted(override: str, catalog: Catalog) -> str:
    typed, parsed = override, parse(override)
    key, _, given = override.partition("=")
    if parsed is None and given.startswith("~") and "'" not in given:
        override = f"{key}={','.join(repr(part.strip()) for part in given.split(','))}"
        parsed = parse(override)
    if parsed is None or parsed.is_delete() or not _is_text(parsed.key_or_group, catalog):
        return typed
    value, text = parsed.value(), parsed.get_value_string()
    if isinstance(value, ChoiceSweep) and value.simple_form and "'" not in text and '"' not in text:
        parts = [part.strip() for part in text.split(",")]
        text = ",".join(_as_typed(part, item) for part, item in zip(parts, value.list, strict=True))
    else:
        text = _as_typed(text, value)
    return f"{override.partition('=')[0]}={text}"


def _as_typed(text: str, value: Any) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"'{text}'" if is_number and str(value) != text else text


def _is_text(key: str, catalog: Catalog) -> bool:
    """Whether a text option goes by this key, of weft's own or of any component that could be chosen."""
    group, _, name = key.rpartition(".")
    kind = group.partition(".")[0]
    if kind in KINDS:
        offered = [component for same in catalog.components[kind].values() for component in same]
        return any(option.name == name and option.type.name == "str" for item in offered for option in item.options)
    inside = settings.groups().get(group) if group else settings.Settings
    own = settings.options(inside) if inside else ()
    return group == "tags" or any(option.name == name and option.type.name == "str" for option in own)


def top(override: Override) -> str:
    """Return the first name of an override's key: `optimizer` of `optimizer.lr=1`."""
    return override.key_or_group.partition(".")[0]


@functools.lru_cache(4096)
def parse(override: str) -> Override | None:
    """Return an override as Hydra's grammar reads it, or None where it makes no sense of it: composition says what is wrong."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None
