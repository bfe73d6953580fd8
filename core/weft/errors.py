"""What can go wrong, and whose it is.

WeftError                 exit 1: the run or weft itself failed
├── UserError             exit 2: what was asked can't be done; nothing was built or written
│   ├── ConfigError       an unknown or ill-typed key, option, choice or range; parts that don't fit each other
│   ├── PluginError       a plugin that is missing, broken, misspelt or in conflict with another
│   │   └── UnusableError one that is there, and is broken or in conflict
│   └── JournalError      a file that is no journal, or one of a format that this weft doesn't know
├── NonFiniteError        the loss became NaN or infinite
├── Interrupted           a signal asked the run to stop; it did so after a checkpoint
└── TrackingError         the tracking store refused or lost what it was sent
"""

import difflib
from collections.abc import Iterable


class WeftError(Exception):
    """Base of all. The message is shown to the user as it stands."""

    exit_code = 1


class UserError(WeftError):
    """The user's to mend: one message that says what was given and what it could have been."""

    exit_code = 2


class ConfigError(UserError):
    """A setting that can't be: its place, its value, what it could have been."""


class PluginError(UserError):
    """A plugin that can't be used, and why."""


class UnusableError(PluginError):
    """A component that is there and can't be used: it is broken, or two plugins offer its name. No slip of the user's."""


class JournalError(UserError):
    """A journal that can't be read at all. It is left as it is."""


class NonFiniteError(WeftError):
    """The training loss became NaN or infinite: names the step and the first parameter affected."""


class Interrupted(WeftError):
    """The run was told to stop (`signal` says by which) and has written a checkpoint."""

    def __init__(self, signal: int):
        super().__init__(f"stopped by signal {signal}")
        self.signal = signal
        self.exit_code = 128 + signal


class TrackingError(WeftError):
    """The tracking store could not be reached, or refused what it was sent."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"` for the nearest of `known`, or nothing when none is near."""
    near = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
