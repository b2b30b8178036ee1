"""A contact sheet: many pictures with their captions on one page, to see at a glance what came out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

_MARGIN = 16
_LINE_SPACING = 1.35
_PAPER, _INK, _FRAME = "#ffffff", "#1f2328", "#d0d7de"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture and what is written under it."""

    image: Image.Image
    caption: str = ""


def sheet(
    pictures: Sequence[Labelled],
    *,
    title: str = "",
    columns: int | None = None,
    cell: int = 256,
    caption_lines: int = 3,
    font_size: int = 14,
) -> Image.Image:
    """Give an RGB page; each picture fits into a square of `cell` pixels, small ones are enlarged without blur.

    Captions are wrapped at words, cut after `caption_lines` lines with an ellipsis. Raises ValueError without pictures.
    """
    if not pictures:
        raise ValueError("a contact sheet needs at least one picture")
    columns = max(1, min(columns or math.ceil(math.sqrt(len(pictures))), len(pictures)))
    font, title_font = ImageFont.load_default(font_size), ImageFont.load_default(font_size * 1.5)
    width = columns * (cell + _MARGIN) + _MARGIN
    heading = wrapped(title, title_font.getlength, width - 2 * _MARGIN, 1)
    line = round(font_size * _LINE_SPACING)
    captions = [wrapped(picture.caption, font.getlength, cell, caption_lines) for picture in pictures]
    tops = [_MARGIN + len(heading) * (_MARGIN + round(font_size * 1.5 * _LINE_SPACING))]
    for start in range(0, len(pictures), columns):
        tops.append(tops[-1] + cell + _MARGIN + line * max(map(len, captions[start : start + columns])))
    page = Image.new("RGB", (width, tops[-1]), _PAPER)
    draw = ImageDraw.Draw(page)
    for text in heading:
        draw.text((_MARGIN, _MARGIN), text, fill=_INK, font=title_font)
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = _MARGIN + index % columns * (cell + _MARGIN), tops[index // columns]
        _place(page, draw, picture.image, (left, top, cell))
        for number, text in enumerate(caption):
            draw.text((left, top + cell + 4 + number * line), text, fill=_INK, font=font)
    return page


def _place(page: Image.Image, draw: ImageDraw.ImageDraw, image: Image.Image, square: tuple[int, int, int]) -> None:
    """Put a picture into the middle of a square (left, top, side), with a thin frame around it."""
    left, top, side = square
    shown = _fitted(image, side)
    left, top = left + (side - shown.width) // 2, top + (side - shown.height) // 2
    page.paste(shown, (left, top))
    draw.rectangle((left - 1, top - 1, left + shown.width, top + shown.height), outline=_FRAME)


def wrapped(text: str, length: Callable[[str], float], width: int, most: int) -> list[str]:
    """Give the text in lines that are no longer than `width`, at most so many; the last one ends in an ellipsis."""
    lines: list[str] = []
    words = text[:2000].split()
    while words and len(lines) < most:
        current = ""
        while words and length(f"{current} {words[0]}".strip()) <= width:
            current = f"{current} {words.pop(0)}".strip()
        if not current:
            current, rest = _cut(words.pop(0), length, width)
            words = [rest, *words] if rest else words
        lines.append(current)
    if words and lines:
        last = lines[-1]
        while last and length(f"{last}…") > width:
            last = last[:-1]
        lines[-1] = f"{last.rstrip()}…"
    return lines


def _cut(word: str, length: Callable[[str], float], width: int) -> tuple[str, str]:
    end = 1
    while end < len(word) and length(word[: end + 1]) <= width:
        end += 1
    return word[:end], word[end:]


def _fitted(image: Image.Image, cell: int) -> Image.Image:
    scale = min(cell / image.width, cell / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    whole = scale >= 1 and float(scale).is_integer()
    return image.convert("RGB").resize(size, Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS)
