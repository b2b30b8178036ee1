"""Pictures brought to the size asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from webui_image.pictures.resize import resize
from webui_image.values.errors import Unsupported
from webui_image.values.generation import ResizeMode

SIDES = st.integers(1, 80)
MODES = [ResizeMode.STRETCH, ResizeMode.CROP, ResizeMode.FILL]


def stripes(width, height):
    """Give a picture whose left fifth is red and right fifth is blue, white between."""
    image = Image.new("RGB", (width, height), "white")
    image.paste("red", (0, 0, width // 5, height))
    image.paste("blue", (width - width // 5, 0, width, height))
    return image


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(MODES), st.sampled_from(["RGB", "L", "RGBA"]))
def test_every_mode_gives_the_size_asked_for(width, height, wanted_width, wanted_height, mode, colours):
    """Whatever the sizes, mode and kind of picture; one colour stays one colour."""
    image = Image.new(colours, (width, height), "white")
    found = resize(image, mode, wanted_width, wanted_height)
    assert found.size == (wanted_width, wanted_height)
    assert found.mode == colours
    assert (np.asarray(found) == 255).all()


def test_stretching_shows_all_of_it():
    """Everything is narrower, nothing is lost."""
    found = resize(stripes(100, 50), ResizeMode.STRETCH, 50, 50)
    assert [found.getpixel((column, 25)) for column in (4, 25, 45)] == [(255, 0, 0), (255, 255, 255), (0, 0, 255)]


def test_cropping_cuts_both_sides():
    """The middle stays, as large as the height allows."""
    found = resize(stripes(100, 50), ResizeMode.CROP, 50, 50)
    assert {found.getpixel((column, 25)) for column in (2, 25, 47)} == {(255, 255, 255)}
    tall = resize(stripes(50, 100), ResizeMode.CROP, 50, 50)
    assert [tall.getpixel((column, 25)) for column in (4, 25, 45)] == [(255, 0, 0), (255, 255, 255), (0, 0, 255)]


def test_filling_continues_the_edges():
    """All of it is shown, and the colours at its edges go on above and below, or left and right."""
    found = resize(stripes(100, 50), ResizeMode.FILL, 50, 50)
    for row in (0, 25, 49):
        assert [found.getpixel((column, row)) for column in (4, 25, 45)] == [(255, 0, 0), (255, 255, 255), (0, 0, 255)]
    wide = resize(stripes(100, 50), ResizeMode.FILL, 200, 50)
    assert [wide.getpixel((column, 25)) for column in (0, 50, 100, 199)] == [
        (255, 0, 0),
        (255, 0, 0),
        (255, 255, 255),
        (0, 0, 255),
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_the_size_is_copied_unchanged(picture, mode):
    """No pixel changes, and drawing on the result does not draw on the original."""
    found = resize(picture, mode, *picture.size)
    assert found.tobytes() == picture.tobytes()
    assert found is not picture


@pytest.mark.parametrize("mode", MODES)
def test_a_thin_picture_takes_no_memory_for_what_is_cut_off(mode):
    """Of 1 x 8192 to 512 x 512, the part that is shown is enlarged, and nothing else."""
    assert resize(Image.new("RGB", (1, 8192), "red"), mode, 512, 512).getpixel((256, 256)) == (255, 0, 0)
    assert resize(Image.new("RGB", (8192, 1), "red"), mode, 512, 512).getpixel((256, 256)) == (255, 0, 0)


def test_the_latent_mode_is_refused(picture):
    """It is no work on pixels; the field and the other modes are named."""
    with pytest.raises(Unsupported, match=r"resize_mode: 3 .* send 0, 1 or 2"):
        resize(picture, ResizeMode.LATENT, 8, 8)
