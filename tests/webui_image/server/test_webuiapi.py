"""The client library `webuiapi`, unmodified, against the server: every base method, with status codes and shapes.

Its getters do not look at the status, so a wrapper notes each answer's.
"""

from __future__ import annotations

import base64
import io

import pytest
import webuiapi
from PIL import Image, ImageDraw

HASH = "aaaaaaaaaa"


@pytest.fixture
def api(server):
    """Make a client that notes every status code."""
    made = webuiapi.WebUIApi(host="127.0.0.1", port=server.port, sampler="Euler a", steps=4)
    made.statuses = []
    made.session.hooks["response"].append(lambda answer, **_: made.statuses.append(answer.status_code))
    return made


@pytest.fixture
def picture():
    """Make a picture to start from."""
    made = Image.new("RGB", (64, 64), "navy")
    ImageDraw.Draw(made).rectangle((16, 16, 47, 47), fill="gold")
    return made


GETTERS = {
    "get_samplers": {"name", "aliases", "options"},
    "get_schedulers": {"name", "label", "aliases", "default_rho", "need_inner_model"},
    "get_sd_models": {"title", "model_name", "hash", "sha256", "filename", "config"},
    "get_upscalers": {"name", "model_name", "model_path", "model_url", "scale"},
    "get_latent_upscale_modes": {"name"},
    "get_loras": {"name", "alias", "path", "metadata"},
    "get_sd_vae": set(),
    "get_hypernetworks": set(),
    "get_face_restorers": set(),
    "get_realesrgan_models": set(),
    "get_prompt_styles": set(),
}


@pytest.mark.parametrize(("method", "keys"), GETTERS.items(), ids=GETTERS)
def test_listings_have_a1111s_shape(api, method, keys):
    """A listing answers 200 with an array of objects that have A1111's keys."""
    found = getattr(api, method)()
    assert api.statuses == [200]
    assert isinstance(found, list)
    assert bool(found) == bool(keys)
    for each in found:
        assert set(each) == keys


def test_the_other_getters_have_a1111s_shape(api):
    """Scripts, embeddings, flags and memory are objects with A1111's keys."""
    assert api.get_scripts() == {"txt2img": [], "img2img": []}
    assert set(api.get_embeddings()) == {"loaded", "skipped"}
    assert "bad-hands" in api.get_embeddings()["loaded"]
    assert api.get_cmd_flags() == {}
    memory = api.get_memory()
    assert {"free", "used", "total"} == set(memory["ram"])
    assert set(memory) == {"ram", "cuda"}
    assert set(api.statuses) == {200}


def test_txt2img_with_the_clients_defaults(api):
    """The client's own defaults are accepted, and the answer has pictures, parameters and info as A1111 writes them."""
    result = api.txt2img(prompt="a red circle", negative_prompt="blue", seed=1003, width=128, height=64, batch_size=2)
    assert [image.size for image in result.images] == [(128, 64)] * 2
    assert result.image.format == "PNG"
    assert result.parameters["prompt"] == "a red circle"
    info = result.info
    assert (info["seed"], info["all_seeds"]) == (1003, [1003, 1004])
    assert info["all_prompts"] == ["a red circle"] * 2
    assert info["all_negative_prompts"] == ["blue"] * 2
    assert (info["width"], info["height"], info["steps"], info["cfg_scale"]) == (128, 64, 4, 7.0)
    assert (info["sampler_name"], info["sd_model_name"], info["sd_model_hash"]) == ("Euler a", "shapes", HASH)
    assert len(info["infotexts"]) == 2
    assert "Seed: 1004" in info["infotexts"][1]
    assert result.image.info["parameters"] == info["infotexts"][0]
    assert info["index_of_first_image"] == 0
    assert len(info["job_timestamp"]) == 14


def test_txt2img_with_hires_fix(api):
    """The second pass gives a picture of twice the size."""
    result = api.txt2img(prompt="a", enable_hr=True, hr_scale=2, width=64, height=64, denoising_strength=0.5)
    assert result.image.size == (128, 128)
    assert result.info["denoising_strength"] == 0.5


def test_img2img(api, picture, server):
    """A picture to start from arrives at the engine, and is not sent back."""
    result = api.img2img(images=[picture], prompt="a", width=64, height=64, denoising_strength=0.4, seed=7)
    source = server.engine.submitted[0].generation.source
    assert source.image.getpixel((30, 30)) == (255, 215, 0)
    assert source.denoising_strength == 0.4
    assert result.image.size == (64, 64)
    assert result.parameters["init_images"] is None


def test_img2img_with_a_mask(api, picture, server):
    """A mask arrives with the client's settings for it."""
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    api.img2img(images=[picture], mask_image=mask, prompt="a", width=64, height=64, mask_blur=2, inpainting_fill=1)
    found = server.engine.submitted[0].generation.source.mask
    assert (found.image.getpixel((5, 5)), found.image.getpixel((60, 5))) == (255, 0)
    assert (found.blur, found.fill, found.only_masked, found.invert) == (2, 1, True, False)


def test_extra_single_image(api, picture):
    """A picture is enlarged by a factor."""
    result = api.extra_single_image(picture, upscaler_1="Lanczos", upscaling_resize=2)
    assert result.image.size == (128, 128)


def test_extra_batch_images(api, picture):
    """Several pictures are enlarged to a size."""
    result = api.extra_batch_images(
        [picture, picture], upscaler_1="Nearest", resize_mode=1, upscaling_resize_w=96, upscaling_resize_h=80
    )
    assert [image.size for image in result.images] == [(96, 80)] * 2


def test_png_info_reads_what_txt2img_wrote(api):
    """The text inside a picture comes back, whole and in its parts."""
    made = api.txt2img(prompt="a (red:1.2) circle", seed=42, width=64, height=64)
    found = api.png_info(made.image)
    assert found.info == made.info["infotexts"][0]
    assert found.parameters["Prompt"] == "a (red:1.2) circle"
    assert found.parameters["Seed"] == "42"


def test_options_are_kept_for_the_caller(api):
    """The model that the client sets is the one it reads, and the one that draws for it."""
    assert api.util_get_current_model() == "shapes [aaaaaaaaaa]"
    api.util_set_model("dream")
    assert api.util_get_current_model() == "dream [bbbbbbbbbb]"
    assert api.txt2img(prompt="a", width=64, height=64).info["sd_model_name"] == "dream"
    assert set(api.statuses) == {200}


def test_all_options_may_be_posted_back(api):
    """A client that reads all options, changes one and posts all is understood."""
    options = api.get_options()
    assert api.set_options(options | {"sd_model_checkpoint": "dream", "of_some_extension": True}) is None
    assert api.get_options()["sd_model_checkpoint"] == "dream [bbbbbbbbbb]"
    assert "forge_preset" not in options
    assert set(api.statuses) == {200}


def test_names_are_listed_by_the_helpers(api):
    """The helpers find samplers, schedule types and models by name."""
    assert {"Euler", "Euler a", "DPM++ 2M"} <= set(api.util_get_sampler_names())
    assert {"automatic", "karras"} <= set(api.util_get_scheduler_names())
    assert api.util_get_model_names() == ["dream [bbbbbbbbbb]", "shapes [aaaaaaaaaa]"]


def test_idle_progress_lets_a_client_go_on(api):
    """Without a request progress is 0 and there is no job, which is what the client waits for."""
    api.util_wait_for_ready(check_interval=0.01)
    progress = api.get_progress()
    assert (progress["progress"], progress["eta_relative"], progress["state"]["job_count"]) == (0.0, 0.0, 0)
    assert set(progress["state"]) >= {
        "skipped",
        "interrupted",
        "job",
        "job_count",
        "job_timestamp",
        "job_no",
        "sampling_step",
        "sampling_steps",
    }


def test_interrupt_skip_and_refresh_answer_json(api):
    """The calls without a body answer 200 with JSON, also when there is nothing to do."""
    assert (api.interrupt(), api.skip(), api.refresh_checkpoints()) == ({}, None, None)
    assert set(api.statuses) == {200}


def test_interrogate_is_refused_as_not_offered(api, picture):
    """Captioning answers 501 and says so, instead of 404."""
    with pytest.raises(RuntimeError, match="not offered") as refused:
        api.interrogate(picture)
    assert refused.value.args[0] == 501


def test_pictures_are_raw_base64(api):
    """A picture has no data: prefix, which clients add themselves."""
    text = api.txt2img(prompt="a", width=64, height=64).json["images"][0]
    assert Image.open(io.BytesIO(base64.b64decode(text, validate=True))).size == (64, 64)
