"""A REST call taken apart, and the table that says who answers it.

Google gives every API a host of its own; here they share one port, so the table is of whole paths, version included.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from controlplane.localcloud.gcp.errors import GoogleError, invalid

Document: TypeAlias = dict[str, Any]
LARGEST_PAGE = 1000
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `fields`: what the path's placeholders hold; `body`: the JSON object that came, empty for none."""

    verb: str
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.fields[name]

    @property
    def mask(self) -> tuple[str, ...]:
        """The top-level fields that a PATCH changes; without an updateMask, those that it brings."""
        return masked(self.query.get("updateMask"), self.body)


Handler: TypeAlias = Callable[[Call], Document]


@dataclass(frozen=True, slots=True)
class Route:
    """A verb, a path such as `/v1/projects/{project}/roles/{role}`, and who answers."""

    verb: str
    pattern: re.Pattern[str]
    answer: Handler


def route(verb: str, path: str, answer: Handler) -> Route:
    """Make a route; a placeholder takes one segment, without slash or colon."""
    return Route(verb, re.compile(_PLACEHOLDER.sub(r"(?P<\1>[^/:]+)", path)), answer)


class Router:
    """Finds who answers a call."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)

    def find(self, verb: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Give the route and what its placeholders hold."""
        for each in self._routes:
            if each.verb == verb and (match := each.pattern.fullmatch(path)):
                return each, match.groupdict()
        return None


def masked(mask: object, body: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the top-level fields that an update mask names, camel-cased or not; without one, those of the body."""
    return tuple(_camel(path.partition(".")[0]) for path in str(mask).split(",")) if mask else tuple(body)


def page(key: str, items: Sequence[Document], query: Mapping[str, str], *, size: int = LARGEST_PAGE) -> Document:
    """Give one page of a list: `pageSize`, `pageToken` and `nextPageToken`; an empty list has no key at all."""
    asked, token = query.get("pageSize", "0"), query.get("pageToken", "")
    if not asked.isdigit() or (token and not token.isdigit()):
        raise invalid("Request contains an invalid argument.")
    start = int(token or 0)
    end = start + min(int(asked) or size, size)
    answer: Document = {key: list(items[start:end])} if items[start:end] else {}
    if end < len(items):
        answer["nextPageToken"] = str(end)
    return answer


def check_etag(kept: str, given: object) -> None:
    """Refuse a write that was made from an older reading."""
    if given and given != kept:
        raise GoogleError(
            "ABORTED",
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.",
        )


def _camel(name: str) -> str:
    first, *rest = name.strip().split("_")
    return first + "".join(word.capitalize() for word in rest)
