"""Field errors as Kubernetes words them, and the 422 that carries them.

Clients read these texts: kubectl prints them, the Python client's users match on causes. The wording is that of
apimachinery's `field.Error`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError

REQUIRED = "FieldValueRequired"
INVALID = "FieldValueInvalid"
NOT_SUPPORTED = "FieldValueNotSupported"
DUPLICATE = "FieldValueDuplicate"
FORBIDDEN = "FieldValueForbidden"
TOO_LONG = "FieldValueTooLong"
TOO_MANY = "FieldValueTooMany"
TYPE_INVALID = "FieldValueTypeInvalid"
NOT_FOUND = "FieldValueNotFound"

_WORDS = {
    REQUIRED: "Required value",
    INVALID: "Invalid value",
    NOT_SUPPORTED: "Unsupported value",
    DUPLICATE: "Duplicate value",
    FORBIDDEN: "Forbidden",
    TOO_LONG: "Too long",
    TOO_MANY: "Too many",
    TYPE_INVALID: "Invalid value",
    NOT_FOUND: "Not found",
}
_WITHOUT_VALUE = (REQUIRED, FORBIDDEN, TOO_LONG)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One complaint: which rule, which field, which value, and the detail."""

    reason: str
    field: str
    value: Any = None
    detail: str = ""

    @property
    def message(self) -> str:
        """Give the complaint without the field, as the causes carry it."""
        text = _WORDS[self.reason]
        if self.reason not in _WITHOUT_VALUE:
            text = f"{text}: {_shown(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    def cause(self) -> dict[str, str]:
        """Give the StatusCause."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


class Verbatim(str):
    """A value that is shown as it stands, without quotes."""

    __slots__ = ()


NIL = Verbatim("null")  # an empty Go map or slice; an unset pointer is shown as the text "null" instead


def _shown(value: Any) -> str:
    if isinstance(value, Verbatim):
        return str(value)
    if value is None:
        return '"null"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def required(field: str, detail: str = "") -> FieldError:
    """Complain about a missing value."""
    return FieldError(REQUIRED, field, "", detail)


def invalid(field: str, value: Any, detail: str) -> FieldError:
    """Complain about a value that breaks a rule."""
    return FieldError(INVALID, field, value, detail)


def not_supported(field: str, value: Any, supported: Sequence[str]) -> FieldError:
    """Complain about a value outside an enumeration."""
    return FieldError(NOT_SUPPORTED, field, value, "supported values: " + ", ".join(f'"{one}"' for one in supported))


def duplicate(field: str, value: Any) -> FieldError:
    """Complain about a value that may occur only once."""
    return FieldError(DUPLICATE, field, value)


def not_found(field: str, value: Any) -> FieldError:
    """Complain about a reference to nothing."""
    return FieldError(NOT_FOUND, field, value)


def forbidden(field: str, detail: str) -> FieldError:
    """Complain about a field that may not be set or changed."""
    return FieldError(FORBIDDEN, field, "", detail)


def too_long(field: str, value: Any, limit: int) -> FieldError:
    """Complain about too many bytes."""
    return FieldError(TOO_LONG, field, value, f"may not be more than {limit} bytes")


def invalid_error(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> ApiError:
    """Give the 422 that reports these complaints, as `errors.NewInvalid` does."""
    texts = list(dict.fromkeys(str(error) for error in errors))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    qualified = f"{kind}.{group}" if group else kind
    details: dict[str, Any] = {"name": name, "kind": kind, "causes": [error.cause() for error in errors]}
    if group:
        details["group"] = group
    if not name:
        del details["name"]
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {text}', details=details)


def bad_request(message: str) -> ApiError:
    """Give the 400 of a body that cannot be read."""
    return ApiError(400, "BadRequest", message)
