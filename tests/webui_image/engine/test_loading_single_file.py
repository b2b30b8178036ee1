"""One checkpoint in the layout that models are shared in gives the same parts as its directory."""

import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from webui_image.demo_model.architecture import make_text_encoder, make_tokenizer
from webui_image.engine.devices import choose
from webui_image.engine.entries import entries_of
from webui_image.engine.loading import LoadOptions
from webui_image.engine.loading import load_parts as load_directory
from webui_image.engine.single_file import ORIGINAL, config_for, kind_of, load_parts, shipped_tokenizer
from webui_image.engine.sources import Sources
from webui_image.values.errors import ModelError

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
TOP = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
}
LEVELS, PER_LEVEL = 4, 2  # levels of the UNet; one layer each, and one place for what changes the size


def _resnet(rest):
    name, _, ending = rest.rpartition(".")
    return f"{RESNET[name]}.{ending}"


def _unet_name(key):
    """Give the original name of a weight of diffusers' UNet."""
    name, _, ending = key.rpartition(".")
    if name in TOP:
        return f"{TOP[name]}.{ending}"
    middle = re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", key)
    if middle:
        kind, number, rest = middle.groups()
        return f"middle_block.1.{rest}" if kind == "attentions" else f"middle_block.{2 * int(number)}.{_resnet(rest)}"
    way, level, kind, number, rest = re.fullmatch(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.+)", key).groups()
    level, number = int(level), int(number)
    if way == "down":
        first = 1 + level * PER_LEVEL
        if kind == "downsamplers":
            return f"input_blocks.{first + 1}.0.op.{ending}"
        return f"input_blocks.{first}.0.{_resnet(rest)}" if kind == "resnets" else f"input_blocks.{first}.1.{rest}"
    first = level * PER_LEVEL
    if kind == "upsamplers":
        return f"output_blocks.{first + 1}.{1 if level == 0 else 2}.{rest}"
    return f"output_blocks.{first + number}." + (f"0.{_resnet(rest)}" if kind == "resnets" else f"1.{rest}")


def _vae_name(key):
    """Give the original name of a weight of diffusers' autoencoder."""
    key = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    key = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", key)
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
    key = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}", key)
    key = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    found = re.fullmatch(r"(\w+)\.mid_block\.attentions\.0\.(.+)\.(\w+)", key)
    return f"{found[1]}.mid.attn_1.{ATTENTION[found[2]]}.{found[3]}" if found else key


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Give a small model of the original topology, with a full autoencoder, as a pipeline directory."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel

    directory = tmp_path_factory.mktemp("single") / "whole"
    tokenizer = make_tokenizer(directory)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        StableDiffusionPipeline(
            vae=AutoencoderKL(
                block_out_channels=(8, 8, 8, 16),
                norm_num_groups=4,
                layers_per_block=1,
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
            ),
            text_encoder=make_text_encoder(len(tokenizer)),
            tokenizer=tokenizer,
            unet=UNet2DConditionModel(
                block_out_channels=(16, 16, 32, 32),
                layers_per_block=1,
                norm_num_groups=8,
                cross_attention_dim=128,
                attention_head_dim=4,
                down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
                up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            ),
            scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def weights(directory):
    """Give that model's weights under their original names."""
    unet = load_file(directory / "unet" / "diffusion_pytorch_model.safetensors")
    vae = load_file(directory / "vae" / "diffusion_pytorch_model.safetensors")
    text = load_file(directory / "text_encoder" / "model.safetensors")
    found = {f"model.diffusion_model.{_unet_name(key)}": value for key, value in unet.items()}
    for key, value in vae.items():
        convolution = ".attentions." in key and key.endswith("weight") and "norm" not in key
        found[f"first_stage_model.{_vae_name(key)}"] = value[:, :, None, None] if convolution else value
    for key, value in text.items():
        found[f"cond_stage_model.transformer.text_model.{key.removeprefix('text_model.')}"] = value
    return {key: value.contiguous() for key, value in found.items()}


@pytest.fixture
def checkpoint(weights, tmp_path):
    """Give a function that writes a checkpoint, changed as wanted."""

    def write(metadata=None, drop="", **more):
        path = tmp_path / "model.safetensors"
        kept = {key: value for key, value in weights.items() if not drop or not key.startswith(drop)}
        save_file({**kept, **more}, path, metadata=metadata or {"format": "pt"})
        return path

    return write


@pytest.mark.parametrize("one_read", [pytest.param(False, id="mapped"), pytest.param(True, id="read at once")])
def test_a_checkpoint_is_its_directory(directory, checkpoint, one_read):
    """Every weight of every part is what the directory holds."""
    ours = load_parts(checkpoint(), choose("cpu"), directory, LoadOptions(one_read=one_read))
    theirs = load_directory(directory, choose("cpu"))
    for one, other in (
        (ours.unet, theirs.unet),
        (ours.vae, theirs.vae),
        (ours.text_encoders[0], theirs.text_encoders[0]),
    ):
        expected = other.state_dict()
        assert one.state_dict().keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in one.state_dict().items())
    assert ours.tokenizers[0].get_vocab() == theirs.tokenizers[0].get_vocab()


@pytest.mark.parametrize(
    ("metadata", "more", "expected"),
    [
        pytest.param(None, {}, "epsilon", id="nothing said: as the configuration has it"),
        pytest.param({"modelspec.prediction_type": "v"}, {}, "v_prediction", id="said in the metadata"),
        pytest.param(None, {"v_pred": torch.zeros(1)}, "v_prediction", id="said by a key among the weights"),
    ],
)
def test_the_file_says_what_it_predicts(directory, checkpoint, metadata, more, expected):
    """A model trained on velocity is sampled so, whatever the common configuration says."""
    parts = load_parts(checkpoint(metadata, **more), choose("cpu"), directory)
    assert parts.scheduler_config["prediction_type"] == expected


@pytest.mark.parametrize(
    "part", ["first_stage_model.decoder", "cond_stage_model", "model.diffusion_model.middle_block"]
)
def test_a_checkpoint_without_a_part_is_refused(directory, checkpoint, part):
    """A file that leaves out weights is told, by its path."""
    path = checkpoint(drop=part)
    with pytest.raises(ModelError) as caught:
        load_parts(path, choose("cpu"), directory)
    assert caught.value.path == str(path)


def test_a_checkpoint_with_the_wrong_configuration_is_refused(checkpoint):
    """Weights that do not fit the configuration are told as such, in one line."""
    path = checkpoint()
    with pytest.raises(ModelError, match="cannot be loaded with the configuration sd1") as caught:
        load_parts(path, choose("cpu"), ORIGINAL / "sd1")
    assert "\n" not in str(caught.value)


def test_the_configuration_is_found(directory, checkpoint, tmp_path):
    """MODEL_CONFIG first, then a directory beside the file, then those of the original models."""
    path = checkpoint()
    assert config_for(path, directory) == directory
    assert config_for(path) == ORIGINAL / "sd1"
    beside = shutil.copytree(directory, tmp_path / "model")
    assert config_for(path) == beside
    with pytest.raises(ModelError, match="MODEL_CONFIG"):
        config_for(path, tmp_path)


def _header(path, shapes):
    save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, path)
    return path


FIRST = "model.diffusion_model.input_blocks.0.0.weight"
ATTENDING = "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        pytest.param({FIRST: (8, 4, 3, 3), ATTENDING: (8, 768)}, ("sd1", False), id="first generation"),
        pytest.param({FIRST: (8, 4, 3, 3), ATTENDING: (8, 1024)}, ("sd2", False), id="second generation"),
        pytest.param({FIRST: (8, 9, 3, 3), ATTENDING: (8, 768)}, ("sd1", True), id="for inpainting"),
        pytest.param({FIRST: (8, 4, 3, 3), "conditioner.embedders.1.model.x": (1,)}, ("sdxl", False), id="XL"),
    ],
)
def test_the_kind_is_read_from_the_header(tmp_path, shapes, expected):
    """Listing a checkpoint reads no weights."""
    assert kind_of(_header(tmp_path / "model.safetensors", shapes)) == expected


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        pytest.param({"lora_unet_x.lora_up.weight": (1,)}, "LORA_DIR", id="LoRA"),
        pytest.param({"first_stage_model.x": (1,)}, "an autoencoder alone", id="autoencoder"),
        pytest.param({"double_blocks.0.x": (1,)}, "transformer", id="transformer"),
        pytest.param({"x": (1,)}, "not of that layout", id="anything else"),
        pytest.param({FIRST: (8, 4, 3, 3), "conditioner.embedders.0.model.x": (1,)}, "refiner", id="refiner"),
    ],
)
def test_other_files_are_told_for_what_they_are(tmp_path, shapes, says):
    """The error says what the file looks like."""
    with pytest.raises(ModelError, match=says):
        kind_of(_header(tmp_path / "model.safetensors", shapes))


def test_checkpoints_are_listed_beside_directories(checkpoint, sd1_directory, tmp_path):
    """A .safetensors file in MODEL_DIR is a model under its name without ending."""
    checkpoint()
    shutil.copytree(sd1_directory, tmp_path / "tiny")
    found = entries_of(Sources(model_dir=tmp_path, shipped=tmp_path / "nothing"), None)
    assert sorted(found) == ["model", "tiny"]


def _parameters(module):
    return round(sum(value.numel() for value in module.parameters()) / 1e6, 2)


@pytest.mark.parametrize(
    ("kind", "unet", "text"),
    [
        pytest.param("sd1", 859.52, [123.06], id="Stable Diffusion 1.5"),
        pytest.param("sd2", 865.91, [340.39], id="Stable Diffusion 2.1"),
        pytest.param("sdxl", 2567.46, [123.06, 694.66], id="Stable Diffusion XL"),
    ],
)
def test_shipped_configurations_have_the_published_sizes(kind, unet, text):
    """Millions of parameters of UNet, autoencoder and text encoders are those of the published models."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    folder = ORIGINAL / kind
    with torch.device("meta"):
        assert _parameters(UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder / "unet"))) == unet
        assert _parameters(AutoencoderKL.from_config(AutoencoderKL.load_config(folder / "vae"))) == 83.65
        classes = (CLIPTextModel, CLIPTextModelWithProjection)
        folders = sorted(folder.glob("text_encoder*"))
        found = [
            _parameters(each(CLIPTextConfig.from_pretrained(at))) for each, at in zip(classes, folders, strict=False)
        ]
    assert found == text


def test_the_shipped_tokenizer_is_clips():
    """Known prompts have their published token numbers."""
    tokenizer = shipped_tokenizer("<|endoftext|>")
    assert len(tokenizer) == 49408
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer("Hello, world!").input_ids == [49406, 3306, 267, 1002, 256, 49407]
    assert (tokenizer.pad_token_id, shipped_tokenizer("!").pad_token_id) == (49407, 0)
