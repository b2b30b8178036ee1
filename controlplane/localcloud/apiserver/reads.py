"""Reading lists: snapshots at a resourceVersion, selectors, pages.

A list that goes on in pages is consistent: every page shows the state at the first page's resourceVersion, rebuilt
from the history; once that is forgotten the answer is 410 with a token for going on inconsistently.
"""

import base64
from dataclasses import dataclass
from typing import Any

import orjson

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.errors import bad_request, expired, too_large_resource_version
from controlplane.localcloud.apiserver.records import Record
from controlplane.localcloud.apiserver.schema import FieldError
from controlplane.localcloud.apiserver.selectors import Predicate, field_predicate, label_predicate
from controlplane.localcloud.apiserver.store import Key, Shelf, Store

_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The query parameters of a list."""

    label_selector: str = ""
    field_selector: str = ""
    resource_version: str = ""
    match: str = ""
    limit: int = 0
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What a list answers."""

    records: list[Record]
    rv: int
    continue_token: str = ""
    remaining: int | None = None


class Filter:
    """A namespace and both selectors, as one test."""

    def __init__(self, resource: str, namespace: str | None, label_selector: str, field_selector: str) -> None:
        tests = (label_predicate(label_selector), field_predicate(resource, field_selector))
        self._tests: list[Predicate] = [test for test in tests if test is not None]
        self.namespace = namespace
        self.selects = bool(self._tests)

    def accepts(self, record: Record) -> bool:
        """Say whether the object is wanted; the namespace is looked at too."""
        if self.namespace is None and not self._tests:
            return True
        obj = record.object
        if self.namespace is not None and obj["metadata"].get("namespace", "") != self.namespace:
            return False
        return all(test(obj) for test in self._tests)


def list_page(store: Store, shelf: Shelf, wanted: Filter, options: ListOptions) -> Page:
    """Give the objects that a list asks for."""
    _check(options)
    start: Key | None = None
    rv = _exact_version(store, options)
    if options.continue_token:
        if options.resource_version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        token_rv, start = _decode(options.continue_token)
        rv = token_rv if token_rv > 0 else None
    state = _state(shelf, rv, options, start)
    keys = shelf.order() if state is shelf.records else sorted(state)
    found: list[Record] = []
    namespace = wanted.namespace
    for position, key in enumerate(keys):
        if (start is not None and key <= start) or (namespace is not None and key[0] != namespace):
            continue
        record = state[key]
        if wanted.selects and not wanted.accepts(record):
            continue
        if options.limit and len(found) == options.limit:
            last = found[-1].object["metadata"]
            token = _encode(rv or store.rv, (last.get("namespace", ""), last["name"]))
            rest = keys[position:] if namespace is None else [one for one in keys[position:] if one[0] == namespace]
            return Page(found, rv or store.rv, token, None if wanted.selects else len(rest))
        found.append(record)
    return Page(found, rv or store.rv)


def _state(shelf: Shelf, rv: int | None, options: ListOptions, start: Key | None) -> dict[Key, Record]:
    if rv is None:
        return shelf.records
    try:
        return shelf.at(rv)
    except ApiError as error:
        if not options.continue_token or start is None:
            raise expired("The resourceVersion for the provided list is too old.") from error
        raise expired(_EXPIRED, continue_token=_encode(-1, start)) from error


def _exact_version(store: Store, options: ListOptions) -> int | None:
    version = parse_version(options.resource_version)
    if version is None:
        return None
    if version > store.rv:
        raise too_large_resource_version(version, store.rv)
    exact = options.match == "Exact" or (not options.match and options.limit > 0)
    return version if exact and version > 0 else None


def parse_version(text: str) -> int | None:
    """Read a resourceVersion; None for "" and "0", which mean any."""
    if text in ("", "0"):
        return None
    if not text.isdigit():
        why = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ApiError(500, "", why)
    return int(text)


def _check(options: ListOptions) -> None:
    if not options.match:
        return
    field = "resourceVersionMatch"
    if options.match not in ("Exact", "NotOlderThan"):
        text = 'supported values: "Exact", "NotOlderThan", ""'
        raise list_options_error(FieldError("FieldValueNotSupported", field, options.match, text))
    if not options.resource_version:
        raise list_options_error(
            FieldError("FieldValueForbidden", field, "", f"{field} is forbidden unless resourceVersion is provided")
        )
    if options.match == "Exact" and options.resource_version == "0":
        text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        raise list_options_error(FieldError("FieldValueForbidden", field, "", text))
    if options.continue_token:
        text = "resourceVersionMatch is forbidden when continue is provided"
        raise list_options_error(FieldError("FieldValueForbidden", field, "", text))


def list_options_error(error: FieldError) -> ApiError:
    """Give the 422 about a list's parameters."""
    details = {"group": "meta.k8s.io", "kind": "ListOptions", "causes": [error.cause()]}
    return ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {error}', details=details)


def _encode(rv: int, last: Key) -> str:
    token: dict[str, Any] = {"v": "meta.k8s.io/v1", "rv": rv, "start": "/".join(part for part in last if part)}
    return base64.urlsafe_b64encode(orjson.dumps(token | {"key": list(last)})).decode().rstrip("=")


def _decode(token: str) -> tuple[int, Key]:
    try:
        value = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, name = value["key"]
        return int(value["rv"]), (str(namespace), str(name))
    except (ValueError, KeyError, TypeError):
        raise bad_request(
            "invalid continue token: continue key is not valid: illegal base64 data or unknown encoding"
        ) from None
