"""From what a client sends to a picture, whatever it is that the client sends.

A client sends raw base64, a `data:` URI or (a file) bytes. URLs are refused: fetching what a user names would let the
user look into the server's network. The size is known from the header, and judged, before a pixel is decoded; what
Pillow then decodes has been stripped of everything but the picture (see `containers`). Of an animation the first frame
is taken, and EXIF's orientation is applied, as A1111 does.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Callable

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from webui_image.pictures import containers
from webui_image.pictures.containers import exif
from webui_image.pictures.limits import PictureLimits
from webui_image.values.errors import Invalid

DEFAULT_LIMITS = PictureLimits()
SEND = "send a PNG, JPEG or WEBP file as base64 or as a data: URI"

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,20}):")
_SNIFFED = 64  # characters, a multiple of 4
_READERS: dict[str, Callable[[io.BytesIO], Image.Image]] = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "WEBP": WebPImageFile,
}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TRANSPARENT = {"LA", "La", "PA", "RGBA", "RGBa"}


def picture(sent: str | bytes, *, field: str, limits: PictureLimits = DEFAULT_LIMITS) -> Image.Image:
    """Give an RGB picture; transparent parts become white, as A1111 does with pictures to start from.

    Raises Invalid or TooLarge, both naming `field`.
    """
    return flatten(as_is(sent, field=field, limits=limits))


def mask(sent: str | bytes, *, field: str, limits: PictureLimits = DEFAULT_LIMITS) -> Image.Image:
    """Give a mask as an `L` picture, white where there is something to repaint.

    As in A1111, a picture with transparency is read by its alpha (more than half opaque is white), any other by its
    brightness. Raises Invalid or TooLarge, both naming `field`.
    """
    return to_mask(as_is(sent, field=field, limits=limits))


def as_is(sent: str | bytes, *, field: str, limits: PictureLimits = DEFAULT_LIMITS) -> Image.Image:
    """Give an RGB, RGBA or L picture, whichever comes nearest. Raises Invalid or TooLarge, both naming `field`."""
    data = encoded(sent, field=field, limits=limits)
    try:
        size = containers.size(data)
        if size is not None:
            limits.check_size(*size, field=field)
        parts = containers.take_apart(data)
        if parts is None:
            raise Invalid(field, f"is not a picture that can be read; {SEND}")
        image = _decoded(parts, size)
    except containers.Damaged as problem:
        raise Invalid(field, f"is a file that {problem}; send it anew") from problem
    turned = _UPRIGHT.get(exif.orientation(parts.exif))
    return image if turned is None else image.transpose(turned)


def encoded(sent: str | bytes, *, field: str, limits: PictureLimits = DEFAULT_LIMITS) -> bytes:
    """Give the bytes of the file that was sent. Raises Invalid or TooLarge, both naming `field`."""
    if isinstance(sent, bytes):
        limits.check_bytes(len(sent), field=field)
        return sent
    text = sent.lstrip()
    scheme = _SCHEME.match(text)
    if scheme is not None:
        if scheme.group(1).lower() != "data":
            raise Invalid(field, f"is a {scheme.group(1).lower()} address; nothing is fetched here: {SEND}")
        head, comma, text = text.partition(",")
        text = text.lstrip()
        if not comma or not head.rstrip().lower().endswith(";base64"):
            raise Invalid(field, f"is a data: URI without ;base64, in it; {SEND}")
    limits.check_bytes(len(text) * 3 // 4 - 2, field=field)
    try:
        # What is no picture shows within the first bytes, before megabytes of it are unpacked.
        if not containers.is_known(_from_base64(text[:_SNIFFED])):
            raise Invalid(field, f"is not a picture that can be read; {SEND}" if text else f"is empty; {SEND}")
        return _from_base64(text)
    except (binascii.Error, UnicodeEncodeError) as problem:
        raise Invalid(field, f"is not base64 ({str(problem)[:60]}); {SEND}") from problem


def _from_base64(text: str) -> bytes:
    data = text.encode("ascii")
    if any(white in data for white in b" \r\n\t"):
        data = b"".join(data.split())
    return base64.b64decode(data if len(data) % 4 == 0 else data + b"=" * (-len(data) % 4), validate=True)


def flatten(image: Image.Image) -> Image.Image:
    """Give an RGB picture, transparent parts on white."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def to_mask(image: Image.Image) -> Image.Image:
    """Give an `L` picture: of the alpha (0 or 255) where something is transparent, else of the brightness."""
    if image.mode == "RGBA":
        alpha = image.getchannel("A")
        if alpha.getextrema() != (255, 255):
            return alpha.point([0] * 129 + [255] * 127)
    return image.convert("L")


def _decoded(parts: containers.Parts, size: tuple[int, int] | None) -> Image.Image:
    try:
        image = _READERS[parts.kind](io.BytesIO(parts.picture))
        image.load()
        plain = _plain(image)
    except Exception as problem:
        # Pillow answers damaged files with SyntaxError, struct.error, OSError, IndexError and others.
        raise containers.Damaged(f"cannot be decoded ({str(problem)[:80]})") from problem
    if plain.size != size:
        raise containers.Damaged("says two different sizes")
    return plain


def _plain(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in {"1", "L"} else "RGB")
