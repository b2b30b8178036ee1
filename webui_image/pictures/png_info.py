"""The text inside a picture that somebody sends: how it was made, if it tells."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from webui_image.pictures import containers, decode
from webui_image.pictures.containers import exif
from webui_image.pictures.limits import PictureLimits
from webui_image.values.errors import Invalid

PARAMETERS = "parameters"


class PictureInfo(NamedTuple):
    """A1111's text (empty where there is none), and the picture's other texts by name."""

    text: str
    items: dict[str, str]


def read(
    sent: str | bytes | Image.Image, *, field: str = "image", limits: PictureLimits = decode.DEFAULT_LIMITS
) -> PictureInfo:
    """Read the texts in a PNG, JPEG or WEBP (base64, data: URI or bytes), or in an opened picture.

    At most 64 texts of 400,000 bytes are read; what is beyond is left out. The pixels are not decoded. Raises Invalid
    or TooLarge, both naming `field`.
    """
    if isinstance(sent, Image.Image):
        texts = {str(key): value for key, value in sent.info.items() if isinstance(value, str)}
        return _split(texts, sent.info.get("exif", b""))
    data = decode.encoded(sent, field=field, limits=limits)
    try:
        parts = containers.take_apart(data)
    except containers.Damaged as problem:
        raise Invalid(field, f"is a file that {problem}; send it anew") from problem
    if parts is None:
        raise Invalid(field, f"is not a picture that can be read; {decode.SEND}")
    return _split(dict(parts.texts), parts.exif)


def _split(texts: dict[str, str], exif_data: bytes) -> PictureInfo:
    comment = exif.user_comment(exif_data.removeprefix(b"Exif\0\0"))
    return PictureInfo(texts.pop(PARAMETERS, "") or comment, texts)
