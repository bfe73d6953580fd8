"""Takes secrets out of what a run says of itself, before it leaves the process."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

REDACTED = "[redacted]"

_SECRET_WORDS = frozenset(
    ["token", "secret", "secrets", "password", "passwords", "passwd", "credential", "credentials", "auth", "apikey", "apikeys"]
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
# What a value begins with is looked for from where it can begin, and no further than it can be long: a text may be a megabyte.
_ASSIGNMENT = re.compile(r"(?<![\w.\-])([\w.\-]++)(\s*+=\s*)(\"[^\"]*\"|'[^']*'|[^\s&]+)")
_USER_AND_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{0,40}://)[^\s/@:]*+:[^\s/]*@")
_HTTP_USER = re.compile(r"(https?://)[^\s/@:]+@", re.IGNORECASE)
_TOKENS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"gh[opsur]_[A-Za-z0-9]{16,}"
    r"|github_pat_[A-Za-z0-9_]{16,}"
    r"|glpat-[A-Za-z0-9_\-]{16,}"
    r"|sk-(?=[A-Za-z_\-]{0,200}[0-9])[A-Za-z0-9_\-]{16,}"  # a digit among them: a name with dashes is no key
    r"|A[KS]IA[A-Z0-9]{16}"
    r"|hf_[A-Za-z0-9]{16,}"
    r"|xox[a-z]-[A-Za-z0-9\-]{8,}"
    r"|eyJ[A-Za-z0-9_\-]{8,2000}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+"
    r")"
)


def redact(key: str, value: str) -> str:
    """Return the value with what is secret in it replaced: all of it when its key says so, else passwords in URLs,
    `password=…` and tokens of a known shape."""
    if not value or is_secret(key):
        return REDACTED if value else value
    value = _USER_AND_PASSWORD.sub(rf"\1{REDACTED}@", value)
    value = _HTTP_USER.sub(rf"\1{REDACTED}@", value)
    value = _ASSIGNMENT.sub(_without_secret, value)
    return _TOKENS.sub(REDACTED, value)


def is_secret(key: str) -> bool:
    """Whether a dotted, underscored or camel-case key names a secret: `api_key` and `hub.authToken`, but no `author`."""
    words = [word.lower() for word in _WORD.findall(key)]
    pairs = [first + second for first, second in pairwise(words)]
    return not _SECRET_WORDS.isdisjoint([*words, *pairs])


def _without_secret(match: re.Match[str]) -> str:
    name, sign, _ = match.groups()
    return f"{name}{sign}{REDACTED}" if is_secret(name) else match[0]


def redact_tree(tree: Any, key: str = "") -> Any:
    """Return a config's plain values with the secrets in it redacted."""
    if isinstance(tree, Mapping):
        return {name: redact_tree(value, str(name)) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [redact_tree(value, key) for value in tree]
    return redact(key, tree) if isinstance(tree, str) else tree


def redact_override(override: str) -> str:
    """Return `key=value` without the secrets in it; a value that is a mapping with a secret key goes as a whole."""
    key, equals, value = override.partition("=")
    inner = re.findall(r"[\w.]+(?=\s*:)", value)
    return key + equals + (REDACTED if any(map(is_secret, inner)) else redact(key, value))
