"""The drawings, captions and reader that the small model is trained and measured with."""

import numpy as np
import pytest

from webui_image.demo_model.train.captions import (
    HELD_OUT,
    HELD_OUT_PHRASINGS,
    caption,
    held_out_prompts,
    meaningless,
    trained_scene,
)
from webui_image.demo_model.train.drawing import Scene, collage, draw, outline, random_scene
from webui_image.demo_model.train.reader import Reading, read
from webui_image.demo_model.vocabulary import BACKGROUNDS, COLOURS, PALETTE, PLACES, SHAPES, SIZES


@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 64), (64, 96), (96, 96)], ids=str)
def test_the_reader_is_right_on_true_drawings(width, height):
    """Of 250 drawings (1,000 in all sizes together) at most one is misread."""
    rng = np.random.default_rng(width * 1000 + height)
    scenes = [random_scene(rng) for _ in range(250)]
    wrong = [
        scene
        for scene in scenes
        if read(draw(scene, None, width, height)) != Reading(scene.background, scene.colour, scene.shape)
    ]
    assert len(wrong) <= 1, wrong


def test_the_reader_sees_nothing_on_an_empty_picture():
    """A plain picture has a background and neither colour nor shape."""
    assert read(np.full((64, 64, 3), 255, np.uint8)) == Reading("white", "", "")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_reader_is_not_fooled_by_another_shape(shape):
    """Every shape is told from all others at the smallest size, wherever it lies between two pixels."""
    rng = np.random.default_rng(1)
    scenes = [Scene("white", "blue", shape, "small", "center")] * 15
    assert {read(draw(scene, rng)).shape for scene in scenes} == {shape}


def test_a_strong_cast_of_colour_is_read_as_another_colour():
    """The reader judges the colour as seen: a red circle shifted to orange is orange."""
    picture = draw(Scene("white", "red", "circle", "large", "center"), np.random.default_rng(0)).copy()
    picture[(picture[..., 1] < 128)] = PALETTE["orange"]
    assert read(picture) == Reading("white", "orange", "circle")


def test_drawings_are_the_same_for_the_same_seed():
    """Scene, drawing, caption and collage repeat from their seed, and differ with another."""

    def made(seed):
        rng = np.random.default_rng(seed)
        scene = trained_scene(rng)
        return scene, caption(scene, rng), draw(scene, rng).tobytes(), collage(rng).tobytes(), meaningless(rng)

    assert made(3) == made(3)
    assert made(3) != made(4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", PLACES)
def test_a_shape_stays_inside_the_picture(size, place):
    """A drawing covers at most a part of the outermost pixels: nothing is cut off, whatever its place and size."""
    for shape in SHAPES:
        picture = draw(Scene("white", "black", shape, size, place))
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert border.min() > 90, shape


def test_an_unknown_shape_is_named():
    """The error says which shapes there are."""
    with pytest.raises(ValueError, match="'spiral' is unknown; known: circle"):
        outline("spiral")


def test_held_out_combinations_are_never_trained():
    """60 or more combinations are kept back; 5,000 training scenes show none, but every pair of their parts."""
    rng = np.random.default_rng(0)
    trained = {(s.background, s.colour, s.shape) for s in (trained_scene(rng) for _ in range(5000))}
    assert len(HELD_OUT) >= 60
    assert not trained & HELD_OUT
    for left, right in ((0, 1), (1, 2), (0, 2)):
        assert {(c[left], c[right]) for c in HELD_OUT} <= {(c[left], c[right]) for c in trained}


def test_held_out_phrasings_are_never_trained():
    """No training caption of 5,000 is one of the test prompts, with or without noise around it."""
    rng = np.random.default_rng(1)
    captions = [caption(scene, rng) for scene in (random_scene(rng) for _ in range(5000))]
    prompts = [text.lower() for text, _ in held_out_prompts(500)]
    assert not [(text, prompt) for text in set(captions) for prompt in prompts if prompt in text]


def test_test_prompts_name_what_they_ask_for():
    """200 prompts, all combinations held out, every template used, each naming background, colour and shape."""
    prompts = held_out_prompts(200)
    assert len(prompts) == 200
    assert {combination for _, combination in prompts} == HELD_OUT
    for text, combination in prompts:
        assert all(word in text.lower() for word in combination), text
    assert len(HELD_OUT_PHRASINGS) >= 8


def test_captions_say_nothing_false():
    """A caption mentions no shape but the drawn one, and no colour but those of shape and background."""
    rng = np.random.default_rng(2)
    for _ in range(2000):
        scene = random_scene(rng)
        words = set(caption(scene, rng).replace("grey", "gray").replace(",", " ").replace(".", " ").split())
        assert words & set(SHAPES) <= {scene.shape}
        assert words & {*COLOURS, *BACKGROUNDS} <= {scene.colour, scene.background}
