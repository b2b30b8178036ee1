"""Object names as paths below a bucket's folder, and back.

An object name is any text; a slash in it means nothing to Cloud Storage, yet everybody uses it as folders have it, and
so it is kept here. Parts that no folder can have (empty, `.` and `..`) are marked with a percent sign in front, as are
those that begin with one, so that two names are never one file, and no name leads out of the bucket.
Source: https://cloud.google.com/storage/docs/objects#naming.
"""

from controlplane.localcloud.gcp.errors import invalid

_MARK = "%"
_LONGEST_NAME = 1024
_LONGEST_PART = 255


def path_of(name: str) -> str:
    """Give the path below the bucket's folder. Raises GoogleError for what is no object name."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if not 0 < size <= _LONGEST_NAME or "\r" in name or "\n" in name or "\0" in name or name in (".", ".."):
        raise invalid("Invalid object name: 1 to 1024 bytes of UTF-8, neither . nor .., and no line break.")
    parts = [part_of(part) for part in name.split("/")]
    if any(len(part.encode()) > _LONGEST_PART for part in parts):
        raise invalid("The local cloud keeps objects as files: between slashes a name has at most 255 bytes.")
    return "/".join(parts)


def part_of(text: str) -> str:
    """Give the file name for one part of an object name."""
    return f"{_MARK}{text}" if text in ("", ".", "..") or text.startswith(_MARK) else text


def text_of(part: str) -> str | None:
    """Give the part of an object name that a file name stands for; None for one that stands for none."""
    text = part.removeprefix(_MARK)
    is_name = part_of(text) == part and not any("\ud800" <= letter <= "\udfff" or letter in "\r\n" for letter in text)
    return text if is_name else None
