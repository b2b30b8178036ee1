"""One .safetensors checkpoint, in the layout that most models are shared in, becomes the same parts as a directory.

Such a file holds weights alone. Which classes and sizes they belong to comes from a directory of configurations:
MODEL_CONFIG, or a directory beside the file with its name, or those that are shipped for Stable Diffusion 1, 2 and
XL. Weights are renamed by diffusers' own converters; the hub is never asked.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from webui_image.engine.devices import Device
from webui_image.engine.files import check_safetensors, read_header
from webui_image.engine.loading import LoadOptions, check_fit, first_line, silence_libraries, vae_dtype
from webui_image.engine.model import Parts
from webui_image.values.errors import ModelError

__all__ = ["ORIGINAL", "config_for", "kind_of", "load_parts", "shipped_tokenizer"]

ORIGINAL = Path(__file__).parent / "original"
"""Configurations of the original models, and the merges of their common vocabulary."""

_UNET = "model.diffusion_model."
_ATTENTION = f"{_UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
_SECOND_ENCODER = "conditioner.embedders.1.model."
_FIRST_ENCODER_OF_REFINER = "conditioner.embedders.0.model."


def kind_of(path: Path) -> tuple[str, bool]:
    """Tell "sd1", "sd2" or "sdxl", and whether it is for inpainting, from the header alone. Raises ModelError."""
    header = read_header(path)
    first = header.get(f"{_UNET}input_blocks.0.0.weight")
    if first is None:
        raise ModelError(str(path), f"not a checkpoint of Stable Diffusion 1, 2 or XL: {_looks_like(header)}")
    if any(key.startswith(_FIRST_ENCODER_OF_REFINER) for key in header):
        raise ModelError(str(path), "a refiner draws nothing by itself; give the base model of Stable Diffusion XL")
    inpainting = first["shape"][1] == 9
    if any(key.startswith(_SECOND_ENCODER) for key in header):
        return "sdxl", inpainting
    width = header.get(_ATTENTION, {}).get("shape", [0])[-1]
    return "sd2" if width == 1024 else "sd1", inpainting


def config_for(path: Path, configured: Path | None = None) -> Path:
    """Find the configurations that a checkpoint is read with. Raises ModelError for a configured one that is none."""
    if configured is not None:
        if not (configured / "model_index.json").is_file():
            raise ModelError(
                str(configured), "MODEL_CONFIG has no model_index.json; give a pipeline directory or leave it out"
            )
        return configured
    beside = path.with_suffix("")
    return beside if (beside / "model_index.json").is_file() else ORIGINAL / kind_of(path)[0]


def load_parts(path: Path, device: Device, config: Path, options: LoadOptions | None = None) -> Parts:
    """Load all parts onto the device. Raises ModelError, naming the file, for anything that cannot be used."""
    silence_libraries()
    check_safetensors(path)
    kind, inpainting = kind_of(path)
    try:
        parts = _convert(path, device, config, kind, inpainting=inpainting, options=options or LoadOptions())
    except ModelError:
        raise
    except Exception as error:  # whatever the converters raise, the file or its configuration is what is wrong
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise ModelError(
            str(path), f"cannot be loaded with the configuration {config.name}: {first_line(error)}"
        ) from error
    check_fit(path, parts)
    return parts


def shipped_tokenizer(pad: str) -> Any:
    """Build CLIP's tokenizer from the shipped merges; `pad` fills up short prompts ("<|endoftext|>", or "!")."""
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    with gzip.open(ORIGINAL / "clip_merges.txt.gz", "rt", encoding="utf-8") as file:
        merges = [tuple(line.split()) for line in file.read().splitlines()]
    characters = _byte_characters()
    words = [*characters, *(f"{each}</w>" for each in characters), *("".join(pair) for pair in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=pad, model_max_length=77)


def _convert(path: Path, device: Device, config: Path, kind: str, *, inpainting: bool, options: LoadOptions) -> Parts:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

    weights = _read(path, one_read=options.one_read)
    arguments: dict[str, Any] = {"config": str(config), "local_files_only": True}
    channels = {"in_channels": 9} if inpainting else {}
    unet = UNet2DConditionModel.from_single_file(
        dict(weights), subfolder="unet", torch_dtype=device.dtype, **arguments, **channels
    )
    in_vae = vae_dtype(config / "vae", device)
    vae = AutoencoderKL.from_single_file(dict(weights), subfolder="vae", torch_dtype=in_vae, **arguments)
    encoders = [_text_encoder(CLIPTextModel, weights, config, "text_encoder", device)]
    tokenizers = [_tokenizer(config, "tokenizer", "<|endoftext|>" if kind != "sd2" else "!")]
    if kind == "sdxl":
        encoders.append(_text_encoder(CLIPTextModelWithProjection, weights, config, "text_encoder_2", device))
        tokenizers.append(_tokenizer(config, "tokenizer_2", "!"))
    for name, module in (("UNet", unet), ("autoencoder", vae), *(("text encoder", encoder) for encoder in encoders)):
        missing = next((key for key, value in module.state_dict().items() if value.is_meta), None)
        if missing is not None:
            raise ModelError(str(path), f"its {name} is not complete (no {missing}); take a whole checkpoint")
        module.to(device.device).eval().requires_grad_(requires_grad=False)
    return Parts(
        unet=unet,
        vae=vae,
        text_encoders=tuple(encoders),
        tokenizers=tuple(tokenizers),
        scheduler_config=_scheduler(config, path),
        zero_empty_negative=kind == "sdxl",
    )


def _read(path: Path, *, one_read: bool) -> dict[str, Any]:
    from safetensors import torch as safetensors

    return dict(safetensors.load(path.read_bytes()) if one_read else safetensors.load_file(path))


def _text_encoder(loader: Any, weights: dict[str, Any], config: Path, part: str, device: Device) -> Any:
    from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm

    return create_diffusers_clip_model_from_ldm(
        loader, dict(weights), subfolder=part, config=str(config), torch_dtype=device.dtype, local_files_only=True
    )


def _tokenizer(config: Path, part: str, pad: str) -> Any:
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    folder = config / part
    return (
        CLIPTokenizer.from_pretrained(str(folder), local_files_only=True) if folder.is_dir() else shipped_tokenizer(pad)
    )


def _scheduler(config: Path, path: Path) -> dict[str, Any]:
    """Read the noise schedule, corrected by what the file itself says about its training."""
    scheduler: dict[str, Any] = json.loads((config / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    header = read_header(path)
    said = str(header.get("__metadata__", {}).get("modelspec.prediction_type", ""))
    if "v_pred" in header or said.startswith("v"):
        scheduler["prediction_type"] = "v_prediction"
    elif said.startswith("eps"):
        scheduler["prediction_type"] = "epsilon"
    if "ztsnr" in header:
        scheduler.update(rescale_betas_zero_snr=True, timestep_spacing="trailing")
    return scheduler


def _looks_like(header: dict[str, Any]) -> str:
    keys = list(header)
    if any("lora" in key for key in keys):
        return "a LoRA; put it into LORA_DIR"
    if any(key.startswith(("first_stage_model.", "decoder.")) for key in keys):
        return "an autoencoder alone"
    if any("joint_blocks" in key or "double_blocks" in key or "transformer_blocks" in key for key in keys):
        return "a transformer (Stable Diffusion 3, Flux and later), which is not supported"
    return "its names are not of that layout"


def _byte_characters() -> list[str]:
    """Give the characters that stand for the 256 bytes in the vocabulary, printable ones first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(code) for code in (*printable, *range(256, 512 - len(printable)))]
