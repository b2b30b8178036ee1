"""The shipped weights: what the model card says of them holds."""

import hashlib
import json
import re

import pytest

from webui_image.demo_model import WEIGHTS

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def pipeline():
    from webui_image.demo_model.measure import load

    torch.set_num_threads(1)
    return load()


def test_the_model_card_names_the_hash_of_every_weight_file():
    """Weights and card are of one training; a changed file is noticed."""
    listed = dict(re.findall(r"`(\S+\.safetensors)` \| `([0-9a-f]{64})`", (WEIGHTS / "README.md").read_text()))
    files = {str(path.relative_to(WEIGHTS)): path for path in WEIGHTS.rglob("*.safetensors")}
    assert listed == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert len(files) == 3


def test_the_whole_model_is_under_ten_megabytes():
    """What the image and the package carry."""
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) < 10e6


def test_weights_are_stored_in_half_precision():
    """Every tensor is fp16, which halves the size and costs no adherence."""
    from safetensors import safe_open

    for path in WEIGHTS.rglob("*.safetensors"):
        with safe_open(path, "pt") as file:
            assert {str(file.get_slice(name).get_dtype()) for name in file.keys()} == {"F16"}, path  # noqa: SIM118


def test_the_shipped_architecture_is_the_one_untrained_builds(pipeline):
    """Same configuration, same parameter names and shapes."""
    from webui_image.demo_model.architecture import make_autoencoder, make_text_encoder, make_unet

    fresh = {
        "unet": make_unet(),
        "vae": make_autoencoder(),
        "text_encoder": make_text_encoder(len(pipeline.tokenizer)),
    }
    for name, module in fresh.items():
        shipped = getattr(pipeline, name).state_dict()
        assert {k: v.shape for k, v in shipped.items()} == {k: v.shape for k, v in module.state_dict().items()}, name


def test_the_recommended_block_is_complete():
    """What the engine and the page read, with settings the model can take."""
    block = json.loads((WEIGHTS / "recommended.json").read_text())
    assert set(block) == {
        "name", "width", "height", "steps", "cfg_scale", "sampler", "scheduler", "guidance_rescale", "negative_prompt",
        "examples", "native_side", "largest_side",
    }  # fmt: skip
    assert len(block["examples"]) == 6
    assert block["largest_side"] % 8 == 0


@pytest.mark.parametrize("guidance", ["recommended", "seven"])
def test_pictures_show_what_unseen_prompts_say(pipeline, guidance):
    """24 held-out prompts, background, colour and shape all right: at least 85 % with either guidance."""
    from webui_image.demo_model.measure import Settings, measure

    block = json.loads((WEIGHTS / "recommended.json").read_text())
    recommended = Settings(block["sampler"], block["steps"], block["cfg_scale"], block["guidance_rescale"])
    settings = {
        "recommended": recommended,
        "seven": Settings("Euler", 20, 7.0, block["guidance_rescale"]),
    }[guidance]
    assert measure(pipeline, settings, prompts=24, batch=12).everything >= 0.85


def test_the_examples_show_what_they_say(pipeline):
    """The page's own examples are right in colour, shape and background."""
    from webui_image.demo_model.measure import Settings, pictures
    from webui_image.demo_model.train.reader import read
    from webui_image.demo_model.vocabulary import PALETTE, SHAPES

    block = json.loads((WEIGHTS / "recommended.json").read_text())
    settings = Settings(block["sampler"], block["steps"], block["cfg_scale"], block["guidance_rescale"])
    for text, image in zip(block["examples"], pictures(pipeline, block["examples"], settings), strict=True):
        seen = read(image)
        words = set(re.findall(r"\w+", text))
        assert {seen.background, seen.colour, seen.shape} == words & {*PALETTE, *SHAPES}, text


def test_the_same_seed_gives_the_same_picture(pipeline):
    """Two runs alone are equal byte for byte."""
    from webui_image.demo_model.measure import Settings, pictures

    first, second = (pictures(pipeline, ["a red circle"], Settings(steps=4))[0].tobytes() for _ in range(2))
    assert first == second
