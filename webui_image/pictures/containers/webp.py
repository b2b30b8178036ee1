"""WEBP: a RIFF file of chunks; a plain one holds its picture alone, an extended one begins with a header."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from webui_image.pictures.containers.parts import Damaged, Parts, check_count

_PICTURE = {b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
_HAS_ALPHA_OR_FRAMES = 0b0001_0010


def size(data: bytes) -> tuple[int, int]:
    """Give width and height, of the canvas where there are frames. Raises Damaged."""
    kind, content = data[12:16], data[20:30]
    if kind == b"VP8X" and len(content) == 10:
        return 1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little")
    if kind == b"VP8L" and content[:1] == b"\x2f" and len(content) >= 5:
        packed = int.from_bytes(content[1:5], "little")
        return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    if kind == b"VP8 " and content[3:6] == b"\x9d\x01\x2a" and len(content) == 10:
        width, height = struct.unpack("<HH", content[6:10])
        return width & 0x3FFF, height & 0x3FFF
    raise Damaged("does not begin with its header")


def take_apart(data: bytes) -> Parts:
    """Give the parts. An animation's frames beyond the first are left out. Raises Damaged."""
    kept: list[bytes] = []
    exif = b""
    frames = 0
    for kind, start, end in _chunks(data):
        frames += kind == b"ANMF"
        if kind == b"VP8X":
            kept.append(data[start - 8 : start] + bytes([data[start] & _HAS_ALPHA_OR_FRAMES]) + data[start + 1 : end])
        elif kind == b"EXIF":
            exif = data[start:end].removeprefix(b"Exif\0\0")
        elif kind in _PICTURE and (kind != b"ANMF" or frames == 1):
            kept.append(data[start - 8 : end] + b"\0" * (end - start & 1))
    content = b"WEBP" + b"".join(kept)
    return Parts("WEBP", b"RIFF" + len(content).to_bytes(4, "little") + content, exif)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    position, count = 12, 0
    last = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while position + 8 <= last:
        check_count(count := count + 1)
        kind, length = struct.unpack("<4sI", data[position : position + 8])
        end = position + 8 + length
        if end > len(data):
            raise Damaged(f"breaks off {end - len(data)} bytes too early")
        yield kind, position + 8, end
        position = end + (length & 1)
