"""`weft run --help`: the groups, the options of what these overrides choose, the top of the config, examples."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from weft import compose, settings
from weft.catalog import catalog
from weft.kinds import KINDS
from weft.listing import options, title

_EXAMPLES = """\
  weft run model=cnn optimizer=sgd optimizer.lr=0.1        parts, and their options
  weft run 'regularizer=[dropout,l2]' regularizer.l2.weight=1e-3
  weft run model=mlp model.activation=tanh dataset=diabetes
  weft run -m model=mlp,cnn optimizer=sgd,adamw seed=0,1,2 a sweep over all combinations
  weft run -m --dry-run model=mlp,cnn dataset=digits,iris  what of it fits, and what it takes
  weft run -m hydra/sweeper=optuna optimizer=adamw         a search of the ranges that options declare
  weft run --help model=cnn                                the options of other parts
  weft run --cfg job                                       the config, without running it
"""


def show(overrides: Sequence[str], config_dir: str | None, console: Console) -> None:
    """Print it. The options shown are those of the components that the overrides choose."""
    with compose.hydra_app(config_dir) as hydra:
        chosen = compose.read(compose.compose(hydra, overrides), overrides)
        files = {group: hydra.config_loader.get_group_options(group) for group in hydra.list_all_config_groups()}
    console.print("[bold]weft run[/] [-m] [GROUP=NAME …] [KEY=VALUE …]\n")
    console.print("[bold]Groups[/]")
    for group, names in sorted(files.items()):
        if not group.startswith("hydra"):
            choice = f"{group}=[NAME,…]" if group in KINDS and KINDS[group].several else f"{group}=NAME"
            added = choice if group in KINDS else f"+{choice}"
            console.print(f"  {added:<24} {', '.join(names)}", highlight=False, markup=False)
    console.print("\n[bold]Options of what is chosen[/]")
    for parts in chosen.parts.values():
        for part in parts:
            console.print("  " + title(part.component))
            console.print(options(part.component.options, f"{part.place}."))
    console.print("[bold]Everything else[/]")
    console.print(options(settings.options()))
    for name, group in settings.groups().items():
        console.print(options(settings.options(group), f"{name}."))
    for plugin, reason in catalog().failures.items():
        console.print(f"[red]not loaded[/] {plugin.name} of {plugin}: {escape(reason.splitlines()[0])}")
    console.print("[bold]Examples[/]")
    console.print(_EXAMPLES, highlight=False, markup=False)
    console.print("Other commands of Hydra: --cfg, --info, --config-dir, --hydra-help", highlight=False)
