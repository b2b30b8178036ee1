"""What a model draws best with: its `recommended.json`, or what its kind is known for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from webui_image.values.ports import Recommended

__all__ = ["read_recommended"]

_KINDS = {
    "sd1": Recommended(),
    "sd2": Recommended(),
    "sdxl": Recommended(width=1024, height=1024, steps=25, cfg_scale=6.0, native_side=1024),
}
_LARGEST = 2048


def read_recommended(path: Path, kind: str, native_side: int = 0) -> Recommended:
    """Read the file, or give the kind's settings where there is none; a faulty one is reported and passed over.

    `native_side` is what the UNet says it was trained at, in pixels; 0: it does not say.
    """
    by_kind = _KINDS.get(kind, Recommended())
    if native_side:
        by_kind = replace(by_kind, width=native_side, height=native_side, native_side=native_side)
    if not path.is_file():
        return by_kind
    try:
        return _validated(json.loads(path.read_text(encoding="utf-8")), by_kind)
    except (OSError, ValueError) as error:
        reason = "; ".join(str(error).split("\n")[1:3]) or str(error)
        structlog.get_logger().warning("recommended settings passed over", file=str(path), reason=reason[:256])
        return by_kind


def _validated(data: Any, by_kind: Recommended) -> Recommended:
    from pydantic import TypeAdapter

    if not isinstance(data, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one class for all that is wrong with the file
    defaults = {name: getattr(by_kind, name) for name in Recommended.__slots__}
    value = TypeAdapter(Recommended).validate_python({**defaults, **data})
    sides = {"width": value.width, "height": value.height, "native_side": value.native_side}
    for name, side in sides.items():
        if not 64 <= side <= _LARGEST or side % 8:
            raise ValueError(f"{name}: {side} is not a multiple of 8 between 64 and {_LARGEST}")
    if not 1 <= value.steps <= 150 or not 0 <= value.cfg_scale <= 30 or not 0 <= value.guidance_rescale <= 1:
        raise ValueError("steps (1 to 150), cfg_scale (0 to 30) or guidance_rescale (0 to 1) is out of range")
    return value
