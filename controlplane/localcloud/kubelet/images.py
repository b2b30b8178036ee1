"""Images: which local command an image name stands for, which nodes have it, and how long pulling takes.

There is no registry and no root file system here. An image is an entry of `images.yaml`; what a real image brings
along (entry point, command, environment) stands there.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from controlplane.localcloud.kubelet.process import Warmth

LOCALCLOUD = Path(__file__).resolve().parents[1]
PROJECT = LOCALCLOUD.parents[1]
DEFAULT_FILE = LOCALCLOUD / "images.yaml"
KEYS = frozenset({"entrypoint", "command", "env", "tags", "pull", "warm"})


class ImageMapError(Exception):
    """The image map cannot be used; the message names the file, the place and the remedy."""


@dataclass(frozen=True, slots=True)
class Image:
    """What an image brings along."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] | None = None
    pull_seconds: float | None = None
    warmth: Warmth | None = None

    def argv(self, command: Sequence[str], args: Sequence[str]) -> list[str]:
        """Give the program and its arguments, by the same table as Docker and Kubernetes."""
        if command:
            return [*command, *args]
        return [*self.entrypoint, *(args or self.command)]


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference taken apart."""

    name: str
    tag: str

    @property
    def digest(self) -> str:
        """Give a digest that is always the same for this reference; there is no content to take it from."""
        return "sha256:" + sha256(f"{self.name}:{self.tag}".encode()).hexdigest()


def parse_reference(image: str) -> Reference:
    """Take `[registry/]name[:tag][@digest]` apart; `docker.io/` and `library/` are implied."""
    name, _, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    name = f"{head}{slash}{last}".removeprefix("docker.io/").removeprefix("library/")
    return Reference(name, tag or (digest and f"@{digest}") or "latest")


class ImageMap:
    """All images that can be pulled; `pull_seconds` applies to those that say nothing themselves."""

    def __init__(self, images: Mapping[str, Image], *, pull_seconds: float = 0) -> None:
        self._images = dict(images)
        self.pull_seconds = pull_seconds

    @classmethod
    def load(cls, path: Path = DEFAULT_FILE, *, pull_seconds: float = 0) -> "ImageMap":
        """Read an image map; ImageMapError says what is wrong with it."""
        return cls(_read(path), pull_seconds=pull_seconds)

    def find(self, image: str) -> Image | None:
        """Give the image, with its tag filled in, or None where it cannot be pulled."""
        reference = parse_reference(image)
        found = self._images.get(reference.name)
        if found is None:
            patterns = (pattern for pattern in self._images if fnmatchcase(reference.name, pattern))
            found = self._images.get(next(patterns, ""))
        if found is None or (found.tags is not None and reference.tag not in found.tags):
            return None
        return Image(
            entrypoint=tuple(part.replace("{tag}", reference.tag) for part in found.entrypoint),
            command=tuple(part.replace("{tag}", reference.tag) for part in found.command),
            env={key: value.replace("{tag}", reference.tag) for key, value in found.env.items()},
            tags=found.tags,
            pull_seconds=self.pull_seconds if found.pull_seconds is None else found.pull_seconds,
            warmth=found.warmth,
        )


@cache
def _read(path: Path) -> Mapping[str, Image]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ImageMapError(f"{path}: cannot be read ({error.strerror}); name a readable image map") from error
    except yaml.YAMLError as error:
        raise ImageMapError(f"{path}: not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, dict):
        raise ImageMapError(f"{path}: must be a mapping of image names")
    return {str(name): _image(path, str(name), entry) for name, entry in document.items()}


def _image(path: Path, name: str, entry: Any) -> Image:
    if not isinstance(entry, dict) or (unknown := set(entry) - KEYS):
        wrong = f"unknown key {min(unknown)!r}" if isinstance(entry, dict) else "not a mapping"
        raise ImageMapError(f"{path}: {name}: {wrong}; known are {', '.join(sorted(KEYS))}")
    for key in ("entrypoint", "command", "tags"):
        if not isinstance(entry.get(key, []), list):
            raise ImageMapError(f"{path}: {name}.{key}: must be a list")
    pull = entry.get("pull")
    if pull is not None and not (isinstance(pull, int | float) and pull >= 0):
        raise ImageMapError(f"{path}: {name}.pull: must be a number of seconds, not negative")
    return Image(
        entrypoint=tuple(_fill(part) for part in entry.get("entrypoint", [])),
        command=tuple(_fill(part) for part in entry.get("command", [])),
        env={str(key): _fill(value) for key, value in (entry.get("env") or {}).items()},
        tags=tuple(map(str, entry["tags"])) if "tags" in entry else None,
        pull_seconds=None if pull is None else float(pull),
        warmth=_warmth(path, name, entry["warm"]) if "warm" in entry else None,
    )


def _warmth(path: Path, name: str, entry: Any) -> Warmth:
    fields = entry if isinstance(entry, dict) else {}
    module, own = fields.get("module"), fields.get("own", [])
    if not isinstance(module, str) or not isinstance(own, list) or set(fields) - {"module", "own"}:
        wanted = "must be a mapping of `module` (a name) and perhaps `own` (a list of variables)"
        raise ImageMapError(f"{path}: {name}.warm: {wanted}")
    return Warmth(module, tuple(map(str, own)))


def _fill(text: Any) -> str:
    places = {"{python}": sys.executable, "{localcloud}": str(LOCALCLOUD), "{project}": str(PROJECT)}
    filled = str(text)
    for word, place in places.items():
        filled = filled.replace(word, place)
    return filled
