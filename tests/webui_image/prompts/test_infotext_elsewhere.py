"""The text inside pictures, as an independent program reads it."""

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sd_parsers import ParserManager

from webui_image.pictures import encode
from webui_image.prompts.infotext import parse, write

PICTURE = Image.new("RGB", (8, 8))
PICTURES = []  # kept, because sd-parsers remembers what it read by the id() of the picture
RENAMED = {"Schedule type": "scheduler", "CFG scale": "cfg_scale", "Seed": "seed", "Steps": "steps"}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_sd_parsers_reads_every_field(plain_generations, kind, data):
    """Of 200 random requests a picture, sd-parsers finds both prompts, sampler, model and every other pair."""
    generation = data.draw(plain_generations)
    text = write(generation, model="shapes", model_hash="abcdef1234")
    save = {"PNG": encode.png, "JPEG": encode.jpeg, "WEBP": encode.webp}[kind]
    PICTURES.append(Image.open(io.BytesIO(save(PICTURE, infotext=text))))
    found = ParserManager().parse(PICTURES[-1])
    ours = parse(text)
    (sampler,) = found.samplers
    assert [prompt.value for prompt in found.prompts] == [ours.prompt] * bool(ours.prompt)
    assert [prompt.value for prompt in found.negative_prompts] == [ours.negative_prompt] * bool(ours.negative_prompt)
    assert sampler.name == generation.sampler
    assert (sampler.model.name, sampler.model.hash) == ("shapes", "abcdef1234")
    assert sampler.parameters == {RENAMED[key]: value for key, value in ours.fields.items() if key in RENAMED}
    rest = {"Sampler", "Model", "Model hash", *RENAMED}
    assert found.metadata == {key: value for key, value in ours.fields.items() if key not in rest}
