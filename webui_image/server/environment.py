"""Reads the server's settings from environment variables; an option of the command line wins over its variable.

Each mistake is one line: the variable, what it says, and what to write instead. All mistakes are told at once. A
secret is never repeated in a message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from ipaddress import ip_network
from typing import Any, TypeVar

from webui_image.server import parsing
from webui_image.server.settings import Access, Key, Limits, Place, Settings
from webui_image.values.errors import WebUIError

T = TypeVar("T")
_NO_TEXTS: tuple[str, ...] = ()
_NO_KEYS: tuple[Key, ...] = ()


class SettingsError(WebUIError):
    """One or more variables are wrong; one line for each."""


class _Reader:
    """Reads variable after variable and collects what is wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.mistakes: list[str] = []

    def read(self, name: str, default: T, parse: Callable[[str], T], *, secret: bool = False) -> T:
        text = self._environ.get(name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except (ValueError, OSError) as error:
            shown = "" if secret else f"{text[:60]!r} is wrong: "
            self.mistakes.append(f"{name}: {shown}{error}")
            return default


def read(environ: Mapping[str, str] | None = None, **options: Any) -> Settings:
    """Give the settings; `options` are fields of `Settings` or `Access` that are not None. Raises SettingsError."""
    environ = os.environ if environ is None else environ
    reader = _Reader(environ)
    given = {name: value for name, value in options.items() if value is not None}
    names = {each.name for each in fields(Access)}
    access = replace(_access(reader), **{name: value for name, value in given.items() if name in names})
    found = _settings(reader, access, environ)
    found = replace(found, **{name: value for name, value in given.items() if name not in names})
    if found.drain_seconds >= found.termination_grace:
        reader.mistakes.append(
            f"DRAIN_SECONDS: {found.drain_seconds:g} leaves nothing of TERMINATION_GRACE, "
            f"{found.termination_grace:g}: make it shorter"
        )
    if reader.mistakes:
        raise SettingsError("\n".join(reader.mistakes))
    return found


def _settings(reader: _Reader, access: Access, environ: Mapping[str, str]) -> Settings:
    proxies = reader.read("TRUSTED_PROXIES", _NO_TEXTS, parsing.proxies)
    return Settings(
        host=environ.get("HOST", "").strip() or "127.0.0.1",
        port=reader.read("PORT", 7860, parsing.within(0, 65535)),
        path_prefix=reader.read("PATH_PREFIX", "", parsing.prefix),
        access=access,
        trusted_proxies=tuple(ip_network(each) for each in proxies if each != "google"),
        google_balancer="google" in proxies,
        allowed_origins=reader.read("ALLOWED_ORIGINS", _NO_TEXTS, parsing.origins),
        limits=_limits(reader),
        place=_place(environ),
        drain_seconds=reader.read("DRAIN_SECONDS", 3.0, parsing.seconds),
        termination_grace=reader.read("TERMINATION_GRACE", 25.0, parsing.seconds),
        success_seconds=reader.read("SUCCESS_SECONDS", 0.0, parsing.seconds),
        log_prompts=reader.read("LOG_PROMPTS", default=False, parse=parsing.flag),
        log_json=reader.read("LOG_JSON", default=True, parse=parsing.flag),
        log_level=reader.read("LOG_LEVEL", "info", parsing.level),
    )


def _access(reader: _Reader) -> Access:
    keys = reader.read("API_KEYS", _NO_KEYS, parsing.keys, secret=True)
    return Access(
        api_keys=keys + reader.read("API_KEYS_FILE", _NO_KEYS, parsing.keys_file),
        passwords=reader.read("BASIC_AUTH", _NO_KEYS, parsing.passwords, secret=True),
        iap_audience=reader.read("IAP_AUDIENCE", "", str),
        iap_keys_file=reader.read("IAP_KEYS_FILE", "", parsing.file),
        anonymous=reader.read("ALLOW_ANONYMOUS", default=False, parse=parsing.flag),
        metrics_open=reader.read("METRICS_OPEN", default=True, parse=parsing.flag),
    )


def _limits(reader: _Reader) -> Limits:
    """Read every limit from a variable of its name, e.g. LIMIT_STEPS."""
    found = {}
    for each in fields(Limits):
        default: Any = each.default
        parse: Callable[[str], Any] = parsing.above_zero if isinstance(default, int) else parsing.seconds
        found[each.name] = reader.read(f"LIMIT_{each.name.upper()}", default, parse)
    return Limits(**found)


def _place(environ: Mapping[str, str]) -> Place:
    """Take the platform's words about where this runs as they are."""
    default = Place()
    return Place(
        region=environ.get("GPU_HUNTER_REGION") or default.region,
        accelerator=environ.get("GPU_HUNTER_ACCELERATOR") or default.accelerator,
        capacity=environ.get("GPU_HUNTER_CAPACITY") or default.capacity,
        service=environ.get("GPU_HUNTER_SERVICE") or default.service,
        pod=environ.get("GPU_HUNTER_POD") or environ.get("HOSTNAME") or default.pod,
        version=environ.get("APP_VERSION") or default.version,
    )
