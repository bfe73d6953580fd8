"""What a search may vary: what the overrides of a multirun sweep over, or else the ranges that options declare.

Swept over: `a,b`, `choice(…)` and `glob(…)` are values to choose among, `range(…)` is steps (the end left out), `interval(…)`
all between its ends, `tag(log, interval(…))` that evenly on a logarithmic scale. An interval of an option that is a whole
number holds whole numbers. Where any value is swept over, the space is what was written and no more.

Where nothing is swept over but the choice of parts (`optimizer=adam,sgd`), or nothing at all, the space is the ranges that the
options of the chosen parts declare. A declared range says what is valid, which is more than what is worth a try: an `lr` of
10, a million features. Searched is, of the parts in `SEARCHED`, an option with a range that ends on both sides and a number as
its default:

- a number on a logarithmic scale: from a hundredth to a hundred times its default;
- a number that could be zero and by default is at most a hundredth of its range, such as a penalty's weight: likewise;
- another number: all of its range; but not where its default is the range's end, which is how an option is off (momentum 0);
- a whole number on a logarithmic scale, which is a size: its default, doubled and halved up to three times. Sizes of a model
  often must divide each other (a width among heads), and memory grows with them;

always within the declared range, and not what the user has fixed: what an override gives, or what a YAML has set to another
value than the default. Not searched, unless swept over: other whole numbers, switches and words (they declare no range), null,
lists, what a dataset or a callback may be told, and the options of a loss where the loss itself is what runs are judged by:
the loss that is the smallest number is not the best one.

Each part has dimensions of its own: `optimizer.adam.lr` and `optimizer.sgd.lr` are two, and either becomes `optimizer.lr=…`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from weft import settings
from weft.configuration import Configuration, Part
from weft.errors import ConfigError, did_you_mean
from weft.kinds import KINDS
from weft.objective import OWN_LOSS
from weft.options import Option
from weft.spelling import given_keys
from weft.typed import Refusal

SEARCHED = ("model", "loss", "optimizer", "regularizer", "scheduler")
"""The kinds whose options' ranges are searched when no value is swept over."""

_SPREAD = 100.0  # what a number is multiplied and divided by at most
_DOUBLINGS = 3  # of a size

Configure = Callable[[Sequence[str]], Configuration]
"""Composes and checks one run: what the overrides of a job come to."""


@dataclass(frozen=True)
class Values:
    """A choice among values, each as an override writes it."""

    texts: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.texts)


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`, both included, in steps or not. They are whole where both ends are ints."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __str__(self) -> str:
        step = f" by {self.step}" if self.step else ""
        return f"{self.low!r} to {self.high!r}{step}{', log' if self.log else ''}"


@dataclass(frozen=True)
class Dimension:
    """One thing that varies. `key` is its name in a study, `target` what stands before the `=` of its override.

    Where `group` is not empty, it is there only when the dimension of that key has one of the values `among`.
    """

    key: str
    target: str
    values: Values | Interval
    group: str = ""
    among: tuple[str, ...] = ()

    def is_in(self, point: Mapping[str, Any]) -> bool:
        """Whether it is there, given the values of the dimensions that choose parts."""
        return not self.group or point[self.group] in self.among

    def override(self, value: Any) -> str:
        """Return the override for a value: a text of `Values` as it stands, a number so that exactly it is read back."""
        return f"{self.target}={value if isinstance(value, str) else repr(value)}"

    def __str__(self) -> str:
        return f"{self.key}: {self.values}" + (f" ({self.group}={','.join(self.among)})" if self.group else "")


@dataclass(frozen=True)
class Space:
    """What every job is told, and what differs from one to the next. The dimensions that choose parts come first."""

    fixed: tuple[str, ...]
    dimensions: tuple[Dimension, ...]

    def overrides(self, point: Mapping[str, Any]) -> tuple[str, ...]:
        """Return a job's overrides, from the values of the dimensions that are there, by key."""
        chosen = (item.override(point[item.key]) for item in self.dimensions if item.is_in(point))
        return (*self.fixed, *chosen)

    def params(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Return the same values as a config holds them, by their overrides' keys."""
        chosen = (item for item in self.dimensions if item.is_in(point))
        return {item.target: _plain(point[item.key]) for item in chosen}

    def restricted(self, group: str, value: str) -> Space:
        """Return the part of this space in which one choice is made: `restricted("optimizer", "adam")`.

        Raises:
            KeyError: `group` is not chosen in this space, or not among `value`.
        """
        choice = next((item.values for item in self.dimensions if item.key == group), None)
        if not isinstance(choice, Values) or value not in choice.texts:
            raise KeyError(f"{group}={value}")
        left = (item for item in self.dimensions if item.key != group and (item.group != group or value in item.among))
        kept = (replace(item, group="", among=()) if item.group == group else item for item in left)
        return Space((*self.fixed, f"{group}={value}"), tuple(kept))


def space(overrides: Sequence[str], configure: Configure | None = None, loader: ConfigLoader | None = None) -> Space:
    """Return the space of a multirun, from its overrides without Hydra's own.

    `configure` says what parts overrides come to; without it, as in another's Hydra app, the space is what is swept over. So it
    is where experiments are swept over, which are other parts each time. `loader` knows what `glob(…)` stands for.

    Raises:
        ConfigError: a sweep over nothing, an interval that is none or reaches beyond its option's range, an option that none of
            the chosen parts has, nothing to search; or what `configure` raises.
    """
    parsed = {item.get_key_element(): item for item in _parsed(overrides, loader)}.values()
    fixed = tuple(str(item.input_line) for item in parsed if not item.is_sweep_override())
    swept = [item for item in parsed if item.is_sweep_override()]
    if configure is None or any(map(_chooses_config, swept)):
        return Space(fixed, tuple(Dimension(key, key, _values(item)) for item in swept for key in [item.get_key_element()]))
    groups = [Dimension(item.key_or_group, item.get_key_element(), _values(item)) for item in swept if _chooses_part(item)]
    given = [item for item in swept if not _chooses_part(item)]
    base, chosen = _chosen(fixed, groups, configure)
    found = [dimension for item in given for dimension in _asked(item, chosen)] if given else _declared(base, chosen, fixed)
    merged: dict[str, Dimension] = {}
    for item in found:  # a part that several values choose, such as l2 of regularizer=l2,[dropout,l2]
        among = merged[item.key].among if item.key in merged else ()
        merged[item.key] = replace(item, among=(*among, *item.among))
    if not groups and not merged:
        raise ConfigError(
            f"hydra/sweeper: nothing to search: of {', '.join(map(str, base.every_part()))} no option with a range is left "
            "that nothing fixes; sweep over something, as in optimizer.lr='tag(log,interval(1e-4,1e-1))'"
        )
    return Space(fixed, (*groups, *merged.values()))


def declared(option: Option) -> Values | Interval | None:
    """Return what of an option's declared range is searched by default; None where it isn't. See the top of this file."""
    bounds, default = option.type.range, option.default
    if bounds is None or not isinstance(default, (int, float)) or not math.isfinite(bounds.high - bounds.low):
        return None
    if option.type.name == "int":
        sizes = [default * 2**power for power in range(-_DOUBLINGS, _DOUBLINGS + 1) if default * 2**power % 1 == 0]
        return Values(tuple(str(int(size)) for size in sizes if bounds.low <= size <= bounds.high)) if bounds.log else None
    if bounds.log or bounds.low <= 0 < default <= (bounds.high - bounds.low) / _SPREAD:
        low, high = max(bounds.low, default / _SPREAD), min(bounds.high, default * _SPREAD)
        return Interval(float(low), float(high), log=True)
    return Interval(float(bounds.low), float(bounds.high)) if bounds.low < default < bounds.high else None


def _parsed(overrides: Sequence[str], loader: ConfigLoader | None) -> list[Override]:
    try:
        return OverridesParser.create(loader).parse_overrides([*overrides])
    except HydraException as error:
        raise ConfigError(str(error).strip().partition("\n")[0]) from None


def _chooses_part(item: Override) -> bool:
    return item.key_or_group in KINDS


def _chooses_config(item: Override) -> bool:
    """Whether it chooses a file of the config that is no part's, such as +experiment=…."""
    known = [*KINDS, *settings.groups(), *(option.name for option in settings.options())]
    return "." not in item.key_or_group and item.key_or_group not in known


@dataclass(frozen=True)
class _Chosen:
    """A part of which there could be a choice; if so, the group and its value that choose it."""

    part: Part
    group: str
    among: tuple[str, ...]

    def dimension(self, target: str, option: str, values: Values | Interval) -> Dimension:
        """Return the dimension of one of its options."""
        owner = self.part.place if KINDS[self.part.kind].several else f"{self.part.kind}.{self.part.name}"
        return Dimension(f"{owner}.{option}", target, values, self.group, self.among)


def _chosen(fixed: Sequence[str], groups: Sequence[Dimension], configure: Configure) -> tuple[Configuration, list[_Chosen]]:
    """Compose each value of each choice of parts once, with the first value of the others; return the first of the
    configurations, and the parts of all."""
    texts = {group.key: group.values.texts if isinstance(group.values, Values) else () for group in groups}
    first = {key: f"{key}={values[0]}" for key, values in texts.items() if values}
    base = configure([*fixed, *first.values()])
    found: list[_Chosen] = []
    for kind, parts in base.parts.items():
        found.extend(_Chosen(part, kind if kind in texts else "", texts.get(kind, ())[:1]) for part in parts)
        for text in texts.get(kind, ())[1:]:
            other = configure([*fixed, *(first | {kind: f"{kind}={text}"}).values()])
            found.extend(_Chosen(part, kind, (text,)) for part in other.parts[kind])
    return base, found


def _asked(item: Override, chosen: Iterable[_Chosen]) -> Iterator[Dimension]:
    """Yield the dimensions of a value that is swept over: one for each part that has the option."""
    key, target, values = item.key_or_group, item.get_key_element(), _values(item)
    kind = key.partition(".")[0]
    if kind not in KINDS:
        yield Dimension(target, target, _fitted(target, values, _setting(key)))
        return
    parts = [one for one in chosen if one.part.kind == kind and key.startswith(f"{one.part.place}.")]
    known: dict[str, None] = {}
    found = False
    for one in parts:
        rest = key.removeprefix(f"{one.part.place}.")
        options = {option.name: option for option in one.part.component.options}
        known |= dict.fromkeys(options)
        if rest.partition(".")[0] in options:
            found = True
            yield one.dimension(target, rest, _fitted(target, values, options.get(rest)))
    if not found:
        there = f"; there are {', '.join(known)}" if known else ""
        names = ", ".join(dict.fromkeys(str(one.part) for one in chosen if one.part.kind == kind)) or f"{kind}=none"
        raise ConfigError(f"{key}: {names} has no such option{did_you_mean(key.rpartition('.')[2], known)}{there}")


def _declared(base: Configuration, chosen: Iterable[_Chosen], fixed: Sequence[str]) -> Iterator[Dimension]:
    given = given_keys(fixed)
    judged_by_loss = (base.settings.objective or OWN_LOSS).endswith(OWN_LOSS)
    for one in chosen:
        if one.part.kind not in SEARCHED or (one.part.kind == "loss" and judged_by_loss):
            continue
        for option in one.part.component.options:
            target, values = f"{one.part.place}.{option.name}", declared(option)
            if values and target not in given and one.part.options[option.name] == option.default:
                yield one.dimension(target, option.name, values)


def _setting(key: str) -> Option | None:
    group, _, name = key.rpartition(".")
    inside = settings.groups().get(group) if group else settings.Settings
    return next((option for option in settings.options(inside) if option.name == name), None) if inside else None


def _values(item: Override) -> Values | Interval:
    value = item.value()
    if isinstance(value, IntervalSweep):
        return _interval(item, value)
    if isinstance(value, RangeSweep):
        return _steps(item, value)
    texts = tuple(dict.fromkeys(item.sweep_string_iterator()))
    if not texts:
        raise ConfigError(f"{item.input_line}: is no value at all")
    return Values(texts)


def _interval(item: Override, value: IntervalSweep) -> Interval:
    assert value.start is not None
    assert value.end is not None
    unknown = value.tags - {"log", "int", "float"}
    if unknown:
        raise ConfigError(f"{item.input_line}: no tag {sorted(unknown)[0]!r}; there are log, int, float")
    found = Interval(value.start, value.end, log="log" in value.tags)
    if "int" in value.tags:
        found = _whole(found)
    if not (math.isfinite(found.low) and found.low <= found.high < math.inf) or (found.log and found.low <= 0):
        wanted = "from low to high, above zero" if found.log else "from low to high"
        raise ConfigError(f"{item.input_line}: is no interval; one goes {wanted}")
    return found


def _steps(item: Override, value: RangeSweep) -> Interval:
    """Return the steps of a range, counted in decimals: range(0.1,0.4,0.1) ends at 0.3."""
    if value.tags:
        raise ConfigError(f"{item.input_line}: a range takes no tags; write tag(log,interval(…))")
    start, stop, step = (Decimal(str(number)) for number in (value.start, value.stop, value.step))
    count = math.ceil((stop - start) / step) if step else 0
    if count < 1:
        raise ConfigError(f"{item.input_line}: is no value at all")
    number = int if all(isinstance(end, int) for end in (value.start, value.stop, value.step)) else float
    low, high = sorted((start, start + (count - 1) * step))
    return Interval(number(low), number(high), number(abs(step)))


def _whole(values: Interval) -> Interval:
    return replace(values, low=math.ceil(values.low), high=math.floor(values.high))


def _fitted(target: str, values: Values | Interval, option: Option | None) -> Values | Interval:
    """Return the values as those of an option, all of which it takes."""
    if option is None:
        return values
    if option.type.name == "int" and isinstance(values, Interval) and values.step is None:
        if math.ceil(values.low) > math.floor(values.high):
            raise ConfigError(f"{target}: there is no whole number from {values.low} to {values.high}")
        values = _whole(values)
    ends = (values.low, values.high) if isinstance(values, Interval) else map(_plain, values.texts)
    for value in ends:
        try:
            if not (isinstance(value, str) and "${" in value):
                option.type.check(value)
        except Refusal as error:
            raise ConfigError(f"{target}: {error}") from None
    return values


def _plain(value: Any) -> Any:
    """Return what a config holds for a value of a dimension."""
    return OverridesParser.create().parse_override(f"x={value}").value() if isinstance(value, str) else value
