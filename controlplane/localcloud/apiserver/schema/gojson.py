"""Words of Go's JSON decoder, which clients get to read in refusals."""

from typing import Any


class DecodeError(ValueError):
    """A JSON value that does not fit its Go type."""


def json_kind(value: Any) -> str:
    """Name the kind of a JSON value as Go's decoder does."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else "number"
