"""MLflow's server, in a process group that doesn't outlive who started it.

`python -m weft.telemetry.server OPTIONS…` is `mlflow server OPTIONS…`, but for its standard input: a pipe that nothing comes
through. When it ends, who started it is gone, also by SIGKILL, and there is nobody left to end the server and its workers: the
whole group goes the same way. What the server has acknowledged is in the database by then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def main() -> None:
    """Run the server until it ends, or until standard input does."""
    threading.Thread(target=_end_with_input, daemon=True).start()  # before the imports: they take seconds
    from mlflow.cli import cli

    cli.main(["server", *sys.argv[1:]], prog_name="mlflow")


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
