"""YAML, event by event: lines are kept, nothing is built that the file did not pay for, and words stay words.

`yaml.safe_load` forgets lines, reads `no` as false and `12:30` as 750, and follows nine lines of aliases into memory
without end. Here an alias weighs as much as what it repeats, and plain scalars wait for their key to say what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import yaml

from webui_image.batch.parameters.nodes import DEEPEST, MOST_NODES, Node, Plain
from webui_image.batch.parameters.problems import Problems, quoted

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Stop(Exception):  # noqa: N818 - the problem is written down already
    """There is no sense in reading on."""


def read(text: str, file: str, problems: Problems) -> Node | None:
    """Read one document; None where its problems keep it from being read to the end."""
    reader = _Reader(file, problems)
    try:
        return reader.document(yaml.parse(text, Loader=_LOADER))
    except _Stop:
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.add(file, mark.line + 1 if mark else 0, "", f"not YAML: {error.problem or error.context}", _REMEDY)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.add(file, line, "", "holds a character that YAML does not allow", "take it out")
    return None


_REMEDY = "look at indentation, quotes and brackets here"


class _Reader:
    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._anchors: dict[str, Node] = {}
        self._weight = 0

    def document(self, events: Iterator[yaml.Event]) -> Node | None:
        """Give the only document's root."""
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self._stop(event, "a second document", "put all pictures into one, and take the --- out")
                root = self._node(next(events), events, 0)
        return root

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        line = _line(event)
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            return self._alias(event)
        if event.tag not in {None, "!"}:
            self._stop(event, f"the tag {quoted(event.tag)}", "take it out: values need no tags here")
        if depth > DEEPEST:
            self._stop(event, f"more than {DEEPEST} levels inside each other", "flatten it")
        before = self._weight
        self._grow(1, event)
        if isinstance(event, yaml.ScalarEvent):
            node = Node(Plain(event.value) if event.implicit[0] else event.value, self._file, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(self._items(events, depth), self._file, line)
        else:
            node = Node(self._mapping(events, depth), self._file, line)
        node.weight = self._weight - before
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _items(self, events: Iterator[yaml.Event], depth: int) -> list[Node]:
        items: list[Node] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._node(event, events, depth + 1))
        return items

    def _mapping(self, events: Iterator[yaml.Event], depth: int) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(event, "a key that is no word", "write `key: value`")
            value = self._node(next(events), events, depth + 1)
            if event.value == "<<" and event.implicit[0]:
                self._merge(event, value, merged)
            elif event.value in own:
                self._problem(event, quoted(event.value) + " stands twice in one mapping", "keep one")
            else:
                own[event.value] = Node(value.value, self._file, _line(event), value.weight)
        return {**merged, **own}

    def _merge(self, event: yaml.Event, value: Node, into: dict[str, Node]) -> None:
        for part in value.value if isinstance(value.value, list) else [value]:
            if not isinstance(part.value, dict):
                self._stop(event, "<< merges something that is no mapping", "name an anchor of a mapping")
            for key, node in part.value.items():
                into.setdefault(key, node)

    def _alias(self, event: yaml.Event) -> Node:
        name = getattr(event, "anchor", None) or ""
        known = self._anchors.get(name)
        if known is None:
            self._stop(event, f"the alias *{name} has no anchor before it", f"write &{name} there")
        self._grow(known.weight, event)
        return known

    def _grow(self, weight: int, event: yaml.Event) -> None:
        self._weight += weight
        if self._weight > MOST_NODES:
            self._stop(event, f"more than {MOST_NODES:,} values, aliases counted", "split the file")

    def _problem(self, event: yaml.Event, message: str, remedy: str) -> None:
        self._problems.add(self._file, _line(event), "", message, remedy)

    def _stop(self, event: yaml.Event, message: str, remedy: str) -> NoReturn:
        self._problem(event, message, remedy)
        raise _Stop


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
