"""How the text of an environment variable becomes a value: parsers that say what to write instead.

Each raises ValueError with that sentence alone; `environment.py` puts the variable's name before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

from webui_image.server.security import hashed
from webui_image.server.settings import Key

_YES, _NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_SHORTEST_KEY = 16
_SHORTEST_PASSWORD = 8
_LEVELS = {"debug", "info", "warning", "error"}


def within(least: int, most: int) -> Callable[[str], int]:
    """Give a parser of whole numbers between two, both included."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text[:20]) <= most:
            raise ValueError(f"write a whole number from {least} to {most}")
        return int(text)

    return parse


def above_zero(text: str) -> int:
    """Read a whole number above zero."""
    if not text.isdecimal() or int(text[:20]) < 1:
        raise ValueError("write a whole number above 0")
    return int(text)


def seconds(text: str) -> float:
    """Read a duration."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        raise ValueError("write seconds, e.g. 3 or 0.5")
    return float(text)


def flag(text: str) -> bool:
    """Read yes or no."""
    if text.lower() not in _YES | _NO:
        raise ValueError("write 1 or 0")
    return text.lower() in _YES


def level(text: str) -> str:
    """Read a log level."""
    if text.lower() not in _LEVELS:
        raise ValueError(f"write one of {', '.join(sorted(_LEVELS))}")
    return text.lower()


def prefix(text: str) -> str:
    """Read a path prefix, without its last slash."""
    path = text.rstrip("/")
    if path and not _PREFIX.fullmatch(path):
        raise ValueError("write a path such as /sd")
    return path


def proxies(text: str) -> tuple[str, ...]:
    """Read networks in CIDR notation, and the word google."""
    parts = _split(text)
    for part in parts:
        if part != "google":
            try:
                ip_network(part)
            except ValueError:
                raise ValueError(f"{part[:40]!r} is no network: write e.g. 10.0.0.0/8, or google") from None
    return parts


def origins(text: str) -> tuple[str, ...]:
    """Read origins of pages."""
    parts = _split(text)
    for part in parts:
        if not re.fullmatch(r"https?://[^/\s*]+", part):
            raise ValueError(f"{part[:60]!r} is no origin: write e.g. https://app.example.com")
    return parts


def keys(text: str) -> tuple[Key, ...]:
    """Read API keys by their holders."""
    return tuple(_key(part) for part in _split(text))


def keys_file(name: str) -> tuple[Key, ...]:
    """Read a file of API keys, one a line."""
    try:
        lines = Path(name).read_text().splitlines()
    except OSError as error:
        raise ValueError(
            f"{error.strerror}: name a file with a line NAME:KEY or NAME:sha256:HASH for each key"
        ) from None
    return tuple(_key(line.strip()) for line in lines if line.strip() and not line.strip().startswith("#"))


def _key(text: str) -> Key:
    name, _, secret = text.partition(":")
    if not name or not secret:
        raise ValueError("write NAME:KEY or NAME:sha256:HASH, several with commas between them")
    if secret.startswith("sha256:"):
        digest = secret.removeprefix("sha256:").lower()
        if not _SHA256.fullmatch(digest):
            raise ValueError(f"the hash of {name[:40]!r} is not 64 hexadecimal digits")
        return Key(name, digest)
    if len(secret) < _SHORTEST_KEY:
        raise ValueError(f"the key of {name[:40]!r} is shorter than {_SHORTEST_KEY} characters: draw a longer one")
    return Key(name, hashed(secret))


def passwords(text: str) -> tuple[Key, ...]:
    """Read users and their passwords."""
    found = []
    for part in _split(text):
        name, _, password = part.partition(":")
        if not name or not password:
            raise ValueError("write USER:PASSWORD, several with commas between them")
        if password.startswith("sha256:") and _SHA256.fullmatch(password.removeprefix("sha256:").lower()):
            found.append(Key(name, password.removeprefix("sha256:").lower()))
            continue
        if len(password) < _SHORTEST_PASSWORD:
            raise ValueError(f"the password of {name[:40]!r} is shorter than {_SHORTEST_PASSWORD} characters")
        found.append(Key(name, hashed(password)))
    return tuple(found)


def file(name: str) -> str:
    """Read the name of a file that exists."""
    if not Path(name).is_file():
        raise ValueError("there is no such file")
    return name


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
