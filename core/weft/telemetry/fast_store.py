"""MLflow's own database store, with points and params written in bulk.

The tables are MLflow's and so are the rules: a point is its key, time, step and value, and the latest of a key is the one of
the greatest step, then time, then value. MLflow keeps them with an object a point, several times over, and asks for the latest
rows before it writes; here one INSERT or COPY takes thousands of points, and one upsert those that are the latest. Any MLflow
reads what this writes.

What is written once a run is written by MLflow, but for what makes it slow: an object a param, all of a run read to have its
status changed, and three settings of a connection in each of its transactions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from mlflow.entities import Metric, Param, RunInfo, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.db.db_types import SQLITE
from mlflow.store.db.utils import _get_managed_session_maker
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_length_limit, _validate_metric_name
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import sessionmaker

from weft.telemetry.store import LARGEST, Point
from weft.telemetry.tracker import STEPS

_RANKED = ("step", "timestamp", "value")
_COLUMNS = ("run_uuid", "key", *_RANKED, "is_nan")
_COPY = f"COPY {SqlMetric.__tablename__} ({', '.join(_COLUMNS)}) FROM STDIN"


class FastStore(SqlAlchemyStore):
    """SqlAlchemyStore, for SQLite and PostgreSQL, with another way of writing points, params and a run's status."""

    def __init__(self, db_uri: str, default_artifact_root: str):
        super().__init__(db_uri, default_artifact_root)
        if self.db_type == SQLITE:
            if not sa.event.contains(self.engine, "connect", _set_up):
                sa.event.listen(self.engine, "connect", _set_up)
                self.engine.dispose()  # it has connected without
            self.ManagedSessionMaker = _get_managed_session_maker(sessionmaker(self.engine), None)

    def log_points(self, run_id: str, points: Sequence[Point]) -> None:
        """Write points in one transaction. Those that are there already stay as they are.

        Raises:
            MlflowException: there is no such run, it is deleted, or a point is none that MLflow takes; nothing was written.
        """
        rows = {}
        for key, value, step, timestamp in points:
            row = _row(run_id, key, value, step, timestamp)
            rows[key, timestamp, step, row["value"], row["is_nan"]] = row
        if rows:
            self._run_with_deadlock_retry(self._log_rows, run_id, list(rows.values()))

    def points(self, run_id: str) -> list[Point]:
        """Return all points of a run, as the table holds them; NaN as NaN."""
        table = SqlMetric.__table__
        columns = [table.c[name] for name in ("key", "value", "step", "timestamp", "is_nan")]
        with self.ManagedSessionMaker(read_only=True) as session:
            rows = session.execute(sa.select(*columns).where(table.c.run_uuid == run_id))
            return [(key, math.nan if is_nan else value, step, at) for key, value, step, at, is_nan in rows]

    def update_run_info(self, run_id: str, run_status: int | None, end_time: int | None, run_name: str | None) -> RunInfo:
        """Change what is told of a run.

        Raises:
            MlflowException: there is no such run, or it is deleted.
        """
        if run_name:  # which is a tag as well
            told: RunInfo = super().update_run_info(run_id, run_status, end_time, run_name)
            return told
        with self.ManagedSessionMaker(read_only=False) as session:
            run = self._get_run(session, run_id)
            self._check_run_is_active(run)
            if run_status is not None:
                run.status = RunStatus.to_string(run_status)
            if end_time is not None:
                run.end_time = end_time
            return RunInfo(
                run.run_uuid,
                str(run.experiment_id),
                run.user_id,
                run.status,
                run.start_time,
                run.end_time,
                run.lifecycle_stage,
                run.artifact_uri,
                run_name=run.name,
            )

    def _log_params(self, run_id: str, params: Sequence[Param]) -> None:
        table = SqlParam.__table__
        given = {param.key: param.value for param in params}
        with self.ManagedSessionMaker(read_only=False) as session:
            self._check_run_is_active(self._get_run(session, run_id))
            here = sa.select(table.c.key, table.c.value).where(table.c.run_uuid == run_id)
            known = {key: value for key, value in session.execute(here) if key in given}
            if changed := {key: value for key, value in known.items() if value != given[key]}:
                raise _refusal(f"Changing param values is not allowed: run {run_id} has {changed}")
            rows = [{"run_uuid": run_id, "key": key, "value": value} for key, value in given.items() if key not in known]
            if rows:
                session.execute(sa.insert(table), rows)

    def _log_metrics_once(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Take what MLflow's own ways of logging hand over: a client's batch, a server's request."""
        self.log_points(run_id, [(metric.key, metric.value, metric.step, metric.timestamp) for metric in metrics])

    def _log_rows(self, run_id: str, rows: Sequence[dict[str, Any]]) -> None:
        latest: dict[str, dict[str, Any]] = {}
        for row in rows:
            known = latest.get(row["key"])
            if known is None or _rank(row) > _rank(known):
                latest[row["key"]] = row
        with self.ManagedSessionMaker(read_only=False) as session:
            self._check_run_is_active(self._get_run(session, run_id))
            # In one order everywhere, so that two writers of a run wait for each other and don't lock each other out.
            _write(session, rows, [latest[key] for key in sorted(latest)])


def _set_up(connection: Any, _: object) -> None:
    """Say once what MLflow says in each transaction."""
    for setting in ("foreign_keys = ON", "busy_timeout = 20000", "case_sensitive_like = true"):
        connection.execute(f"PRAGMA {setting}")


def _row(run_id: str, key: str, value: float, step: int, timestamp: int) -> dict[str, Any]:
    _check_key(key)
    if isinstance(value, bool) or not isinstance(value, (float, int)):
        raise _refusal(f"{key}: {value!r} is no number")
    if type(step) is not int or step not in STEPS:
        raise _refusal(f"{key}: step {step!r} is no integer of 64 bits")
    if type(timestamp) is not int or timestamp not in STEPS or timestamp < 0:
        raise _refusal(f"{key}: time {timestamp!r} is no positive integer of 64 bits")
    is_nan = math.isnan(value)
    number = 0.0 if is_nan else math.copysign(LARGEST, value) if math.isinf(value) else float(value)
    return {"run_uuid": run_id, "key": key, "value": number, "step": step, "timestamp": timestamp, "is_nan": is_nan}


@lru_cache(maxsize=100_000)
def _check_key(key: str) -> None:
    _validate_metric_name(key, "key")
    _validate_length_limit("Metric name", MAX_ENTITY_KEY_LENGTH, key)


def _refusal(message: str) -> MlflowException:
    return MlflowException(message, INVALID_PARAMETER_VALUE)


def _rank(row: dict[str, Any]) -> tuple[int, int, float]:
    return row["step"], row["timestamp"], row["value"]


def _write(session: Any, rows: Sequence[dict[str, Any]], latest: Sequence[dict[str, Any]]) -> None:
    dialect = session.get_bind().dialect
    metrics, upsert = _statements(dialect.name)
    if dialect.driver == "psycopg":
        _copy_or_insert(session, metrics, rows)
    else:
        session.execute(metrics, _given(dialect.name, rows))
    session.execute(upsert, _given(dialect.name, latest))


def _copy_or_insert(session: Any, metrics: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Have PostgreSQL take rows as a copy, in half the time of an INSERT. It refuses all of them where one is there
    already, and any where the table's rows have policies."""
    try:
        with session.begin_nested():
            _copy(session.connection(), rows)
    except (sa.exc.IntegrityError, sa.exc.NotSupportedError):
        session.execute(metrics, _given("postgresql", rows))


def _copy(connection: Any, rows: Sequence[dict[str, Any]]) -> None:
    try:
        with connection.connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row([row[name] for name in _COLUMNS])
    except connection.dialect.dbapi.Error as error:  # SQLAlchemy has no COPY: it is told what MLflow expects of it
        raise sa.exc.DBAPIError.instance(_COPY, None, error, connection.dialect.dbapi.Error) from error


def _given(dialect: str, rows: Sequence[dict[str, Any]]) -> Any:
    if dialect == "postgresql":  # one statement with a list a column; a statement a row takes four times as long
        return {name: [row[name] for row in rows] for name in _COLUMNS}
    return list(rows)


@lru_cache
def _statements(dialect: str) -> tuple[Any, Any]:
    """Return the INSERT that leaves what is there, and the upsert that never goes back to an earlier value."""
    metrics, insert = (_insert(dialect, table) for table in (SqlMetric.__table__, SqlLatestMetric.__table__))
    new, old = (sa.tuple_(*(columns[name] for name in _RANKED)) for columns in (insert.excluded, SqlLatestMetric.__table__.c))
    upsert = insert.on_conflict_do_update(
        index_elements=["key", "run_uuid"],
        set_={name: insert.excluded[name] for name in (*_RANKED, "is_nan")},
        where=new > old,
    )
    return metrics.on_conflict_do_nothing(), upsert


def _insert(dialect: str, table: Any) -> Any:
    if dialect == "sqlite":
        return sqlite.insert(table)
    lists = [sa.bindparam(name, type_=postgresql.ARRAY(table.c[name].type)) for name in _COLUMNS]
    rows = sa.func.unnest(*lists).table_valued(*_COLUMNS).render_derived()
    return postgresql.insert(table).from_select(_COLUMNS, sa.select(*(rows.c[name] for name in _COLUMNS)))
