"""Imports go one way, each third-party library stays in its room, and plugins come through the front door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "core" / "weft"

ORDER = [
    *("importing", "signals", "errors", "parameters", "callback", "hookspecs", "kinds", "typed", "options", "cache"),
    *("catalog_cache", "compatibility", "catalog"),
    *("__init__", "settings", "configuration", "reference", "hydra_guard", "spelling", "mistakes", "compose", "sharing"),
    *("build", "objective", "randomness", "device", "data", "made", "regularization", "checkpoint", "folder"),
    "optimization",
    *(
        "telemetry.__init__",
        "telemetry.redaction",
        "telemetry.provenance",
        "telemetry.histograms",
        "telemetry.statistics",
        "telemetry.transfer",
        "telemetry.cadence",
        "telemetry.tracker",
        "telemetry.system",
        "telemetry.looks",
        "telemetry.series",
        "telemetry.heatmap",
        "telemetry.images",
        "telemetry.page",
        "telemetry.gradients",
        "telemetry.diagnosis",
        "telemetry.looking",
        "telemetry.new_store",
        "telemetry.store",
        "telemetry.access",
        "telemetry.server",
        "telemetry.serving",
        "telemetry.fast_store",
        "telemetry.served_store",
        "telemetry.schemes",
        "telemetry.client",
        "telemetry.names",
        "telemetry.model_entry",
        "telemetry.delivery",
        "telemetry.lease",
        "telemetry.journal",
        "telemetry.progress",
        "telemetry.spool",
        "telemetry.shipper",
        "telemetry.shipping",
        "telemetry.recording",
        "telemetry.verification",
        "telemetry.syncing",
    ),
    *(
        "destination",
        "telemetry.watching",
        "tracking",
        "telemetry.observer",
        "state",
        "loop",
        "saved",
        "pyfunc",
        "experiment",
        "evaluation",
        "keeping",
        "execution",
        "api",
        "progress",
    ),
    "logs",
    *(
        "sweep.__init__",
        "sweep.statistics",
        "sweep.results",
        "sweep.process",
        "sweep.slots",
        "sweep.ending",
        "sweep.options",
        "sweep.launching",
        "sweep.identity",
        "sweep.words",
        "sweep.probe",
        "sweep.ledger",
        "sweep.job",
        "sweep.server",
        "sweep.preflight",
        "sweep.budget",
        "sweep.stopping",
        "sweep.scheduling",
        "sweep.watching",
        "sweep.leaderboard",
        "sweep.figures",
        "sweep.markdown",
        "sweep.summary",
        "sweep.showing",
        "sweep.running",
        "sweep.orders",
        "sweep.space",
        "sweep.search",
        "sweep.search_figures",
        "sweep.searching",
        "sweep.trials",
        "sweep.searched",
        "sweep.multirun",
    ),
    *(
        "testing.plugin",
        "testing.outcome",
        "testing.reference",
        "testing.subject",
        "testing.quiet",
        "testing.checks.__init__",
        "testing.checks.every",
        "testing.checks.models",
        "testing.checks.losses",
        "testing.checks.optimizers",
        "testing.checks.regularizers",
        "testing.checks.datasets",
        "testing.checks.tasks",
        "testing.checks.schedulers",
        "testing.checks.metrics",
        "testing.checks.activations",
        "testing.checks.callbacks",
        "testing.suite",
        "testing.checking",
        "testing.cases",
        "testing.__init__",
        "testing.showing",
    ),
    *("scaffold", "listing", "help", "completion", "cli"),
]
"""From the bottom to the top: a module may import what stands before it."""

LAZY = {("__init__", "api"), ("__init__", "state"), ("__init__", "tracking")}
"""Names that `import weft` offers without importing what they need."""

ROOMS = {
    "mlflow": {
        "telemetry.new_store",
        "telemetry.store",
        "telemetry.server",
        "telemetry.fast_store",
        "telemetry.served_store",
        "telemetry.schemes",
        "telemetry.client",
        "telemetry.model_entry",
        "telemetry.delivery",
    },
    "psutil": {"telemetry.system", "telemetry.journal"},
    "pynvml": {"telemetry.system"},
    "sqlalchemy": {"telemetry.new_store", "telemetry.store", "telemetry.fast_store"},
    "pluggy": {"hookspecs", "catalog"},
    "hydra": {
        "compose",
        "mistakes",
        "spelling",
        "hydra_guard",
        "completion",
        "sweep.job",
        "sweep.multirun",
        "cli",
        "sharing",
        "sweep.launching",
        "sweep.space",
        "sweep.searched",
        "sweep.searching",
    },
    "omegaconf": {
        "compose",
        "mistakes",
        "hydra_guard",
        "sharing",
        "sweep.job",
        "sweep.launching",
        "sweep.multirun",
        "sweep.orders",
        "sweep.searched",
        "sweep.searching",
        "cli",
    },
    "safetensors": {"checkpoint", "saved"},
    "click": {"cli", "completion"},
    "matplotlib": {"sweep.figures", "sweep.search_figures"},
    "optuna": {"sweep.search", "sweep.search_figures"},
    "PIL": {"telemetry.heatmap", "telemetry.images", "sweep.server"},
    "rich": {
        "listing",
        "help",
        "progress",
        "sweep.leaderboard",
        "sweep.multirun",
        "sweep.running",
        "sweep.searched",
        "sweep.showing",
        "sweep.watching",
        "testing.showing",
        "cli",
    },
    "pytest": {"testing.cases"},
    "cloudpickle": {"sweep.launching"},
    "sklearn": set(),
    "torchmetrics": set(),
    "weft_basics": set(),
}


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(CORE).with_suffix("").parts)


MODULES = {name_of(file): file for file in sorted(CORE.rglob("*.py"))}


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield what is imported anywhere, functions included, but for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imports(node)


def own(imported: str) -> str | None:
    """Return the module of ours that an import leads to."""
    if imported.split(".")[0] != "weft":
        return None
    parts = imported.split(".")[1:]
    while parts:
        for candidate in (".".join(parts), ".".join([*parts, "__init__"])):
            if candidate in MODULES:
                return candidate
        parts.pop()
    return "__init__"


def test_every_module_has_its_place() -> None:
    assert sorted(ORDER) == sorted(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    below = set(ORDER[: ORDER.index(module)]) | {module}
    for imported in imports(ast.parse(MODULES[module].read_text())):
        found = own(imported)
        assert found is None or found in below or (module, found) in LAZY, f"{module} imports {imported}"


@pytest.mark.parametrize("library", ROOMS)
def test_a_library_stays_in_its_rooms(library: str) -> None:
    users = {
        module
        for module, file in MODULES.items()
        if any(imported.split(".")[0] == library for imported in imports(ast.parse(file.read_text())))
    }
    assert users <= ROOMS[library]


def test_the_loop_knows_torch_and_the_run_only() -> None:
    found = {imported.rpartition(".")[0] or imported for imported in imports(ast.parse(MODULES["loop"].read_text()))}
    assert found == {"torch", "weft.state"}
    assert len(MODULES["loop"].read_text().splitlines()) <= 90


def test_hookspecs_has_one_hook_a_kind() -> None:
    from weft.kinds import KINDS

    tree = ast.parse(MODULES["hookspecs"].read_text())
    hooks = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert hooks == [kind.hook for kind in KINDS.values()]
    assert all(ast.get_docstring(node) for node in tree.body if isinstance(node, ast.FunctionDef))


def test_the_built_ins_use_the_front_door() -> None:
    for file in (ROOT / "plugins" / "weft_basics").rglob("*.py"):
        for imported in imports(ast.parse(file.read_text())):
            if imported.split(".")[0] == "weft":
                assert imported.rpartition(".")[0] in ("weft", "weft.objective"), f"{file.name} imports {imported}"


def test_every_folder_has_its_guide() -> None:
    for folder in ("core", "core/weft/telemetry", "core/weft/sweep", "plugins", "plugins/weft_basics", "conf", "tests", "runs"):
        assert (ROOT / folder / "README.md").is_file(), folder


def test_hydra_plugins_stays_a_namespace() -> None:
    assert not (ROOT / "core" / "hydra_plugins" / "__init__.py").exists()


def test_public_names_are_sorted_and_there() -> None:
    import weft

    assert sorted(weft.__all__) == weft.__all__
    for name in weft.__all__:
        assert getattr(weft, name) is not None
