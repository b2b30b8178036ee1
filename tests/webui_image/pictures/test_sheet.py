"""Contact sheets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from webui_image.pictures.sheet import Labelled, sheet, wrapped

COLOURS = ["red", "lime", "blue", "yellow", "magenta"]


def colours_at(page, columns, cell, rows):
    return [
        page.getpixel((16 + column * (cell + 16) + cell // 2, row + cell // 2)) for row in rows for column in columns
    ]


def dark(page):
    return int((np.asarray(page.convert("L")) < 100).sum())


def test_pictures_stand_in_order_from_left_to_right():
    """Five pictures make two rows of three, the last place stays empty."""
    page = sheet([Labelled(Image.new("RGB", (8, 8), colour)) for colour in COLOURS], cell=64)
    assert page.size == (3 * 80 + 16, 2 * 80 + 16)
    found = colours_at(page, range(3), 64, (16, 96))
    assert found == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (255, 255, 255)]


def test_columns_can_be_asked_for():
    """A strip of one column, or more columns than pictures."""
    pictures = [Labelled(Image.new("RGB", (8, 8), "red"))] * 3
    assert sheet(pictures, columns=1, cell=64).width == 96
    assert sheet(pictures, columns=9, cell=64).width == 3 * 80 + 16


def test_captions_and_title_are_written():
    """There is ink under a picture with a caption, and above with a title, and none without."""
    plain = Image.new("RGB", (8, 8), "white")
    without = sheet([Labelled(plain)], cell=128)
    captioned = sheet([Labelled(plain, "seed 42")], cell=128)
    titled = sheet([Labelled(plain)], cell=128, title="Pictures")
    assert dark(without) == 0
    assert dark(captioned.crop((0, 144, 160, captioned.height))) > 30
    assert dark(titled.crop((0, 0, 160, 48))) > 30


def test_small_pictures_are_enlarged_without_blur():
    """Each pixel of a small picture is a square with sharp edges."""
    image = Image.new("RGB", (2, 1), "black")
    image.putpixel((1, 0), (255, 255, 255))
    row = np.asarray(sheet([Labelled(image)], cell=64).convert("L"))[48, 16:80]
    assert set(row) == {0, 255}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("", [], id="empty"),
        pytest.param("one two", ["one two"], id="short"),
        pytest.param("one two three four", ["one two", "three four"], id="wrapped at words"),
        pytest.param("one two three four five", ["one two", "three fou…"], id="cut with an ellipsis"),
        pytest.param("abcdefghijklmn", ["abcdefghij", "klmn"], id="a word longer than the line"),
        pytest.param("a\nb", ["a b"], id="line breaks are blanks"),
    ],
)
def test_captions_are_wrapped(text, lines):
    """In at most two lines of ten letters."""
    assert wrapped(text, len, 10, 2) == lines


@given(st.text(max_size=80), st.integers(1, 20), st.integers(1, 4))
def test_any_caption_fits(text, width, most):
    """No line is longer than the picture is wide, and there are no more lines than asked for."""
    lines = wrapped(text, len, width, most)
    assert len(lines) <= most
    assert all(len(line) <= width for line in lines)
    if lines and not lines[-1].endswith("…"):
        assert "".join(lines).replace(" ", "") == "".join(text.split())


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4), st.integers(1, 300), st.integers(1, 300))
def test_any_pictures_make_a_sheet(captions, width, height):
    """Of any size, mode and script."""
    pictures = [Labelled(Image.new("RGBA", (width, height)), caption) for caption in captions]
    assert sheet(pictures, cell=32, title=captions[0]).mode == "RGB"


def test_no_pictures_make_no_sheet():
    """There is nothing to show."""
    with pytest.raises(ValueError, match="at least one picture"):
        sheet([])
