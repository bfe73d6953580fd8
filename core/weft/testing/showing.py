"""Cards in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from weft.testing.outcome import Card, Verdict

_COLOURS = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.CANNOT: "yellow", Verdict.SKIPPED: "dim"}


def show(console: Console, cards: Sequence[Card]) -> None:
    """Print one card whole; of several a line each, and what failed."""
    if len(cards) == 1:
        console.print(whole(cards[0]))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("component", "distribution", "", "checks", "step, of a plain one", "cannot"):
        table.add_column(column, no_wrap=column != "cannot")
    for card in cards:
        passed, failed = len(card.of(Verdict.PASSED)), len(card.of(Verdict.FAILED))
        step = card.measures.get("step_of_plain")
        table.add_row(
            f"{card.kind}={card.name}",
            f"{card.distribution} {card.version}".strip(),
            "[green]conforms[/]" if card.conforms else "[red]fails[/]",
            f"{passed} of {passed + failed}",
            f"{step:.2f}" if step is not None else "",
            ", ".join(outcome.check for outcome in card.of(Verdict.CANNOT)),
        )
    console.print(table)
    for card in cards:
        for outcome in card.of(Verdict.FAILED):
            console.print(f"[red]{card.kind}={card.name}[/] {outcome.check}: {escape(outcome.detail)}", soft_wrap=True)


def whole(card: Card) -> Table:
    """Return a card as a table."""
    title = f"{card.kind}={card.name} of {card.distribution} {card.version}".strip()
    caption = [f"run with {', '.join(card.data)}"] if card.data else []
    caption += [f"{name.replace('_', ' ')} {value:,.4g}" for name, value in card.measures.items()]
    table = Table(title=escape(title), title_justify="left", caption="; ".join(caption), caption_justify="left", box=None)
    for column in ("check", "", "", "seconds"):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    for outcome in card.outcomes:
        colour = _COLOURS[outcome.verdict]
        table.add_row(outcome.check, f"[{colour}]{outcome.verdict}[/]", escape(outcome.detail), f"{outcome.seconds:.2f}")
    return table
