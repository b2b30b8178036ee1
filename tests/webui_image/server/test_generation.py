"""What the fields of txt2img and img2img come to at the engine, and which are refused by name."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image

from webui_image.values.errors import (
    HandedBack,
    Invalid,
    ModelError,
    NotFinite,
    NotReady,
    OutOfMemory,
    QueueFull,
    Wedged,
)
from webui_image.values.generation import MaskFill, ResizeMode, Variation
from webui_image.values.ports import Phase

TEXT, IMAGE = "/sdapi/v1/txt2img", "/sdapi/v1/img2img"
BODY = {"prompt": "a", "width": 64, "height": 64, "steps": 1, "seed": 1}


def encoded(image: Image.Image, kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


PICTURE = encoded(Image.new("RGB", (64, 64), "navy"))


@pytest.fixture
def ask(client, engine):
    """Send a body and give the `Generation` that came of it."""

    def send(path=TEXT, **fields):
        answer = client.post(path, json=BODY | fields)
        assert answer.status_code == 200, answer.text
        return engine.submitted[-1].generation

    return send


@pytest.fixture
def refused(client, engine):
    """Send a body that is refused, and give the answer."""

    def send(path=TEXT, **fields):
        answer = client.post(path, json=BODY | fields)
        assert not engine.submitted
        return answer

    return send


def test_a1111s_defaults_fill_in_what_is_left_out(client, engine):
    """An empty body asks for A1111's own picture."""
    assert client.post(TEXT, json={}).status_code == 200
    made = engine.submitted[0].generation
    assert (made.width, made.height, made.steps, made.cfg_scale, made.count) == (512, 512, 50, 7.0, 1)
    assert (made.sampler, made.scheduler, made.clip_skip, made.model) == ("Euler", "Automatic", 1, "shapes")
    assert (made.source, made.hires, made.variation, made.eta) == (None, None, None, None)


def test_null_means_the_default(ask):
    """Clients send null for what they do not set."""
    made = ask(
        negative_prompt=None, styles=None, eta=None, override_settings=None, alwayson_scripts=None, cfg_scale=None
    )
    assert (made.negative_prompt, made.cfg_scale) == ("", 7.0)


def test_unknown_keys_are_ignored(ask):
    """Clients put keys of their own into the body."""
    assert ask(url="http://127.0.0.1", auth="x", of_the_future={"a": 1}).prompt == "a"


SAMPLERS = {
    "sampler_index": ({"sampler_index": "DDIM"}, ("DDIM", "Automatic")),
    "sampler_name-wins": ({"sampler_index": "DDIM", "sampler_name": "Heun"}, ("Heun", "Automatic")),
    "schedule-in-the-name": ({"sampler_name": "DPM++ 2M Karras"}, ("DPM++ 2M", "Karras")),
    "alias": ({"sampler_name": "k_euler_a"}, ("Euler a", "Automatic")),
    "scheduler": ({"sampler_name": "DPM++ 2M", "scheduler": "karras"}, ("DPM++ 2M", "Karras")),
}


@pytest.mark.parametrize(("fields", "expected"), SAMPLERS.values(), ids=SAMPLERS)
def test_samplers_are_found_under_all_their_names(ask, fields, expected):
    """Old names, aliases and schedule types come to the listed ones."""
    made = ask(**fields)
    assert (made.sampler, made.scheduler) == expected


MODELS = {
    "name": "dream",
    "title": "dream [bbbbbbbbbb]",
    "hash": "bbbbbbbbbb",
    "file": "Dream.safetensors",
    "sha256": "b" * 64,
}


@pytest.mark.parametrize("name", MODELS.values(), ids=MODELS)
def test_a_model_is_found_by_all_that_clients_call_it(ask, name):
    """The model of one request is set by override_settings."""
    assert ask(override_settings={"sd_model_checkpoint": name}).model == "dream"


def test_override_settings(ask):
    """CLIP skip and VAE of one request are set there too; what means nothing here is accepted."""
    made = ask(
        override_settings={"CLIP_stop_at_last_layers": 2, "sd_vae": "Automatic", "eta_noise_seed_delta": 0, "ui_x": 5}
    )
    assert (made.clip_skip, made.vae) == (2, "")


def test_seeds(client, engine):
    """-1 draws a seed, which is told; variation seeds are told as well."""
    info = json.loads(client.post(TEXT, json=BODY | {"seed": -1, "batch_size": 2}).json()["info"])
    assert engine.submitted[0].generation.seed == info["seed"] == info["all_seeds"][0]
    assert info["all_seeds"][1] == info["seed"] + 1
    info = json.loads(client.post(TEXT, json=BODY | {"subseed": 9, "subseed_strength": 0.25}).json()["info"])
    assert engine.submitted[1].generation.variation == Variation(9, 0.25)
    assert (info["subseed"], info["all_subseeds"], info["subseed_strength"]) == (9, [9], 0.25)


def test_seed_resize(ask):
    """The size whose noise is kept is handed on."""
    assert ask(seed_resize_from_w=128, seed_resize_from_h=64).seed_resize_from == (128, 64)
    assert ask(seed_resize_from_w=0, seed_resize_from_h=0).seed_resize_from is None


def test_hires_fix(ask):
    """All of its fields arrive; names for "as in the first pass" come to None."""
    hires = ask(
        enable_hr=True,
        hr_scale=1.5,
        hr_upscaler="Latent (nearest)",
        hr_second_pass_steps=3,
        denoising_strength=0.4,
        hr_prompt="b",
        hr_sampler_name="DDIM",
        hr_scheduler="Use same scheduler",
    ).hires
    assert (hires.scale, hires.upscaler, hires.steps, hires.denoising_strength) == (1.5, "Latent (nearest)", 3, 0.4)
    assert (hires.prompt, hires.sampler, hires.scheduler) == ("b", "DDIM", "Automatic")
    plain = ask(enable_hr=True, hr_sampler_name="Use same sampler").hires
    assert (plain.upscaler, plain.sampler, plain.denoising_strength) == ("Latent", None, 0.7)


def test_hires_fix_in_its_old_form(ask):
    """With firstphase_width the size asked for is the result's."""
    made = ask(enable_hr=True, width=128, height=128, firstphase_width=64, firstphase_height=64)
    assert ((made.width, made.height), (made.hires.width, made.hires.height)) == ((64, 64), (128, 128))


def test_infotext_fills_in_what_the_body_leaves_out(client, engine):
    """A picture's own text asks for it again; the body wins over it."""
    text = "a cat\nNegative prompt: dog\nSteps: 7, Sampler: DDIM, CFG scale: 3, Seed: 55, Size: 128x64"
    assert client.post(TEXT, json={"infotext": text, "cfg_scale": 4}).status_code == 200
    made = engine.submitted[0].generation
    assert (made.prompt, made.negative_prompt, made.steps, made.sampler) == ("a cat", "dog", 7, "DDIM")
    assert (made.seed, made.width, made.height, made.cfg_scale) == (55, 128, 64, 4.0)


def test_without_send_images_there_are_none(client):
    """A client may ask for the parameters alone."""
    answer = client.post(TEXT, json=BODY | {"send_images": False}).json()
    assert answer["images"] == []
    assert json.loads(answer["info"])["seed"] == 1


def test_source_and_mask(ask):
    """Resize mode, fill and the rest of inpainting arrive under their values."""
    source = ask(
        IMAGE,
        init_images=[f"data:image/png;base64,{PICTURE}"],
        mask=encoded(Image.new("L", (64, 64), 255)),
        resize_mode=2,
        denoising_strength=0.3,
        mask_blur=7,
        inpainting_fill=2,
        inpaint_full_res=False,
        inpaint_full_res_padding=16,
        inpainting_mask_invert=1,
    ).source
    assert (source.resize_mode, source.denoising_strength, source.image.size) == (ResizeMode.FILL, 0.3, (64, 64))
    mask = source.mask
    assert (mask.blur, mask.fill, mask.only_masked, mask.padding, mask.invert) == (
        7,
        MaskFill.LATENT_NOISE,
        False,
        16,
        True,
    )


def test_source_defaults(ask):
    """Without more than a picture, A1111's defaults hold."""
    source = ask(IMAGE, init_images=[PICTURE]).source
    assert (source.denoising_strength, source.resize_mode, source.mask) == (0.75, ResizeMode.STRETCH, None)


def test_the_init_images_come_back_only_when_asked_for(client):
    """include_init_images puts them into the parameters."""
    body = BODY | {"init_images": [PICTURE]}
    assert client.post(IMAGE, json=body).json()["parameters"]["init_images"] is None
    assert client.post(IMAGE, json=body | {"include_init_images": True}).json()["parameters"]["init_images"] == [
        PICTURE
    ]


UNSUPPORTED = {
    "restore_faces": True,
    "tiling": True,
    "styles": ["photo"],
    "refiner_checkpoint": "refiner.safetensors",
    "disable_extra_networks": True,
    "script_name": "X/Y/Z plot",
    "alwayson_scripts": {"ControlNet": {"args": [{"enabled": True}]}},
    "s_churn": 0.5,
    "s_noise": 1.1,
    "s_min_uncond": 0.2,
    "override_settings": {"randn_source": "GPU"},
}


@pytest.mark.parametrize(("field", "value"), UNSUPPORTED.items(), ids=UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_name(refused, field, value):
    """A value that means something here undone is a 422 that names its field."""
    answer = refused(**{field: value})
    assert answer.status_code == 422
    assert answer.json()["reason"] == "unsupported"
    assert field in answer.json()["detail"][0]["loc"]
    assert field in answer.json()["errors"]


IMAGE_UNSUPPORTED = {
    "latent_mask": PICTURE,
    "mask_round": False,
    "initial_noise_multiplier": 1.2,
    "init_images": [PICTURE, PICTURE],
}


@pytest.mark.parametrize(("field", "value"), IMAGE_UNSUPPORTED.items(), ids=IMAGE_UNSUPPORTED)
def test_what_is_not_supported_of_img2img_is_refused_by_name(refused, field, value):
    """The same for the fields that img2img has beside."""
    answer = refused(IMAGE, **{"init_images": [PICTURE], field: value})
    assert (answer.status_code, answer.json()["reason"]) == (422, "unsupported")
    assert field in answer.json()["errors"]


NEUTRAL = {
    "restore_faces": False,
    "tiling": False,
    "styles": [],
    "refiner_checkpoint": "None",
    "refiner_switch_at": 0.8,
    "script_name": "",
    "script_args": [1],
    "alwayson_scripts": {"ControlNet": {"args": []}, "ADetailer": {"args": [False]}},
    "s_churn": 0,
    "s_tmax": 0,
    "s_noise": 1.0,
    "hr_checkpoint_name": "some",
    "save_images": True,
    "do_not_save_grid": True,
}


@pytest.mark.parametrize(("field", "value"), NEUTRAL.items(), ids=NEUTRAL)
def test_values_that_mean_nothing_are_accepted(ask, field, value):
    """Clients send every field they know."""
    assert ask(**{field: value}).prompt == "a"


def test_another_model_for_the_second_pass_is_refused(refused):
    """It matters only with hires fix."""
    answer = refused(enable_hr=True, hr_checkpoint_name="other")
    assert answer.status_code == 422
    assert "hr_checkpoint_name" in answer.json()["errors"]


def test_a_picture_is_needed(refused):
    """img2img without a picture is refused by the field's name."""
    assert refused(IMAGE, init_images=[]).json()["errors"].startswith("init_images: ")


def test_a_refusal_has_both_shapes(refused):
    """FastAPI's list for generated clients and A1111's texts for people, whoever found the mistake."""
    for answer in (refused(steps="many"), refused(width=65)):
        body = answer.json()
        assert answer.status_code == 422
        assert body["detail"][0]["loc"][0] == "body"
        assert set(body["detail"][0]) == {"type", "loc", "msg"}
        assert isinstance(body["error"], str)
        assert isinstance(body["errors"], str)


ENDINGS = {
    "out-of-memory": (OutOfMemory("no memory for 512x512: ask for less"), 503, "ask for less", False),
    "not-finite": (NotFinite("the model gave no numbers: try another sampler"), 500, "another sampler", False),
    "wedged": (Wedged("the device does not answer"), 503, "does not answer", False),
    "handed-back": (HandedBack("send it again", 1.5), 503, "send it again", True),
    "bad-model": (ModelError("/secret/path", "is truncated"), 500, "cannot be used", False),
    "no-such-lora": (Invalid("prompt", "there is no LoRA x"), 422, "no LoRA x", False),
}


@pytest.mark.parametrize(("error", "status", "text", "retry"), ENDINGS.values(), ids=ENDINGS)
def test_what_the_engine_fails_with_becomes_an_answer(client, engine, error, status, text, retry):
    """Each failure has its status, a sentence, its name in the metrics, and no path of the server."""
    engine.fail_with = error
    answer = client.post(TEXT, json=BODY)
    assert answer.status_code == status
    assert text in answer.json()["errors"]
    assert "/secret" not in answer.text
    assert (answer.headers.get("x-gpu-hunter-retry") == "1") is retry
    assert ("retry-after" in answer.headers) is retry
    reason = answer.json()["reason"]
    assert f'sdwebui_failures_total{{kind="txt2img",reason="{reason}"}} 1.0' in client.get("/metrics").text
    engine.fail_with = None
    assert client.post(TEXT, json=BODY).status_code == 200


def test_a_full_queue_is_429(client, engine):
    """With the time after which to try again."""
    engine.largest_queue = 0
    answer = client.post(TEXT, json=BODY)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert isinstance(QueueFull("x", 1), Exception)


def test_a_loading_replica_is_503(client, engine):
    """With the time after which to try again, and the word that another replica can do it at once."""
    engine.phase = Phase.LOADING
    answer = client.post(TEXT, json=BODY)
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["x-gpu-hunter-retry"]) == (503, "2", "1")
    assert isinstance(NotReady("x", 1), Exception)


def test_without_a_model_nothing_is_drawn_yet(client, engine):
    """Before the listing is read the answer is 503 too, not a mistake of the client's."""
    engine.models_listed = ()
    assert client.post(TEXT, json=BODY).status_code == 503
    assert client.get("/sdapi/v1/options").json()["sd_model_checkpoint"] == ""


def test_a_mistake_of_our_own_is_told_to_nobody(client, engine, monkeypatch, capsys):
    """An unexpected error answers 500 without its text, and the log has it."""
    monkeypatch.setattr(engine, "submit", lambda *_args, **_kwargs: 1 / 0)
    answer = client.post(TEXT, json=BODY)
    assert (answer.status_code, answer.json()["reason"]) == (500, "internal")
    assert "division" not in answer.text
    assert client.get("/livez").status_code == 200
