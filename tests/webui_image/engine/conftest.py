"""Small models with random weights, of the shapes that real ones have; made once a run."""

from pathlib import Path

import pytest

from webui_image.demo_model.architecture import make_tokenizer, untrained
from webui_image.engine.devices import choose
from webui_image.engine.loading import kind_of, load_parts
from webui_image.engine.model import LoadedModel
from webui_image.values.ports import ModelInfo, Recommended

SMALL = Recommended(width=64, height=64, native_side=64)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Leave the other cores to whoever else uses the machine."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sd1_directory(tmp_path_factory):
    """Give a pipeline directory of Stable Diffusion 1's shape: the shipped model's architecture."""
    directory = tmp_path_factory.mktemp("models") / "tiny"
    untrained(directory)
    return directory


@pytest.fixture(scope="session")
def sdxl_directory(tmp_path_factory):
    """Give a pipeline directory of Stable Diffusion XL's shape: two text encoders, added conditions."""
    directory = tmp_path_factory.mktemp("models") / "tiny-xl"
    _write_sdxl(directory)
    return directory


@pytest.fixture
def sd1(sd1_directory):
    """Give a freshly loaded model of Stable Diffusion 1's shape, on the CPU."""
    return _load(sd1_directory)


@pytest.fixture
def sdxl(sdxl_directory):
    """Give a freshly loaded model of Stable Diffusion XL's shape, on the CPU."""
    return _load(sdxl_directory)


def _load(directory: Path) -> LoadedModel:
    device = choose("cpu")
    kind, inpainting = kind_of(directory)
    info = ModelInfo(directory.name, directory.name, "0" * 64, kind, inpainting, SMALL)
    return LoadedModel(info, load_parts(directory, device), device)


def _write_sdxl(directory: Path) -> None:
    import torch
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    tokenizer = make_tokenizer(directory)
    size = len(tokenizer)
    text = CLIPTextConfig(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=64,
        projection_dim=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipeline = StableDiffusionXLPipeline(
            vae=AutoencoderKL(
                block_out_channels=(8, 8, 8, 8),
                norm_num_groups=4,
                layers_per_block=1,
                latent_channels=4,
                sample_size=64,
                scaling_factor=0.13025,
                force_upcast=True,
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
            ),
            text_encoder=CLIPTextModel(text),
            text_encoder_2=CLIPTextModelWithProjection(text),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            unet=UNet2DConditionModel(
                sample_size=8,
                block_out_channels=(32, 64),
                layers_per_block=1,
                norm_num_groups=16,
                cross_attention_dim=64,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                attention_head_dim=(2, 4),
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=6 * 8 + 32,
                transformer_layers_per_block=(1, 1),
            ),
            scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
            add_watermarker=False,
        )
    pipeline.save_pretrained(directory, safe_serialization=True)
