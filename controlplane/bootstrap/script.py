"""The parts as a script of gcloud and kubectl commands: the same by hand, for those who want to read or own it."""

import shlex
from collections.abc import Iterable, Sequence

from controlplane.bootstrap.values import Command, Part

WIDTH = 110


def script(parts: Sequence[Part], *, title: str, undo: bool = False) -> str:
    """Give a bash script that makes the parts, or takes them away, which it does in the reverse order."""
    made = [(part, part.undo if undo else part.commands) for part in (reversed(parts) if undo else parts)]
    what = "Takes down" if undo else "Makes"
    done = "--destroy" if undo else "--apply"
    lines = [
        "#!/usr/bin/env bash",
        f"# {what} what GPU Hunter needs in {title}, command by command, as `gpuhunter bootstrap {done}` does.",
        "# That looks first and does only what is missing; here a command fails where its work is done already.",
        "set -euo pipefail",
    ]
    for part, commands in made:
        if commands and not (undo and part.kept):
            lines += ["", f"# {part.name}", *(line for command in commands for line in written(command))]
    return "\n".join(lines) + "\n"


def gcloud_lines(parts: Iterable[Part]) -> tuple[str, ...]:
    """Give every gcloud command, each on one line, for checking."""
    commands = [command for part in parts for command in (*part.commands, *part.undo)]
    return tuple(shlex.join(command.words) for command in commands if command.words[0] == "gcloud")


def written(command: Command) -> list[str]:
    """Write a command over as many lines as it needs, an option a line where it is long."""
    whole = str(command)
    if len(whole) <= WIDTH:
        return [whole]
    lines: list[str] = []
    if command.source:
        lines += _folded(command.source)
        lines[-1] += " |"
        return [*lines, *(f"  {line}" for line in _folded(command.words))]
    return _folded(command.words)


def _folded(words: tuple[str, ...]) -> list[str]:
    """Break before options, so that each line stays short."""
    lines: list[str] = []
    line = ""
    for word in map(shlex.quote, words):
        indent = "  " if lines else ""
        if line and len(indent) + len(line) + len(word) + 3 > WIDTH:
            lines.append(f"{indent}{line} \\")
            line = word
        else:
            line = f"{line} {word}" if line else word
    lines.append(f"{'  ' if lines else ''}{line}")
    return lines
