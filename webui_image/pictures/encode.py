"""From a picture to the file that is sent, with the text that tells how it was made where A1111 puts it.

PNG has it in a `parameters` text chunk (tEXt; iTXt where it is not Latin-1), JPEG and WEBP in EXIF's UserComment. PNG
is packed at level 1: on one core 512 x 512 take about 50 ms, and level 6 nearly twice as long for little less.
"""

from __future__ import annotations

import base64
import io

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from webui_image.pictures.decode import flatten
from webui_image.values.errors import TooLarge

_EXIF_DIRECTORY, _USER_COMMENT = 0x8769, 0x9286
_LARGEST_EXIF = 65_000  # a JPEG segment ends at 65,533


def png(image: Image.Image, infotext: str | None = None, level: int = 1) -> bytes:
    """Give a PNG file; level 0 to 9 says how hard it is packed."""
    info = PngInfo()
    if infotext:
        info.add_text("parameters", _without_surrogates(infotext))
    return _saved(image, "PNG", pnginfo=info, compress_level=level)


def jpeg(image: Image.Image, quality: int = 85, infotext: str | None = None) -> bytes:
    """Give a JPEG file, without transparency. Raises TooLarge where EXIF cannot hold the text (32,000 letters)."""
    return _saved(flatten(image), "JPEG", quality=quality, **_exif(infotext))


def webp(image: Image.Image, quality: int = 90, infotext: str | None = None, *, lossless: bool = False) -> bytes:
    """Give a WEBP file. Raises TooLarge where EXIF cannot hold the text (32,000 letters)."""
    return _saved(image, "WEBP", quality=quality, lossless=lossless, **_exif(infotext))


def to_base64(data: bytes) -> str:
    """Give raw base64, as A1111's API does: without a `data:` prefix."""
    return base64.b64encode(data).decode("ascii")


def base64_png(image: Image.Image, infotext: str | None = None, level: int = 1) -> str:
    """Give a PNG file as raw base64."""
    return to_base64(png(image, infotext, level))


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _exif(infotext: str | None) -> dict[str, bytes]:
    if not infotext:
        return {}
    comment = b"UNICODE\0" + _without_surrogates(infotext).encode("utf-16-be")
    if len(comment) > _LARGEST_EXIF:
        raise TooLarge("infotext", "is too long for JPEG and WEBP, which hold 32,000 letters; ask for PNG")
    found = Image.Exif()
    found.get_ifd(_EXIF_DIRECTORY)[_USER_COMMENT] = comment
    return {"exif": found.tobytes()}


def _without_surrogates(text: str) -> str:
    """Give a text that can be encoded: JSON can carry halves of characters, files cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
