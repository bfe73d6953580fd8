"""Stores of MLflow: their addresses, opening them, reading runs back."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from filelock import FileLock

from weft.errors import ConfigError, WeftError, did_you_mean
from weft.importing import uncollected
from weft.telemetry import new_store
from weft.telemetry.redaction import redact

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}

SERVED = "WEFT_SERVED"
"""The environment variable that is set where a store is opened for clients of a server."""

_SQLITE = b"SQLite format 3\0"
_PORTS = range(1, 65536)

DIALECTS = ("sqlite", "postgresql")
"""Databases that weft has a store of its own for: where an INSERT can say what to do with a row that is there already."""

Point = tuple[str, float, int, int]
"""Key, value, step, and time in milliseconds since 1970."""

LARGEST = 1.7976931348623157e308
"""What MLflow's tables hold in the place of infinity."""

_CONNECTION = re.compile(
    r"API request to \S+ failed with exception .*\(Caused by (?:\w+\(\"HTTPS?Connection(?:Pool)?\([^)]*\): (.*)\"\)|(.*))\)$"
)
_PAGE = re.compile(r" Response body: '\s*<.*")

_OURS = re.compile(rf"weft\+(?=(?:{'|'.join(DIALECTS)})(?:\+\w+)?:)")


def absolute_uri(uri: str) -> str:
    """Return the URI as every process understands it: the path of an SQLite file made absolute, for another process has another
    current directory; MLflow's scheme in the place of weft's own."""
    uri = _OURS.sub("", uri)
    scheme, _, options = uri.partition("?")
    path = database_file(uri)
    if path is None:
        return uri
    return f"{scheme.partition(':')[0]}:///{path}" + (f"?{options}" if options else "")


def fast_uri(uri: str) -> str:
    """Return the absolute URI in weft's own scheme, under which MLflow opens weft's store; that of any other database stays.

    Raises:
        WeftError: MLflow doesn't know of the scheme.
    """
    uri = absolute_uri(uri)
    if not uri.startswith(DIALECTS):
        return uri
    scheme = f"weft+{uri.partition(':')[0]}"
    if not entry_points(group="mlflow.tracking_store", name=scheme):
        raise WeftError(f"{scheme}: MLflow has no such store: weft's installation is older than its code; install it again")
    return f"weft+{uri}"


def database_file(uri: str) -> Path | None:
    """Return the file of an SQLite URI, or None for any other."""
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(?:\?.*)?", _OURS.sub("", uri))
    return Path(match[1]).absolute() if match else None


def find_run(run_id: str, uri: str) -> tuple[MlflowClient, Run]:
    """Return a run with a client of its store.

    Raises:
        ConfigError: the store or the run isn't there.
    """
    client = existing(uri)
    from mlflow.exceptions import MlflowException

    try:
        return client, client.get_run(run_id)
    except MlflowException as error:
        raise ConfigError(f"{shown(uri)}: has no run {run_id!r} ({in_one_line(error)})") from None


def download(run_id: str, uri: str, path_in_run: str, destination: Path) -> Path:
    """Copy a file or a folder of a run's artifacts to a destination; return where it is.

    Raises:
        ConfigError: the store, the run or the artifact isn't there.
    """
    client, run = find_run(run_id, uri)
    try:
        return fetch(client, run.info.artifact_uri, path_in_run, destination)
    except ConfigError as error:
        raise ConfigError(f"run {run_id} in {shown(uri)}: {error}") from None


def fetch(client: MlflowClient, root: str, path: str, destination: Path) -> Path:
    """Copy what is under the root of artifacts that a store names to a destination; return where it is.

    MLflow's own way, by run or by model, would look the model up in whatever store the process goes by, and make one.

    Raises:
        ConfigError: it isn't there.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.utils.uri import append_to_uri_path

    destination.mkdir(parents=True, exist_ok=True)
    place = append_to_uri_path(root, path) if path else root  # type: ignore[no-untyped-call]
    try:
        return Path(download_artifacts(place, dst_path=str(destination), tracking_uri=client.tracking_uri))
    except (MlflowException, OSError) as error:
        raise ConfigError(f"has no {path!r} ({in_one_line(error)})") from None


def files(client: MlflowClient, place: str) -> ArtifactRepository:
    """Return what keeps files at the address that a store names for a run's or a model's. MLflow's own way of keeping one would
    first ask the store for all of the run."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri

    known = add_databricks_profile_info_to_artifact_uri(place, client.tracking_uri)  # type: ignore[no-untyped-call]
    return get_artifact_repository(known, tracking_uri=client.tracking_uri)


def check_run(run_id: str, uri: str) -> None:
    """Check that a run can be gone on in.

    Raises:
        ConfigError: the store has no such run, or it is deleted.
    """
    try:
        client = existing(uri)
    except ConfigError as error:
        raise ConfigError(f"tracking.run_id: {error}, and so no run {run_id!r}") from None
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise ConfigError(f"tracking.run_id: {shown(uri)} has no run {run_id!r} ({in_one_line(error)})") from None
    if run.info.lifecycle_stage != "active":
        raise ConfigError(f"tracking.run_id: run {run_id} is deleted: restore it (mlflow runs restore --run-id {run_id})")


def page(uri: str, experiment: str) -> str:
    """Return the part of an address that shows an experiment's runs as charts, behind a server's own.

    Raises:
        ConfigError: the store or the experiment isn't there.
    """
    client = existing(uri)
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_experiment_by_name(experiment)
        others = [] if found else sorted(other.name for other in client.search_experiments())
    except MlflowException as error:
        raise ConfigError(f"{shown(uri)}: can't be read ({in_one_line(error)})") from None
    if found is None:
        hint = did_you_mean(experiment, others)
        raise ConfigError(f"{shown(uri)}: has no experiment {experiment!r}{hint}; there are {', '.join(others)}")
    return f"#/experiments/{quote(found.experiment_id)}/runs?workflowType=machine_learning&compareRunsMode=CHART"


def existing(uri: str) -> MlflowClient:
    """Open a store to read from it: a database that isn't there is an error, not made."""
    check_there(uri)
    return opened(absolute_uri(uri))


def check_there(uri: str) -> None:
    """Check that a database is there, without opening it as MLflow does. A server is asked when it is needed.

    Raises:
        ConfigError: there is no such file, it is no database, or the database can't be reached.
    """
    check_database(uri)
    database = database_file(uri)
    if database is not None and not database.exists():
        raise ConfigError(f"{shown(uri)}: there is no such file")


def check_database(uri: str) -> None:
    """Check that a database answers, or that a file that is there can be one. A server is asked when it is needed.

    Raises:
        ConfigError: it doesn't, or can't.
    """
    file = database_file(uri)
    if file is not None and file.exists():
        check_file(file)
    if file is None and not uri.startswith("http"):
        check_reached(uri)


def check_driver(uri: str) -> None:
    """Check that something that speaks with a database is installed, and takes its address.

    Raises:
        ConfigError: it isn't, or doesn't.
    """
    import sqlalchemy

    try:
        address = sqlalchemy.make_url(absolute_uri(uri))
        if address.port is not None and address.port not in _PORTS:
            raise ValueError
        address.get_dialect().import_dbapi()
    except ValueError:  # int's, too
        raise ConfigError(f"{shown(uri)}: its port is no number from 1 to {_PORTS[-1]}") from None
    except ImportError as error:
        advice = "; for PostgreSQL: pip install 'weft[postgresql]', and postgresql+psycopg://…" if "postgresql" in uri else ""
        raise ConfigError(f"{shown(uri)}: what speaks with it isn't installed ({error}){advice}") from None
    except sqlalchemy.exc.ArgumentError as error:
        raise ConfigError(f"{shown(uri)}: is no address of a database ({in_one_line(error)})") from None


def check_reached(uri: str) -> None:
    """Check that a database answers: MLflow would ask it again and again, for minutes.

    Raises:
        ConfigError: it doesn't, or what speaks with it isn't installed.
    """
    check_driver(uri)
    import sqlalchemy

    limit = {"connect_timeout": 10} if absolute_uri(uri).startswith("postgresql") else {}
    try:
        engine = sqlalchemy.create_engine(absolute_uri(uri), connect_args=limit)
        engine.connect().close()
        engine.dispose()
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise ConfigError(f"{shown(uri)}: can't be reached ({in_one_line(error)})") from None


def check_file(database: Path) -> None:
    """Check that a file is SQLite's, or still empty.

    Raises:
        ConfigError: it isn't.
    """
    try:
        with database.open("rb") as file:
            start = file.read(len(_SQLITE))
    except OSError as error:
        raise ConfigError(f"{database}: can't be read ({error.strerror})") from None
    if start not in (_SQLITE, b""):
        raise ConfigError(f"{database} is no SQLite database")


def opened(uri: str) -> MlflowClient:
    """Connect to a store. Of several processes that meet a new database, one makes its tables; MLflow's own way of doing so
    lets them all begin, and all but one crash."""
    prepare()
    from mlflow import MlflowClient

    with locked(uri):
        database = database_file(uri)
        if database is not None and not database.exists():
            new_store.make(database)
        return MlflowClient(tracking_uri=uri)


def prepare() -> None:
    """Import mlflow, and what a database store imports on its first use."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with uncollected():
        import_module("mlflow.store.tracking.sqlalchemy_store")


def locked(uri: str) -> contextlib.AbstractContextManager[object]:
    database = database_file(uri)
    if database is None:
        return contextlib.nullcontext()
    database.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{database}.lock", is_singleton=True)  # who holds it opens what asks for it


def shown(uri: str) -> str:
    return redact("uri", uri)


def in_one_line(error: Exception) -> str:
    """Return an error in one line. Those of a database go on with the statement, and with a link to its manual; those of a
    connection begin with how it was made; those of a server that isn't MLflow's end with a page."""
    text = str(error).split("\n[SQL", maxsplit=1)[0].replace("\n", " ").strip()
    text = _CONNECTION.sub(r"\1\2", text)
    text = _PAGE.sub("", text)
    return redact("error", text[:1000]) or type(error).__name__
