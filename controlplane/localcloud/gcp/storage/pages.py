"""Cloud Storage's lists: pages by `maxResults` and `pageToken`, and folders made of prefixes by a delimiter."""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence

from controlplane.localcloud.gcp.admin.calls import Document
from controlplane.localcloud.gcp.errors import invalid
from controlplane.localcloud.gcp.storage.shelf import Item, Shelf

LARGEST = 1000


def page(key: str, items: Sequence[Document], query: Mapping[str, str]) -> Document:
    """Give a page of things that have a name, in order of that; an empty list has no key at all."""
    size, after = limits(query)
    rest = [each for each in items if each["name"] > after]
    answer: Document = {key: rest[:size]} if rest else {}
    if len(rest) > size:
        answer["nextPageToken"] = _token(rest[size - 1]["name"])
    return answer


def objects(shelf: Shelf, query: Mapping[str, str], describe: Callable[[Item], Document]) -> Document:
    """Answer objects.list: a page of objects, and the prefixes that stand for those behind the next delimiter."""
    if "matchGlob" in query or query.get("softDeleted") == "true":
        raise invalid("The local cloud lists by prefix and delimiter only.")
    size, after = limits(query)
    items: list[Document] = []
    prefixes: list[str] = []
    last = ""
    for name, item in _rows(shelf, query, after):
        if len(items) + len(prefixes) == size:
            return _answer(items, prefixes) | {"nextPageToken": _token(last)}
        last = name
        if item is None:
            prefixes.append(name)
        else:
            items.append(describe(item))
    return _answer(items, prefixes)


def limits(query: Mapping[str, str]) -> tuple[int, str]:
    """Give how many are wanted at most, and the name behind which the page begins."""
    asked, token = query.get("maxResults") or str(LARGEST), query.get("pageToken", "")
    if not asked.isdigit() or int(asked) == 0:
        raise invalid(f"Invalid value for maxResults: {asked}")
    try:
        return min(int(asked), LARGEST), base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid(f"Invalid pageToken: {token}") from error


def _rows(shelf: Shelf, query: Mapping[str, str], after: str) -> Iterator[tuple[str, Item | None]]:
    """Give objects by name, and prefixes with no object, in one order and each once."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    start, end = query.get("startOffset", ""), query.get("endOffset", "")
    begin = after
    while True:
        jump = None
        for item in shelf.walk(prefix, begin):
            if item.name < start:
                continue
            if end and item.name >= end:
                return
            rest = item.name[len(prefix) :]
            if not delimiter or delimiter not in rest:
                yield item.name, item
                continue
            folder = prefix + rest[: rest.index(delimiter) + len(delimiter)]
            if folder > after:
                yield folder, None
            # All that begin with it lie together: go on behind the last that could.
            jump = folder + "\U0010ffff"
            break
        if jump is None:
            return
        begin = jump


def _answer(items: list[Document], prefixes: list[str]) -> Document:
    answer: Document = {"kind": "storage#objects"}
    return answer | ({"items": items} if items else {}) | ({"prefixes": prefixes} if prefixes else {})


def _token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()
