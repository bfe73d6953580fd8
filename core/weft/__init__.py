"""weft: trains and tracks experiments made of plugins.

Importing it is cheap: torch, hydra and mlflow are imported by what needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from weft.callback import Callback as Callback
from weft.catalog import register as register
from weft.errors import ConfigError as ConfigError
from weft.errors import PluginError as PluginError
from weft.errors import UserError as UserError
from weft.errors import WeftError as WeftError
from weft.errors import did_you_mean as did_you_mean
from weft.hookspecs import Register as Register
from weft.hookspecs import hookimpl as hookimpl
from weft.parameters import Choice as Choice
from weft.parameters import Range as Range
from weft.parameters import fixed as fixed
from weft.parameters import supplied as supplied

if TYPE_CHECKING:
    from weft.api import Result as Result
    from weft.api import evaluate as evaluate
    from weft.api import load as load
    from weft.api import run as run
    from weft.state import Run as Run
    from weft.tracking import track as track

__version__ = "0.1.0"

_LAZY = {
    "Result": "weft.api",
    "evaluate": "weft.api",
    "load": "weft.api",
    "run": "weft.api",
    "Run": "weft.state",
    "track": "weft.tracking",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'weft' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


__all__ = [
    "Callback",
    "Choice",
    "ConfigError",
    "PluginError",
    "Range",
    "Register",
    "Result",
    "Run",
    "UserError",
    "WeftError",
    "did_you_mean",
    "evaluate",
    "fixed",
    "hookimpl",
    "load",
    "register",
    "run",
    "supplied",
    "track",
]
