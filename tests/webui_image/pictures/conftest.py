"""Pictures to send, in the kinds of files that clients send, and tools to damage them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT = 24, 16


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene():
    """Give a picture without symmetry, smooth enough to survive JPEG."""
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    return Image.fromarray(np.stack([columns * 10, rows * 15, (columns + rows) * 5], axis=2).astype(np.uint8))


def all_files():
    image = scene()
    turned = image.transpose(Image.Transpose.ROTATE_90)
    grey16 = Image.fromarray((np.arange(WIDTH * HEIGHT, dtype=np.uint16) * 170).reshape(HEIGHT, WIDTH))
    half = image.convert("RGBA")
    half.putalpha(Image.linear_gradient("L").resize(image.size))
    palette = image.quantize(16)
    return {
        "PNG": saved(image, "PNG"),
        "PNG grey": saved(image.convert("L"), "PNG"),
        "PNG grey, 16 bits": saved(grey16, "PNG"),
        "PNG black and white": saved(image.convert("1"), "PNG"),
        "PNG palette": saved(palette, "PNG"),
        "PNG palette, one colour transparent": saved(palette, "PNG", transparency=3),
        "PNG palette, transparency in bytes": saved(palette, "PNG", transparency=bytes(range(0, 160, 10))),
        "PNG one colour transparent": saved(image, "PNG", transparency=(0, 0, 0)),
        "PNG alpha": saved(half, "PNG"),
        "PNG grey and alpha": saved(half.convert("LA"), "PNG"),
        "PNG animated": saved(image, "PNG", save_all=True, append_images=[turned.resize(image.size)]),
        "PNG interlaced": INTERLACED,
        "JPEG": saved(image, "JPEG", quality=95),
        "JPEG grey": saved(image.convert("L"), "JPEG"),
        "JPEG progressive": saved(image, "JPEG", progressive=True),
        "JPEG four colours": saved(image.convert("CMYK"), "JPEG"),
        "JPEG colours not converted": saved(image, "JPEG", keep_rgb=True),
        "JPEG with restarts": saved(image, "JPEG", restart_marker_blocks=1),
        "WEBP": saved(image, "WEBP"),
        "WEBP lossless": saved(image, "WEBP", lossless=True),
        "WEBP alpha": saved(half, "WEBP"),
        "WEBP animated": saved(image, "WEBP", save_all=True, append_images=[turned.resize(image.size)]),
        "WEBP with texts": saved(image, "WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0", xmp=b"<x/>", icc_profile=b"none"),
    }


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width, height, *chunks):
    """Give a PNG file that says it has a size, with further chunks and little in its picture."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    picture = chunk(b"IDAT", zlib.compress(b"\0" * min((width * 3 + 1) * height, 10_000_000)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + picture + chunk(b"IEND", b"")


def _interlaced():
    # One pass of Adam7 is enough for a picture of one pixel.
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0\x10\x20\x30")) + chunk(b"IEND", b"")


INTERLACED = _interlaced()
FILES = all_files()


@pytest.fixture(scope="session")
def picture():
    """Give the picture that most files show."""
    return scene()


@pytest.fixture(scope="session")
def files():
    """Give files by their kind."""
    return FILES


@pytest.fixture(params=FILES, ids=lambda name: name.replace(" ", "-"))
def file(request):
    """Give one file of each kind in turn."""
    return FILES[request.param]


@pytest.fixture(scope="session")
def make():
    """Give the functions that make files: `saved`, `png_of`, `chunk`."""

    class Make:
        saved, png_of, chunk = staticmethod(saved), staticmethod(png_of), staticmethod(chunk)

    return Make
