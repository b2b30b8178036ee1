"""Forty requests that nobody should send, as data: the bench and a test send each and look at status and time.

Each is refused with a 4xx that names what is wrong, within 50 ms, and leaves the server as it was. They are written
against A1111's API; bodies that are large are made when they are asked for.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TEXT_TO_IMAGE, IMAGE_TO_IMAGE = "/sdapi/v1/txt2img", "/sdapi/v1/img2img"
_JSON = "application/json"
_SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 2}


@dataclass(frozen=True, slots=True)
class Abuse:
    """One request (a POST) and how it is to be refused."""

    name: str
    body: Callable[[], bytes]
    names: str = ""  # what the refusal has to name: a field, or a word about the body
    path: str = TEXT_TO_IMAGE
    status: int = 422
    content_type: str = _JSON


def _fields(path: str = TEXT_TO_IMAGE, **fields: Any) -> Callable[[], bytes]:
    base = _SMALL | ({"init_images": [_picture()]} if path == IMAGE_TO_IMAGE else {})
    return lambda: json.dumps(base | fields).encode()


def _field(name: str, field: str, value: Any, names: str = "", status: int = 422) -> Abuse:
    return Abuse(name, _fields(**{field: value}), names or field, status=status)


def _image(name: str, value: Any, field: str = "init_images", status: int = 422) -> Abuse:
    fields = {field: [value] if field == "init_images" else value}
    return Abuse(name, _fields(IMAGE_TO_IMAGE, **fields), field, IMAGE_TO_IMAGE, status)


def _raw(name: str, body: Callable[[], bytes], names: str = "JSON", status: int = 422) -> Abuse:
    return Abuse(name, body, names, status=status)


def _png(width: int, height: int, pixels: bytes | None = None) -> bytes:
    """Make a grey PNG whose header tells this size, whatever pixels follow."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = bytes((width + 1) * height) if pixels is None else pixels
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _picture() -> str:
    return _base64(_png(8, 8))


def _text(value: str) -> Callable[[], bytes]:
    return value.encode


ABUSES: tuple[Abuse, ...] = (
    _field("unknown sampler", "sampler_name", "Magic++ 9M"),
    _field("unknown schedule type", "scheduler", "sideways"),
    _field("width not a multiple of 8", "width", 65),
    _field("width of zero", "width", 0),
    _field("negative height", "height", -64),
    _field("height of 30,000", "height", 30_000),
    Abuse("more than a megapixel", _fields(width=1536, height=1536), "width"),
    _field("steps below zero", "steps", -1),
    _field("no steps", "steps", 0),
    _field("a million steps", "steps", 1_000_000),
    _field("steps as a word", "steps", "many"),
    _field("half a step", "steps", 2.5),
    _raw("CFG scale not a number", _text('{"prompt": "a", "cfg_scale": NaN}')),
    _raw("CFG scale infinite", _text('{"prompt": "a", "cfg_scale": Infinity}')),
    _field("CFG scale not a number, as text", "cfg_scale", "nan"),
    _field("CFG scale beyond reason", "cfg_scale", 1e308),
    _field("CFG scale below zero", "cfg_scale", -7),
    _field("no pictures", "batch_size", 0),
    _field("a thousand pictures", "batch_size", 1000),
    _field("a billion rounds", "n_iter", 10**9),
    _field("seed beyond 32 bits", "seed", 2**32),
    _field("seed below -1", "seed", -2),
    _raw("seed of 4,000 digits", lambda: b'{"seed": ' + b"9" * 4000 + b"}", "seed"),
    _field("prompt of a megabyte", "prompt", "a" * 1_000_000),
    _field("prompt as a list", "prompt", ["a", "b"]),
    _raw("half a character", _text('{"prompt": "\\ud800"}')),
    _field("unknown model", "override_settings", {"sd_model_checkpoint": "../../etc/passwd"}, "sd_model_checkpoint"),
    _field("a script", "script_name", "custom code"),
    Abuse("second pass beyond the limit", _fields(enable_hr=True, hr_scale=1000), "hr_scale"),
    _image("picture that is not base64", "***"),
    _image("picture by URL", "http://169.254.169.254/computeMetadata/v1/"),
    _image("picture by file name", "file:///etc/passwd"),
    _image("picture cut short", _base64(_png(64, 64)[:60])),
    _image("picture of 30,000 x 30,000", _base64(_png(30_000, 30_000, b"\0" * 1000)), status=413),
    _image("picture that is a program", _base64(b"#!/bin/sh\necho hello\n")),
    _image("mask that is not a picture", "aGVsbG8=", "mask"),
    _raw("100,000 brackets deep", lambda: b"[" * 100_000, "values"),
    _raw("a million values", lambda: b'{"styles": [' + b"[]," * 1_000_000 + b"[]]}", "values"),
    _raw("cut in the middle", _text('{"prompt": "a')),
    _raw("body of 20 MB", lambda: json.dumps({"prompt": "a" * 20_000_000}).encode(), "body", 413),
)
