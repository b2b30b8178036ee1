"""The values that taking a file apart gives, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_CHUNKS = 20_000  # of a file; a 16 MiB PNG written in the usual chunks of 8 KiB has 2,000
MOST_TEXTS = 64
LONGEST_TEXT = 400_000  # bytes


class Damaged(Exception):  # noqa: N818 - it says what the file is
    """The file breaks off or contradicts itself; the message continues `is a PNG file that ...`."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One file. `picture` is a complete file with nothing but its first picture; `exif` is a TIFF structure."""

    kind: str
    picture: bytes
    exif: bytes = b""
    texts: dict[str, str] = field(default_factory=dict)


def check_count(chunks: int) -> None:
    """Raise Damaged beyond MOST_CHUNKS: no program writes such a file to show a picture."""
    if chunks > MOST_CHUNKS:
        raise Damaged(f"has more than {MOST_CHUNKS} parts")
