"""Who reaches a server: the address it listens at, the names it answers to, the account that rules it."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from weft.errors import ConfigError, UserError

PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"
"""The environment variable that a password can be given in."""

_NAME = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_SHORTEST = 12  # MLflow's own rule
_KNOWN = frozenset(["password1234", "password12345", "administrator", "changeme1234", "mlflow123456", "123456789012"])
"""The first was MLflow's default up to 3.16 (GHSA-gq3w-7jj3-x7gr)."""
_DIFFERENT = 5


@dataclass(frozen=True)
class Account:
    """The account that rules a server: it can make others, and see and change everything."""

    name: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.@\-]+", self.name):
            raise ConfigError(f"admin: {self.name!r} is no name: letters, digits, dots, dashes and @ make one")
        if len(self.password) < _SHORTEST:
            raise ConfigError(f"admin: the password of {self.name!r} is too short: {_SHORTEST} characters at least")
        simple = self.password.lower()
        if simple in _KNOWN or simple == self.name.lower() or len(set(simple)) < _DIFFERENT:
            raise ConfigError(f"admin: the password of {self.name!r} is one that is tried first; choose another")


def account(name: str, file: Path | None, environment: Mapping[str, str] = os.environ) -> Account:
    """Return the account of that name, its password from a file, else from the environment. There is no default, and no option
    that takes one: others see a command's arguments.

    Raises:
        ConfigError: no password is given, others can read the file, or the password is one that could be guessed.
    """
    if file is not None:
        return Account(name, _secret(file))
    if not environment.get(PASSWORD):
        raise ConfigError(f"admin: the password of {name!r} is not given: set {PASSWORD}, or name a file with --password-file")
    return Account(name, environment[PASSWORD])


def _secret(file: Path) -> str:
    try:
        with file.open() as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigError(f"password-file: {file} is no file")
            if found.st_mode & 0o077:
                raise ConfigError(f"password-file: others can read {file}, or write it: chmod 600 {file}")
            return opened.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"password-file: {file}: {error}") from None


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Raises:
        UserError: that can't be: no address of this machine's, or the port is taken.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        try:
            ip = ipaddress.ip_address(self.numbers)
        except ValueError:
            raise ConfigError(
                f"host: {self.host!r} is no address; it could be 127.0.0.1, 0.0.0.0, or one of this machine's"
            ) from None
        with socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((str(ip), self.port))
            except OSError as error:
                raise UserError(f"port {self.port} of {self.host} can't be used ({error.strerror}); choose another") from None

    @property
    def is_of_this_machine_alone(self) -> bool:
        """Whether nobody else can connect."""
        return ipaddress.ip_address(self.numbers).is_loopback

    @property
    def near(self) -> str:
        """The address that this machine itself connects to."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.numbers)

    @property
    def url(self) -> str:
        return f"http://{f'[{self.near}]' if ':' in self.near else self.near}:{self.port}"

    @property
    def numbers(self) -> str:
        return "127.0.0.1" if self.host == "localhost" else self.host


def names(address: Address, given: Sequence[str], admin: Account | None) -> list[str]:
    """Return what the Host of a request may be: the names that are given, and, where only this machine connects, its own.

    A name without a port stands for itself, as behind a proxy, and for itself with the server's port.

    Raises:
        UserError: the server would be open to others and ask nobody who they are, or it would not know its own name.
    """
    if admin is None and not address.is_of_this_machine_alone:
        raise UserError(f"host: {address.host!r} is open to others, and nobody is asked who they are; {_REMEDY}")
    if admin is None and given:
        raise UserError(f"allowed-host: {given[0]!r} is for others to come by, and nobody is asked who they are; {_REMEDY}")
    if not given and not address.is_of_this_machine_alone:
        raise UserError(f"host: {address.host!r} has names that only you know; give each: --allowed-host tracker.example.org")
    own = ["localhost", address.url.removeprefix("http://").rpartition(":")[0]] if address.is_of_this_machine_alone else []
    found = [f"{host}:{address.port}" for host in own]
    for name in given:
        match = _NAME.fullmatch(name)
        if match is None:
            raise ConfigError(f"allowed-host: {name!r} is no host; it could be tracker.example.org, 10.0.0.5 or [fd00::5]:5000")
        found += [name] if match["port"] else [name, f"{name}:{address.port}"]
    return found


_REMEDY = f"give 127.0.0.1, or an account (--admin NAME, its password in {PASSWORD} or by --password-file)"
