"""A1111's own ways to write requests down, as nodes: prompts from a file, and the text inside its pictures."""

from __future__ import annotations

from typing import Any

from webui_image.batch.parameters.limits import FILE_BYTES
from webui_image.batch.parameters.nodes import Node
from webui_image.batch.parameters.problems import Problems, Wrong
from webui_image.prompts import infotext, prompts_from_file
from webui_image.values.errors import Invalid

_NO_TEXT = "give a picture that was made by A1111 or by this program, and not saved again by another"


def from_lines(text: str, file: str, problems: Problems) -> list[Node]:
    """Give one mapping for each line that holds a prompt, or options such as `--prompt "a cat" --steps 20`."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            found += [_as_node(fields, file, number) for fields in prompts_from_file.read(line)]
        except Invalid as error:
            message, _, remedy = error.message.partition("; ")
            problems.add(file, number, "", message, remedy or "mend this line")
    return found


def is_infotext(text: str) -> bool:
    """Tell whether text is that of one picture, not a list of prompts: its last line is A1111's settings."""
    return text.strip().rpartition("\n")[2].startswith("Steps: ") and len(text) <= infotext.LONGEST_TEXT


def from_infotext(node: Node) -> Node:
    """Give the mapping that a picture's text stands for. Raises Wrong where it is none."""
    if not isinstance(node.value, str):
        raise Wrong(f"must be text, not {node.describe()}", "write `infotext: |`, and the text indented under it")
    if not is_infotext(node.value):
        raise Wrong("is no text of a picture", "its last line begins with `Steps: `")
    try:
        return _as_node(infotext.parse(node.value).to_parameters(), node.file, node.line)
    except Invalid as error:
        raise Wrong(str(error), "mend or remove it") from None


def from_picture(content: bytes, file: str) -> Node:
    """Give the mapping that stands in a picture. Raises Wrong where nothing does."""
    from webui_image.pictures import png_info
    from webui_image.pictures.limits import PictureLimits

    try:
        text = png_info.read(content, limits=PictureLimits(encoded_bytes=FILE_BYTES)).text
    except Invalid as error:
        raise Wrong(error.message.partition("; ")[0], _NO_TEXT) from None
    if not text:
        raise Wrong("holds no parameters", _NO_TEXT)
    return from_infotext(Node(text, file, 0))


def _as_node(value: Any, file: str, line: int) -> Node:
    if isinstance(value, dict):
        value = {key: _as_node(inner, file, line) for key, inner in value.items()}
    return Node(value, file, line)
