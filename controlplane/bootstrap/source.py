"""The code that the reconciler's image is made of, packed the same way every time.

The archive holds what the image's ignore file lets in, sorted, without times and owners, so that its hash is a version:
the same code is the same tag, and a tag that is in the repository needs no build.
"""

import gzip
import hashlib
import io
import tarfile
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from controlplane.gateways.errors import ConfigurationProblem

ROOT = Path(__file__).parents[2]
DOCKERFILE = "regional_deploy/reconciler/Dockerfile"
IGNORE = f"{DOCKERFILE}.dockerignore"
LENGTH = 12
"""How many digits of the hash a tag has."""


def files(root: Path = ROOT) -> list[str]:
    """List what the image is made of, as paths below the root. Raises ConfigurationProblem outside of a checkout."""
    if not (root / IGNORE).is_file():
        raise ConfigurationProblem(
            f"{root} does not hold {DOCKERFILE}, so no image can be built; name one that is built with --image-tag"
        )
    rules = [line.strip() for line in (root / IGNORE).read_text("utf-8").splitlines()]
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    tops = {PurePosixPath(rule[1:]).parts[0] for rule in rules if rule.startswith("!")}
    found = (path for top in sorted(tops) for path in sorted((root / top).rglob("*")) if path.is_file())
    kept = [name for path in found if _kept(name := path.relative_to(root).as_posix(), rules)]
    return sorted({*kept, DOCKERFILE, IGNORE})


def _kept(name: str, rules: list[str]) -> bool:
    """As BuildKit does: the last rule that fits decides; a rule for a folder holds for all in it."""
    kept = True
    for rule in rules:
        pattern = rule.removeprefix("!")
        if _fits(name, pattern):
            kept = rule.startswith("!")
    return kept


def _fits(name: str, pattern: str) -> bool:
    parts = PurePosixPath(name).parts
    heads = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    # `**/` stands for any number of folders, none as well.
    forms = {pattern, pattern.replace("**/", ""), pattern.removeprefix("**/")}
    return any(fnmatchcase(head, form) for head in heads for form in forms)


def archive(root: Path = ROOT) -> bytes:
    """Pack them as a gzipped tar archive; the same files give the same bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as packed:
        for name in files(root):
            data = (root / name).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            packed.addfile(entry, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


def tag(root: Path = ROOT) -> str:
    """Give the tag of the image that would be built: a hash of what it is made of."""
    digest = hashlib.sha256()
    for name in files(root):
        content = (root / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:LENGTH]
