"""The command line. Each command imports what it needs when it is called: help and completion stay quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from weft import __version__
from weft.errors import ConfigError, WeftError, did_you_mean
from weft.kinds import KINDS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
    from hydra._internal.hydra import Hydra
    from omegaconf import DictConfig
    from rich.console import Console

    from weft.api import Result


def main() -> None:
    """Run a command; a user's mistake is one message and exit 2."""
    try:
        sys.exit(commands.main(prog_name="weft", standalone_mode=False) or 0)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except WeftError as error:
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="weft")
def commands() -> None:
    """Train and track experiments made of plugins.

    \b
    weft run                                          an MLP on digits
    weft run model=cnn optimizer=sgd optimizer.lr=0.1 other parts, other options
    weft run -m model=mlp,cnn seed=0,1,2              a sweep
    weft ui                                           all of it in MLflow
    """


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from weft import completion

    return completion.overrides(ctx.params.get("arguments") or (), incomplete)


@commands.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, shell_complete=_complete)
def run(arguments: tuple[str, ...]) -> int:
    """Train one run, or with -m a sweep."""
    if "-m" in arguments or "--multirun" in arguments:
        from weft.sweep import process

        process.warm()  # its imports take longer than all that is done before the first job
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.prog = "weft run"
    asked, unknown = parser.parse_known_intermixed_args(arguments)
    dry_run = "--dry-run" in unknown
    unknown = [option for option in unknown if option != "--dry-run"]
    if unknown:
        options = [option for action in parser._actions for option in action.option_strings]
        raise ConfigError(f"{unknown[0]}: no such option{did_you_mean(unknown[0], options)}; see weft run --help")
    for option in ("config_path", "config_name", "experimental_rerun"):
        if getattr(asked, option, None):
            raise ConfigError(f"--{option.replace('_', '-')}: not here; --config-dir adds a folder of YAML to weft's config")
    if asked.shell_completion:
        raise ConfigError('--shell-completion: weft has its own: eval "$(_WEFT_COMPLETE=bash_source weft)"; zsh and fish alike')
    if asked.help:
        from weft import help

        help.show(asked.overrides, asked.config_dir, _console())
        return 0
    from weft import compose, spelling
    from weft.catalog import catalog

    asked.overrides = spelling.quoted(asked.overrides, catalog())
    with compose.hydra_app(asked.config_dir) as hydra:
        if asked.hydra_help:
            hydra.hydra_help(config_name=compose.CONFIG, args_parser=parser, args=asked)
            return 0
        looking = asked.cfg or asked.info is not None
        if dry_run and not asked.multirun:
            raise ConfigError("--dry-run: shows what a sweep would run, add -m; the config of one run is shown by --cfg job")
        if asked.multirun and not looking:
            from weft.sweep import multirun

            return multirun.run(hydra, asked.overrides, _console(), dry_run, asked.config_dir)
        config = compose.compose(hydra, asked.overrides)
        if asked.cfg:
            hydra.show_cfg(compose.CONFIG, asked.overrides, asked.cfg, asked.package, asked.resolve)
            return 0
        if asked.info is not None:
            hydra.show_info(asked.info, compose.CONFIG, asked.overrides)
            return 0
        if str(config.hydra.mode) == "RunMode.MULTIRUN":
            from weft.sweep import multirun

            return multirun.run(hydra, asked.overrides, _console(), config_dir=asked.config_dir)
        return _run_once(hydra, config, asked.overrides)


def _run_once(hydra: Hydra, config: DictConfig, overrides: list[str]) -> int:
    """Check everything, then let Hydra make the folder and its log, and execute there."""
    from hydra._internal.callbacks import Callbacks
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import run_job
    from hydra.types import HydraContext, RunMode
    from omegaconf import OmegaConf

    from weft import compose, destination, hydra_guard
    from weft.folder import Folder
    from weft.telemetry import shipping

    wanted = compose.read(config, overrides)
    there = Folder(Path(str(OmegaConf.select(config, "hydra.run.dir"))))
    destination.check(wanted.settings, there)
    hydra_guard.check_logging(config.hydra)
    shipping.warm()  # its imports run beside torch's

    from weft.catalog import catalog
    from weft.execution import execute
    from weft.experiment import prepare
    from weft.progress import watcher

    console = _console()
    prepared = prepare(wanted, catalog())
    watch = watcher(console)

    def task(_: DictConfig) -> Result:
        folder = Folder(Path(HydraConfig.get().runtime.output_dir))
        return execute(prepared, folder, destination.tracker(wanted.settings, folder), overrides, [watch])

    config.hydra.mode = RunMode.RUN
    done = run_job(
        task,
        config,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
        hydra_context=HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks()),
    )
    watch.close()
    return _conclude(console, done.return_value)


def _conclude(console: Console, result: Result) -> int:
    """Print what a run came to; return its exit code."""
    from rich.markup import escape

    from weft.folder import near
    from weft.telemetry.tracker import Status

    if result.status is Status.FINISHED:
        _print_scores(console, result.scores)
        if result.comparison is not None:
            console.print(f"reference: {result.comparison}", highlight=False, markup=False, soft_wrap=True)
        known = result.tracker.known_id
        there = f"run {known}, in" if known else "on its way to MLflow (weft sync waits for it), from"
        console.print(f"{there} {escape(near(result.folder))}", highlight=False, soft_wrap=True)
        return 0
    if result.status is Status.KILLED:
        console.print(f"stopped; go on with it: weft resume {escape(near(result.folder))}", soft_wrap=True)
    if isinstance(result.error, WeftError):
        raise result.error
    if result.status is Status.KILLED:
        return 130
    if result.error is not None:
        console.print(f"failed, in {escape(near(result.folder))}:", soft_wrap=True)
        raise result.error  # not a user's mistake: the whole traceback
    return 1


def _print_scores(console: Console, scores: Mapping[str, float]) -> None:
    for name, score in scores.items():
        console.print(f"  {name:<20} {score:.4f}", highlight=False)


@commands.command()
@click.argument("folder", type=click.Path())
@click.argument("overrides", nargs=-1)
def resume(folder: str, overrides: tuple[str, ...]) -> int:
    """Go on with an interrupted run or sweep.

    FOLDER is a run's, which goes on from its last checkpoint (epochs=N makes it longer), or a sweep's: what is done stays done,
    what failed is tried again (hydra.launcher.OPTION=… changes how).
    """
    from weft.sweep import ledger

    console = _console()
    if ledger.is_sweep(Path(folder)):
        from weft.sweep import multirun

        return multirun.resume(Path(folder), overrides, console)
    from weft import api
    from weft.logs import to_console
    from weft.progress import watcher

    to_console()
    watch = watcher(console)
    try:
        return _conclude(console, api.resumed(folder, overrides, lambda run: [watch]))
    finally:
        watch.close()


@commands.command()
@click.argument("run")
@click.argument("overrides", nargs=-1)
@click.option("--uri", help="Store that an id is of. Default: MLFLOW_TRACKING_URI, or runs/mlflow.db.")
def evaluate(run: str, overrides: tuple[str, ...], uri: str | None) -> None:
    """Test a run's model, on its own test split or on other data.

    RUN is its folder or its MLflow id. dataset, split_seed, loss, metric, class_weights, device, precision, threads, compile,
    deterministic and weights (best or last) can be other than they were.
    """
    from rich.markup import escape

    from weft import evaluation
    from weft.logs import to_console
    from weft.settings import Settings

    to_console()
    console = _console()
    done = evaluation.evaluate(run, overrides, uri or os.environ.get("MLFLOW_TRACKING_URI") or Settings().store)
    _print_scores(console, done.scores)
    what = f"the {done.weights} weights of {run}, on {done.samples} test samples of {done.dataset}"
    console.print(escape(what), highlight=False, soft_wrap=True)


@commands.command()
@click.argument("sweep", type=click.Path(path_type=Path))
def report(sweep: Path) -> None:
    """Show what a sweep has come to: leaderboard, statistics over seeds, plots.

    SWEEP is its folder, also of one that is under way. Tables and plots are written to SWEEP/summary.
    """
    from rich.markup import escape

    from weft.folder import near
    from weft.sweep import leaderboard, summary

    console = _console()
    found = summary.located(sweep)
    files = summary.write(sweep, found)
    leaderboard.show(console, found)
    leaderboard.show_unfinished(console, found)
    names = ", ".join(file.name for file in files)
    console.print(escape(f"in {near(files[0].parent)}: {names}"), highlight=False, soft_wrap=True)


@commands.command()
@click.argument("kind", required=False, type=click.Choice(list(KINDS)))
def plugins(kind: str | None) -> None:
    """List what is offered, by whom, and what did not load."""
    from weft import listing
    from weft.catalog import catalog

    listing.show(_console(), catalog(), kind)


@commands.command()
@click.argument("names", nargs=-1)
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="File for the cards, as JSON.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(min=1), help="That a component may take.")
def check(names: tuple[str, ...], file: Path | None, seconds: float) -> int:
    """Put components to the conformance suite.

    NAMES are of plugins, of components, or KIND=NAME; by default all that is offered. Exit code 0 when all of them conform.
    """
    import json

    from weft.catalog import catalog
    from weft.testing import checking, showing

    if file is not None and not file.absolute().parent.is_dir():
        raise ConfigError(f"--json: {file}: there is no folder {file.parent}")
    console = _console()
    chosen = checking.find(catalog(), names)
    with console.status("") as status:
        cards = list(checking.check(chosen, seconds, lambda done, of: status.update(f"checking: {done} of {of}")))
    showing.show(console, cards)
    if file is not None:
        file.write_text(json.dumps([card.dump() for card in cards], indent=1))
    return 0 if all(card.conforms for card in cards) else 1


def _complete_kind(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


@commands.command()
@click.argument("kind", metavar="|".join(KINDS), shell_complete=_complete_kind)
@click.argument("name")
@click.option("--path", "folder", metavar="FOLDER", type=click.Path(path_type=Path), help="Where to. Default: ./weft-NAME.")
def new(kind: str, name: str, folder: Path | None) -> None:
    """Write a plugin package to begin with.

    It offers a component called NAME that works and is tested, and waits for a body of your own.

    \b
    weft new optimizer lion                           into ./weft-lion
    """
    from weft import scaffold
    from weft.catalog import catalog

    package = scaffold.write(kind, name, folder, catalog())
    click.echo("\n  ".join((str(package.folder), *package.files)))
    click.echo("\n  ".join(("now:", *package.commands)))


@commands.command()
@click.option("--uri", help="Store to show: a database that MLflow knows. Default: MLFLOW_TRACKING_URI, or runs/mlflow.db.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--experiment", help="Experiment to open. Default: weft, where there is one.")
def ui(uri: str | None, port: int, experiment: str | None) -> None:
    """Show the runs in MLflow's page, on this machine only.

    What records from other machines, or wants accounts, is weft serve's.
    """
    from weft.settings import Settings
    from weft.telemetry import serving, store

    place = _place(uri)
    serving.check_served(place)
    store.check_there(place)
    try:
        page = store.page(place, experiment or Settings().tracking.experiment)
    except ConfigError:
        if experiment:
            raise
        page = ""
    serving.serve(place, port=port, ready=lambda url: click.echo(f"MLflow: {url}/{page}  (Ctrl-C ends it)"))


@commands.command()
@click.option("--uri", help="Database: SQLite or PostgreSQL. Default: MLFLOW_TRACKING_URI, or runs/mlflow.db.")
@click.option("--artifacts", help="Folder, or object store, for files. Default: artifacts beside an SQLite database.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; any but this one needs --admin.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--allowed-host", multiple=True, metavar="NAME", help="Name that others reach it by; repeat it for several.")
@click.option("--admin", metavar="NAME", help="Ask everyone who they are; this account makes the others.")
@click.option("--password-file", type=click.Path(path_type=Path), help="Its password. Default: MLFLOW_AUTH_ADMIN_PASSWORD.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes that answer.")
def serve(
    uri: str | None,
    artifacts: str | None,
    host: str,
    port: int,
    allowed_host: tuple[str, ...],
    admin: str | None,
    password_file: Path | None,
    workers: int,
) -> None:
    """Serve a store to other processes and machines, as MLflow's server.

    \b
    weft serve                                        for this machine
    weft serve --host 0.0.0.0 --allowed-host tracker.example.org --admin ann --password-file secret

    It has no TLS: before it reaches another network, put a proxy that has before it.
    """
    from weft import destination
    from weft.telemetry import access, serving, store

    place = _place(uri)
    serving.check_served(place)
    if admin is None and password_file is not None:
        raise ConfigError("password-file: belongs to an account; give its name with --admin")
    if not (artifacts or os.environ.get("MLFLOW_ARTIFACTS_DESTINATION") or store.database_file(place)):
        raise ConfigError(f"artifacts: {store.shown(place)} keeps no files; say where they go with --artifacts FOLDER")
    if artifacts is not None:
        destination.check_artifacts(artifacts)
    account = access.account(admin, password_file) if admin is not None else None
    serving.serve(
        place,
        host,
        port,
        lambda url: click.echo(f"MLflow's server: {url}  (Ctrl-C ends it)"),
        artifacts=artifacts,
        workers=workers,
        admin=account,
        allowed=allowed_host,
        tell=lambda line: click.echo(line, err=True),
    )


def _place(uri: str | None) -> str:
    """Return the store that is asked for, when it is one that can be."""
    from weft import destination
    from weft.settings import Settings

    place = uri or os.environ.get("MLFLOW_TRACKING_URI") or Settings().store
    destination.check_uri(place, "--uri")
    return place


_FOLDERS = click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
_STORE = click.option("--uri", help="Store or server of MLflow. Default: the one each run was recorded for.")


@commands.command()
@_FOLDERS
@_STORE
@click.option("--prune", is_flag=True, help="Remove the journals of runs that are in the store whole, after comparing.")
def sync(folders: tuple[Path, ...], uri: str | None, prune: bool) -> int:
    """Ship what is left in journals to MLflow, and wait for it.

    FOLDERS are runs or hold runs; by default `runs`. With --uri it is shipped to that store, also if it is in another already.
    """
    from weft.telemetry import syncing

    console = _console()
    found = _with_journals(folders, uri)
    with console.status("shipping") as status:
        result = syncing.sync(found, uri, lambda done, of: status.update(f"shipping: {done} of {of} journals"))
    console.print(f"{result.shipped} journals shipped, {result.before} were in the store before", highlight=False)
    if result.under_way:
        console.print(f"{result.under_way} are of runs that are under way: theirs is shipped as it comes", highlight=False)
    for problem in result.problems:
        console.print(problem, highlight=False, markup=False, soft_wrap=True)
    if prune:
        removed = sum(syncing.prune(folder, uri) for folder in found)
        console.print(f"journals of {removed} runs removed, {len(found) - removed} kept", highlight=False)
    return 1 if result.problems else 0


@commands.command()
@_FOLDERS
@_STORE
def verify(folders: tuple[Path, ...], uri: str | None) -> int:
    """Compare journals with MLflow, row by row.

    FOLDERS are runs or hold runs; by default `runs`. Exit code 0 when all of it is there, once.
    """
    from rich.markup import escape
    from rich.table import Table

    from weft.folder import near
    from weft.telemetry import verification

    table = Table("run", "points", "missing", "doubled", "refused", "", box=None)
    wrong = 0
    found = _with_journals(folders, uri)
    for finding in verification.verify_all(found, uri):
        wrong += not finding.is_right
        counts = (finding.points, finding.missing, finding.doubled, len(finding.refused))
        notes = ["under way"] * finding.under_way + finding.problems + [f"refused {item}" for item in finding.refused]
        table.add_row(near(finding.folder), *map(str, counts), escape("\n".join(notes)))
    console = _console()
    console.print(table)
    console.print(f"{len(found) - wrong} of {len(found)} runs are in MLflow whole, and once", highlight=False)
    return 1 if wrong else 0


def _with_journals(folders: tuple[Path, ...], uri: str | None) -> list[Path]:
    """Return the folders that hold journals.

    Raises:
        ConfigError: there are none, or the store is none that MLflow has.
    """
    from weft import destination
    from weft.settings import Settings
    from weft.telemetry import verification

    if uri is not None:
        destination.check_uri(uri, "--uri")
    roots = folders or (Path(Settings().runs),)
    found = list(dict.fromkeys(folder for root in roots for folder in verification.folders(root)))
    if not found:
        where = ", ".join(map(str, roots))
        hint = "give a run's folder, or one that holds runs; weft sync --prune removes those of runs that are in MLflow whole"
        raise ConfigError(f"no journals in {where}: {hint}")
    return found


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=160)  # a file or a pipe has room for a table


if __name__ == "__main__":
    main()
