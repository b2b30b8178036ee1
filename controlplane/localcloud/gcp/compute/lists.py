"""Compute Engine's lists: one scope's, and those aggregated over all scopes, with filter, paging and warnings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from controlplane.localcloud.gcp.compute.filters import parse
from controlplane.localcloud.gcp.errors import GoogleError, invalid

Document: TypeAlias = dict[str, Any]

ROOT = "https://www.googleapis.com/compute/v1"
LARGEST_PAGE = 500


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A list request's parameters."""

    filter: str = ""
    max_results: int = LARGEST_PAGE
    page_token: str = ""
    order_by: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "ListQuery":
        """Read the query string."""
        text = parameters.get("maxResults", str(LARGEST_PAGE))
        if not text.isdigit() or int(text) > LARGEST_PAGE:
            raise invalid(f"Invalid value for field 'maxResults': '{text}'. Must be between 0 and {LARGEST_PAGE}.")
        return cls(
            parameters.get("filter", ""),
            int(text) or LARGEST_PAGE,
            parameters.get("pageToken", ""),
            parameters.get("orderBy", ""),
        )

    @property
    def start(self) -> int:
        """Where the page begins."""
        if self.page_token and not self.page_token.isdigit():
            raise invalid(f"Invalid value for field 'pageToken': '{self.page_token}'. Invalid page token.")
        return int(self.page_token or 0)

    def ordered(self, items: Sequence[Document]) -> list[Document]:
        """Filter and sort."""
        test = parse(self.filter)
        found = [item for item in items if test(item)]
        if self.order_by.split() == ["creationTimestamp", "desc"]:
            return sorted(found, key=lambda item: str(item.get("creationTimestamp", "")), reverse=True)
        if self.order_by not in ("", "name"):
            raise invalid(f"Invalid value for field 'orderBy': '{self.order_by}'.")
        return sorted(found, key=lambda item: str(item["name"]))


def plain(kind: str, path: str, items: Sequence[Document], query: ListQuery) -> Document:
    """Give one scope's list."""
    found = query.ordered(items)
    end = query.start + query.max_results
    page = found[query.start : end]
    answer: Document = {"kind": f"compute#{kind}", "id": path, "selfLink": f"{ROOT}/{path}"}
    if page:
        answer["items"] = page
    if end < len(found):
        answer["nextPageToken"] = str(end)
    return answer


def aggregated(
    kind: str,
    path: str,
    field: str,
    scopes: Mapping[str, Sequence[Document]],
    query: ListQuery,
    *,
    unreachable: Sequence[str] = (),
) -> Document:
    """Give the list over all scopes: an empty scope is there with a warning, one that is down is named unreachable."""
    rows = [(scope, item) for scope in sorted(scopes) for item in query.ordered(scopes[scope])]
    end = query.start + query.max_results
    page = rows[query.start : end]
    by_scope: dict[str, list[Document]] = {}
    for scope, item in page:
        by_scope.setdefault(scope, []).append(item)
    answers: Document = {}
    for scope in sorted(scopes):
        if scope in by_scope:
            answers[scope] = {field: by_scope[scope]}
        elif query.start == 0:
            answers[scope] = {"warning": _nothing(scope)}
    answer: Document = {
        "kind": f"compute#{kind}",
        "id": path,
        "selfLink": f"{ROOT}/{path}",
        "items": answers,
    }
    if end < len(rows):
        answer["nextPageToken"] = str(end)
    # Only the first page says it: a client that keeps just the last page's word misses it, as with the real API.
    if unreachable and query.start == 0:
        answer["unreachables"] = sorted(unreachable)
        answer["warning"] = {
            "code": "UNREACHABLE",
            "message": "Some scopes did not answer; the list is partial.",
            "data": [{"key": "scope", "value": scope} for scope in sorted(unreachable)],
        }
    return answer


def named(items: Sequence[Document], name: str, path: str) -> Document:
    """Give one resource of a list, or Compute's 404."""
    for item in items:
        if item["name"] == name:
            return item
    raise GoogleError("NOT_FOUND", f"The resource '{path}' was not found", "notFound")


def _nothing(scope: str) -> Document:
    return {
        "code": "NO_RESULTS_ON_PAGE",
        "message": f"There are no results for scope '{scope}' on this page.",
        "data": [{"key": "scope", "value": scope}],
    }
