"""Weight files are looked at before anything loads them: safetensors only, and whole.

A pickle runs code when it is opened, so it is refused by its name. A safetensors file starts with a header that says
how long the file has to be, which finds a broken download in milliseconds instead of after seconds of loading.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from webui_image.values.errors import ModelError

__all__ = ["PICKLES", "check_safetensors", "check_weights", "read_header", "refuse_pickle", "weight_files"]

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle")
_LONGEST_HEADER = 100_000_000  # the format's own bound
_STEMS = ("diffusion_pytorch_model", "model")


def refuse_pickle(path: Path) -> None:
    """Raise ModelError for a file whose ending says that loading it could run code."""
    if path.suffix.lower() in PICKLES:
        raise ModelError(
            str(path),
            "a pickle can run code when it is opened and is refused; convert it to .safetensors where you trust it",
        )


def read_header(path: Path) -> dict[str, Any]:
    """Read a safetensors file's header: tensors by name, each with dtype, shape and offsets.

    Raises ModelError for a file that is missing, damaged or no safetensors file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > min(_LONGEST_HEADER, size - 8):
                raise ModelError(str(path), _not_whole(size, "its header is cut off"))
            header: dict[str, Any] = json.loads(file.read(length))
    except FileNotFoundError:
        raise ModelError(str(path), "there is no such file") from None
    except OSError as error:
        raise ModelError(str(path), f"cannot be read: {os.strerror(error.errno or 0)}") from error
    except ValueError as error:
        raise ModelError(str(path), "not a safetensors file: its header is not JSON; download it anew") from error
    try:
        needed = (
            8
            + length
            + max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
        )
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        raise ModelError(str(path), "not a safetensors file: its header names no tensors; download it anew") from error
    if needed != size:
        raise ModelError(str(path), _not_whole(size, f"its header promises {needed:,}"))
    return header


def check_safetensors(path: Path) -> None:
    """Raise ModelError unless the file is a safetensors file and as long as its header says."""
    refuse_pickle(path)
    read_header(path)


def check_weights(folder: Path, *, prefer_half: bool) -> str | None:
    """Check the weight files in a part's folder; give their variant, "fp16" or None for plain names.

    Raises ModelError where there are none, only pickles, or broken ones.
    """
    found = {variant: _files(folder, variant) for variant in ("fp16", None)}
    order: tuple[str | None, ...] = ("fp16", None) if prefer_half else (None, "fp16")
    for variant in order:
        if found[variant]:
            for path in found[variant]:
                check_safetensors(path)
            return variant
    pickles = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICKLES)
    if pickles:
        refuse_pickle(pickles[0])
    raise ModelError(str(folder), "no .safetensors weights in it; copy the whole directory anew")


def weight_files(folder: Path) -> list[Path]:
    """Give a part's weight files, those with plain names before the fp16 variant; none where there are none."""
    return _files(folder, None) or _files(folder, "fp16")


def _files(folder: Path, variant: str | None) -> list[Path]:
    ending = f".{variant}.safetensors" if variant else ".safetensors"
    for stem in _STEMS:
        whole = folder / f"{stem}{ending}"
        if whole.is_file():
            return [whole]
        index = folder / (f"{stem}.safetensors.index.{variant}.json" if variant else f"{stem}.safetensors.index.json")
        if index.is_file():
            return _shards(index)
    return []


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(str(index), "not an index of weight files; copy the whole directory anew") from error
    if any(Path(name).name != name for name in names):
        raise ModelError(str(index), "names files outside its folder")
    return [index.parent / name for name in names]


def _not_whole(size: int, why: str) -> str:
    return f"truncated or damaged: {size:,} bytes, {why}; download it anew"
