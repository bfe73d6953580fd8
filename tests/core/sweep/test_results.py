"""What the jobs of a sweep came to: their order, the settings that they repeat, the commands that repeat them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.core.sweep.sweeps import grid, job
from weft.folder import Folder
from weft.sweep.leaderboard import board
from weft.sweep.results import Entry, best_so_far, command, differing, entries, groups


def order(sweep: Path) -> list[int]:
    return [int(entry.folder.name) for entry in entries(sweep)]


def test_the_best_is_first_whichever_way_is_better(tmp_path: Path) -> None:
    for number, score in enumerate([0.3, 0.1, 0.2]):
        job(tmp_path / "less", number, score)
        job(tmp_path / "more", number, score, objective="valid/accuracy", maximize=True)
    assert order(tmp_path / "less") == [1, 2, 0]
    assert order(tmp_path / "more") == [0, 2, 1]


def test_jobs_without_a_score_are_last(tmp_path: Path) -> None:
    job(tmp_path, 0, None, maximize=True)
    job(tmp_path, 1, 0.9, maximize=True, status="FAILED")
    job(tmp_path, 2, -0.5, maximize=True)
    assert order(tmp_path)[0] == 2


def test_several_objectives_are_not_mixed(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5, "a=0")
    job(tmp_path, 1, 0.7, "a=1", objective="valid/accuracy", maximize=True)
    job(tmp_path, 2, 0.2, "a=2")
    job(tmp_path, 3, 0.9, "a=3", objective="valid/accuracy", maximize=True)
    assert order(tmp_path) == [3, 1, 2, 0]
    assert [group.is_best for group in groups(entries(tmp_path))] == [True, False, True, False]


def test_scores_on_several_datasets_are_not_held_against_each_other(tmp_path: Path) -> None:
    for number, (dataset, model, score) in enumerate(
        [("digits", "mlp", 0.5), ("iris", "mlp", 0.1), ("digits", "cnn", 0.3), ("iris", "linear", 0.2)]
    ):
        job(tmp_path, number, score, f"dataset={dataset}", f"model={model}", dataset=dataset)
    job(tmp_path, 4, None, "dataset=iris", "model=cnn", status="FAILED", objective="")
    assert order(tmp_path) == [2, 0, 1, 3, 4]
    made = groups(entries(tmp_path))
    assert [group.is_best for group in made] == [True, False, True, False, False]
    assert [group.objective for group in made] == ["valid/loss of digits"] * 2 + ["valid/loss of iris"] * 2 + [""]


def test_one_dataset_of_several_sources_is_several(tmp_path: Path) -> None:
    """Other files, other classes without their labels, other noise: what it was made of tells."""
    for number, (source, score) in enumerate([("a.csv", 0.5), ("b.csv", 0.1), ("a.csv", 0.3)]):
        job(tmp_path, number, score, f"dataset.path={source}", f"seed={number}", dataset="csv", source=source)
    assert order(tmp_path) == [2, 0, 1]
    made = groups(entries(tmp_path))
    assert [group.objective for group in made] == ["valid/loss of csv (a.csv)", "valid/loss of csv (b.csv)"]
    assert [group.is_best for group in made] == [True, True]
    assert not any(group.comparison for group in made)


def test_what_was_told_and_what_is_so_by_default_is_one_setting(tmp_path: Path) -> None:
    """A sweep of the default model, and later on of that model by its name."""
    config = {"model": {"name": "mlp", "width": 64}, "optimizer": "adamw", "regularizer": {"l2": "l2", "dropout": "dropout"}}
    job(tmp_path, 0, 0.5, "seed=0").write_config(config)
    job(tmp_path, 1, 0.4, "seed=1").write_config(config)
    job(tmp_path, 2, 0.3, "model=mlp", "seed=2", "optimizer=adamw", "model.width=64", "+model.not_there=3").write_config(config)
    job(tmp_path, 3, None, "model=mlp", "seed=3", "regularizer=[l2,dropout]", status="FAILED").config.unlink()
    found = {entry.place[0]: entry for entry in entries(tmp_path)}
    assert found[0].choices == {
        "seed": "0", "model": "mlp", "optimizer": "adamw", "model.width": "64", "regularizer": "l2+dropout"
    }  # fmt: skip
    assert found[3].choices == {"model": "mlp", "seed": "3", "regularizer": "[l2,dropout]"}
    job(tmp_path, 2, 0.3, "model=mlp", "seed=2", "optimizer=adamw", "model.width=64").write_config(config)
    assert [group.repetitions for group in groups(entries(tmp_path))] == [3, 1]


def test_losses_of_several_scales_are_not_held_against_each_other(tmp_path: Path) -> None:
    losses = [
        ({"loss": "cross_entropy", "class_weights": None}, 0.7),
        ({"loss": "huber", "loss.delta": 2.0, "class_weights": None}, 0.2),
        ({"loss": "huber", "loss.delta": 1.0, "class_weights": None}, 0.1),
        ({"loss": "cross_entropy", "class_weights": None}, 0.6),
    ]
    for number, (loss, score) in enumerate(losses):
        job(tmp_path, number, score, f"a={number}", loss=loss)
    made = groups(entries(tmp_path))
    assert [(group.objective, group.is_best) for group in made] == [
        ("valid/loss by cross_entropy", True),
        ("valid/loss by cross_entropy", False),
        ("valid/loss by huber loss.delta=1.0", True),
        ("valid/loss by huber loss.delta=2.0", True),
    ]
    assert "each loss has a scale of its own" in board(entries(tmp_path)).notes[0]


def test_losses_are_held_against_each_other_by_a_metric(tmp_path: Path) -> None:
    for number, loss in enumerate(("cross_entropy", "focal")):
        judged = {"objective": "valid/accuracy", "maximize": True}
        job(tmp_path, number, 0.9, f"loss={loss}", loss={"loss": loss, "class_weights": None}, **judged)
    assert {entry.objective for entry in entries(tmp_path)} == {"valid/accuracy"}
    assert not board(entries(tmp_path)).notes


def test_of_one_dataset_it_is_not_said(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5, "a=1", dataset="digits")
    job(tmp_path, 1, None, "a=2", status="FAILED")  # before it was known what data it has
    assert {entry.objective for entry in entries(tmp_path)} == {"valid/loss"}


def test_the_summary_is_no_job(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5)
    summary = Folder(tmp_path / "summary")
    summary.path.mkdir()
    summary.note(status="FINISHED", key="a")
    assert order(tmp_path) == [0]


def test_settings_are_ranked_by_their_means(tmp_path: Path) -> None:
    scores = {"optimizer=sgd": [0.1, 0.9, 0.8], "optimizer=adam": [0.3, 0.4, 0.5], "optimizer=muon": [None, None]}
    made = groups(entries(grid(tmp_path, scores)))
    assert [group.choices["optimizer"] for group in made] == ["adam", "sgd", "muon"]
    assert [group.estimate.n for group in made] == [3, 3, 0]
    assert [group.is_best for group in made] == [True, False, False]
    assert [group.comparison is not None for group in made] == [False, True, False]
    assert [group.mean("test/loss") for group in made[:2]] == pytest.approx([1.4, 1.6])


def test_turning_the_scores_and_what_is_better_changes_no_place(tmp_path: Path) -> None:
    scores = {"a=1": [0.1, 0.4, 0.3], "a=2": [0.2, 0.35, 0.1], "a=3": [5.0, 5.5, 5.2]}
    plain = groups(entries(grid(tmp_path / "less", scores)))
    turned = grid(tmp_path / "more", {key: [-value for value in values] for key, values in scores.items()})
    for path in turned.iterdir():
        Folder(path).note(maximize=True)
    mirrored = groups(entries(turned))
    assert [group.choices for group in plain] == [group.choices for group in mirrored]
    assert [group.comparison for group in plain] == [group.comparison for group in mirrored]
    assert not plain[0].maximize
    assert mirrored[0].maximize


def test_a_failed_repetition_doesn_t_hide_which_way_is_better(tmp_path: Path) -> None:
    job(tmp_path, 0, None, "a=1", "seed=0", status="FAILED", objective="", maximize=False)
    for number, score in enumerate([0.9, 0.8, 0.2, 0.3], 1):
        job(tmp_path, number, score, f"a={1 + number // 3}", f"seed={number % 2}", objective="valid/accuracy", maximize=True)
    assert [group.choices["a"] for group in groups(entries(tmp_path))] == ["1", "2"]


def test_a_job_s_command(tmp_path: Path) -> None:
    given = ["model=mlp", "regularizer=[dropout,l2]", "+experiment=lasso", "name=two words", "sweep.name=x"]
    line = command(given)
    assert line == "weft run model=mlp 'regularizer=[dropout,l2]' +experiment=lasso 'name=two words'"
    assert shlex.split(line)[2:] == given[:-1]


def made(tmp_path: Path, *repetitions: tuple[str, ...]) -> str:
    for number, repetition in enumerate(repetitions):
        job(tmp_path, number, 1.0 - number, "model=mlp", *repetition)
    (group,) = groups(entries(tmp_path))
    return group.command


def test_a_setting_s_command_is_a_sweep_over_its_seeds(tmp_path: Path) -> None:
    assert made(tmp_path / "one", ("seed=4",)) == "weft run model=mlp seed=4"
    assert made(tmp_path / "seeds", ("seed=0",), ("seed=1",)) == "weft run -m model=mlp seed=0,1"
    grid = [(f"seed={seed}", f"split_seed={split}") for seed in "01" for split in "56"]
    assert made(tmp_path / "both", *grid) == "weft run -m model=mlp seed=0,1 split_seed=5,6"


def test_a_setting_of_scattered_seeds_has_a_command_a_job(tmp_path: Path) -> None:
    """A sweep over both keys would run pairs that were not run."""
    line = made(tmp_path, ("seed=0", "split_seed=5"), ("seed=1", "split_seed=6"))
    assert line == "weft run model=mlp seed=0 split_seed=5; weft run model=mlp seed=1 split_seed=6"


def test_best_so_far_goes_by_the_jobs_ends(tmp_path: Path) -> None:
    for number, (score, ended) in enumerate([(0.5, 30.0), (0.9, 10.0), (0.7, 20.0), (0.6, 40.0)]):
        job(tmp_path, number, score, ended=ended)
    job(tmp_path, 4, None, status="FAILED")
    job(tmp_path, 5, 0.1, objective="other")
    found = best_so_far(entries(tmp_path), "valid/loss")
    assert [(entry.folder.name, best) for entry, best in found] == [("1", 0.9), ("2", 0.7), ("0", 0.5), ("3", 0.5)]


def test_what_differs(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.1, "model=mlp", "epochs=1", "seed=0")
    job(tmp_path, 1, 0.2, "model=cnn", "epochs=1", "+model.width=3", "seed=0")
    assert differing(entries(tmp_path)) == ["model", "model.width"]


def test_a_record_that_is_no_record_is_an_entry_without_anything(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "run.json").write_text("{")
    (found,) = entries(tmp_path)
    assert found == Entry(tmp_path / "0", {}, "?", "", None, {}, None)
