"""JPEG: markers, segments, and between them the compressed scans."""

from __future__ import annotations

import re
from collections.abc import Iterator

from webui_image.pictures.containers.parts import Damaged, Parts, check_count

MOST_SCANS = 32  # a progressive file has about ten; each costs a pass over all pixels

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = {0x01, *range(0xD0, 0xD8)}
_JFIF, _EXIF, _ADOBE, _COMMENT = 0xE0, 0xE1, 0xEE, 0xFE
_LEFT_OUT = (set(range(0xE0, 0xF0)) | {_COMMENT}) - {_JFIF, _ADOBE}
_FILLED = re.compile(rb"\xff+")
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def size(data: bytes) -> tuple[int, int]:
    """Give width and height. Raises Damaged."""
    for marker, start, end in _segments(data):
        if marker in _FRAMES:
            if end - start < 5:
                break
            return int.from_bytes(data[start + 3 : start + 5]), int.from_bytes(data[start + 1 : start + 3])
        if marker == _SCAN:
            break
    raise Damaged("does not say its size")


def take_apart(data: bytes) -> Parts:
    """Give the parts. Pictures behind the first one are left out. Raises Damaged."""
    kept = [b"\xff\xd8"]
    exif, comment = b"", ""
    frames = scans = 0
    for marker, start, end in _segments(data):
        frames += marker in _FRAMES
        scans += marker == _SCAN
        if marker == _EXIF and not exif and data[start : start + 6] == b"Exif\0\0":
            exif = data[start + 6 : end]
        elif marker == _COMMENT:
            comment = data[start:end].decode("utf-8", "replace")
        if marker not in _LEFT_OUT:
            kept.append(b"\xff" + bytes([marker]) + (end - start + 2).to_bytes(2) + data[start:end])
        if marker == _SCAN:
            kept.append(data[end : _scan_end(data, end)])
    if frames != 1 or scans > MOST_SCANS:
        raise Damaged(f"has {frames} frames and {scans} scans; one and at most {MOST_SCANS} are read")
    kept.append(b"\xff\xd9")
    return Parts("JPEG", b"".join(kept), exif, {"comment": comment} if comment else {})


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Give marker, start and end of each segment's content, up to the end of the first picture."""
    position, count = 2, 0
    while True:
        check_count(count := count + 1)
        marker, position = _marker(data, position)
        if marker == _END:
            return
        if marker in _ALONE:
            continue
        end = position + int.from_bytes(data[position : position + 2])
        if end < position + 2 or end > len(data):
            raise Damaged("breaks off too early")
        yield marker, position + 2, end
        position = _scan_end(data, end) if marker == _SCAN else end


def _marker(data: bytes, position: int) -> tuple[int, int]:
    filled = _FILLED.match(data, position)
    if filled is None:
        raise Damaged("breaks off too early" if position >= len(data) else "has no marker where one should be")
    if filled.end() >= len(data):
        raise Damaged("breaks off too early")
    return data[filled.end()], filled.end() + 1


def _scan_end(data: bytes, start: int) -> int:
    match = _AFTER_SCAN.search(data, start)
    if match is None:
        raise Damaged("breaks off too early")
    return match.start()
