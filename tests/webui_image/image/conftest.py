"""Reads the Dockerfile as far as its tests need: stages, instructions, what is copied, what is left out."""

import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CONTEXT = Path(__file__).parents[3] / "webui_image"


@dataclass
class Stage:
    """A stage: what it starts from and its instructions, each as (word, rest)."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [rest for name, rest in self.steps if name == word]

    def copies(self) -> list[tuple[str | None, list[str], str]]:
        """Give (stage copied from or None, sources, target) of every COPY."""
        found = []
        for rest in self.all("COPY"):
            words = shlex.split(rest)
            start = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
            found.append((start, words[:-1], words[-1]))
        return found

    def env(self) -> dict[str, str]:
        pairs = (word.partition("=") for rest in self.all("ENV") for word in shlex.split(rest))
        return {name: value for name, _, value in pairs}


class Dockerfile:
    """The web UI's Dockerfile, and what its context gives to a build."""

    def __init__(self) -> None:
        text = re.sub(r"^\s*#.*\n", "", (CONTEXT / "Dockerfile").read_text(), flags=re.MULTILINE)
        self.stages: dict[str, Stage] = {}
        self.arguments: dict[str, str] = {}
        for line in re.sub(r"\\\n", " ", text).splitlines():
            word, _, rest = line.strip().partition(" ")
            if word == "FROM":
                base, _, name = rest.partition(" AS ")
                last = self.stages[name] = Stage(name, base)
            elif word and not self.stages:
                name, _, value = rest.partition("=")
                self.arguments[name] = value
            elif word:
                last.steps.append((word, rest))
        self.final = last

    def exec_form(self, word: str) -> list[str]:
        """Give an instruction's JSON list; one in shell form is no list, and fails."""
        return json.loads(self.final.all(word)[-1])

    def sent(self) -> list[Path]:
        """Give the files that `docker build webui_image` sends."""
        return [path for path in sorted(CONTEXT.rglob("*")) if path.is_file() and self.sends(path.relative_to(CONTEXT))]

    def sends(self, relative: Path) -> bool:
        """Say whether .dockerignore lets a path through: the last pattern that fits it, or a folder of it, decides."""
        names = [relative.as_posix(), *(parent.as_posix() for parent in relative.parents if parent.name)]
        lines = (CONTEXT / ".dockerignore").read_text().splitlines()
        sends = True
        for line in lines:
            pattern = _pattern(line.removeprefix("!"))
            if line and not line.startswith("#") and any(pattern.fullmatch(name) for name in names):
                sends = line.startswith("!")
        return sends


def _pattern(text: str) -> re.Pattern[str]:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    return re.compile("".join(parts.get(piece, re.escape(piece)) for piece in pieces))


@pytest.fixture(scope="session")
def dockerfile() -> Dockerfile:
    return Dockerfile()


@pytest.fixture(scope="session")
def image(dockerfile) -> Iterator[Path]:
    """Give a folder that any user may enter, which holds app, as below the final stage's /app, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="gpu-hunter-image-") as folder:
        Path(folder).chmod(0o755)
        for path in dockerfile.sent():
            target = Path(folder) / "app" / "webui_image" / path.relative_to(CONTEXT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        yield Path(folder)


@pytest.fixture
def scratch(image, dockerfile) -> Iterator[Path]:
    """Give what stands for /tmp and /cache: the only folders that the image's user may write to."""
    user = int(dockerfile.final.all("USER")[0].split(":")[0])
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=image) as folder:
        for path in (Path(folder), Path(folder, "tmp"), Path(folder, "cache")):
            path.mkdir(exist_ok=True)
            if os.geteuid() == 0:
                os.chown(path, user, user)
        yield Path(folder)


@pytest.fixture(scope="session")
def locked() -> dict[str, dict[str, tuple[str, list[str]]]]:
    """Give, by lock file, each package's version and hashes."""
    found: dict[str, dict[str, tuple[str, list[str]]]] = {}
    for file in CONTEXT.glob("*.lock"):
        entries = re.split(r"\n(?=\S)", file.read_text().strip())
        packages = found[file.name] = {}
        for entry in entries:
            name, version = re.match(r"([a-z0-9-]+)==([^ ;]+)", entry).groups()
            packages[name] = (version, re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
    return found
