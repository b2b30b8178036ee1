"""What is wrong with an input, as values: where, what, and what to do. One line each, never a traceback."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `source` is a file (with line where known) or an object's name; `path` the field."""

    path: str
    what: str
    remedy: str
    source: str = ""

    def __str__(self) -> str:
        """Give the one line a user reads."""
        place = ": ".join(part for part in (self.source, self.path) if part)
        return f"{place}: {self.what}; {self.remedy}"


class SpecError(Exception):
    """An input that cannot be used. `problems` is never empty."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """Give `did you mean X?` when something known is near, else the given advice."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else otherwise
