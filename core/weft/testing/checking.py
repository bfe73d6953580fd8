"""`weft check`: components put to their checks, each in a process of its own that may crash or hang."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from weft.catalog import Catalog, Component, catalog
from weft.errors import ConfigError, PluginError, did_you_mean
from weft.kinds import KINDS
from weft.sweep import ending, process
from weft.sweep.process import Call, Tell
from weft.sweep.slots import Ended, Said, Slot, Slots, Task
from weft.testing.outcome import Card, Outcome, Verdict

_WORK = "weft.testing.checking:work"


def find(found: Catalog, words: Sequence[str]) -> list[Component]:
    """Return the components that are meant by the names of plugins, distributions or components, or `kind=name`; by none, all.

    Raises:
        ConfigError: a word means nothing.
        PluginError: a plugin didn't load, or a component can't be used.
    """
    offered = [component for names in found.components.values() for same in names.values() for component in same]
    if not words:
        return offered
    meant = [component for word in words for component in _meant(found, offered, word)]
    return list({(one.kind, one.name, one.plugin): one for one in meant}.values())


def _meant(found: Catalog, offered: Sequence[Component], word: str) -> list[Component]:
    kind, equals, name = word.partition("=")
    if equals:
        if kind not in KINDS:
            raise ConfigError(f"{word}: no kind named {kind!r}{did_you_mean(kind, KINDS)}; there are {', '.join(KINDS)}")
        return [found.find(kind, name)]
    for plugin, reason in found.failures.items():
        if word in (plugin.name, plugin.distribution):
            raise PluginError(f"{word}: {plugin} did not load: {reason}")
    for (kind, name), (plugin, reason) in found.broken.items():
        if word in (plugin.name, plugin.distribution, name):
            raise PluginError(f"{kind}={name} of {plugin} can't be used: {reason}")
    plugins = [component for component in offered if word in (component.plugin.name, component.plugin.distribution)]
    meant = plugins or [component for component in offered if word == component.name]
    if not meant:
        known = sorted({component.plugin.name for component in offered})
        raise ConfigError(f"{word}: no plugin of that name{did_you_mean(word, known)}; there are {', '.join(known)}")
    return meant


@dataclass
class _UnderWay:
    component: Component
    outcomes: list[Outcome] = field(default_factory=list)
    card: Card | None = None


def check(components: Sequence[Component], seconds: float, told: Callable[[int, int], object]) -> Iterator[Card]:
    """Yield the card of each component, as they come; `told` is told how many there are, of how many.

    Args:
        components: what is checked.
        seconds: that one may take.
        told: shows how far it is.
    """
    process.warm()
    waiting = iter(
        Task(Call(_WORK, (component.kind, component.name), Path(os.devnull)), _UnderWay(component), seconds)
        for component in components
    )
    done = 0
    places = [Slot("cpu", 1)] * max(1, min(len(components), os.cpu_count() or 1))
    with Slots(places, process.context()) as slots:
        for event in slots.run(lambda slot: next(waiting, None)):
            if isinstance(event, Said):
                under_way: _UnderWay = event.task.label
                if isinstance(event.message, Card):
                    under_way.card = event.message
                else:
                    under_way.outcomes.append(event.message)
            elif isinstance(event, Ended):
                done += 1
                told(done, len(components))
                yield event.task.label.card or _broken_off(event.task.label, event)


def _broken_off(under_way: _UnderWay, end: Ended) -> Card:
    """Return the card of a component that ended its process."""
    from weft.testing.suite import names

    component, plugin = under_way.component, under_way.component.plugin
    known = names(component.kind)[len(under_way.outcomes) :]
    at = f" at {known[0]}" if known else " when it was measured"
    end_of_it = Outcome("survives", Verdict.FAILED, f"its process {ending.describe(end)}{at}", round(end.seconds, 3))
    outcomes = (*under_way.outcomes, end_of_it)
    return Card(component.kind, component.name, plugin.distribution, plugin.version, outcomes=outcomes)


def work(tell: Tell, kind: str, name: str) -> None:
    """What the process does: tell each outcome, then the card."""
    from weft.testing import suite

    (subject,) = suite.subjects([catalog().find(kind, name)], catalog(), {})
    tell(suite.card(subject, tell=tell))
