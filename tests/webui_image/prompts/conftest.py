"""Requests of every kind, as hypothesis draws them."""

import pytest
from hypothesis import strategies as st
from PIL import Image

from webui_image.values.generation import Generation, HiresFix, Lora, Mask, MaskFill, Source, Variation

PICTURE, MASK = Image.new("RGB", (8, 8)), Image.new("L", (8, 8))
TRAPS = [
    "\n", "\n\n", "\r\n", "Negative prompt:", "Negative prompt: x", "Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 1",
    "Exact prompt: x", '"', "\\", ",", ":", " ", "\t", "\u2028", "\x85", "a cat", "(b:1.2)", "日本",
]  # fmt: skip


def build(text, number, seed):
    size = st.integers(8, 4096)
    variation = st.builds(Variation, seed, number)
    mask = st.builds(
        Mask,
        st.just(MASK),
        st.integers(0, 64),
        st.sampled_from(MaskFill),
        st.booleans(),
        st.integers(0, 256),
        st.booleans(),
    )
    source = st.builds(Source, st.just(PICTURE), number, mask=st.none() | mask)
    hires = st.builds(
        HiresFix,
        scale=number,
        width=st.just(0) | size,
        height=st.just(0) | size,
        steps=st.integers(0, 60),
        upscaler=st.sampled_from(["Latent", "Latent (bicubic)", "None"]),
        denoising_strength=number,
        sampler=st.none() | st.just("Euler a"),
        scheduler=st.none() | st.just("Karras"),
        prompt=text,
        negative_prompt=text,
    )
    return st.builds(
        Generation,
        prompt=text,
        negative_prompt=text,
        width=size,
        height=size,
        steps=st.integers(1, 150),
        cfg_scale=number,
        sampler=st.sampled_from(["Euler", "Euler a", "DPM++ 2M", "DPM++ 2S a", "UniPC", "DDIM"]),
        scheduler=st.sampled_from(["Automatic", "Karras", "SGM Uniform"]),
        seed=seed,
        vae=st.sampled_from(["", "Automatic", "other.safetensors"]),
        clip_skip=st.integers(1, 4),
        eta=st.none() | number,
        variation=st.none() | variation,
        seed_resize_from=st.none() | st.tuples(size, size),
        loras=st.just(()) | st.just((Lora("style", 0.5),)),
        source=st.none() | source,
        hires=st.none() | hires,
        guidance_rescale=st.none() | number,
        tags=st.dictionaries(st.sampled_from(["User", "Batch name", "Shot-1/2"]), text, max_size=2),
    )


@pytest.fixture(scope="session")
def generations():
    """Give a strategy of requests whose texts try to be taken for something else."""
    text = st.lists(st.sampled_from(TRAPS) | st.text(max_size=6), max_size=8).map("".join)
    return build(text, st.floats(0, 30, allow_nan=False), st.integers(0, 2**32 - 1))


@pytest.fixture(scope="session")
def plain_generations():
    """Give a strategy of requests whose texts are words, as other programs can read them."""
    text = st.text(st.sampled_from("abc xyzäß(日本)"), max_size=20).map(str.strip)
    return build(text, st.integers(0, 300).map(lambda tenths: tenths / 10), st.integers(0, 2**32 - 1))
