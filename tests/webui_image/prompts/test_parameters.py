"""From the text inside a picture to a request that asks for it again."""

import pytest
from PIL import Image

from webui_image.prompts.infotext import parse, write
from webui_image.values.errors import Invalid
from webui_image.values.generation import Generation, HiresFix, Mask, MaskFill, Source, Variation

PICTURE, MASK = Image.new("RGB", (8, 8)), Image.new("L", (8, 8))


def again(generation):
    return parse(write(generation, model="shapes")).to_parameters()


def test_a_text_to_image_request_comes_back_whole():
    """Every setting has the type and the name that A1111's API gives it."""
    generation = Generation(
        "a cat", "blurry", 64, 96, 12, 2.5, "DPM++ 2M", "Karras", 7, vae="other", clip_skip=2, eta=0.5,
        variation=Variation(9, 0.25), seed_resize_from=(32, 48), guidance_rescale=0.7,
        hires=HiresFix(1.5, 0, 0, 6, "Latent", 0.4, "Euler", "Automatic", "more, cat", "less"),
    )  # fmt: skip
    assert again(generation) == {
        "prompt": "a cat",
        "negative_prompt": "blurry",
        "width": 64,
        "height": 96,
        "steps": 12,
        "cfg_scale": 2.5,
        "sampler_name": "DPM++ 2M",
        "scheduler": "Karras",
        "seed": 7,
        "eta": 0.5,
        "guidance_rescale": 0.7,
        "subseed": 9,
        "subseed_strength": 0.25,
        "seed_resize_from_w": 32,
        "seed_resize_from_h": 48,
        "enable_hr": True,
        "hr_scale": 1.5,
        "hr_second_pass_steps": 6,
        "hr_upscaler": "Latent",
        "denoising_strength": 0.4,
        "hr_sampler_name": "Euler",
        "hr_scheduler": "Automatic",
        "hr_prompt": "more, cat",
        "hr_negative_prompt": "less",
        "override_settings": {"sd_model_checkpoint": "shapes", "sd_vae": "other", "CLIP_stop_at_last_layers": 2},
    }


def test_an_inpainting_request_comes_back_but_for_its_pictures():
    """Mask settings come back as the numbers that A1111's API takes."""
    mask = Mask(MASK, 6, MaskFill.LATENT_NOISE, only_masked=True, padding=16, invert=True)
    found = again(Generation("a", source=Source(PICTURE, 0.6, mask=mask)))
    assert {key: found[key] for key in found if "mask" in key or "inpaint" in key or "strength" in key} == {
        "denoising_strength": 0.6,
        "mask_blur": 6,
        "inpainting_fill": 2,
        "inpainting_mask_invert": 1,
        "inpaint_full_res": True,
        "inpaint_full_res_padding": 16,
    }


def test_hires_fix_to_a_size_comes_back():
    """The size that was asked for, not a factor."""
    found = again(Generation("a", hires=HiresFix(width=128, height=256)))
    assert (found["enable_hr"], found["hr_resize_x"], found["hr_resize_y"]) == (True, 128, 256)
    assert "hr_scale" not in found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("Steps: many", "infotext.Steps: 'many' is not a whole number", id="a word for a number"),
        pytest.param("Steps: 20.5", "infotext.Steps: '20.5' is not a whole number", id="a fraction for a whole number"),
        pytest.param("Seed: " + "9" * 5000, "infotext.Seed: '999", id="a number without end"),
        pytest.param("CFG scale: nan", "infotext.CFG scale: 'nan' is not a number", id="not a number"),
        pytest.param("CFG scale: 1e999", "infotext.CFG scale: '1e999' is not a number", id="infinity"),
        pytest.param("Size: big", "infotext.Size: 'big' is not a size", id="no size"),
        pytest.param("Size: 1xb", "infotext.Size: 'b' is not a whole number", id="half a size"),
        pytest.param(
            "Masked content: air", "infotext.Masked content: 'air' is none of fill, original", id="no content"
        ),
        pytest.param("Clip skip: -", "infotext.Clip skip: '-' is not a whole number", id="a setting"),
    ],
)
def test_what_cannot_be_asked_for_is_named(line, message):
    """A picture may say anything; the pair that is wrong is named, with what stands there."""
    with pytest.raises(Invalid) as problem:
        parse(f"a\n{line}, one: 1, two: 2").to_parameters()
    assert str(problem.value).startswith(message)
