"""A sweep's summary: its files, its one run in MLflow, what `weft report` says."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.sweep.sweeps import grid, job
from tests.core.telemetry.conftest import stop_shipper
from weft import destination
from weft.cli import commands
from weft.errors import ConfigError
from weft.folder import Folder
from weft.settings import Settings, Tracking
from weft.settings import Sweep as SweepSettings
from weft.sweep import summary
from weft.sweep.results import Skipped, entries
from weft.telemetry import syncing, verification
from weft.telemetry.tracker import MemoryTracker, Status

SCORES = {"optimizer=sgd": [0.1, 0.12, 0.11], "optimizer=adam": [0.3, 0.35, None]}
FILES = ["jobs.csv", "leaderboard.csv", "progress.png", "scores.png", "summary.md"]


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return [*csv.DictReader(opened)]


def test_the_tables_hold_what_the_leaderboard_does(tmp_path: Path) -> None:
    sweep = grid(tmp_path / "one", SCORES)
    written = summary.write(sweep, entries(sweep))
    assert [file.relative_to(sweep / "summary").name for file in written] == FILES
    assert sorted(file.name for file in (sweep / "summary").iterdir()) == FILES
    best, other = rows(sweep / "summary" / "leaderboard.csv")
    assert (best["place"], best["optimizer"], best["n"], best["p"]) == ("1", "sgd", "3", "")
    assert float(best["mean"]) == pytest.approx(0.11)
    assert float(best["deviation"]) == pytest.approx(0.01)
    assert (other["test"], other["n"], other["jobs"], other["finished"]) == ("paired", "2", "3", "2")
    assert other["command"] == "weft run -m optimizer=adam seed=0,1,2"
    jobs = rows(sweep / "summary" / "jobs.csv")
    assert [entry["job"] for entry in jobs] == ["0", "2", "1", "3", "4", "5"]
    assert jobs[0] == {
        "job": "0",
        "status": "FINISHED",
        "optimizer": "sgd",
        "seed": "0",
        "score_name": "valid/loss",
        "score": "0.1",
        "test/loss": "1.1",
        "valid/loss": "0.1",
        "started": "100.0",
        "ended": "200.0",
        "error": "",
        "command": "weft run optimizer=sgd seed=0",
    }
    assert (jobs[-1]["status"], jobs[-1]["score"]) == ("FAILED", "")
    assert jobs[-1]["error"] == "NonFiniteError: the loss became NaN"


def test_settings_that_are_named_like_a_column_are_told_apart_from_it(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5, "objective=valid/loss", "name=x", "+tags.status=y")
    summary.write(tmp_path, entries(tmp_path))
    for name in ("jobs.csv", "leaderboard.csv"):
        columns = (tmp_path / "summary" / name).read_text().splitlines()[0].split(",")
        assert len({*columns}) == len(columns)


def test_a_sweep_without_scores_has_tables_and_no_pictures(tmp_path: Path) -> None:
    job(tmp_path, 0, None, "a=1", status="RUNNING")
    written = summary.write(tmp_path, entries(tmp_path))
    assert [file.name for file in written] == ["jobs.csv", "leaderboard.csv", "summary.md"]


def test_a_sweep_of_which_nothing_runs_has_a_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = MemoryTracker()
    monkeypatch.setattr(destination, "tracker", lambda *_, **__: tracker)
    summary.record(tmp_path, Settings(runs=str(tmp_path)), [Skipped(("a=1",), "no")])
    assert "0 runs; 1 skipped." in tracker.tags["mlflow.note.content"]
    assert tracker.status is Status.FINISHED


def test_skips_are_kept_for_later_summaries_without_their_secrets(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5, "a=1")
    summary.note_skipped(tmp_path, [Skipped(("a=2", "hub.token=abc"), "a takes 1 only; password=x")])
    summary.write(tmp_path, entries(tmp_path))
    text = (tmp_path / "summary" / "summary.md").read_text()
    assert r"- `a=2 hub.token=[redacted]`: a takes 1 only; password=\[redacted\]" in text
    assert "abc" not in (tmp_path / "summary" / "run.json").read_text()


def test_the_run_s_description_is_within_mlflow_s_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = MemoryTracker()
    monkeypatch.setattr(destination, "tracker", lambda *_, **__: tracker)
    for number in range(100):
        job(tmp_path, number, float(number), f"model={number}", f"name={'long' * 40}{number}")
    summary.record(tmp_path, Settings(runs=str(tmp_path)), [Skipped((f"a={number}",), "no " * 50) for number in range(50)])
    note = tracker.tags["mlflow.note.content"]
    assert 7000 < len(note) <= 8000
    assert note.endswith("\n\n*The rest is in this run's artifact summary.md.*")
    assert len((tmp_path / "summary" / "recorded" / "summary.md").read_text()) > 20_000
    assert tracker.status is Status.FINISHED


def test_a_summary_that_breaks_off_is_no_finished_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = MemoryTracker()
    monkeypatch.setattr(destination, "tracker", lambda *_, **__: tracker)
    monkeypatch.setattr(tracker, "tag", lambda tags: (_ for _ in ()).throw(KeyboardInterrupt))
    job(tmp_path, 0, 0.5)
    with pytest.raises(KeyboardInterrupt):
        summary.record(tmp_path, Settings(runs=str(tmp_path)))
    assert tracker.status is Status.FAILED
    assert Folder(tmp_path / "summary").record()["status"] == "FAILED"


@pytest.fixture
def store(tmp_path: Path, template: Path) -> Iterator[str]:
    path = tmp_path / "mlflow.db"
    shutil.copy(template, path)
    yield f"sqlite:///{path}"
    stop_shipper(f"sqlite:///{path}")


@pytest.mark.integration
def test_a_sweep_that_goes_on_has_one_summary_run(tmp_path: Path, store: str) -> None:
    sweep = grid(tmp_path / "sweeps" / "one", SCORES)
    told = Settings(runs=str(tmp_path), tracking=Tracking(uri=store), sweep=SweepSettings("one"), tags={"team": "blue"})
    more = tmp_path / "history.png"
    more.write_bytes(b"picture")
    summary.record(sweep, told, [Skipped(("optimizer=muon",), "takes matrices only")], [more])
    job(sweep, 6, 0.05, "optimizer=muon", "seed=0")
    summary.record(sweep, told, more=[more])
    folder = sweep / "summary"
    assert not syncing.sync([folder], None).problems
    assert verification.verify(folder, None).is_right
    summary.write(sweep, [])  # what is recorded stays as it was
    assert verification.verify(folder, None).is_right
    from mlflow import MlflowClient

    asked = MlflowClient(store)
    (run,) = asked.search_runs([asked.get_experiment_by_name("weft").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "summary of one"
    assert Folder(folder).record()["key"] == run.data.tags["weft.key"]
    assert {key: run.data.tags[key] for key in ("weft.sweep", "weft.summary", "team")} == {
        "weft.sweep": "one",
        "weft.summary": "true",
        "team": "blue",
    }
    assert run.data.tags["mlflow.note.content"].startswith("# Sweep one\n\n7 runs: 6 FINISHED, 1 FAILED; 0 skipped.")
    assert "muon" in run.data.tags["mlflow.note.content"]
    history = asked.get_metric_history(run.info.run_id, "best/valid/loss")
    assert sorted((point.step, point.value) for point in history) == [*((step, 0.1) for step in range(1, 6)), (6, 0.05)]
    assert sorted(file.path for file in asked.list_artifacts(run.info.run_id)) == sorted([*FILES, more.name])
    assert "weft.resume_diverged" not in run.data.tags


def report(sweep: Path) -> None:
    commands.main(["report", str(sweep)], standalone_mode=False)


def test_report_shows_the_sweep_and_says_where_its_files_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = grid(tmp_path / "one", SCORES)
    job(sweep, 6, None, "optimizer=muon", "seed=0", status="RUNNING")
    report(sweep)
    shown = capsys.readouterr().out
    assert "3 settings, 7 runs, best valid/loss first" in shown
    assert f"FAILED {sweep}/5: NonFiniteError: the loss became NaN" in shown
    assert f"RUNNING {sweep}/6" in shown
    assert f"in {sweep}/summary: {', '.join(FILES)}" in shown
    assert not (sweep / "summary" / "1.journal").exists()


def test_a_folder_that_is_no_sweep_s_is_refused(tmp_path: Path) -> None:
    sweep = grid(tmp_path / "sweeps" / "one", SCORES)
    (tmp_path / "sweeps" / "begun").mkdir()
    (tmp_path / "sweeps" / "begun" / "multirun.yaml").touch()
    alone = Folder(tmp_path / "day" / "12-00")
    alone.write_config({"sweep": {"name": None}})
    alone.note(status="FINISHED")
    tracked = Folder(tmp_path / "tracked" / "12-00")
    tracked.path.mkdir(parents=True)
    tracked.note(status="FINISHED")
    for given, said in {
        tmp_path / "nowhere": "there is no such folder",
        sweep / "0" / "run.json": "there is no such folder",
        sweep / "0": f"is the folder of one run; give that of its sweep {sweep}",
        alone.path: "is the folder of one run; give that of its sweep",
        alone.path.parent: "not the folder of a sweep; it could be",
        tracked.path.parent: "not the folder of a sweep; it could be",
        sweep.parent: "not the folder of a sweep; it holds those of one",
        sweep.parent / "begun": "no job of this sweep has begun yet",
    }.items():
        with pytest.raises(ConfigError) as refused:
            report(given)
        assert str(refused.value).startswith(f"{given}: {said}")


def test_a_place_that_can_t_be_written_is_said(tmp_path: Path) -> None:
    sweep = grid(tmp_path / "one", SCORES)
    (sweep / "summary").touch()
    with pytest.raises(ConfigError, match="summary: can't be written: File exists"):
        report(sweep)
