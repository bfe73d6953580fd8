"""The README's tables are what the code has. `python tests/test_readme.py` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import weft_pytorch_optimizer
from weft.catalog import catalog
from weft.options import MISSING
from weft_pytorch_optimizer import optimizers
from weft_pytorch_optimizer.names import CANNOT, LOSSES, OPTIMIZERS, SCHEDULERS

README = Path(__file__).parent.parent / "README.md"


def offered(kind: str, names: dict[str, str]) -> Iterator[str]:
    yield f"| {kind} | what it is |"
    yield "|---|---|"
    for name in sorted(names):
        yield f"| `{name}` | {catalog().find(kind, name).summary} |"


def rated() -> Iterator[str]:
    yield "| optimizer | what it is | lr | cannot |"
    yield "|---|---|---|---|"
    for name in sorted(OPTIMIZERS):
        component = catalog().find("optimizer", name)
        rates = [option.default for option in component.options if option.name == "lr"]
        rate = f"{rates[0]:g}" if rates and rates[0] not in (None, MISSING) else ""
        yield f"| `{name}` | {component.summary} | {rate} | {', '.join(CANNOT.get(name, ()))} |"


def reasons() -> Iterator[str]:
    yield "| check | optimizers | because |"
    yield "|---|---|---|"
    found: dict[tuple[str, str], list[str]] = {}
    for name in sorted(CANNOT):
        for check, reason in CANNOT[name].items():
            found.setdefault((check, reason), []).append(f"`{name}`")
    for (check, reason), names in sorted(found.items()):
        yield f"| {check} | {' '.join(names)} | {reason} |"


def left_out() -> Iterator[str]:
    yield "| | left out | because |"
    yield "|---|---|---|"
    for kind, some in weft_pytorch_optimizer.left_out.items():
        for reason in sorted(set(some.values()), key=lambda reason: (-list(some.values()).count(reason), reason)):
            names = " ".join(f"`{name}`" for name in sorted(some) if some[name] == reason)
            yield f"| {kind} | {names} | {reason} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "optimizers": rated,
    "cannot": reasons,
    "losses": lambda: offered("loss", LOSSES),
    "schedulers": lambda: offered("scheduler", SCHEDULERS),
    "left out": left_out,
}


def table(name: str, text: str) -> re.Match[str]:
    found = re.search(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", text, re.DOTALL)
    assert found, f"there is no table {name!r}"
    return found


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_the_code_has(name: str) -> None:
    assert table(name, README.read_text(encoding="utf-8"))[0] == "".join(f"{line}\n" for line in TABLES[name]())


def test_counts_are_right() -> None:
    text = README.read_text(encoding="utf-8")
    assert f"{len(OPTIMIZERS)} optimizers, {len(LOSSES)} losses and {len(SCHEDULERS)} schedulers" in text
    assert all(optimizers.optimizer(name).__doc__ for name in OPTIMIZERS)


if __name__ == "__main__":
    written = README.read_text(encoding="utf-8")
    for name in TABLES:
        found = table(name, written)
        written = written[: found.start()] + "".join(f"{line}\n" for line in TABLES[name]()) + written[found.end() :]
    README.write_text(written, encoding="utf-8")
