"""What is offered, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from weft.catalog import Catalog, Component
from weft.kinds import KINDS
from weft.options import MISSING, Option
from weft.options import show as shown


def show(console: Console, catalog: Catalog, kind: str | None = None) -> None:
    """Print the components of one kind with their options, or of all kinds without; then what did not load."""
    if kind:
        for name in catalog.names(kind):
            for component in catalog.components[kind][name]:
                console.print(title(component))
                console.print(options(component.options))
    else:
        console.print(overview(catalog))
    for same in catalog.conflicts():
        owners = " and ".join(f"{component.path} ({component.plugin})" for component in same)
        console.print(f"[red]conflict[/] {same[0].kind}={same[0].name}: offered by {escape(owners)}", soft_wrap=True)
    for (kind_, name), (plugin, reason) in catalog.broken.items():
        console.print(f"[red]not usable[/] {kind_}={name} of {plugin}: {escape(reason)}", soft_wrap=True)
    for plugin, reason in catalog.failures.items():
        console.print(f"[red]not loaded[/] {plugin.name} of {plugin}: {escape(reason)}", soft_wrap=True)


def overview(catalog: Catalog) -> Table:
    """Return every component: kind, name, distribution, version, summary."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for column in ("kind", "name", "distribution", "version"):
        table.add_column(column, no_wrap=True)
    table.add_column("summary", no_wrap=True, overflow="ellipsis", ratio=1)
    for kind in KINDS:
        for name in catalog.names(kind):
            for component in catalog.components[kind][name]:
                plugin = component.plugin
                table.add_row(kind, name, plugin.distribution, plugin.version, escape(component.summary))
    return table


def options(found: Iterable[Option], prefix: str = "") -> Table:
    """Return options as a table: name, type, default, range, help."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2), expand=True)
    table.add_column(no_wrap=True)
    for _ in range(3):
        table.add_column()
    table.add_column(ratio=1, min_width=24)
    for option in found:
        default = "must be given" if option.default == MISSING else shown(option.default)
        table.add_row(f"{prefix}{option.name}", escape(str(option.type)), default, option.range, escape(option.help))
    return table


def title(component: Component) -> str:
    """Return a component's title for a terminal."""
    return f"[bold]{component.kind}={component.name}[/]  {escape(component.summary)}  [dim]{component.plugin}[/]"
