"""The text inside pictures: what is written, and that it is read back."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from webui_image.prompts import infotext, pairs
from webui_image.prompts.infotext import Infotext, parse, tidy, write
from webui_image.values.errors import TooLarge
from webui_image.values.generation import Generation, HiresFix, Lora, Mask, MaskFill, Source, Variation

# As the reference gives it: what A1111 and the programs that follow it read the last line with.
A1111_PAIRS = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
PICTURE, MASK = Image.new("RGB", (8, 8)), Image.new("L", (8, 8))


def last_line(generation, **options):
    return write(generation, version="V", **options).rpartition("\n")[2]


def test_a_plain_request():
    """Prompt, negative prompt and the pairs stand in A1111's places and order."""
    generation = Generation("a cat,\nsleeping", "blurry", 512, 768, 20, 7.0, "DPM++ 2M", "Karras", seed=123)
    assert write(generation, model="name", model_hash="abcdef1234", version="V") == (
        "a cat,\nsleeping\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 123, Size: 512x768, "
        "Model hash: abcdef1234, Model: name, RNG: CPU, Version: V"
    )


@pytest.mark.parametrize(
    ("changes", "pairs_written"),
    [
        pytest.param({"cfg_scale": 2.5}, "CFG scale: 2.5", id="fraction"),
        pytest.param({"vae": "x"}, "VAE: x", id="vae"),
        pytest.param({"clip_skip": 2}, "Clip skip: 2", id="clip skip"),
        pytest.param({"eta": 0.5}, "Eta: 0.5", id="eta"),
        pytest.param({"guidance_rescale": 0.7}, "Guidance rescale: 0.7", id="guidance rescale"),
        pytest.param({"seed_resize_from": (64, 96)}, "Seed resize from: 64x96", id="seed resize"),
        pytest.param(
            {"variation": Variation(9, 0.3)}, "Variation seed: 9, Variation seed strength: 0.3", id="variation"
        ),
        pytest.param({"source": Source(PICTURE, 0.6)}, "Denoising strength: 0.6", id="image to image"),
        pytest.param(
            {"source": Source(PICTURE, 0.6, mask=Mask(MASK, 4, MaskFill.LATENT_NOISE, True, 32, True))},
            "Denoising strength: 0.6, Mask blur: 4, Masked content: latent noise, Mask mode: Inpaint not masked, "
            "Inpaint area: Only masked, Masked area padding: 32",
            id="inpainting",
        ),
        pytest.param(
            {"hires": HiresFix(1.5, steps=8, upscaler="Latent", denoising_strength=0.4, sampler="Heun", prompt="a, b")},
            'Denoising strength: 0.4, Hires upscale: 1.5, Hires steps: 8, Hires upscaler: Latent, Hires sampler: Heun, '
            'Hires prompt: "a, b"',
            id="hires fix",
        ),
        pytest.param({"hires": HiresFix(width=640)}, "Hires resize: 640x0", id="hires fix to a size"),
        pytest.param({"tags": {"Job": "7"}}, "RNG: CPU, Job: 7, Version: V", id="further pair"),
        pytest.param({"tags": {"a:b,c": "x:y"}}, 'a b c: "x:y", Version', id="further pair whose name is no key"),
        pytest.param({"tags": {"é": "1", "": "2"}}, "Tag é: 1, Tag: 2", id="further pairs with too short names"),
        pytest.param({"tags": {"Seed": "7", "Version": "1"}}, "Seed: 0, Size", id="a further pair replaces none"),
    ],
)  # fmt: skip
def test_each_setting_is_written_under_a1111s_name(changes, pairs_written):
    """What a request sets beyond the defaults is in the last line; what it does not set is not."""
    assert pairs_written in last_line(replace(Generation("a"), **changes))
    assert pairs_written not in last_line(Generation("a")) or "tags" in changes


def test_hashes_are_written_where_they_are_given():
    """The hashes of LoRAs and VAE come from the engine, which knows them."""
    line = last_line(Generation("a"), lora_hashes={"one": "1f", "two": "2c"}, vae_hash="77")
    assert 'Lora hashes: "one: 1f, two: 2c"' in line
    assert "VAE hash: 77" in line


def test_loras_beside_the_prompt_become_tags():
    """Whoever reads the text gets the same LoRAs, because tags are where they are looked for."""
    text = write(Generation("a cat", loras=(Lora("style", 0.5), Lora("other"))))
    assert parse(text).prompt == "a cat <lora:style:0.5> <lora:other:1>"


@pytest.mark.parametrize(
    ("variation", "seeds"),
    [
        pytest.param(None, ("12", None), id="the seed counts"),
        pytest.param(Variation(5, 0.1), ("10", "7"), id="with a variation its seed counts"),
        pytest.param(Variation(5, 0.0), ("12", None), id="a variation without strength is none"),
    ],
)
def test_seeds_follow_from_the_index(variation, seeds):
    """The third picture's seed is A1111's: seed + 2, or variation seed + 2."""
    fields = parse(write(Generation("a", seed=10, variation=variation), index=2)).fields
    assert (fields["Seed"], fields.get("Variation seed")) == seeds


def test_seeds_that_are_given_are_written():
    """The engine knows best which seed it used."""
    fields = parse(write(Generation("a", variation=Variation(5, 0.1)), seed=77, variation_seed=78)).fields
    assert (fields["Seed"], fields["Variation seed"]) == ("77", "78")


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        pytest.param("a\nNegative prompt: b", "", id="negative prompt within the prompt"),
        pytest.param("Negative prompt:", "", id="nothing but the words"),
        pytest.param("a", "b\nNegative prompt: c", id="negative prompt within the negative prompt"),
        pytest.param("", "", id="nothing"),
        pytest.param("", "a", id="negative prompt alone"),
        pytest.param("Steps: 3, Sampler: x, Seed: 4", "", id="parameters for a prompt"),
        pytest.param("a", "Steps: 3, Sampler: x, Seed: 4", id="parameters for a negative prompt"),
        pytest.param('Exact prompt: "x"', "", id="the pair that would be read"),
    ],
)
def test_prompts_that_look_like_something_else_are_read_back(prompt, negative):
    """Also what A1111's format alone cannot carry comes back."""
    read = parse(write(Generation(prompt, negative)))
    assert (read.prompt, read.negative_prompt) == (prompt, negative)
    assert not any(key.startswith("Exact") for key in read.fields)


def test_other_programs_see_no_further_pairs_without_need():
    """An ordinary prompt of several lines is carried by A1111's format alone."""
    assert "Exact" not in write(Generation('a cat, (black:1.2)\non a "mat": it sleeps', "b,\nc"))


@given(data=st.data())
def test_what_is_written_is_read_back(generations, data):
    """For any request, prompts and pairs come back; of white space at the ends of lines nothing is promised."""
    generation = data.draw(generations)
    read = parse(write(generation, model="m: x", model_hash="12", lora_hashes={"style": "ab"}, version="V"))
    tags = "".join(f" <lora:{lora.name}:{lora.weight:g}>" for lora in generation.loras)
    assert read.prompt == tidy(generation.prompt + tags)
    assert read.negative_prompt == tidy(generation.negative_prompt)
    assert read.fields["Model"] == "m: x"
    assert float(read.fields["CFG scale"]) == generation.cfg_scale
    assert read.fields["Size"] == f"{generation.width}x{generation.height}"
    for key, value in generation.tags.items():
        assert read.fields.get(key, "") == value
    if generation.hires is not None:
        assert read.fields.get("Hires prompt", "") == generation.hires.prompt
        assert read.fields.get("Hires negative prompt", "") == generation.hires.negative_prompt
    assert infotext.parse(write(generation)).to_parameters()["steps"] == generation.steps


@given(
    st.dictionaries(st.from_regex(r"\w[\w \-/]{0,8}\w", fullmatch=True), st.text(min_size=1, max_size=12), max_size=6)
)
def test_a1111_reads_the_pairs_that_are_written(fields):
    """The expression that A1111 reads with finds every pair, with the value quoted as it is written."""
    line = pairs.write(fields.items())
    assert [(key, value.rstrip()) for key, value in A1111_PAIRS.findall(line)] == [
        (key, pairs.quoted(value)) for key, value in fields.items()
    ]
    assert dict(pairs.read(line)) == fields


@pytest.mark.parametrize("value", ['"a"', '"', '""', "a\\", '"a', "a: b", "a, b", " a", "a\nb"])
def test_values_that_need_quotes_come_back(value):
    """Whatever would end a value, or be taken for its quotation."""
    assert dict(pairs.read(pairs.write([("one", value), ("two", "x")]))) == {"one": value, "two": "x"}


@given(st.text(st.sampled_from('ab :,-/"\\\n'), max_size=40) | st.text(max_size=40))
def test_pairs_are_found_where_a1111_finds_them(line):
    """In any line, the keys are those that A1111's expression finds."""
    assert [key for key, _ in pairs.read(line)] == [key for key, _ in A1111_PAIRS.findall(line)]


@given(st.text(max_size=200))
def test_any_text_is_read(text):
    """A picture may say anything; reading it raises nothing, and a text without pairs is a prompt."""
    read = parse(text)
    if ":" not in text:
        assert read == Infotext(tidy(text))


def test_text_without_parameters_is_a_prompt():
    """Two pairs are no parameters, as in A1111: a prompt may well hold them."""
    assert parse("a cat\nNegative prompt: b\nname: x, other: y") == Infotext("a cat", "b\nname: x, other: y")


def test_png_info_shows_sizes_as_numbers_too():
    """A1111's clients look for Size-1 and Size-2."""
    shown = parse(write(Generation("a", "b", 64, 96, hires=HiresFix(width=128, height=192)))).as_fields()
    assert (shown["Prompt"], shown["Negative prompt"], shown["Size"]) == ("a", "b", "64x96")
    assert (shown["Size-1"], shown["Size-2"], shown["Hires resize-2"]) == ("64", "96", "192")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a" * infotext.LONGEST_TEXT, id="one word"),
        pytest.param("ab: " * (infotext.LONGEST_TEXT // 4), id="keys"),
        pytest.param('ab:"\\"' * (infotext.LONGEST_TEXT // 6), id="quotes"),
        pytest.param('ab: "x,' * (infotext.LONGEST_TEXT // 7), id="quotes that never end"),
        pytest.param("a b-/" * (infotext.LONGEST_TEXT // 5), id="one long key"),
        pytest.param("\n" * infotext.LONGEST_TEXT, id="lines"),
    ],
)
def test_long_texts_are_read_in_linear_time(text, least_seconds):
    """The longest text that is read takes a fraction of a second, whatever it consists of."""
    assert least_seconds(lambda: parse(text), within=1.0) < 1.0


def test_longer_texts_are_refused():
    """Beyond that there is no text of a picture."""
    with pytest.raises(TooLarge, match=r"^infotext: has 200001 characters"):
        parse("a" * 200_001)


def test_the_program_names_itself():
    """A picture says which version made it."""
    assert parse(write(Generation("a"))).fields["Version"].startswith("GPU Hunter ")


def test_a_picture_that_was_enlarged_tells_the_size_it_was_drawn_at():
    """Whoever reads the text knows that the model drew smaller than asked."""
    text = infotext.write(Generation("a", width=512, height=512), drawn_at=(64, 64), version="v")
    assert infotext.parse(text).fields["Drawn at"] == "64x64"
