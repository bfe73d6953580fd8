"""For pytest, which finds it by its entry point: after the tests, what each component that was checked can't do."""

from __future__ import annotations

from typing import Any

RECORDED = "weft"
"""The name under which a test's report has its component and outcome."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line for each component that `weft.testing.conformance` has checked."""
    found: dict[str, dict[str, list[str]]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, told in getattr(report, "user_properties", ()):
                if name == RECORDED and report.when == "call":
                    found.setdefault(told["component"], {}).setdefault(told["verdict"], []).append(told["check"])
    if found:
        terminalreporter.section("weft: conformance")
    for component, verdicts in sorted(found.items()):
        passed, failed, cannot = (verdicts.get(name, []) for name in ("passed", "failed", "cannot"))
        line = f"{component}: {len(passed)} of {len(passed) + len(failed)} passed"
        line += f"; fails {', '.join(sorted(failed))}" if failed else ""
        line += f"; cannot {', '.join(sorted(cannot))}" if cannot else ""
        terminalreporter.write_line(line, red=bool(failed), green=not failed)
