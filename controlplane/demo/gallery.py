"""What was drawn, to look at: one picture file with a row for each place, and small renderings for a terminal."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from controlplane.demo.drawing import Picture
from controlplane.demo.stage import DemoError

if TYPE_CHECKING:
    from PIL import Image
    from rich.text import Text

SIDE = 128  # pixels of a picture on the sheet
COLUMNS = 8
_GAP, _HEADING = 8, 26
_INK, _PAPER = (30, 30, 34), (250, 250, 248)


def save_sheet(file: Path, pictures: Mapping[str, Sequence[Picture]]) -> Path:
    """Write the sheet as a PNG: below each place's name, what it drew. Raises DemoError where it cannot be written."""
    from PIL import Image, ImageDraw

    width = _GAP + COLUMNS * (SIDE + _GAP)
    row = _HEADING + SIDE + _GAP
    sheet = Image.new("RGB", (width, _GAP + row * len(pictures)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (place, drawn) in enumerate(pictures.items()):
        top = _GAP + number * row
        pen.text((_GAP, top), place, fill=_INK, font_size=16)
        for column, picture in enumerate(drawn[:COLUMNS]):
            image = opened(picture).resize((SIDE, SIDE), Image.Resampling.NEAREST)
            sheet.paste(image, (_GAP + column * (SIDE + _GAP), top + _HEADING))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(file)
    except OSError as error:
        raise DemoError(f"{file}: {error.strerror}; name a file that can be written with --pictures") from error
    return file


def opened(picture: Picture) -> "Image.Image":
    """Give the picture's pixels (RGB)."""
    from PIL import Image

    return Image.open(io.BytesIO(picture.png)).convert("RGB")


def in_characters(pictures: Sequence[Picture], *, side: int = 16) -> "Text":
    """Draw pictures side by side with coloured half blocks, each `side` characters wide and half as many lines high."""
    from rich.style import Style
    from rich.text import Text

    small = [opened(picture).resize((side, side)) for picture in pictures]
    text = Text(no_wrap=True)
    for y in range(0, side, 2):
        for number, image in enumerate(small):
            text.append("  " if number else "")
            for x in range(side):
                above, below = image.getpixel((x, y)), image.getpixel((x, y + 1))
                text.append("\N{UPPER HALF BLOCK}", Style(color=_hex(above), bgcolor=_hex(below)))
        text.append("\n")
    text.rstrip()
    return text


def _hex(pixel: object) -> str:
    red, green, blue = pixel if isinstance(pixel, tuple) else (0, 0, 0)
    return f"#{red:02x}{green:02x}{blue:02x}"
