"""Who reaches a server: what is refused before anything starts, each with one message."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from weft import ConfigError, UserError, cli
from weft.telemetry.access import PASSWORD, Account, Address, account, names

GOOD = "violet-harbour-71"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A password in a file of its owner's alone."""
    file = tmp_path / "secret"
    file.write_text(f"{GOOD}\n")
    file.chmod(0o600)
    return file


def test_a_password_comes_from_a_file_or_from_the_environment(secret: Path) -> None:
    assert account("ann", secret, {}).password == GOOD
    assert account("ann", None, {PASSWORD: GOOD}).password == GOOD
    assert account("ann", secret, {PASSWORD: "another-one-82"}).password == GOOD
    assert GOOD not in repr(account("ann", secret, {}))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o602])
def test_a_password_that_others_can_read_or_write_is_none(secret: Path, mode: int) -> None:
    secret.chmod(mode)
    with pytest.raises(ConfigError, match=r"password-file: others can read .*: chmod 600"):
        account("ann", secret, {})


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "is too short: 12 characters"),
        ("short", "is too short: 12 characters"),
        ("password1234", "is one that is tried first"),
        ("Password1234", "is one that is tried first"),
        ("aaaaaaaaaaaaaaa", "is one that is tried first"),
        ("abcabcabcabcabc", "is one that is tried first"),
        ("ann.of.the.lake", "is one that is tried first"),
    ],
)
def test_a_password_that_could_be_guessed_is_none(password: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Account("Ann.Of.The.Lake", password)


@pytest.mark.parametrize("name", ["", "a:b", "a b", "x\n"])
def test_a_name_that_can_not_be(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name"):
        Account(name, GOOD)


def test_no_password_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"the password of 'ann' is not given: set {PASSWORD}, or name a file"):
        account("ann", None, {})
    with pytest.raises(ConfigError, match="No such file"):
        account("ann", tmp_path / "nowhere", {})
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="password-file: "):
        account("ann", tmp_path / "folder", {})
    with pytest.raises(ConfigError, match="is no file"):
        account("ann", Path("/dev/null"), {})


def test_addresses() -> None:
    port = free_port()
    assert Address("127.0.0.1", port).url == Address("localhost", port).url == f"http://127.0.0.1:{port}"
    assert Address("127.0.0.1", port).is_of_this_machine_alone
    assert Address("127.0.0.2", port).is_of_this_machine_alone
    assert not Address("0.0.0.0", port).is_of_this_machine_alone
    assert Address("0.0.0.0", port).url == f"http://127.0.0.1:{port}"
    for host in ("example.org", "", "127.1", "localhost.example.org"):
        with pytest.raises(ConfigError, match="is no address"):
            Address(host, port)
    with pytest.raises(UserError, match=f"port {port} of 192.0.2.1 can't be used"):
        Address("192.0.2.1", port)


def test_names() -> None:
    port, ann = free_port(), Account("ann", GOOD)
    near, open_ = Address("127.0.0.1", port), Address("0.0.0.0", port)
    own = [f"{host}:{port}" for host in ("localhost", "127.0.0.1")]
    assert names(near, [], None) == own
    assert names(Address("127.0.0.2", port), [], None) == [f"localhost:{port}", f"127.0.0.2:{port}"]
    given = ["a.example.org", "b.example.org:443", "[fd00::5]", "10.0.0.5"]
    expected = ["a.example.org", f"a.example.org:{port}", "b.example.org:443"]
    expected += ["[fd00::5]", f"[fd00::5]:{port}", "10.0.0.5", f"10.0.0.5:{port}"]
    assert names(near, given, ann) == [*own, *expected]
    assert names(open_, given, ann) == expected
    with pytest.raises(UserError, match=r"'0.0.0.0' is open to others, and nobody is asked .* \(--admin NAME"):
        names(open_, given, None)
    with pytest.raises(UserError, match=r"allowed-host: 'a.example.org' is for others"):
        names(near, given, None)
    with pytest.raises(UserError, match="has names that only you know"):
        names(open_, [], ann)
    for name in ("*", "*.example.org", "a,b", "http://a", "a/b", "a:b", "", "a:123456"):
        with pytest.raises(ConfigError, match="is no host"):
            names(open_, [name], ann)


SERVE = [
    ("--host 0.0.0.0", "host: '0.0.0.0' is open to others, and nobody is asked who they are"),
    ("--host 0.0.0.0 --allowed-host a.example.org", "host: '0.0.0.0' is open to others"),
    ("--allowed-host a.example.org", "allowed-host: 'a.example.org' is for others to come by"),
    ("--host 0.0.0.0 --admin ann", f"admin: the password of 'ann' is not given: set {PASSWORD}"),
    ("--host 0.0.0.0 --admin ann --password-file weak", "admin: the password of 'ann' is one that is tried first"),
    ("--host 0.0.0.0 --admin ann --password-file open", "password-file: others can read"),
    ("--host 0.0.0.0 --admin ann --password-file good", "host: '0.0.0.0' has names that only you know"),
    ("--host 0.0.0.0 --admin ann --password-file good --allowed-host *", "allowed-host: '*' is no host"),
    ("--password-file good", "password-file: belongs to an account"),
    ("--host tracker.example.org", "host: 'tracker.example.org' is no address"),
    ("--uri http://127.0.0.1:9", "is a server with a page of its own"),
    ("--uri ./mlruns", "--uri: './mlruns' is a folder"),
    ("--uri mysql+pymysql://h/d", "--uri: mysql+pymysql://h/d: what speaks with it isn't installed"),
    ("--artifacts good", "good is no folder"),
    ("--artifacts s3:/bucket", "artifacts: 's3:/bucket' is neither a folder nor an address"),
    (
        "--uri postgresql+psycopg://ann:hush@127.0.0.1:9/d",
        "artifacts: postgresql+psycopg://[redacted]@127.0.0.1:9/d keeps no files",
    ),
    (
        "--uri weft+postgresql+psycopg://ann:hush@127.0.0.1:9/d --artifacts x",
        "weft+postgresql+psycopg://[redacted]@127.0.0.1:9/d: can't be reached (",
    ),
]


@pytest.mark.parametrize(("line", "message"), SERVE)
def test_a_server_that_would_not_be_safe_is_not_started(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, password, mode in (("good", GOOD, 0o600), ("weak", "password1234", 0o600), ("open", GOOD, 0o644)):
        (tmp_path / name).write_text(password)
        (tmp_path / name).chmod(mode)
    monkeypatch.delenv(PASSWORD, raising=False)
    with pytest.raises(UserError) as refused:
        cli.commands.main(["serve", "--port", str(free_port()), *line.split()], standalone_mode=False)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hush" not in str(refused.value)
    assert refused.value.exit_code == 2
    assert sorted(os.listdir(tmp_path)) == ["good", "open", "weak"]


def test_the_page_of_a_store_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^sqlite:///runs/mlflow.db: there is no such file"):
        cli.commands.main(["ui"], standalone_mode=False)
    assert os.listdir(tmp_path) == []


@pytest.mark.integration
def test_the_page_of_an_experiment_that_is_not_there(template: Path) -> None:
    with pytest.raises(UserError, match=r"has no experiment 'defualt' \(did you mean 'Default'\?\); there are Default"):
        cli.commands.main(["ui", "--uri", f"sqlite:///{template}", "--experiment", "defualt"], standalone_mode=False)
