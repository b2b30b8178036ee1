"""From what is written to checked values: other names resolved, kinds checked, lists of prompts and matrices opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from webui_image.batch.parameters.files import Digests, Files, decode
from webui_image.batch.parameters.keys import (
    ALIASES,
    BY_NAME,
    COUNTS,
    ENABLE_HIRES,
    HIRES,
    HIRES_ALIASES,
    MEANINGLESS,
    OVERRIDABLE,
    OVERRIDES,
    REFUSED,
    RESIZE_FROM,
    SPECIAL,
    is_known,
    unknown,
)
from webui_image.batch.parameters.kinds import Flag, Kind, NotDone, Whole
from webui_image.batch.parameters.limits import INCLUDE_BYTES, LARGEST_SIDE, MOST_PICTURES, PICTURE_BYTES, Names
from webui_image.batch.parameters.nodes import Node
from webui_image.batch.parameters.problems import Problems, Wrong, near
from webui_image.batch.parameters.prompt_files import from_infotext, from_lines
from webui_image.values.ports import Recommended

Place = tuple[str, int]  # file and line
Axes = dict[str, list["Values"]]

_STAND_INS = {"prompt": "", "image": None, "mask": None}
"""For wrong values, so that one mistake is not told again as something missing. Nothing is rendered with them."""


@dataclass(frozen=True, slots=True)
class Values:
    """Checked values by the keys' own names, and where each was written."""

    given: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    def over(self, defaults: Values) -> Values:
        """Give these, and the defaults for what is not given; the second pass key by key."""
        if not defaults.given:
            return self
        given = defaults.given | self.given
        below, above = defaults.given.get("hires"), self.given.get("hires")
        if below and above is not None:
            given["hires"] = below | above
        return Values(given, defaults.places | self.places)


@dataclass(slots=True)
class Context:
    """What the whole reading shares."""

    files: Files
    names: Names
    recommended: Callable[[str], Recommended]
    problems: Problems = field(default_factory=Problems)
    digests: Digests = field(init=False)

    def __post_init__(self) -> None:
        self.digests = Digests(self.files, PICTURE_BYTES)

    def wrong(self, node: Node, key: str, wrong: Wrong) -> None:
        """Write a wrong value down with its place."""
        self.problems.add(node.file, wrong.line or node.line, f"{key}{wrong.key}", wrong.message, wrong.remedy)


@dataclass(slots=True)
class Entry:
    """One entry: its values over the defaults, and what is multiplied."""

    values: Values
    own: set[str]  # keys that the entry itself gives
    axes: Axes
    key: str  # e.g. "images[3]"
    file: str
    line: int


def entries(node: Node, key: str, defaults: Values, axes: Axes, context: Context) -> Iterator[Entry]:
    """Give the entry that a mapping is, or one for each line of its `prompts_file`."""
    if not isinstance(node.value, dict):
        if isinstance(node.value, str) and not node.absent:  # a bare text in the list is a prompt
            node = Node({"prompt": node}, node.file, node.line)
        else:
            message = f"must be a mapping, not {node.describe()}"
            context.problems.add(node.file, node.line, key, message, "write `- prompt: ...`")
            return
    own = values_of(node, key, context)
    own_axes = axes_of(node.value.get("matrix"), key, context)
    for listed in _listed(node, key, context):
        given = own
        if listed is not node:
            inner = values_of(listed, key, context)
            given = own.over(inner) if listed.file == node.file else inner.over(own)
        all_axes = {name: axis for name, axis in axes.items() if not _settled(axis, given)} | own_axes
        yield Entry(given.over(defaults), {*given.given, *own_axes}, all_axes, key, listed.file, listed.line)


def _settled(axis: list[Values], given: Values) -> bool:
    return any(values.given.keys() & given.given.keys() for values in axis)


def _listed(node: Node, key: str, context: Context) -> list[Node]:
    infotext, prompts = node.value.get("infotext"), node.value.get("prompts_file")
    if infotext is not None and not infotext.absent:
        try:
            return [from_infotext(infotext)]
        except Wrong as wrong:
            context.wrong(infotext, joined(key, "infotext"), wrong)
            return []
    if prompts is None or prompts.absent:
        return [node]
    if "prompt" in node.value:
        message = "stands beside a prompt"
        context.problems.add(prompts.file, prompts.line, joined(key, "prompts_file"), message, "keep one of the two")
    return list(_prompts(prompts, joined(key, "prompts_file"), context))


def _prompts(node: Node, key: str, context: Context) -> Iterator[Node]:
    for item in node.value if isinstance(node.value, list) else [node]:
        try:
            path = BY_NAME["image"].kind.check(item, context.names)
            text = decode(context.files.read(path, INCLUDE_BYTES))
        except Wrong as wrong:
            message = f"{item.value}: {wrong.message}" if wrong.line else wrong.message
            context.problems.add(item.file, item.line, key, message, wrong.remedy)
            continue
        lines = from_lines(text, path, context.problems)
        if not lines:
            context.problems.add(item.file, item.line, key, f"{path} holds no prompt", "write one prompt a line")
        yield from lines


def joined(*keys: str) -> str:
    """Give the place of a key inside another; empty ones are no place."""
    return ".".join(key for key in keys if key)


def values_of(node: Node, key: str, context: Context) -> Values:
    """Give the checked values of a mapping of picture keys; what is wrong is written down and left out."""
    values = Values()
    for name, inner in node.value.items():
        if name in SPECIAL or name in MEANINGLESS:
            continue
        for canonical, kind, target in _targets(name, inner, context):
            if target.absent:
                continue
            try:
                _put(values.given, canonical, kind.check(target, context.names))
                values.places[canonical.partition(".")[0]] = target.file, target.line
            except Wrong as wrong:
                context.wrong(target, joined(key, name), wrong)
                if canonical in _STAND_INS:
                    values.given.setdefault(canonical, _STAND_INS[canonical])
        if not is_known(name):
            message, remedy = unknown(name)
            context.problems.add(inner.file, inner.line, joined(key, name), message, remedy)
    enabled = values.given.pop(ENABLE_HIRES, None)
    if enabled:
        values.given.setdefault("hires", {})
    elif enabled is False:
        values.given["hires"] = None
    return values


def _targets(name: str, node: Node, context: Context) -> Iterator[tuple[str, Kind, Node]]:
    canonical = ALIASES.get(name, name)
    if canonical in BY_NAME:
        yield canonical, BY_NAME[canonical].kind, node
    elif name in HIRES_ALIASES:
        yield f"hires.{HIRES_ALIASES[name]}", HIRES[HIRES_ALIASES[name]], node
    elif name in COUNTS:
        yield f"count*{name}", Whole(1, MOST_PICTURES), node
    elif name in RESIZE_FROM:
        yield f"seed_resize_from.{name[-1]}", Whole(-1, LARGEST_SIDE), node
    elif name in REFUSED:
        yield name, NotDone(), node
    elif name == ENABLE_HIRES:
        yield ENABLE_HIRES, Flag(), node
    elif name == OVERRIDES and isinstance(node.value, dict):
        for setting, inner in node.value.items():
            if setting in REFUSED:
                yield setting, NotDone(), inner
            elif setting in OVERRIDABLE:
                yield ALIASES[setting], BY_NAME[ALIASES[setting]].kind, inner
            else:
                remedy = near(setting, OVERRIDABLE, f"take it out; taken are {', '.join(OVERRIDABLE)}")
                context.problems.add(inner.file, inner.line, f"{name}.{setting}", "unknown setting", remedy)


def _put(values: dict[str, Any], canonical: str, value: Any) -> None:
    """Put a checked value under its own name. Raises Wrong where that is taken."""
    group, dot, inner = canonical.partition(".")
    if canonical.startswith("count*"):
        values["count"] = values.get("count", 1) * value
    elif dot and group == "hires":
        values["hires"] = (values.get("hires") or {}) | {inner: value}
    elif dot:
        values["seed_resize"] = values.get("seed_resize", {}) | {inner: value}
    elif canonical == "size":
        if "width" in values or "height" in values:
            raise Wrong("stands beside width or height", "keep one of the two ways")
        values["width"], values["height"] = value
    elif canonical == "hires" and value is not None:
        values["hires"] = (values.get("hires") or {}) | value
    elif canonical in values:
        raise Wrong(f"{canonical} is given twice", "keep one of its names")
    elif canonical not in REFUSED:
        values[canonical] = value


def axes_of(node: Node | None, key: str, context: Context) -> Axes:
    """Give a matrix's axes: for each key its values, in the order written."""
    if node is None or node.absent:
        return {}
    place = joined(key, "matrix")
    if not isinstance(node.value, dict):
        message = f"must be a mapping of keys to lists, not {node.describe()}"
        context.problems.add(node.file, node.line, place, message, "write `matrix: {seed: [1, 2, 3]}`")
        return {}
    axes: Axes = {}
    for name, listed in node.value.items():
        items = _items(listed)
        if not items:
            message = "must be a list of values" if items is None else "is an empty list"
            remedy = f"write `{name}: [..., ...]`, or a range of whole numbers as 1..10"
            context.problems.add(listed.file, listed.line, f"{place}.{name}", message, remedy)
            continue
        if len(items) > MOST_PICTURES:
            message, remedy = f"has more than {MOST_PICTURES:,} values", "so many pictures are too many for one file"
            context.problems.add(listed.file, listed.line, f"{place}.{name}", message, remedy)
            continue
        checked = [values_of(Node({name: item}, item.file, item.line), place, context) for item in items]
        for canonical in {canonical for values in checked for canonical in values.given}:
            if any(canonical in axis[0].given for axis in axes.values() if axis):
                message = f"{canonical} is given by two axes"
                context.problems.add(listed.file, listed.line, f"{place}.{name}", message, "keep one")
        axes[str(name)] = [values for values in checked if values.given]
    return axes


def _items(node: Node) -> list[Node] | None:
    if isinstance(node.value, list):
        return node.value
    first, dots, last = node.value.partition("..") if isinstance(node.value, str) else ("", "", "")
    if not (dots and first.strip().isdecimal() and last.strip().isdecimal() and len(first + last) < 24):
        return None
    begin, end = int(first), min(int(last), int(first) + MOST_PICTURES)  # one too many, which is refused
    return [Node(number, node.file, node.line) for number in range(begin, end + 1)]
