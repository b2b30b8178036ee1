"""Between REST and messages: a path, a query and a body become a request message, a response becomes JSON.

The rules are those of google.api.http: fields named in the path come from it, `body` says which field the body is
(`*`: all the rest), and everything else comes from the query.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from controlplane.localcloud.gcp.errors import GoogleError, invalid
from controlplane.localcloud.gcp.methods import HttpRule, Method

_SYSTEM_PARAMETERS = frozenset({"alt", "fields", "key", "prettyPrint", "quotaUser", "access_token", "callback"})


class Router:
    """Finds the method for a request line."""

    def __init__(self, methods: Iterable[Method]) -> None:
        self._rules = [(rule, method) for method in methods for rule in method.rules]

    def find(self, verb: str, path: str) -> tuple[Method, HttpRule, dict[str, str]] | None:
        """Give the method, the rule that matched, and the fields that the path holds."""
        for rule, method in self._rules:
            if rule.verb == verb and (match := rule.pattern.match(path)):
                return method, rule, dict(zip(rule.fields, match.groups(), strict=True))
        return None


def request_message(
    method: Method, rule: HttpRule, fields: Mapping[str, str], query: Iterable[tuple[str, str]], body: Any
) -> Any:
    """Make the request message; raises INVALID_ARGUMENT for what does not fit its class."""
    document: dict[str, Any] = {}
    if rule.body == "*":
        document = dict(_object(body))
    elif rule.body:
        document[rule.body] = _object(body)
    descriptor = method.request.pb().DESCRIPTOR
    for name, value in query:
        if name.startswith("$") or name in _SYSTEM_PARAMETERS:
            continue
        _put(document, descriptor, name, value)
    for name, value in fields.items():
        _put(document, descriptor, name, value)
    message = method.request.pb()()
    try:
        # Unknown fields are ignored, as Google's front end does for fields of a newer client.
        json_format.ParseDict(document, message, ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error
    return method.request.wrap(message)


def response_document(method: Method, response: Any, *, enums_as_numbers: bool) -> dict[str, Any]:
    """Make the JSON answer."""
    message = method.response.pb(response) if hasattr(method.response, "pb") else response
    document: dict[str, Any] = json_format.MessageToDict(message, use_integers_for_enums=enums_as_numbers)
    return document


def _object(body: Any) -> dict[str, Any]:
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise invalid("Invalid JSON payload received. Root element must be a message.")
    return body


def _put(document: dict[str, Any], descriptor: Any, name: str, value: str) -> None:
    """Put a query or path value where it belongs; a dotted name goes into a nested message."""
    first, _, rest = name.partition(".")
    field = next((each for each in descriptor.fields if first in (each.name, each.json_name)), None)
    if field is None:
        raise invalid(f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.')
    if rest:
        _put(document.setdefault(field.name, {}), field.message_type, rest, value)
    elif field.is_repeated:
        document.setdefault(field.name, []).append(_scalar(field, value))
    else:
        document[field.name] = _scalar(field, value)


def _scalar(field: Any, value: str) -> Any:
    if field.type == FieldDescriptor.TYPE_BOOL:
        return value.lower() == "true"
    if field.type == FieldDescriptor.TYPE_ENUM and value.isdigit():
        return int(value)
    return value


def unimplemented(path: str) -> GoogleError:
    """Give the answer to a method that exists on Google Cloud and not here."""
    return GoogleError("UNIMPLEMENTED", f"{path} is not implemented by the local cloud.")
