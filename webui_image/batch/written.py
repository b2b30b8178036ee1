"""Pictures on disk: each is there as a whole or not at all, and says itself what it was made with.

A manifest alone could not be trusted after a crash, so the digest of a picture's parameters stands in the picture: the
folder is the truth, and the manifest is made from it.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

CHUNK = "gpu-hunter-batch"
PART = ".part"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IEND = b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a picture says of itself, beside A1111's text."""

    digest: str  # SHA-256 of its parameters
    seconds: float = 0.0  # from submission to picture
    model: str = ""
    model_hash: str = ""


def with_facts(png: bytes, facts: Facts) -> bytes:
    """Put the facts into a PNG file, before its end."""
    if not png.endswith(_IEND):
        raise ValueError("not a whole PNG file")
    body = b"tEXt" + CHUNK.encode() + b"\0" + json.dumps(asdict(facts)).encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[: -len(_IEND)] + chunk + _IEND


def facts_of(path: Path) -> Facts | None:
    """Read what a picture says; None for a file that is missing, broken, half there, or not ours."""
    try:
        return facts_in(path.read_bytes())
    except OSError:
        return None


def facts_in(content: bytes) -> Facts | None:
    """Read what a picture's bytes say; None for what is broken, half there, or not ours."""
    texts = _texts(content)
    if texts is None or CHUNK not in texts:
        return None
    try:
        found = json.loads(texts[CHUNK])
        return Facts(str(found["digest"]), float(found["seconds"]), str(found["model"]), str(found["model_hash"]))
    except (ValueError, KeyError, TypeError):
        return None


def _texts(content: bytes) -> dict[str, bytes] | None:
    """Give the texts of a PNG file, or None where a checksum is wrong or the end is missing."""
    if not content.startswith(_SIGNATURE) or not content.endswith(_IEND):
        return None
    texts: dict[str, bytes] = {}
    at, kinds = len(_SIGNATURE), []
    view = memoryview(content)
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        end = at + 12 + length
        if end > len(content) or zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", content, end - 4)[0]:
            return None
        kind = content[at + 4 : at + 8]
        kinds.append(kind)
        if kind == b"tEXt":
            key, _, value = content[at + 8 : end - 4].partition(b"\0")
            texts[key.decode("latin-1")] = value
        at = end
    whole = at == len(content) and kinds[:1] == [b"IHDR"] and b"IDAT" in kinds and kinds[-1:] == [b"IEND"]
    return texts if whole else None


def write(path: Path, content: bytes) -> None:
    """Write a file so that its name never stands for less than all of it, also when the power goes."""
    temporary = path.with_name(f".{path.name}{PART}")
    with temporary.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's names as durable as the files."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
