"""Reading YAML files as people write them: several documents, line numbers kept, nothing executed.

Only the safe loader is used, so a tag cannot build an object; duplicate keys, which YAML forbids and most readers
silently accept, are errors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controlplane.api.problems import Problem, SpecError

LARGEST_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: the object and where its parts stand in the file."""

    file: str
    line: int
    object: Mapping[str, Any]
    lines: Mapping[str, int]

    def place(self, path: str) -> str:
        """Give `file:line` of a field path, or of its nearest parent that stands in the file."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return f"{self.file}:{self.lines.get(path, self.line)}"


def load_documents(path: Path) -> list[Document]:
    """Read every document of a file. Raises SpecError for a file that is missing, too large or not YAML."""
    text = _text(path)
    documents: list[Document] = []
    try:
        nodes = yaml.compose_all(text, Loader=yaml.SafeLoader)
        documents.extend(_document(path, node) for node in nodes if node is not None)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SpecError([Problem("", f"is not YAML ({what})", "correct the syntax", place)]) from error
    if not documents:
        raise SpecError([Problem("", "is empty", "write at least one object into it", str(path))])
    return documents


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise SpecError([Problem("", "is larger than 1 MiB", "split it", str(path))])
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SpecError([Problem("", "there is no such file", "check the path", str(path))]) from error
    except IsADirectoryError as error:
        raise SpecError([Problem("", "is a directory", "name a file", str(path))]) from error
    except UnicodeDecodeError as error:
        raise SpecError([Problem("", "is not UTF-8 text", "save it as UTF-8", str(path))]) from error
    except OSError as error:
        raise SpecError(
            [Problem("", f"cannot be read ({error.strerror})", "check its permissions", str(path))]
        ) from error


def _document(path: Path, node: yaml.Node) -> Document:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        raise SpecError(
            [Problem("", "is not an object", "write apiVersion, kind, metadata and spec", f"{path}:{line}")]
        )
    lines: dict[str, int] = {}
    _index(path, node, "", lines)
    loader = yaml.SafeLoader("")
    try:
        loaded = loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = getattr(error, "problem", None) or str(error)
        raise SpecError([Problem("", f"cannot be read ({what})", "correct it", f"{path}:{line}")]) from error
    finally:
        loader.dispose()
    return Document(str(path), line, loaded, lines)


def _index(path: Path, node: yaml.Node, at: str, lines: dict[str, int], depth: int = 0) -> None:
    if depth > 50:
        raise SpecError([Problem(at[:80], "is nested too deeply", "flatten it", str(path))])
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = f"{at}.{key.value}" if at else str(key.value)
            if name in seen:
                place = f"{path}:{key.start_mark.line + 1}"
                raise SpecError([Problem(name, "is written twice", "keep one of them", place)])
            seen.add(name)
            lines[name] = key.start_mark.line + 1
            _index(path, value, name, lines, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[f"{at}[{number}]"] = value.start_mark.line + 1
            _index(path, value, f"{at}[{number}]", lines, depth + 1)
