"""Inpainting: what the model is given, and how its picture is laid over the original."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from webui_image.pictures import inpaint
from webui_image.values.errors import Unsupported
from webui_image.values.generation import Mask, MaskFill, ResizeMode, Source

RED = (255, 0, 0)


def mask_of(size, box):
    image = Image.new("L", size)
    image.paste(255, box)
    return image


@pytest.fixture
def photo():
    """Give a noisy picture, in which every byte that changes shows."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 200, (96, 128, 3), dtype=np.uint8))


@pytest.fixture
def hole():
    """Give a mask for it, white from (40, 30) to (72, 54)."""
    return mask_of((128, 96), (40, 30, 72, 54))


def test_without_a_mask_the_picture_is_resized_and_the_result_is_the_models(photo):
    """Nothing is laid over anything."""
    prepared = inpaint.prepare(Source(photo), 64, 48)
    assert (prepared.image.size, prepared.latent_mask, prepared.overlay) == ((64, 48), None, None)
    result = Image.new("RGB", (64, 48), "red")
    assert inpaint.finish(result, prepared) is result


def test_the_latent_resize_mode_is_refused(photo):
    """What the engine would have to do is not done in secret as something else."""
    with pytest.raises(Unsupported, match="resize_mode"):
        inpaint.prepare(Source(photo, resize_mode=ResizeMode.LATENT), 64, 64)


@pytest.mark.parametrize("only_masked", [False, True], ids=["whole picture", "only masked"])
@pytest.mark.parametrize("blur", [0, 4])
@pytest.mark.parametrize("fill", MaskFill)
def test_colours_outside_the_mask_stay_byte_for_byte(photo, hole, only_masked, blur, fill):
    """Whatever the model paints, with every fill and blur; inside the mask it is the model's."""
    source = Source(photo, mask=Mask(hole, blur, fill, only_masked, padding=8))
    prepared = inpaint.prepare(source, 128, 96)
    result = np.asarray(inpaint.finish(Image.new("RGB", (128, 96), RED), prepared))
    outside = np.ones((96, 128), bool)
    outside[30 - 4 * blur : 54 + 4 * blur, 40 - 4 * blur : 72 + 4 * blur] = False
    assert (result[outside] == np.asarray(photo)[outside]).all()
    assert (result[42, 56] == RED).all()


def test_an_inverted_mask_changes_the_rest(photo, hole):
    """White is kept, black is repainted."""
    prepared = inpaint.prepare(Source(photo, mask=Mask(hole, 0, invert=True)), 128, 96)
    result = inpaint.finish(Image.new("RGB", (128, 96), RED), prepared)
    assert result.getpixel((0, 0)) == RED
    assert result.crop((40, 30, 72, 54)).tobytes() == photo.crop((40, 30, 72, 54)).tobytes()


def test_a_blurred_mask_blends(photo, hole):
    """The edge between old and new is soft, and wider on the outside, as A1111's is."""
    prepared = inpaint.prepare(Source(Image.new("RGB", (128, 96)), mask=Mask(hole, 8)), 128, 96)
    row = np.asarray(inpaint.finish(Image.new("RGB", (128, 96), RED), prepared))[42, 6:57, 0].astype(int)
    assert row[0] == 0
    assert row[-1] == 255
    assert (np.diff(row) >= 0).all()
    assert len(set(row)) > 10
    assert row[34] > 200


def test_only_masked_gives_the_model_the_part_around_the_mask(photo, hole):
    """At the full size asked for, with the padding around it, and the result has the original's size."""
    prepared = inpaint.prepare(Source(photo, mask=Mask(hole, 0, only_masked=True, padding=4)), 160, 128)
    assert prepared.overlay.region == (36, 26, 76, 58)
    assert prepared.image.size == (160, 128)
    around = photo.crop((36, 26, 76, 58)).resize((160, 128), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(prepared.image, int) - np.asarray(around, int)).max() == 0
    assert prepared.latent_mask.point([0] * 128 + [255] * 128).getbbox() == pytest.approx((16, 16, 144, 112), abs=1)
    assert inpaint.finish(Image.new("RGB", (160, 128)), prepared).size == photo.size


def test_only_masked_pastes_back_where_it_was_cut_out(photo, hole):
    """The model's picture unchanged gives the original back, but for resampling."""
    smooth = photo.resize((8, 6)).resize((128, 96), Image.Resampling.BICUBIC)
    prepared = inpaint.prepare(Source(smooth, mask=Mask(hole, 4, only_masked=True, padding=16)), 256, 256)
    result = inpaint.finish(prepared.image, prepared)
    assert np.abs(np.asarray(result, int) - np.asarray(smooth, int)).max() <= 6


@pytest.mark.parametrize("only_masked", [False, True])
def test_a_black_mask_changes_nothing(photo, only_masked):
    """There is nothing to repaint, and nothing to cut out."""
    prepared = inpaint.prepare(Source(photo, mask=Mask(Image.new("L", (128, 96)), 4, only_masked=only_masked)), 128, 96)
    assert inpaint.finish(Image.new("RGB", (128, 96), RED), prepared).tobytes() == photo.tobytes()


def test_a_mask_of_another_size_is_stretched(photo):
    """As drawn programs send it: the mask at half the size covers the same part."""
    prepared = inpaint.prepare(Source(photo, mask=Mask(mask_of((64, 48), (0, 0, 32, 48)), 0)), 128, 96)
    result = inpaint.finish(Image.new("RGB", (128, 96), RED), prepared)
    assert [result.getpixel((column, 50)) == RED for column in (0, 60, 68, 127)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("fill", "covered"),
    [
        pytest.param(MaskFill.FILL, True, id="smeared"),
        pytest.param(MaskFill.ORIGINAL, False, id="original"),
        pytest.param(MaskFill.LATENT_NOISE, False, id="noise is the engine's"),
        pytest.param(MaskFill.LATENT_NOTHING, False, id="nothing is the engine's"),
    ],
)
def test_the_fill_covers_or_is_passed_on(fill, covered):
    """A green square under the mask is gone with `fill`, and there with the others, which are passed on."""
    image = Image.new("RGB", (64, 64), "blue")
    image.paste((0, 255, 0), (24, 24, 40, 40))
    mask = mask_of((64, 64), (20, 20, 44, 44))
    prepared = inpaint.prepare(Source(image, mask=Mask(mask, 0, fill)), 64, 64)
    assert prepared.fill is fill
    assert (prepared.image.getpixel((32, 32)) == (0, 0, 255)) is covered
    assert prepared.image.getpixel((5, 5)) == (0, 0, 255)


def test_smeared_colours_are_those_nearest():
    """Left of the hole is red and right of it blue: so are its two sides, with no pixel outside changed."""
    image = Image.new("RGB", (60, 40), "red")
    image.paste((0, 0, 255), (30, 0, 60, 40))
    mask = mask_of((60, 40), (20, 10, 40, 30))
    image.paste((0, 255, 0), (20, 10, 40, 30))
    found = inpaint.smear(image, mask)
    left, right = found.getpixel((21, 20)), found.getpixel((38, 20))
    assert left[0] > 200 > 60 > left[2]
    assert right[2] > 200 > 60 > right[0]
    assert max(found.getpixel((30, 20))[1], left[1], right[1]) == 0
    kept = Image.composite(Image.new("RGB", (60, 40)), found, mask)
    assert kept.tobytes() == Image.composite(Image.new("RGB", (60, 40)), image, mask).tobytes()


def test_with_nothing_known_the_mean_is_smeared():
    """A mask over everything leaves one colour, the picture's mean."""
    image = Image.new("RGB", (4, 2), "black")
    image.paste("white", (0, 0, 2, 2))
    assert set(inpaint.smear(image, Image.new("L", (4, 2), 255)).get_flattened_data()) == {(128, 128, 128)}


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(0, 89), st.integers(0, 89), st.integers(1, 90), st.integers(1, 90)),
    st.integers(0, 300),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_the_part_cut_out_holds_the_mask_within_the_picture(size, box, padding, target):
    """Whatever sizes: within the picture, around all of the white, at the aspect as far as the picture reaches."""
    mask = mask_of(size, box)
    region = inpaint.region_around(mask, padding, *target)
    white = mask.getbbox()
    if white is None:
        assert region is None
        return
    left, top, right, bottom = region
    assert 0 <= left <= white[0] < white[2] <= right <= size[0]
    assert 0 <= top <= white[1] < white[3] <= bottom <= size[1]
    if right - left < size[0] and bottom - top < size[1]:
        assert (right - left) * target[1] == pytest.approx((bottom - top) * target[0], abs=max(target))


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    st.builds(
        Mask,
        st.tuples(st.integers(1, 60), st.integers(1, 60)).map(
            lambda size: mask_of(size, (0, 0, size[0] // 2, size[1]))
        ),
        st.integers(0, 10**9),
        st.sampled_from(MaskFill),
        st.booleans(),
        st.integers(0, 10**9),
        st.booleans(),
    ),
    st.sampled_from([ResizeMode.STRETCH, ResizeMode.CROP, ResizeMode.FILL]),
)
def test_any_settings_give_a_picture(size, cells, mask, mode):
    """Any size, mask, blur, padding and mode: the model gets the size asked for, and its picture is laid over."""
    width, height = cells[0] * 8, cells[1] * 8
    source = Source(Image.new("RGB", size, "blue"), resize_mode=mode, mask=mask)
    prepared = inpaint.prepare(source, width, height)
    assert prepared.image.size == prepared.latent_mask.size == (width, height)
    assert inpaint.finish(Image.new("RGB", (width, height)), prepared).size in {(width, height), size}


def test_the_latent_mask_is_black_and_white():
    """Each cell of eight pixels is repainted where half of it or more is white."""
    found = inpaint.latent_mask(mask_of((32, 8), (12, 0, 27, 8)), 4, 1)
    assert [found.getpixel((column, 0)) for column in range(4)] == [0, 255, 255, 0]
