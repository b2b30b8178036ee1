"""`contact-sheet.png`: the batch's pictures on one page, to see what came out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from webui_image.batch.parameters import Picture
from webui_image.batch.written import write

NAME = "contact-sheet.png"
MOST = 144  # pictures on the page; more would be too small to look at, and too large to open
_CELL = 224


def chosen(pictures: Sequence[Picture]) -> Sequence[Picture]:
    """Give the pictures that are shown, evenly picked where there are too many for one page."""
    return [pictures[at * len(pictures) // MOST] for at in range(MOST)] if len(pictures) > MOST else pictures


def write_sheet(folder: Path, name: str, pictures: Sequence[Picture]) -> None:
    """Write the page for these finished pictures, evenly picked where there are too many for one page."""
    from PIL import Image

    from webui_image.pictures import encode
    from webui_image.pictures.sheet import Labelled, sheet

    shown = chosen(pictures)
    labelled = []
    for picture in shown:
        try:
            with Image.open(folder / picture.file_name) as opened:
                opened.draft("RGB", (2 * _CELL, 2 * _CELL))
                small = opened.convert("RGB")
        except OSError:
            continue  # taken away meanwhile: the manifest of the next run says so
        if max(small.size) > _CELL:
            small.thumbnail((_CELL, _CELL), Image.Resampling.LANCZOS)
        labelled.append(Labelled(small, f"{picture.index:05d}  {picture.generation.prompt}"))
    if not labelled:
        (folder / NAME).unlink(missing_ok=True)
        return
    of = f"{len(shown)} of {len(pictures):,} pictures" if len(pictures) > MOST else f"{len(pictures)} pictures"
    write(folder / NAME, encode.png(sheet(labelled, title=f"{name}: {of}", cell=_CELL), level=6))
