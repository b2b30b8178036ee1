"""Reads a parameters file: which format it is, what stands at its top, and all its pictures or all its problems."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path, PurePath

from webui_image.batch.parameters import csv_file, json_file, yaml_file
from webui_image.batch.parameters.entries import Context, Values, axes_of, entries, values_of
from webui_image.batch.parameters.files import Files, LocalFiles, decode
from webui_image.batch.parameters.keys import ALIASES, BY_NAME
from webui_image.batch.parameters.limits import FILE_BYTES, Names
from webui_image.batch.parameters.nodes import Node
from webui_image.batch.parameters.pictures import Batch
from webui_image.batch.parameters.problems import ParametersError, Problem, Problems, Wrong, near
from webui_image.batch.parameters.prompt_files import from_infotext, from_lines, from_picture, is_infotext
from webui_image.batch.parameters.resolve import Resolver
from webui_image.values.ports import Recommended

TOP = ("name", "defaults", "images", "matrix", "prompts_file", "$schema")
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def read(
    path: Path, *, names: Names | None = None, recommended: Callable[[str], Recommended] = lambda _: Recommended()
) -> Batch:
    """Read and check a file on this machine. Raises ParametersError with everything that is wrong with it."""
    try:
        content = LocalFiles(path.parent).read(path.name, FILE_BYTES)
    except Wrong as wrong:
        raise ParametersError([Problem(str(path), 0, "", wrong.message, wrong.remedy)]) from None
    files = LocalFiles(path.parent)
    return parse(content, path.name, files, names=names, recommended=recommended)


def parse(
    content: bytes,
    file: str,
    files: Files,
    *,
    names: Names | None = None,
    recommended: Callable[[str], Recommended] = lambda _: Recommended(),
) -> Batch:
    """Read and check a file's content; `file` names the format by its ending, `files` gives what it includes.

    `recommended` gives, for a model's name (empty: the default one), the values of what the file leaves open.
    """
    context = Context(files, names or Names(), recommended)
    root = _root(content, file, context.problems)
    context.problems.raise_any()
    resolver = Resolver(context)
    name = _top(root or Node([], file, 0), PurePath(file).stem, file, context, resolver)
    context.problems.raise_any()
    return Batch(name, file, hashlib.sha256(content).hexdigest(), tuple(resolver.pictures))


def _root(content: bytes, file: str, problems: Problems) -> Node | None:
    ending = PurePath(file).suffix.lower()
    try:
        if not content.strip():
            raise Wrong("is empty", "write at least `prompt: ...`")  # noqa: TRY301 - one place for the file's problems
        if ending in PICTURES:
            return from_picture(content, file)
        text = decode(content)
        if ending in {".yaml", ".yml"}:
            return yaml_file.read(text, file, problems)
        if ending == ".json":
            return json_file.read(text, file, problems)
        if ending in {".jsonl", ".ndjson"}:
            return json_file.read_lines(text, file, problems)
        if ending in {".csv", ".tsv"}:
            return csv_file.read(text, file, problems)
        if ending == ".txt":
            if is_infotext(text):
                return from_infotext(Node(text, file, 1))
            return Node(from_lines(text, file, problems), file, 1)
        message = f"the ending {ending!r} says no format" if ending else "has no ending that says its format"
        raise Wrong(message, "name it .yaml, .json, .jsonl, .csv, .txt or .png")  # noqa: TRY301
    except Wrong as wrong:
        problems.add(file, wrong.line, "", wrong.message, wrong.remedy)
        return None


def _top(root: Node, name: str, file: str, context: Context, resolver: Resolver) -> str:
    problems = context.problems
    top: dict[str, Node] = {}
    listed: list[tuple[str, Node]] = []
    if isinstance(root.value, list):
        listed = _numbered(root)
    elif not isinstance(root.value, dict):
        problems.add(file, root.line, "", f"must be a mapping or a list, not {root.describe()}", "write `prompt: ...`")
        return name
    elif root.value.keys() & {"prompt", "infotext"} and not root.value.keys() & {"images", "defaults"}:
        own = {key: node for key, node in root.value.items() if key not in {"name", "$schema"}}
        listed = [("", Node(own, file, root.line))]
        top = {key: root.value[key] for key in ("name",) if key in root.value}
    else:
        top = {key: node for key, node in root.value.items() if not node.absent}
        listed = _images(top, root, context)
    defaults = _defaults(top, context)
    axes = axes_of(top.get("matrix"), "", context)
    for key, node in listed:
        for entry in entries(node, key, defaults, axes, context):
            resolver.add(entry)
    if not listed and not problems.found:
        problems.add(file, root.line, "", "asks for no picture", "write `images:` with a list of entries, or `prompt:`")
    return _name(top, name, problems)


def _numbered(images: Node) -> list[tuple[str, Node]]:
    return [(f"images[{number}]", node) for number, node in enumerate(images.value)]


def _images(top: dict[str, Node], root: Node, context: Context) -> list[tuple[str, Node]]:
    for key, node in top.items():
        if key not in TOP:
            is_picture = key in BY_NAME or key in ALIASES
            remedy = "put it under `defaults:`" if is_picture else near(key, TOP, f"use {', '.join(TOP[:-1])}")
            context.problems.add(node.file, node.line, key, "unknown key at the top", remedy)
    listed: list[tuple[str, Node]] = []
    images, prompts = top.get("images"), top.get("prompts_file")
    if images is not None and isinstance(images.value, list):
        listed = _numbered(images)
    elif images is not None:
        message = f"must be a list, not {images.describe()}"
        context.problems.add(images.file, images.line, "images", message, "begin each entry with a dash")
    if prompts is not None:
        listed.append(("", Node({"prompts_file": prompts}, root.file, prompts.line)))
    return listed


def _defaults(top: dict[str, Node], context: Context) -> Values:
    node = top.get("defaults")
    if node is None:
        return Values()
    if not isinstance(node.value, dict):
        message = f"must be a mapping, not {node.describe()}"
        context.problems.add(node.file, node.line, "defaults", message, "write `key: value` lines under it")
        return Values()
    for key in ("matrix", "prompts_file", "infotext"):
        if key in node.value:
            line = node.value[key].line
            context.problems.add(
                node.file, line, f"defaults.{key}", "is no default", "put it at the top or into an entry"
            )
    return values_of(node, "defaults", context)


def _name(top: dict[str, Node], stem: str, problems: Problems) -> str:
    node = top.get("name")
    if node is None or node.absent:
        return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-_")[:100] or "pictures"
    if not isinstance(node.value, str) or not NAME.fullmatch(node.value):
        remedy = "use letters, digits, dots, dashes and underscores, beginning with a letter or digit"
        problems.add(node.file, node.line, "name", "is no name for a folder", remedy)
    return str(node.value)
