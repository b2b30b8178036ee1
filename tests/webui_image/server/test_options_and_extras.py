"""Options that may not be set, pictures that are enlarged, and the parameters inside pictures."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo


def encoded(image: Image.Image, parameters: str | None = None) -> str:
    buffer, info = io.BytesIO(), PngInfo()
    if parameters:
        info.add_text("parameters", parameters)
    image.save(buffer, "PNG", pnginfo=info)
    return base64.b64encode(buffer.getvalue()).decode()


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


PICTURE = encoded(Image.new("RGB", (32, 16), "teal"))

WRONG = {
    "unknown-model": ({"sd_model_checkpoint": "nobodys"}, "sd_model_checkpoint"),
    "clip-skip-of-99": ({"CLIP_stop_at_last_layers": 99}, "CLIP_stop_at_last_layers"),
    "clip-skip-as-text": ({"CLIP_stop_at_last_layers": "two"}, "CLIP_stop_at_last_layers"),
    "noise-on-the-gpu": ({"randn_source": "GPU"}, "randn_source"),
    "jpeg": ({"samples_format": "jpg"}, "samples_format"),
}


@pytest.mark.parametrize(("options", "field"), WRONG.values(), ids=WRONG)
def test_an_option_that_cannot_be_is_refused_by_name(client, options, field):
    """Nothing is half set: the others of the same call stay as they were."""
    answer = client.post("/sdapi/v1/options", json=options | {"sd_vae": "other"})
    assert answer.status_code == 422
    assert field in answer.json()["errors"]
    assert client.get("/sdapi/v1/options").json()["sd_vae"] == "Automatic"


@pytest.mark.parametrize("body", ["[]", "null", '"x"', "1"])
def test_options_have_to_be_an_object(client, body):
    """Anything else is a 422."""
    answer = client.post("/sdapi/v1/options", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_options_that_are_not_named_stay(client):
    """Setting one leaves the one set before."""
    client.post("/sdapi/v1/options", json={"CLIP_stop_at_last_layers": 2})
    client.post("/sdapi/v1/options", json={"sd_model_checkpoint": "dream"})
    found = client.get("/sdapi/v1/options").json()
    assert (found["CLIP_stop_at_last_layers"], found["sd_model_checkpoint"]) == (2, "dream [bbbbbbbbbb]")
    assert found["sd_checkpoint_hash"] == "b" * 64


SIZES = {
    "by-a-factor": ({"upscaling_resize": 1.5, "upscaler_1": "Lanczos"}, (48, 24)),
    "without-an-upscaler": ({"upscaling_resize": 2}, (32, 16)),
    "to-a-size-cropped": ({"resize_mode": 1, "upscaling_resize_w": 40, "upscaling_resize_h": 40}, (40, 40)),
    "to-a-size-fitted": (
        {"resize_mode": 1, "upscaling_resize_w": 40, "upscaling_resize_h": 40, "upscaling_crop": False},
        (40, 20),
    ),
    "two-upscalers": (
        {"upscaler_2": "Nearest", "extras_upscaler_2_visibility": 0.5, "upscaler_1": "Lanczos"},
        (64, 32),
    ),
}


@pytest.mark.parametrize(("fields", "size"), SIZES.values(), ids=SIZES)
def test_enlarging(client, fields, size):
    """The result has the size that A1111's fields ask for, and keeps its colour."""
    body = {"image": PICTURE} | ({"upscaler_1": "Lanczos"} if "resize_mode" in fields else {}) | fields
    answer = client.post("/sdapi/v1/extra-single-image", json=body)
    assert answer.status_code == 200, answer.text
    found = decoded(answer.json()["image"])
    assert found.size == size
    assert found.convert("RGB").getpixel((3, 3)) == (0, 128, 128)


def test_parameters_survive_enlarging(client):
    """The text in a picture stays in it."""
    picture = encoded(Image.new("RGB", (16, 16)), "a cat\nSteps: 2, Seed: 5, Size: 16x16")
    answer = client.post("/sdapi/v1/extra-single-image", json={"image": picture, "upscaler_1": "Nearest"})
    assert decoded(answer.json()["image"]).info["parameters"].startswith("a cat")


REFUSED = {
    "unknown-upscaler": ({"upscaler_1": "Magic"}, "upscaler_1", 422),
    "faces": ({"gfpgan_visibility": 1}, "gfpgan_visibility", 422),
    "other-faces": ({"codeformer_visibility": 0.5}, "codeformer_visibility", 422),
    "far-too-large": (
        {"upscaler_1": "Lanczos", "resize_mode": 1, "upscaling_resize_w": 100_000, "upscaling_resize_h": 100_000},
        "upscaling_resize_w",
        413,
    ),
    "a-factor-of-a-million": ({"upscaling_resize": 1_000_000}, "upscaling_resize", 422),
    "no-picture": ({"image": ""}, "image", 422),
    "a-url": ({"image": "http://127.0.0.1/x.png"}, "image", 422),
}


@pytest.mark.parametrize(("fields", "field", "status"), REFUSED.values(), ids=REFUSED)
def test_enlarging_is_refused_by_name(client, fields, field, status):
    """What cannot be done, or would take too much, names its field."""
    answer = client.post("/sdapi/v1/extra-single-image", json={"image": PICTURE} | fields)
    assert answer.status_code == status
    assert field in answer.json()["errors"]


def test_a_bad_picture_of_a_batch_is_named_by_its_place(client):
    """The second of two is called by its index."""
    pictures = [{"data": PICTURE, "name": "a"}, {"data": "???", "name": "b"}]
    answer = client.post("/sdapi/v1/extra-batch-images", json={"imageList": pictures})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "imageList", "1", "data"]


def test_too_many_pictures_at_once(client):
    """More than the limit are refused before any is decoded."""
    pictures = [{"data": PICTURE, "name": "a"}] * 9
    assert client.post("/sdapi/v1/extra-batch-images", json={"imageList": pictures}).status_code == 413


def test_png_info_of_a_picture_without_parameters(client):
    """Nothing to tell is told as nothing."""
    answer = client.post("/sdapi/v1/png-info", json={"image": PICTURE})
    assert answer.json() == {"info": "", "items": {}, "parameters": {}}


NOT_OFFERED = ["interrogate", "create/embedding", "train/hypernetwork", "server-kill", "server-restart", "server-stop"]


@pytest.mark.parametrize("name", NOT_OFFERED)
def test_what_is_left_out_says_so(client, name):
    """501 with a sentence, so that nobody looks for a mistake in the path."""
    answer = client.post(f"/sdapi/v1/{name}", json={})
    assert answer.status_code == 501
    assert "not offered" in answer.json()["errors"]


@pytest.mark.parametrize(
    "name", ["refresh-checkpoints", "refresh-loras", "refresh-vae", "unload-checkpoint", "reload-checkpoint"]
)
def test_what_needs_no_doing_succeeds(client, name):
    """Clients call these before they list, and need a 200."""
    answer = client.post(f"/sdapi/v1/{name}")
    assert (answer.status_code, answer.json()) == (200, None)


def test_the_openapi_document_has_every_route(client):
    """The document for generated clients names all of A1111's calls; the page that needs other hosts is off."""
    paths = client.get("/openapi.json").json()["paths"]
    assert {f"/sdapi/v1/{name}" for name in ("txt2img", "img2img", "progress", "options", "interrogate")} <= set(paths)
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404
