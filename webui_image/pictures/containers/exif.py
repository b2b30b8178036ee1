"""The two things in EXIF that are of use here: how the picture is to be turned, and A1111's text.

Pillow's own reader warns about files that many cameras write, so these few lines read what is needed and pass over
what is damaged.
"""

from __future__ import annotations

from collections.abc import Iterator

_ORIENTATION, _EXIF_DIRECTORY, _USER_COMMENT = 0x0112, 0x8769, 0x9286
_SHORT = 3
_MOST_ENTRIES = 512


def orientation(exif: bytes) -> int:
    """Give EXIF's orientation, 1 (upright) to 8; 1 where there is none."""
    reader = _Tiff(exif)
    for tag, kind, _, position in reader.entries(reader.first_directory):
        if tag == _ORIENTATION and kind == _SHORT and 1 <= reader.number(position, 2) <= 8:
            return reader.number(position, 2)
    return 1


def user_comment(exif: bytes) -> str:
    """Give the text that A1111 writes into JPEG and WEBP; empty where there is none."""
    reader = _Tiff(exif)
    for tag, _, _, position in reader.entries(reader.first_directory):
        if tag == _EXIF_DIRECTORY:
            for inner, _, count, place in reader.entries(reader.number(position, 4)):
                if inner == _USER_COMMENT and count > 8:
                    start = reader.number(place, 4)
                    return _decoded(exif[start : start + count], reader.order)
    return ""


class _Tiff:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.order = "big" if data[:2] == b"MM" else "little"
        self.first_directory = self.number(4, 4)

    def number(self, position: int, size: int) -> int:
        return int.from_bytes(self._data[position : position + size], "big" if self.order == "big" else "little")

    def entries(self, directory: int) -> Iterator[tuple[int, int, int, int]]:
        """Give tag, type, count and the position of the value or of its offset."""
        if not 8 <= directory < len(self._data):
            return
        for index in range(min(self.number(directory, 2), _MOST_ENTRIES)):
            start = directory + 2 + 12 * index
            if start + 12 > len(self._data):
                return
            yield self.number(start, 2), self.number(start + 2, 2), self.number(start + 4, 4), start + 8


def _decoded(comment: bytes, order: str) -> str:
    code, text = comment[:8], comment[8:]
    if code == b"UNICODE\0":
        big = text.decode("utf-16-be", "replace")
        if order == "big":
            return big
        # The standard leaves the byte order open. A1111 writes big-endian into either kind of file, others do not.
        little = text.decode("utf-16-le", "replace")
        return min(big, little, key=lambda found: sum(character > "\u2fff" for character in found))
    return (text if code in {b"ASCII\0\0\0", b"\0" * 8} else comment).decode("utf-8", "replace").rstrip("\0")
