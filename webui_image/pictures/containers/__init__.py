"""What PNG, JPEG and WEBP files consist of, read without decoding a pixel.

Pillow reads all of a file: colour profiles and texts that unpack to gigabytes, previews and second pictures, EXIF that
makes it warn. Here a file is walked once, in bounded time, and comes out as three things: its size, the bytes that make
its (first) picture and nothing else, and its texts. Only then, with the size checked, may Pillow see those bytes.
"""

from __future__ import annotations

from webui_image.pictures.containers import jpeg, png, webp
from webui_image.pictures.containers.parts import Damaged, Parts

__all__ = ["Damaged", "Parts", "is_known", "size", "take_apart"]

_KINDS = {"PNG": png, "JPEG": jpeg, "WEBP": webp}


def is_known(data: bytes) -> bool:
    """Tell from the first 12 bytes whether a file is a PNG, JPEG or WEBP."""
    return _kind(data) is not None


def size(data: bytes) -> tuple[int, int] | None:
    """Give width and height as the header says; None for other kinds of files. Raises Damaged."""
    kind = _kind(data)
    return None if kind is None else _KINDS[kind].size(data)


def take_apart(data: bytes) -> Parts | None:
    """Give the parts of a file; None for other kinds of files. Raises Damaged."""
    kind = _kind(data)
    return None if kind is None else _KINDS[kind].take_apart(data)


def _kind(data: bytes) -> str | None:
    if data.startswith(png.SIGNATURE):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return None
