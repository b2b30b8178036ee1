"""PNG: a signature and chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from webui_image.pictures.containers.parts import LONGEST_TEXT, MOST_TEXTS, Damaged, Parts, check_count

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_PICTURE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_TEXT = {b"tEXt", b"zTXt", b"iTXt"}


def size(data: bytes) -> tuple[int, int]:
    """Give width and height. Raises Damaged."""
    if data[12:16] != b"IHDR" or len(data) < 24:
        raise Damaged("does not begin with its header")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def take_apart(data: bytes) -> Parts:
    """Give the parts. An animation's frames beyond the first are left out. Raises Damaged."""
    kept = [SIGNATURE]
    exif = b""
    texts: dict[str, str] = {}
    for kind, start, end in _chunks(data):
        if kind in _PICTURE:
            kept.append(data[start - 8 : end + 4])
        elif kind == b"eXIf":
            exif = data[start:end]
        elif kind in _TEXT and len(texts) < MOST_TEXTS:
            found = _text(kind, data[start : min(end, start + LONGEST_TEXT)])
            if found is not None:
                texts.setdefault(*found)
    return Parts("PNG", b"".join(kept), exif, texts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    position, count = len(SIGNATURE), 0
    while position + 8 <= len(data):
        check_count(count := count + 1)
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        end = position + 8 + length
        if end + 4 > len(data):
            raise Damaged(f"breaks off {end + 4 - len(data)} bytes too early")
        yield kind, position + 8, end
        if kind == b"IEND":
            return
        position = end + 4
    raise Damaged("has no end")


def _text(kind: bytes, content: bytes) -> tuple[str, str] | None:
    key, _, rest = content.partition(b"\0")
    name = key.decode("latin-1")
    if kind == b"tEXt":
        return name, rest.decode("latin-1")
    if kind == b"zTXt":
        unpacked = _unpacked(rest[1:])
        return None if unpacked is None else (name, unpacked.decode("latin-1"))
    packed = rest[:1] == b"\1"
    _, _, rest = rest[2:].partition(b"\0")  # the language
    _, _, rest = rest.partition(b"\0")  # the key in that language
    unpacked = _unpacked(rest) if packed else rest
    return None if unpacked is None else (name, unpacked.decode("utf-8", "replace"))


def _unpacked(content: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(content, LONGEST_TEXT)
    except zlib.error:
        return None
