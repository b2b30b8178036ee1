"""A directory is loaded whole and as the pipeline would, or refused with one line that names the path."""

import json
import re
import shutil

import pytest
import torch

from webui_image.engine.devices import choose
from webui_image.engine.loading import LoadOptions, kind_of, load_parts
from webui_image.values.errors import ModelError


@pytest.fixture
def copy(sd1_directory, tmp_path):
    """Give a copy of a whole model, to be spoilt."""
    return shutil.copytree(sd1_directory, tmp_path / "model")


def _edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _truncate(directory):
    path = directory / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def _cut_header(directory):
    path = directory / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:40])


def _no_safetensors(directory):
    (directory / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"<html>Not found</html>" * 100)


def _pickle(directory):
    path = directory / "unet" / "diffusion_pytorch_model.safetensors"
    path.rename(path.with_name("diffusion_pytorch_model.bin"))


def _no_tokenizer(directory):
    shutil.rmtree(directory / "tokenizer")


def _empty_tokenizer(directory):
    for path in (directory / "tokenizer").iterdir():
        path.unlink()


def _wrong_shape(directory):
    _edit(directory / "unet" / "config.json", block_out_channels=[64, 128])


def _missing_layer(directory):
    from safetensors.torch import load_file, save_file

    path = directory / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    save_file(dict(list(weights.items())[1:]), path, metadata={"format": "pt"})


def _missing_text_layer(directory):
    from safetensors.torch import load_file, save_file

    path = directory / "text_encoder" / "model.safetensors"
    weights = load_file(path)
    save_file(dict(list(weights.items())[1:]), path, metadata={"format": "pt"})


def _other_text_encoder(directory):
    _edit(directory / "unet" / "config.json", cross_attention_dim=64)
    from diffusers import UNet2DConditionModel

    config = UNet2DConditionModel.load_config(directory / "unet")
    UNet2DConditionModel.from_config(config).save_pretrained(directory / "unet")


def _unknown_class(directory):
    _edit(directory / "model_index.json", unet=["os", "system"])


def _transformer(directory):
    _edit(directory / "model_index.json", _class_name="FluxPipeline")


def _no_part(directory):
    _edit(directory / "model_index.json", vae=[None, None])


def _broken_config(directory):
    (directory / "unet" / "config.json").write_text("{")


def _upscaler(directory):
    _edit(directory / "unet" / "config.json", in_channels=7)
    from diffusers import UNet2DConditionModel

    config = UNet2DConditionModel.load_config(directory / "unet")
    UNet2DConditionModel.from_config(config).save_pretrained(directory / "unet")


@pytest.mark.parametrize(
    ("spoil", "where", "says"),
    [
        pytest.param(_truncate, "unet/diffusion_pytorch_model.safetensors", "truncated", id="truncated weights"),
        pytest.param(
            _cut_header, "vae/diffusion_pytorch_model.safetensors", "truncated", id="truncated inside the header"
        ),
        pytest.param(
            _no_safetensors, "vae/diffusion_pytorch_model.safetensors", "damaged", id="a web page instead of weights"
        ),
        pytest.param(_pickle, "unet/diffusion_pytorch_model.bin", "convert it to .safetensors", id="pickle"),
        pytest.param(_no_tokenizer, "tokenizer", "missing", id="no tokenizer folder"),
        pytest.param(_empty_tokenizer, "tokenizer", "tokenizer.json", id="empty tokenizer folder"),
        pytest.param(_wrong_shape, "unet", "shape", id="shapes of another model"),
        pytest.param(_missing_layer, "vae", "missing keys", id="a layer missing in the autoencoder"),
        pytest.param(_missing_text_layer, "text_encoder", "missing keys", id="a layer missing in the text encoder"),
        pytest.param(_other_text_encoder, "", "of two models", id="text encoder and UNet of two models"),
        pytest.param(_unknown_class, "model_index.json", "not supported", id="class that is not on the list"),
        pytest.param(_transformer, "model_index.json", "FluxPipeline", id="transformer pipeline"),
        pytest.param(_no_part, "model_index.json", "vae is missing", id="part left out"),
        pytest.param(_broken_config, "unet/config.json", "cannot be read", id="broken configuration"),
        pytest.param(_upscaler, "", "input channels", id="UNet with another number of channels"),
    ],
)
def test_a_faulty_model_is_refused_by_path(copy, spoil, where, says):
    """Whatever is wrong with a directory, the error is one line that names the place and says what is wrong."""
    spoil(copy)
    with pytest.raises(ModelError) as caught:
        load_parts(copy, choose("cpu"))
    assert caught.value.path == str(copy / where)
    assert says in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_missing_directory_is_named(tmp_path):
    """A path that does not exist is told as such."""
    with pytest.raises(ModelError, match="no such directory"):
        kind_of(tmp_path / "nothing")


def test_a_directory_without_an_index_is_named(tmp_path):
    """A folder that holds something else is no pipeline."""
    with pytest.raises(ModelError, match=r"no model_index\.json"):
        kind_of(tmp_path)


def test_parts_are_those_of_the_pipeline(sd1_directory):
    """Every weight is what diffusers' own loader gives."""
    from diffusers import StableDiffusionPipeline

    ours = load_parts(sd1_directory, choose("cpu"))
    theirs = StableDiffusionPipeline.from_pretrained(sd1_directory)
    for one, other in ((ours.unet, theirs.unet), (ours.vae, theirs.vae), (ours.text_encoders[0], theirs.text_encoder)):
        expected = other.state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in one.state_dict().items())
    assert ours.tokenizers[0].get_vocab() == theirs.tokenizer.get_vocab()


def test_one_read_gives_the_same_weights(sd1_directory):
    """Reading files in one go, for network volumes, changes nothing but the way they are read."""
    mapped = load_parts(sd1_directory, choose("cpu")).unet.state_dict()
    read = load_parts(sd1_directory, choose("cpu"), LoadOptions(one_read=True)).unet.state_dict()
    assert all(torch.equal(value, read[key]) for key, value in mapped.items())


def test_half_precision_files_are_taken_where_there_are_no_others(sd1_directory, tmp_path):
    """A directory saved as the fp16 variant loads, widened to the device's precision."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(sd1_directory, dtype=torch.float16)
    pipeline.save_pretrained(tmp_path / "half", variant="fp16")
    parts = load_parts(tmp_path / "half", choose("cpu"))
    assert {parts.unet.dtype, parts.vae.dtype, parts.text_encoders[0].dtype} == {torch.float32}


def test_precision_follows_the_device(sd1_directory):
    """UNet and text encoders come in the precision asked for."""
    parts = load_parts(sd1_directory, choose("cpu", "bf16"))
    assert {parts.unet.dtype, parts.text_encoders[0].dtype} == {torch.bfloat16}


def test_an_autoencoder_that_overflows_in_half_precision_is_kept_in_single(sdxl_directory):
    """SDXL's autoencoder asks for single precision in its configuration."""
    parts = load_parts(sdxl_directory, choose("cpu", "fp16"))
    assert (parts.unet.dtype, parts.vae.dtype) == (torch.float16, torch.float32)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        pytest.param({}, ("sd1", False), id="first generation"),
        pytest.param({"cross_attention_dim": 1024}, ("sd2", False), id="second generation, by its wider text encoder"),
        pytest.param({"in_channels": 9}, ("sd1", True), id="made for inpainting, by its nine channels"),
    ],
)
def test_kind_is_read_from_configurations_alone(copy, changes, kind):
    """Listing a model opens no weights."""
    _edit(copy / "unet" / "config.json", **changes)
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert kind_of(copy) == kind


def test_two_text_encoders_make_an_xl(sdxl_directory):
    """SDXL is recognised, and both its encoders are loaded in order."""
    assert kind_of(sdxl_directory) == ("sdxl", False)
    parts = load_parts(sdxl_directory, choose("cpu"))
    assert [type(encoder).__name__ for encoder in parts.text_encoders] == [
        "CLIPTextModel",
        "CLIPTextModelWithProjection",
    ]
    assert parts.zero_empty_negative


def test_a_refiner_is_refused(sdxl_directory, tmp_path):
    """SDXL's refiner is no model to draw with by itself."""
    copy = shutil.copytree(sdxl_directory, tmp_path / "refiner")
    _edit(copy / "model_index.json", text_encoder=[None, None], tokenizer=[None, None])
    with pytest.raises(ModelError, match="refiner"):
        kind_of(copy)


def _rename(path, pattern, replacement):
    from safetensors.torch import load_file, save_file

    weights = {re.sub(pattern, replacement, key): value for key, value in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    return weights


def test_text_encoders_of_years_ago_are_read(copy, sd1_directory):
    """Published models name text weights with a prefix, and keep position numbers among them."""
    from safetensors.torch import load_file, save_file

    path = copy / "text_encoder" / "model.safetensors"
    _rename(path, r"^(text_model\.)?", "text_model.")
    save_file({**load_file(path), "text_model.embeddings.position_ids": torch.arange(77)[None]}, path, {"format": "pt"})
    ours, expected = (load_parts(each, choose("cpu")).text_encoders[0].state_dict() for each in (copy, sd1_directory))
    assert all(torch.equal(value, expected[key]) for key, value in ours.items())


def test_autoencoders_of_years_ago_are_read(sdxl_directory, tmp_path):
    """Published models name the autoencoder's attention otherwise than diffusers does now."""
    copy = shutil.copytree(sdxl_directory, tmp_path / "old")
    path = copy / "vae" / "diffusion_pytorch_model.safetensors"
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), (r"to_out\.0", "proj_attn")):
        _rename(path, rf"(attentions\.0)\.{new}\.", rf"\1.{old}.")
    ours, expected = (load_parts(each, choose("cpu")).vae.state_dict() for each in (copy, sdxl_directory))
    assert all(torch.equal(value, expected[key]) for key, value in ours.items())


@pytest.mark.parametrize("pad", ["<|endoftext|>", "!</w>"])
def test_tokenizers_of_years_ago_are_read(copy, sd1_directory, pad):
    """Published models have a vocabulary and merges, and say what fills up a prompt in a file of its own."""
    folder = copy / "tokenizer"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    specials = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": pad,
    }
    (folder / "special_tokens_map.json").write_text(json.dumps(specials))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": pad})
    )
    ours, expected = (load_parts(each, choose("cpu")).tokenizers[0] for each in (copy, sd1_directory))
    text = "A red CIRCLE, on (white) background!"
    assert ours(text).input_ids == expected(text).input_ids
    assert ours.pad_token_id == expected.convert_tokens_to_ids(pad)
