"""Enlarging."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from webui_image.pictures.upscale import LATENT_MODES, UPSCALERS, upscale
from webui_image.values.errors import Invalid


def circle(side, share=1):
    """Give a red disc on green, drawn smoothly."""
    image = Image.new("RGB", (side * 8, side * 8), (0, 150, 0))
    ImageDraw.Draw(image).ellipse((side * 2, side * 2, side * 6, side * 6), fill=(250, 20, 20))
    return image.reduce(8 // share) if share < 8 else image


def error(one, two):
    return float(np.abs(np.asarray(one, int) - np.asarray(two, int)).mean())


@pytest.mark.parametrize("name", UPSCALERS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(1, 1), (20, 50), (33, 7), (24, 16)])
def test_every_upscaler_gives_the_size_asked_for(picture, name, mode, size):
    """Larger, smaller, and of another aspect."""
    assert upscale(picture.convert(mode), name, *size).size == size


@pytest.mark.parametrize("name", UPSCALERS)
def test_one_colour_stays_one_colour(name):
    """Nothing is added to a plain picture."""
    found = upscale(Image.new("RGB", (8, 8), (10, 200, 30)), name, 50, 70)
    assert set(found.get_flattened_data()) == {(10, 200, 30)}


def test_the_size_it_has_changes_nothing(picture):
    """And gives a copy."""
    found = upscale(picture, "Lanczos", *picture.size)
    assert found.tobytes() == picture.tobytes()
    assert found is not picture


def test_unknown_upscalers_are_named():
    """With those that there are."""
    with pytest.raises(Invalid, match="hr_upscaler: 'ESRGAN' is not an upscaler; there are None, Lanczos, Nearest"):
        upscale(Image.new("RGB", (8, 8)), "ESRGAN", 16, 16, field="hr_upscaler")


def test_flat_drawings_keep_their_outlines():
    """A disc of 48 pixels enlarged eight times is nearer to the same disc drawn large than with any other way."""
    small, large = circle(48), circle(48, 8)
    errors = {name: error(upscale(small, name, 384, 384), large) for name in UPSCALERS}
    assert errors["Flat drawing"] < 0.6 * min(value for name, value in errors.items() if name != "Flat drawing")


def test_flat_drawings_get_no_colours_that_were_not_there():
    """Between red and green there is no black or yellow line: every colour lies between the two."""
    found = np.asarray(upscale(circle(32), "Flat drawing", 256, 256), dtype=int).reshape(-1, 3)
    share = (found[:, 0] - 0) / 250
    expected = np.stack([share * 250, 150 - share * 130, share * 20], axis=1)
    assert np.abs(found - expected).max() < 6


def test_shading_is_left_alone_by_the_flat_drawing_upscaler():
    """A faint gradient has no outline to sharpen."""
    gradient = Image.linear_gradient("L").resize((32, 32), Image.Resampling.BILINEAR)
    steps = np.diff(np.asarray(upscale(gradient, "Flat drawing", 256, 256), dtype=int)[:, 100, 0])
    assert steps.max() <= 3


def test_latent_modes_are_a1111s():
    """The names that clients send for hires fix."""
    assert LATENT_MODES["Latent"] == ("bilinear", False)
    assert LATENT_MODES["Latent (bicubic antialiased)"] == ("bicubic", True)
    assert len(LATENT_MODES) == 6
