"""The JSON Schema of a parameters file, made from the table of keys: editors complete and check with it.

`parameters.schema.json` beside this package is what `text()` gives; a test holds the two equal.
"""

from __future__ import annotations

import json
from typing import Any

from webui_image.batch.parameters.keys import (
    ALIASES,
    COUNTS,
    ENABLE_HIRES,
    HIRES,
    HIRES_ALIASES,
    KEYS,
    MEANINGLESS,
    OVERRIDABLE,
    OVERRIDES,
    REFUSED,
    RESIZE_FROM,
    SPECIAL,
)
from webui_image.batch.parameters.kinds import Flag, NotDone, Whole
from webui_image.batch.parameters.limits import LARGEST_SIDE, MOST_PICTURES
from webui_image.batch.parameters.reader import NAME, TOP

_REF = "#/$defs/"
_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}


def schema() -> dict[str, Any]:
    """Give the schema of a file in YAML or JSON; a JSON Lines file is a list of entries, a CSV file has its keys."""
    own = {
        "name": {"type": "string", "pattern": f"^{NAME.pattern}$", "description": "Folder of the pictures."},
        "matrix": {"$ref": f"{_REF}matrix"},
        "prompts_file": {"$ref": f"{_REF}prompts_file"},
        "infotext": {"type": "string", "description": "The text in one of A1111's pictures; other keys go before it."},
        "$schema": {"type": "string"},
        "defaults": _mapping(_picture()),
        "images": {"type": "array", "items": {"anyOf": [{"$ref": f"{_REF}entry"}, {"type": "string"}]}},
    }
    entry = _picture() | {name: own[name] for name in SPECIAL}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Parameters of pictures to render",
        "anyOf": [
            _mapping({name: own[name] for name in TOP}),
            _mapping(entry | {"name": own["name"], "$schema": own["$schema"]}),
            own["images"],
        ],
        "$defs": _definitions() | {"entry": _mapping(entry), "matrix": _matrix()},
    }


def text() -> str:
    """Give the schema as it is published: one line for each part, so that a change is seen where it is."""
    parts = schema()
    lines = []
    for name, part in parts.items():
        if name == "$defs":
            inner = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in part.items())
            lines.append(f" {json.dumps(name)}: {{\n{inner}\n }}")
        else:
            lines.append(f" {json.dumps(name)}: {json.dumps(part)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _mapping(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _definitions() -> dict[str, Any]:
    found = {key.name: _or_nothing(key.kind.schema(), key.about) for key in KEYS}
    found |= {alias: {"$ref": f"{_REF}{name}"} for alias, name in ALIASES.items()}
    for alias, name in HIRES_ALIASES.items():
        found[alias] = _or_nothing(HIRES[name].schema(), f"A1111's name of hires.{name}.")
    for name in COUNTS:
        found[name] = _or_nothing(Whole(1, MOST_PICTURES).schema(), "Multiplied into count.")
    for name in RESIZE_FROM:
        found[name] = _or_nothing(Whole(-1, LARGEST_SIDE).schema(), "A1111's way to write seed_resize_from.")
    found[ENABLE_HIRES] = _or_nothing(Flag().schema(), "A1111's name of `hires: true`.")
    found |= {name: {"description": "A1111's; has no meaning here and is passed over."} for name in MEANINGLESS}
    found |= {name: _or_nothing(NotDone().schema(), "A1111's; not supported.") for name in REFUSED}
    settings = _mapping({name: {"$ref": f"{_REF}{name}"} for name in (*OVERRIDABLE, "sd_vae")})
    found[OVERRIDES] = _or_nothing(settings, "A1111's settings for one request; these are taken.")
    found["prompts_file"] = _or_nothing(_TEXTS, "Text files below this file's folder, one prompt a line.")
    return found


def _names() -> list[str]:
    theirs = (*ALIASES, *HIRES_ALIASES, *COUNTS, *RESIZE_FROM, ENABLE_HIRES, OVERRIDES, *MEANINGLESS, *REFUSED)
    return [*(key.name for key in KEYS), *theirs]


def _picture() -> dict[str, Any]:
    return {name: {"$ref": f"{_REF}{name}"} for name in _names()}


def _or_nothing(part: dict[str, Any], about: str) -> dict[str, Any]:
    return {"anyOf": [part, {"type": "null"}], "description": about}


def _matrix() -> dict[str, Any]:
    span = {"type": "string", "pattern": r"^\d+\.\.\d+$"}
    listed = {
        name: {"anyOf": [{"type": "array", "items": {"$ref": f"{_REF}{name}"}, "minItems": 1}, span]}
        for name in _names()
    }
    about = "Lists of values; every combination is rendered. Whole numbers also as a range."
    return _mapping(listed) | {"description": about}
