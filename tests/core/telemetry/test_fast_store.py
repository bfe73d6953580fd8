"""What the fast store writes, against what MLflow's own writes of the same: row by row, in both of its tables."""

from __future__ import annotations

import math
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.telemetry.conftest import Client

pytestmark = pytest.mark.integration

Point = tuple[str, float, int, int]
Row = tuple[Any, ...]

_NOW = 1_700_000_000_000


class Database:
    """A database with MLflow's tables, written to by the stock store or by the fast one."""

    def __init__(self, uri: str, client: Client):
        from weft.telemetry.fast_store import FastStore

        self.client = client(uri)
        self.fast = FastStore(uri, "mlruns")
        self.experiment = self.client.create_experiment(uuid.uuid4().hex)

    def run(self) -> str:
        return str(self.client.create_run(self.experiment).info.run_id)

    def log_stock(self, run: str, points: list[Point]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(key, value, at, step) for key, value, step, at in points]
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(run, metrics=metrics[start : start + 1000], synchronous=True)

    def rows(self, run: str) -> tuple[list[Row], list[Row]]:
        """Return what stands in the tables of points and of latest values."""
        found = []
        for table in ("metrics", "latest_metrics"):
            query = f"SELECT key, step, timestamp, value, is_nan FROM {table} WHERE run_uuid = :run"
            with self.fast.engine.connect() as connection:
                rows = connection.execute(sa.text(query), {"run": run})
                found.append(sorted((*row[:4], bool(row[4])) for row in rows))
        return found[0], found[1]

    def assert_same(self, *batches: list[Point]) -> tuple[list[Row], list[Row]]:
        """Write the batches in both ways; return the rows, which must be the same."""
        stock, fast = self.run(), self.run()
        for batch in batches:
            self.log_stock(stock, batch)
            self.fast.log_points(fast, batch)
        assert self.rows(fast) == self.rows(stock)
        return self.rows(fast)


@pytest.fixture(scope="module", params=["sqlite", "postgresql+psycopg", "postgresql+psycopg2"])
def database(
    request: pytest.FixtureRequest, client: Client, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("fast") / "mlflow.db"
        shutil.copy(template, path)
        uri = f"sqlite:///{path}"
    else:
        uri = request.getfixturevalue("postgresql").replace("postgresql+psycopg", request.param)
    made = Database(uri, client)
    yield made
    made.fast.engine.dispose()


def test_a_batch_sent_twice_is_there_once(database: Database) -> None:
    batch = [(f"grad_norm/{index % 3}", index / 7, index, _NOW + index) for index in range(300)]
    points, latest = database.assert_same(batch, batch)
    assert len(points) == 300
    assert latest == [(f"grad_norm/{index}", 297 + index, _NOW + 297 + index, (297 + index) / 7, False) for index in range(3)]


def test_batches_that_overlap_by_half(database: Database) -> None:
    points = [("train/loss", index / 3, index, _NOW + index) for index in range(90)]
    written, _ = database.assert_same(points[:60], points[30:])
    assert len(written) == 90


def test_a_replay_in_another_order_never_goes_back(database: Database) -> None:
    points = [("train/loss", float(index), index, _NOW + index) for index in range(50)]
    _, latest = database.assert_same(points, points[:10], points[20:5:-1])
    assert latest == [("train/loss", 49, _NOW + 49, 49.0, False)]


def test_equal_steps_go_by_time_and_then_by_value(database: Database) -> None:
    batches = [("a", 2.0, 5, _NOW), ("a", 3.0, 5, _NOW), ("a", 1.0, 5, _NOW), ("b", 9.0, 5, _NOW), ("b", 1.0, 5, _NOW + 1)]
    _, latest = database.assert_same(*([point] for point in batches))
    assert latest == [("a", 5, _NOW, 3.0, False), ("b", 5, _NOW + 1, 1.0, False)]


def test_what_is_not_finite_and_what_is_extreme(database: Database) -> None:
    values = [math.nan, math.inf, -math.inf, 0.0, 5e-324, -1.7976931348623157e308, 0.1 + 0.2]
    points = [(f"v/{index}", value, step, _NOW) for index, value in enumerate(values) for step in (-1, 0, 2**62)]
    written, _ = database.assert_same(points, points)
    assert len(written) == len(points)
    run = database.run()
    database.fast.log_points(run, points)
    read = [database.client.get_metric_history(run, f"v/{index}")[0].value for index in range(3)]
    assert math.isnan(read[0])
    assert read[1:] == [math.inf, -math.inf] or read[1:] == [1.7976931348623157e308, -1.7976931348623157e308]


_POINTS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from([0.0, 1.0, -2.5, math.nan, math.inf, -math.inf]),
        st.integers(-2, 3),
        st.integers(_NOW, _NOW + 2),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(_POINTS, min_size=1, max_size=4))
def test_any_batches_leave_the_rows_that_mlflow_leaves(database: Database, batches: list[list[Point]]) -> None:
    database.assert_same(*batches)


def test_several_writers_of_one_run(database: Database) -> None:
    """Each writes a part that overlaps with its neighbour's, keys in orders of their own."""
    run, failures = database.run(), []

    def write(number: int) -> None:
        points = [
            (f"k/{(index * (number + 1)) % 7}", float(index), index, _NOW) for index in range(number * 50, number * 50 + 100)
        ]
        try:
            for start in range(0, 100, 10):
                database.fast.log_points(run, points[start : start + 10])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    expected = {
        (f"k/{(index * (number + 1)) % 7}", index, _NOW, float(index), False)
        for number in range(4)
        for index in range(number * 50, number * 50 + 100)
    }
    points, latest = database.rows(run)
    assert points == sorted(expected)
    assert latest == [max(row for row in expected if row[0] == f"k/{key}") for key in range(7)]


def test_a_connection_that_goes_in_the_midst_is_nothing_refused(
    database: Database, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    from weft.telemetry import fast_store

    if database.fast.engine.dialect.driver != "psycopg":
        pytest.skip("the other drivers take statements of SQLAlchemy's alone")
    run, write, batch = database.run(), fast_store._copy, [("a", float(step), step, _NOW) for step in range(100)]

    def cut(connection: Any, rows: Any) -> None:
        server = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar()
        with sa.create_engine(database.fast.engine.url, poolclass=sa.NullPool).connect() as other:
            assert other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": server}).scalar()
        write(connection, rows)

    monkeypatch.setattr(fast_store, "_copy", cut)
    with pytest.raises(MlflowException) as raised:
        database.fast.log_points(run, batch)
    assert raised.value.error_code == "TEMPORARILY_UNAVAILABLE"
    monkeypatch.undo()
    database.fast.log_points(run, batch)
    assert len(database.rows(run)[0]) == 100


def test_a_table_whose_rows_have_policies_takes_no_copy(database: Database) -> None:
    from weft.telemetry.fast_store import FastStore

    if database.fast.engine.dialect.driver != "psycopg":
        pytest.skip("the other drivers take statements of SQLAlchemy's alone")
    run, batch = database.run(), [("a", float(step), step, _NOW) for step in range(100)]

    def execute(*statements: str) -> None:
        with database.fast.engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    execute(
        "CREATE ROLE guest LOGIN",
        "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO guest",
        "ALTER TABLE metrics ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY all_of_them ON metrics USING (true) WITH CHECK (true)",
    )
    guest = FastStore(str(database.fast.engine.url).replace("//weft@", "//guest@"), "mlruns")
    try:
        guest.log_points(run, batch)
        assert len(database.rows(run)[0]) == 100
    finally:
        guest.engine.dispose()
        execute("DROP POLICY all_of_them ON metrics", "ALTER TABLE metrics DISABLE ROW LEVEL SECURITY")
        execute("DROP OWNED BY guest", "DROP ROLE guest")


def test_a_run_that_is_deleted_meanwhile_takes_nothing(database: Database) -> None:
    from mlflow.exceptions import MlflowException

    run = database.run()
    database.fast.log_points(run, [("a", 1.0, 0, _NOW)])
    database.client.delete_run(run)
    for write in (database.log_stock, database.fast.log_points):
        with pytest.raises(MlflowException, match="must be in the 'active' state"):
            write(run, [("a", 2.0, 1, _NOW)])
    with pytest.raises(MlflowException, match="not found"):
        database.fast.log_points("0" * 32, [("a", 2.0, 1, _NOW)])
    assert len(database.rows(run)[0]) == 1


@pytest.mark.parametrize(
    "bad",
    [
        ("a*b", 1.0, 0, _NOW),
        ("k" * 251, 1.0, 0, _NOW),
        ("a", True, 0, _NOW),
        ("a", "1", 0, _NOW),
        ("a", None, 0, _NOW),
        ("a", 1.0, 2**63, _NOW),
        ("a", 1.0, 0.5, _NOW),
        ("a", 1.0, 0, -1),
        ("a", 1.0, 0, 2**63),
    ],
)
def test_one_bad_point_and_nothing_is_written(database: Database, bad: Any) -> None:
    from mlflow.exceptions import MlflowException

    run = database.run()
    with pytest.raises(MlflowException):
        database.fast.log_points(run, [("good", 1.0, 0, _NOW), bad])
    assert database.rows(run) == ([], [])


def test_mlflow_s_own_calls_go_the_fast_way(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.entities import Metric, Param

    written: list[Any] = []
    log: Callable[..., None] = database.fast.log_points
    monkeypatch.setattr(database.fast, "log_points", lambda run, points: (written.extend(points), log(run, points)))
    run = database.run()
    database.fast.log_batch(run, [Metric("a", 1.5, _NOW, 3)], [Param("lr", "0.1")], [])
    database.fast.log_metric(run, Metric("a", 2.5, _NOW, 4))
    assert written == [("a", 1.5, 3, _NOW), ("a", 2.5, 4, _NOW)]
    read = database.client.get_run(run)
    assert (read.data.metrics, read.data.params) == ({"a": 2.5}, {"lr": "0.1"})


def test_params_are_written_as_mlflow_writes_them(database: Database) -> None:
    from mlflow.entities import Param
    from mlflow.exceptions import MlflowException

    def params(run: str) -> dict[str, str]:
        return dict(database.client.get_run(run).data.params)

    stock, fast = database.run(), database.run()
    batches = [{"a": "1", "b": "ä\n'"}, {"b": "ä\n'", "c": ""}, {}]
    for batch in batches:
        given = [Param(key, value) for key, value in batch.items()]
        database.client.log_batch(stock, params=given, synchronous=True)
        database.fast.log_batch(fast, [], given, [])
    assert params(fast) == params(stock) == {"a": "1", "b": "ä\n'", "c": ""}
    with pytest.raises(MlflowException, match=r"Changing param values is not allowed: run \w+ has \{'a': '1'\}"):
        database.fast.log_batch(fast, [], [Param("a", "2"), Param("new", "3")], [])
    assert params(fast) == params(stock), "nothing of a batch that is refused"


def test_a_status_is_changed_as_mlflow_changes_it(database: Database) -> None:
    from mlflow.entities import RunStatus
    from mlflow.exceptions import MlflowException

    def told(run: str) -> dict[str, Any]:
        return {**dict(database.client.get_run(run).info), "run_id": "", "run_name": "", "artifact_uri": "", "start_time": 0}

    stock, fast = database.run(), database.run()
    stock_store = database.client._tracking_client.store
    for status, end, name in [
        (RunStatus.FAILED, None, None),
        (None, _NOW, None),
        (RunStatus.FINISHED, _NOW + 1, ""),
        (RunStatus.KILLED, _NOW + 2, "new"),
    ]:
        answers = [
            dict(store.update_run_info(run, status, end, name)) for store, run in ((stock_store, stock), (database.fast, fast))
        ]
        assert answers[1] == dict(database.client.get_run(fast).info)
        assert told(fast) == told(stock)
    assert database.client.get_run(fast).data.tags["mlflow.runName"] == "new"
    database.client.delete_run(fast)
    for run in (fast, uuid.uuid4().hex):
        with pytest.raises(MlflowException, match=r"must be in the 'active' state|not found"):
            database.fast.update_run_info(run, RunStatus.FAILED, None, None)


def test_a_connection_is_set_up_once_and_not_in_each_transaction(database: Database) -> None:
    if database.fast.db_type != "sqlite":
        pytest.skip("SQLite's settings")
    statements: list[str] = []

    def seen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    run = database.run()
    sa.event.listen(database.fast.engine, "before_cursor_execute", seen)
    try:
        database.fast.get_run(run)
    finally:
        sa.event.remove(database.fast.engine, "before_cursor_execute", seen)
    assert statements
    assert not [statement for statement in statements if "PRAGMA" in statement]
    with database.fast.ManagedSessionMaker() as session:
        found = [session.execute(sa.text(f"PRAGMA {name}")).scalar() for name in ("foreign_keys", "busy_timeout")]
        assert found == [1, 20_000]
        assert session.execute(sa.text("SELECT 'a' LIKE 'A'")).scalar() == 0
