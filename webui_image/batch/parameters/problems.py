"""What is wrong with a parameters file: all of it at once, one line each, so that one look mends the file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from webui_image.values.errors import WebUIError

SHOWN = 50  # more lines than this help nobody
_QUOTED = 60  # characters of a wrong value that are repeated


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it stands, what is wrong, and what to do about it."""

    file: str
    line: int  # from 1; 0: the file as a whole
    key: str  # e.g. "images[3].steps"; empty: no key in particular
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f"{self.key}: " if self.key else ""
        return f"{place}: {key}{self.message}; {self.remedy}"


class ParametersError(WebUIError):
    """The file cannot be rendered; the message has one line for each problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        lines = [str(problem) for problem in problems[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"and {len(problems) - SHOWN} more of the like; mend these first")
        super().__init__("\n".join(lines))
        self.problems = tuple(problems)


class Wrong(Exception):  # noqa: N818 - a mistake in the file, not in the program
    """A value does not fit; whoever knows its place makes a Problem of it."""

    def __init__(self, message: str, remedy: str, key: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.key = key  # beneath the value, e.g. "[1].weight"
        self.line = line


@dataclass(slots=True)
class Problems:
    """Collects what is found on the way."""

    found: list[Problem] = field(default_factory=list)
    _said: set[tuple[str, int, str]] = field(default_factory=set)

    def add(self, file: str, line: int, key: str, message: str, remedy: str) -> None:
        """Write one down; the same of the same line once, however many pictures it spoils."""
        if (file, line, message) not in self._said:
            self._said.add((file, line, message))
            self.found.append(Problem(file, line, key, message, remedy))

    def raise_any(self) -> None:
        """Raise all of them, in the order of the file, where there are any."""
        if self.found:
            raise ParametersError(sorted(self.found, key=lambda problem: (problem.file, problem.line)))


def near(word: str, known: Iterable[str], otherwise: str) -> str:
    """Give a remedy for an unknown word: what was probably meant, or `otherwise`."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower()[:100], by_lower, n=2, cutoff=0.6)
    if not close:
        return otherwise
    return "did you mean " + " or ".join(f'"{by_lower[name]}"' for name in close) + "?"


def quoted(value: object) -> str:
    """Show a wrong value, shortened, on one line."""
    text = str(value)
    return repr(text if len(text) <= _QUOTED else text[:_QUOTED] + "...")
