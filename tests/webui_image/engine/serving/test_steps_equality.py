"""Pictures drawn in company are those of diffusers' pipelines: within 1 of 255, and exact ones bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from webui_image.engine.batching import Tag
from webui_image.engine.drawing import Drawing
from webui_image.engine.job import Job, Picture, Stage
from webui_image.engine.planning import plan
from webui_image.engine.samplers import SAMPLERS, resolve
from webui_image.values.errors import NotFinite
from webui_image.values.generation import (
    Generation,
    HiresFix,
    Mask,
    MaskFill,
    Source,
    Variation,
)


class OneModel:
    """Gives one model for every name."""

    def __init__(self, model):
        self.model = model

    def get(self, _name=""):
        return self.model

    def is_loaded(self, _name):
        return True


class Studio:
    """Draws requests together, each step of all that are there in one call."""

    def __init__(self, model):
        self.model = model
        self.drawing = Drawing(OneModel(model))

    def pictures(self, *generations):
        drawn = []
        for generation in generations:
            job = Job(generation, plan(generation, self.model.info), "", lambda _event: None, 0.0, lambda: None)
            for index in range(generation.count):
                group = job.plan.group(0, "")
                drawn.append(Picture(job, index, job.picture_seeds(index), 0, Tag(0, 0), group))
        return drawn

    def draw(self, *generations):
        """Give the pictures as arrays; fails where one of them does."""
        drawn = self.pictures(*generations)
        while any(picture.stage is not Stage.DRAWN for picture in drawn):
            for picture in drawn:
                if picture.stage is Stage.START:
                    self.drawing.prepare(picture)
            moving = [picture for picture in drawn if picture.stage is Stage.DENOISING]
            for group in dict.fromkeys(picture.group for picture in moving):
                together = [picture for picture in moving if picture.group == group]
                alone = [picture for picture in together if picture.job.generation.exact]
                for call in ([picture for picture in together if picture not in alone], *([each] for each in alone)):
                    assert not call or self.drawing.step(call) == [None] * len(call)
        return [np.asarray(self.drawing.finish([picture])[0], dtype=np.int16) for picture in drawn]


@pytest.fixture
def studio(sd1):
    """Give a studio with a model of Stable Diffusion 1's shape."""
    return Studio(sd1)


@pytest.fixture(scope="module")
def pipelines(sd1_directory):
    """Give diffusers' own pipelines over the same weights, by task."""
    import diffusers
    import torch

    pipe = diffusers.StableDiffusionPipeline.from_pretrained(sd1_directory, safety_checker=None, dtype=torch.float32)
    config = dict(pipe.scheduler.config)
    tasks = {
        "text": pipe,
        "picture": diffusers.StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False),
        "mask": diffusers.StableDiffusionInpaintPipeline(**pipe.components, requires_safety_checker=False),
    }

    def draw(task, generation, **extra):
        choice = resolve(generation.sampler, generation.scheduler, generation.eta)
        used = tasks[task]
        used.scheduler = getattr(diffusers, choice.scheduler_class).from_config(config, **dict(choice.options))
        used.set_progress_bar_config(disable=True)
        size = {} if task == "picture" else {"width": generation.width, "height": generation.height}
        image = used(
            generation.prompt,
            negative_prompt=generation.negative_prompt,
            num_inference_steps=generation.steps,
            guidance_scale=generation.cfg_scale,
            generator=torch.Generator("cpu").manual_seed(generation.seed),
            **size,
            **extra,
        ).images[0]
        return np.asarray(image, dtype=np.int16)

    return draw


def asked(**settings):
    plain = {"width": 64, "height": 64, "steps": 4, "seed": 5}
    return Generation("a red circle on a white background", **(plain | settings))


def off(one, other):
    return int(np.abs(one - other).max())


@pytest.fixture(scope="module")
def company(sd1_directory):
    """Give what makes requests that share calls: other steps, scales, samplers, prompts."""
    return [
        asked(steps=6, cfg_scale=5.0, sampler="Euler a", seed=8),
        asked(steps=3, cfg_scale=1.0, sampler="DDIM", seed=9),
        replace(asked(steps=5, sampler="DPM++ 2M", seed=10), prompt="blue", negative_prompt="a square"),
    ]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.name)
def test_every_sampler_draws_the_pipelines_picture(studio, pipelines, company, sampler):
    """In company of others within 1 of 255; alone in exact mode bit for bit."""
    own = asked(sampler=sampler.name)
    expected = pipelines("text", own)
    together = studio.draw(own, *company)[0]
    exact = studio.draw(replace(own, exact=True))[0]
    assert off(together, expected) <= 1
    assert off(exact, expected) == 0


@pytest.mark.parametrize(
    "changed",
    [{"cfg_scale": 1.0}, {"cfg_scale": 0.0}, {"height": 96}, {"negative_prompt": "blue"}, {"steps": 1}, {"eta": 0.6}],
    ids=str,
)
def test_settings_reach_the_picture_as_in_the_pipeline(studio, pipelines, changed):
    """Guidance, size, negative prompt, number of steps and eta do what they do in the pipeline."""
    own = asked(sampler="DDIM", **changed)
    extra = {"eta": own.eta} if own.eta is not None else {}
    expected = pipelines("text", own, **extra)
    assert off(studio.draw(own, asked(height=own.height, seed=1))[0], expected) <= 1
    assert off(studio.draw(replace(own, exact=True))[0], expected) == 0


def test_guidance_rescale_is_the_pipelines(studio, pipelines):
    """A rescaled guidance gives the pipeline's picture, beside one that has none."""
    own = asked(guidance_rescale=0.7, cfg_scale=9.0)
    expected = pipelines("text", own, guidance_rescale=0.7)
    assert off(studio.draw(own, asked(seed=1))[0], expected) <= 1


@pytest.fixture(scope="module")
def drawing():
    """Give a picture to start from: colours in stripes."""
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, :20] = (200, 30, 30)
    stripes[:, 20:44] = (20, 180, 60)
    stripes[24:40] = (10, 40, 220)
    return Image.fromarray(stripes)


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DPM++ 2M", "DDIM", "UniPC", "Heun", "DPM++ SDE"])
def test_starting_from_a_picture_is_the_pipelines(studio, pipelines, drawing, sampler):
    """Image-to-image starts at the step and with the noise of diffusers' pipeline, in company of text-to-image."""
    own = asked(sampler=sampler, steps=6, source=Source(drawing, 0.6))
    expected = pipelines("picture", own, image=drawing, strength=0.6)
    assert off(studio.draw(own, asked(seed=1))[0], expected) <= 1
    assert off(studio.draw(replace(own, exact=True))[0], expected) == 0


def test_strength_zero_keeps_the_picture(studio, drawing):
    """With nothing to draw, the picture is what the autoencoder makes of it, and there are no steps."""
    import torch

    own = asked(source=Source(drawing, 0.0))
    pixels = torch.from_numpy(np.array(drawing)).float().permute(2, 0, 1)[None] / 127.5 - 1
    kept = studio.model.decode(studio.model.encode_picture(pixels))[0].astype(np.int16)
    assert plan(own, studio.model.info).steps == 0
    assert off(studio.draw(own)[0], kept) <= 1


def test_inpainting_is_the_pipelines_where_it_paints(studio, pipelines, drawing):
    """Under the mask the picture is that of diffusers' pipeline; outside it is the original, untouched."""
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    own = asked(sampler="Euler", steps=6, source=Source(drawing, 0.8, mask=Mask(mask, blur=0)))
    expected = pipelines("mask", own, image=drawing, mask_image=mask, strength=0.8)
    drawn = studio.draw(own, asked(seed=1))[0]
    original = np.asarray(drawing, dtype=np.int16)
    inside = np.asarray(mask) > 0
    assert off(drawn[inside], expected[inside]) <= 1
    assert off(drawn[~inside], original[~inside]) == 0


def test_latent_fills_change_what_is_painted_over(studio, drawing):
    """What stands under the mask before painting makes a difference, for each of the four kinds."""
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (8, 8, 56, 56))
    drawn = [
        studio.draw(asked(source=Source(drawing, 0.7, mask=Mask(mask, blur=0, fill=fill))))[0] for fill in MaskFill
    ]
    assert len({array.tobytes() for array in drawn}) == len(MaskFill)


def test_a_batch_counts_its_seeds_up(studio):
    """Picture i of a request is the first picture of a request with the seed plus i."""
    batch = studio.draw(asked(count=3, seed=20, sampler="Euler a"))
    for index in range(3):
        single = studio.draw(asked(seed=20 + index, sampler="Euler a"))[0]
        assert off(batch[index], single) <= 1


def test_a_variation_of_strength_zero_and_one_are_the_two_seeds(studio):
    """Between two seeds' pictures lie their variations; the ends are the pictures themselves."""
    seed, other = studio.draw(asked(seed=5), asked(seed=77))
    nearly_none = studio.draw(asked(variation=Variation(77, 0.0)))[0]
    whole = studio.draw(asked(variation=Variation(77, 1.0)))[0]
    half = studio.draw(asked(variation=Variation(77, 0.5)))[0]
    assert off(nearly_none, seed) <= 1
    assert off(whole, other) <= 1
    assert off(half, seed) > 1
    assert off(half, other) > 1


@pytest.mark.parametrize("upscaler", ["Latent", "Latent (nearest-exact)", "Lanczos"])
def test_the_second_pass_is_image_to_image_at_the_larger_size(studio, upscaler):
    """Hires fix gives a picture of the final size, which depends on both passes."""
    own = asked(hires=HiresFix(1.5, upscaler=upscaler, steps=3))
    first, again, other = studio.draw(own, own, replace(own, seed=6))
    assert first.shape == (96, 96, 3)
    assert off(first, again) == 0
    assert off(first, other) > 1


def test_a_second_pass_by_way_of_the_picture_is_the_pipelines(studio, pipelines):
    """With a picture upscaler the second pass is diffusers' image-to-image over the enlarged first picture."""
    own = asked(sampler="Euler", hires=HiresFix(1.5, upscaler="Lanczos", denoising_strength=0.5))
    first = pipelines("text", asked(sampler="Euler"))
    larger = Image.fromarray(first.astype(np.uint8)).resize((96, 96), Image.Resampling.LANCZOS)
    expected = pipelines("picture", own, image=larger, strength=0.5)
    assert off(studio.draw(own)[0], expected) <= 2


def test_prompts_that_change_on_the_way_share_calls_with_those_that_do_not(studio):
    """A schedule draws its first text until the step it names, then its second; AND mixes several."""
    scheduled = replace(asked(), prompt="a [red:blue:2] circle")
    first, second = replace(asked(), prompt="a red circle"), replace(asked(), prompt="a blue circle")
    both = replace(asked(), prompt="a red circle AND a blue circle :0.5")
    arrays = studio.draw(scheduled, first, second, both)
    assert len({array.tobytes() for array in arrays}) == 4
    whole = studio.draw(replace(asked(), prompt="a [red:blue:4] circle"))[0]
    assert off(whole, arrays[1]) <= 1


def test_numbers_that_are_none_are_told_for_that_picture_alone(studio):
    """A picture whose latents are NaN gives NotFinite; its neighbour is drawn."""
    import torch

    bad, good = studio.pictures(asked(seed=1), asked(seed=2))
    for picture in (bad, good):
        studio.drawing.prepare(picture)
    bad.sampling.latents = torch.full_like(bad.sampling.latents, float("nan"))
    while good.stage is Stage.DENOISING:
        studio.drawing.step([bad, good])
    results = studio.drawing.finish([bad, good])
    assert isinstance(results[0], NotFinite)
    assert isinstance(results[1], Image.Image)
    assert off(np.asarray(results[1], dtype=np.int16), studio.draw(asked(seed=2))[0]) <= 1


def test_previews_come_nearer_to_the_picture(studio):
    """The estimate of the last step is nearly the picture; what is given up early is a picture as well."""
    (picture,) = studio.pictures(asked(steps=8, sampler="Euler"))
    studio.drawing.prepare(picture)
    distances = []
    final = studio.draw(asked(steps=8, sampler="Euler"))[0]
    while picture.stage is Stage.DENOISING and picture.sampling.index < 7:
        studio.drawing.step([picture])
        preview = np.asarray(studio.drawing.preview(picture), dtype=np.int16)
        assert preview.shape == (64, 64, 3)
        distances.append(float(np.abs(preview - final).mean()))
    assert distances[-1] < distances[0]
    studio.drawing.give_up(picture)
    assert studio.drawing.finish([picture])[0].size == (64, 64)


def test_sparing_memory_on_the_way_changes_nothing_but_the_pace(studio):
    """Pictures that were begun go on when memory turns out to be short, and come out the same."""
    expected = studio.draw(asked(seed=1), asked(seed=2))
    drawn = studio.pictures(asked(seed=1), asked(seed=2))
    for picture in drawn:
        studio.drawing.prepare(picture)
    studio.drawing.step(drawn)
    assert studio.drawing.spare_memory(drawn[0])
    assert not studio.drawing.spare_memory(drawn[0])
    while drawn[0].stage is Stage.DENOISING:
        assert studio.drawing.step(drawn) == [None, None]
    for picture, image in zip(drawn, expected, strict=True):
        assert off(np.asarray(studio.drawing.finish([picture])[0], dtype=np.int16), image) <= 1


def test_sdxl_pictures_share_calls(sdxl):
    """A model with two text encoders and added conditions is drawn in company as alone."""
    studio = Studio(sdxl)
    own = asked(sampler="Euler", steps=3)
    alone = studio.draw(own)[0]
    together = studio.draw(own, asked(seed=9, steps=2, sampler="Euler a"))[0]
    assert off(alone, together) <= 1
