"""Validation: which complaints the API server has about an object, in the reference's words and order."""

from collections.abc import Callable
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.apiserver.schema.errors import FieldError, invalid_error
from controlplane.localcloud.apiserver.schema.types import TypeInfo

Validator = Callable[[Any], list[FieldError]]
UpdateValidator = Callable[[Any, Any], list[FieldError]]


def validate(info: TypeInfo, obj: Object) -> list[FieldError]:
    """Give the complaints about a new object (after defaulting), none where it is valid."""
    return []


def validate_update(info: TypeInfo, old: Object, new: Object) -> list[FieldError]:
    """Give the complaints about a change, those about the new object included."""
    return validate(info, new)


def refuse(info: TypeInfo, name: str, errors: list[FieldError]) -> ApiError:
    """Give the 422 for these complaints."""
    return invalid_error(info.group, info.kind, name, errors)
