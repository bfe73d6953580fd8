from __future__ import annotations

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.telemetry.redaction import REDACTED, is_secret, redact

_LETTERS = string.ascii_letters + string.digits
_tokens = st.one_of(
    st.text(_LETTERS, min_size=36, max_size=36).map("ghp_{}".format),
    st.text(_LETTERS, min_size=34, max_size=34).map("hf_{}".format),
    st.text(_LETTERS, min_size=20, max_size=48).map("sk-proj-1{}".format),
    st.text(string.ascii_uppercase + string.digits, min_size=16, max_size=16).map("AKIA{}".format),
    st.text(_LETTERS, min_size=24, max_size=24).map("xoxb-{}".format),
)
_around = st.text(" ,;:/(){}'\"\n=-", max_size=5)


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "hub.token",
        "api_key",
        "apikey",
        "apiKey",
        "wandb.API_KEY",
        "db_password",
        "passwd",
        "client-secret",
        "auth",
        "credentials",
        "user.authToken",
        "aws_secret_access_key",
    ],
)
def test_a_key_that_names_a_secret_hides_the_whole_value(key: str) -> None:
    assert redact(key, "anything at all") == REDACTED


@pytest.mark.parametrize(
    "key", ["author", "authority", "tokenizer", "tokens", "max_tokens", "secretary", "key", "lr", "model.width"]
)
def test_a_key_that_only_resembles_one_hides_nothing(key: str) -> None:
    assert redact(key, "anything at all") == "anything at all"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgresql://ann:pa$$@db.example/x", "postgresql://[redacted]@db.example/x"),
        ("https://oauth2:t0p@git.example/a/b.git", "https://[redacted]@git.example/a/b.git"),
        ("https://bare-token@git.example/a/b.git", "https://[redacted]@git.example/a/b.git"),
        ("ssh://git@git.example/a/b.git", "ssh://git@git.example/a/b.git"),
        ("git@git.example:a/b.git", "git@git.example:a/b.git"),
        ("https://host:8080/path@2", "https://host:8080/path@2"),
        ("lr=0.1 tracking.token='one two' epochs=3", "lr=0.1 tracking.token=[redacted] epochs=3"),
        ("mysql://host/db?password=x&ssl=1", "mysql://host/db?password=[redacted]&ssl=1"),
        ("task-classification-of-42-thousand-digits", "task-classification-of-42-thousand-digits"),
        ("", ""),
    ],
)
def test_a_secret_inside_a_value_is_taken_out_and_the_rest_stays(value: str, shown: str) -> None:
    assert redact("note", value) == shown


@given(st.text(), st.text())
def test_redacting_twice_changes_nothing_more(key: str, value: str) -> None:
    once = redact(key, value)
    assert redact(key, once) == once


@given(_tokens, _around, _around)
def test_no_token_of_a_known_shape_stays(token: str, before: str, after: str) -> None:
    assert token not in redact("note", before + token + after)


@given(
    st.sampled_from(["http", "https", "postgresql", "mysql+pymysql", "ftp"]),
    st.text(_LETTERS, max_size=8),
    st.text(_LETTERS + "@:!$#?%", min_size=1, max_size=20).map("pw~{}".format),
)
def test_no_password_of_a_url_stays(scheme: str, user: str, password: str) -> None:
    assert "pw~" not in redact("note", f"see {scheme}://{user}:{password}@host.example/path for more")


@given(st.text(string.ascii_lowercase + " .,-+", max_size=60))
def test_plain_words_stay(value: str) -> None:
    assert redact("note", value) == value


@given(
    st.lists(st.sampled_from(["model", "loss", "lr", "width", "author", "tokenizer", "keyboard"]), min_size=1),
    st.sampled_from("._-"),
)
def test_plain_keys_are_no_secrets(words: list[str], separator: str) -> None:
    assert not is_secret(separator.join(words))


@pytest.mark.parametrize("piece", ["y", "a1", "a:", "://a:", "k=", " =", "a.", "eyJ", "eyJ-", "sk-"])
def test_a_long_text_takes_no_longer_than_it_is_long(piece: str) -> None:
    """A parameter of a megabyte, a log line of a stranger's: not minutes."""
    text = piece * (100_000 // len(piece))
    start = time.process_time()
    redact("notes", text)
    assert time.process_time() - start < 2
