"""The checks as tests of pytest's: one for each check of each component."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from weft.catalog import catalog
from weft.testing import checking, suite
from weft.testing.outcome import Verdict
from weft.testing.plugin import RECORDED
from weft.testing.subject import Subject


def conformance(*names: str, options: Mapping[str, Mapping[str, Any]] | None = None) -> Callable[..., None]:
    """Return a test that puts what a plugin offers to all checks of its kind.

    Args:
        names: of plugins (entry points), of components, or `kind=name`.
        options: by the name of a component, for what can't be built from its defaults: `{"csv": {"path": "flowers.csv"}}`.

    Raises:
        ConfigError: nothing has that name.
        PluginError: the plugin didn't load.
    """
    found = suite.subjects(checking.find(catalog(), names), catalog(), options or {})
    cases = [
        pytest.param(subject, check, id=f"{subject.kind}={subject.component.name}-{check.name}")
        for subject in found
        for check in suite.checks(subject.kind)
    ]

    @pytest.mark.parametrize(("subject", "check"), cases)
    def test_conformance(subject: Subject, check: suite.Check, request: pytest.FixtureRequest) -> None:
        outcome = suite.conclude(subject, check)
        told = {"component": f"{subject.kind}={subject.component.name}", "check": check.name, "verdict": str(outcome.verdict)}
        request.node.user_properties.append((RECORDED, {**told, "detail": outcome.detail}))
        if outcome.verdict is Verdict.FAILED:
            pytest.fail(f"{subject.component}: {check.name}: {check.says}\n{outcome.detail}", pytrace=False)
        if outcome.verdict is not Verdict.PASSED:
            pytest.skip(outcome.detail)

    return test_conformance
