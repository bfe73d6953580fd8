"""Texts that Hydra's grammar reads as numbers."""

from __future__ import annotations

import pytest

from weft.catalog import catalog
from weft.compose import configured
from weft.spelling import given_keys, quoted


@pytest.mark.parametrize(
    ("typed", "handed_on"),
    [
        ("name=2024_01", "name='2024_01'"),
        ("name=1e3", "name='1e3'"),
        ("name=7", "name=7"),
        ("name=007", "name=007"),
        ("name=plain", "name=plain"),
        ("name='2024_01'", "name='2024_01'"),
        ("name=2024_01,b,3_0", "name='2024_01',b,'3_0'"),
        ("sweep.name=2024_01", "sweep.name='2024_01'"),
        ("tracking.run_id=123e4567", "tracking.run_id='123e4567'"),
        ("+tags.day=2024_01", "+tags.day='2024_01'"),
        ("dataset.path=2024_01", "dataset.path='2024_01'"),
        ("optimizer.lr=1e-3", "optimizer.lr=1e-3"),
        ("seed=1_000", "seed=1_000"),
        ("seed=range(1,3)", "seed=range(1,3)"),
        ("name=", "name="),
        ("~name", "~name"),
        ("name=[", "name=["),
        ("dataset.path=~/data", "dataset.path='~/data'"),
        ("dataset.path=~/a, ~b/c", "dataset.path='~/a','~b/c'"),
        ("optimizer.lr=~3", "optimizer.lr=~3"),
    ],
)
def test_what_goes_to_a_text_stays_as_it_was_typed(typed: str, handed_on: str) -> None:
    assert quoted([typed], catalog()) == [handed_on]


def test_a_name_arrives_as_it_was_typed() -> None:
    assert configured(["name=2024_01"])[0].settings.name == "2024_01"
    assert configured(["tracking.experiment=1_0"])[0].settings.tracking.experiment == "1_0"


def test_keys_inside_of_a_mapping_are_given_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given_keys(["tracking={uri: x}", "+a.b=3", "epochs=2"]) == {"tracking", "tracking.uri", "a.b", "epochs"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///theirs.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    found = configured(["tracking={uri: 'sqlite:///ours.db'}"])[0].settings.tracking
    assert (found.uri, found.experiment) == ("sqlite:///ours.db", "theirs")
