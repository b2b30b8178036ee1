"""A request is planned, and refused where it cannot be, before the engine's thread sees it."""

import pytest

from webui_image.engine.planning import drawn_size, plan
from webui_image.engine.seeds import of_picture
from webui_image.values.errors import Invalid
from webui_image.values.generation import Generation, HiresFix, Lora, Source, Variation
from webui_image.values.ports import ModelInfo, Recommended

MODEL = ModelInfo("small", "small", "0" * 64, "sd1", recommended=Recommended(guidance_rescale=0.3))


def asked(**settings):
    return Generation("a circle", **({"width": 64, "height": 64} | settings))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"width": 65}, "width"),
        ({"height": 0}, "height"),
        ({"steps": 0}, "steps"),
        ({"count": 0}, "batch_size"),
        ({"sampler": "Nobody"}, "sampler_name"),
        ({"sampler": "LCM", "steps": 60}, "steps"),
        ({"hires": HiresFix(upscaler="Nobody")}, "hr_upscaler"),
        ({"hires": HiresFix(scale=0.05)}, "hr_scale"),
        ({"hires": HiresFix(sampler="LCM", steps=99)}, "hr_second_pass_steps"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_drawn_is_refused_by_its_field(settings, field):
    """A wrong value is named by the field that users know."""
    with pytest.raises(Invalid) as refused:
        plan(asked(**settings), MODEL)
    assert refused.value.field == field


def test_guidance_rescale_is_the_models_unless_asked_for():
    """A model's recommended rescale applies where a request names none."""
    assert plan(asked(), MODEL).guidance_rescale == 0.3
    assert plan(asked(guidance_rescale=0.0), MODEL).guidance_rescale == 0.0


def test_loras_of_tags_and_fields_are_one_set():
    """The same LoRA named twice is mixed in once, with both weights; the order does not matter."""
    one = Generation("a <lora:b:0.5> <lora:a:1>", width=64, height=64, loras=(Lora("b", 0.25),))
    other = Generation("<lora:a:1> x <lora:b:0.75>", width=64, height=64)
    assert plan(one, MODEL).group(0, "") == plan(other, MODEL).group(0, "")
    assert plan(one, MODEL).passes[0].loras == (Lora("a", 1.0), Lora("b", 0.75))


@pytest.mark.parametrize(("strength", "steps"), [(1.0, 20), (0.75, 15), (0.5, 10), (0.01, 0), (0.0, 0)], ids=str)
def test_strength_decides_how_many_steps_are_taken(strength, steps):
    """Image-to-image takes the share of the steps that diffusers' pipeline takes."""
    assert plan(asked(source=Source(None, strength)), MODEL).steps == steps


def test_steps_of_both_passes_count():
    """Progress is over both passes of hires fix."""
    assert plan(asked(steps=20, hires=HiresFix(2.0, steps=10, denoising_strength=0.5)), MODEL).steps == 25


@pytest.mark.parametrize(
    ("asked_for", "drawn"),
    [
        ((64, 64), (64, 64)),
        ((128, 128), (128, 128)),
        ((512, 512), (64, 64)),
        ((512, 256), (64, 32)),
        ((300, 512), (40, 64)),
    ],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_sizes_beyond_the_models_are_drawn_at_its_own(asked_for, drawn):
    """Beyond its largest side a model draws within its native side, at the same aspect, in multiples of 8."""
    assert drawn_size(*asked_for, Recommended(native_side=64, largest_side=128)) == drawn


def test_models_without_a_largest_side_draw_any_size():
    """Zero means that nothing is enlarged."""
    assert drawn_size(1024, 768, Recommended(largest_side=0)) == (1024, 768)


def test_an_enlarged_picture_says_so():
    """A plan knows whether its pictures are enlarged, from and to which size."""
    model = ModelInfo("small", "small", "", "sd1", recommended=Recommended(native_side=64, largest_side=96))
    made = plan(asked(width=512, height=512), model)
    assert made.drawn_at == (64, 64)
    assert (made.final_width, made.final_height) == (512, 512)
    assert plan(asked(), model).drawn_at is None


def test_seeds_count_up_or_their_variations_do():
    """Without a variation the seed counts up; with one of some strength only the variation's does; both wrap."""
    assert [of_picture(asked(seed=2**32 - 1), index).seed for index in range(2)] == [2**32 - 1, 0]
    varied = [of_picture(asked(seed=5, variation=Variation(9, 0.3)), index) for index in range(2)]
    assert [(seeds.seed, seeds.variation_seed) for seeds in varied] == [(5, 9), (5, 10)]
    unvaried = [of_picture(asked(seed=5, variation=Variation(9, 0.0)), index) for index in range(2)]
    assert [(seeds.seed, seeds.variation_seed) for seeds in unvaried] == [(5, 9), (6, 10)]
