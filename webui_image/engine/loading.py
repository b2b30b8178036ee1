"""A pipeline directory of diffusers becomes a `LoadedModel`, part by part, or one clear `ModelError`.

The pipelines' own loader is not used: it imports every pipeline's dependencies (seconds of start-up), takes whatever
class the directory names, and fills what is missing with random numbers and a warning. Here each part comes through
its own class, from a short list, from safetensors files whose headers were checked before; what is missing or
misshapen is an error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from webui_image.engine.devices import Device
from webui_image.engine.files import check_weights
from webui_image.engine.model import Parts
from webui_image.values.errors import ModelError

__all__ = [
    "PARTS",
    "LoadOptions",
    "check_fit",
    "first_line",
    "kind_of",
    "load_parts",
    "read_index",
    "silence_libraries",
    "vae_dtype",
]

_PIPELINES = frozenset(f"StableDiffusion{xl}{task}Pipeline" for xl in ("", "XL") for task in ("", "Img2Img", "Inpaint"))
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
"""The folders that hold weights."""
_CLASSES = {
    ("unet", "UNet2DConditionModel"): "diffusers.models.unets.unet_2d_condition",
    ("vae", "AutoencoderKL"): "diffusers.models.autoencoders.autoencoder_kl",
    ("vae", "AutoencoderTiny"): "diffusers.models.autoencoders.autoencoder_tiny",
    ("text_encoder", "CLIPTextModel"): "transformers.models.clip.modeling_clip",
    ("text_encoder_2", "CLIPTextModelWithProjection"): "transformers.models.clip.modeling_clip",
    ("tokenizer", "CLIPTokenizer"): "transformers.models.clip.tokenization_clip",
    ("tokenizer_2", "CLIPTokenizer"): "transformers.models.clip.tokenization_clip",
}
"""What may be loaded as which part. Nothing else of a model directory decides which code runs."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How files are read: `one_read` instead of mapping, which on network volumes reads in tiny random pieces."""

    one_read: bool = False


def read_index(directory: Path) -> dict[str, Any]:
    """Read model_index.json; raises ModelError for a directory that is no pipeline, or one of another shape."""
    path = directory / "model_index.json"
    if not directory.is_dir():
        raise ModelError(str(directory), "there is no such directory; give a pipeline directory or a .safetensors file")
    if not path.is_file():
        raise ModelError(
            str(directory), "no model_index.json: not a pipeline directory as diffusers' save_pretrained writes it"
        )
    index = _json(path)
    name = index.get("_class_name")
    if name not in _PIPELINES:
        raise ModelError(
            str(path), f"{name} cannot be drawn with: only Stable Diffusion 1, 2 and XL (a UNet and CLIP) can"
        )
    if "XL" in name and not _named(index, "text_encoder"):
        raise ModelError(str(path), "a refiner draws nothing by itself; give the base model of Stable Diffusion XL")
    return index


def kind_of(directory: Path) -> tuple[str, bool]:
    """Tell "sd1", "sd2" or "sdxl", and whether the UNet is for inpainting, from the configurations alone."""
    index = read_index(directory)
    unet = _json(_folder(directory, "unet") / "config.json")
    inpainting = unet.get("in_channels") == 9
    if "XL" in index["_class_name"]:
        return "sdxl", inpainting
    return "sd2" if unet.get("cross_attention_dim") == 1024 else "sd1", inpainting


def load_parts(directory: Path, device: Device, options: LoadOptions | None = None) -> Parts:
    """Load all parts onto the device. Raises ModelError, naming the file, for anything that cannot be used."""
    silence_libraries()
    options = options or LoadOptions()
    index = read_index(directory)
    suffixes = ("", "_2") if "XL" in index["_class_name"] else ("",)
    for part in ("unet", "vae", *(f"text_encoder{suffix}" for suffix in suffixes)):
        _class_name(index, part, directory)
        _json(_folder(directory, part) / "config.json")
        check_weights(directory / part, prefer_half=device.dtype.itemsize == 2)
    tokenizers = tuple(_tokenizer(directory, index, f"tokenizer{suffix}") for suffix in suffixes)
    encoders = tuple(_weights(directory, index, f"text_encoder{suffix}", device, options) for suffix in suffixes)
    unet = _weights(directory, index, "unet", device, options)
    vae = _weights(directory, index, "vae", device, options)
    parts = Parts(
        unet=unet.to(memory_format=_memory_format(device)),
        vae=vae,
        text_encoders=encoders,
        tokenizers=tokenizers,
        scheduler_config=_json(_folder(directory, "scheduler") / "scheduler_config.json"),
        zero_empty_negative=bool(index.get("force_zeros_for_empty_prompt", "XL" in index["_class_name"])),
    )
    check_fit(directory, parts)
    return parts


def check_fit(path: Path, parts: Parts) -> None:
    """Raise ModelError where parts are whole but not made for each other, or for what the sampling loop does not do."""
    unet, vae = parts.unet.config, parts.vae.config
    width = sum(encoder.config.hidden_size for encoder in parts.text_encoders)
    if width != unet.cross_attention_dim:
        raise ModelError(
            str(path),
            f"text encoders give {width} numbers a token, the UNet takes {unet.cross_attention_dim}: of two models?",
        )
    channels = vae.latent_channels
    if unet.in_channels not in {channels, 2 * channels + 1}:
        raise ModelError(
            str(path),
            f"a UNet of {unet.in_channels} input channels is not supported ({channels} or {2 * channels + 1})",
        )
    if unet.time_cond_proj_dim is not None:
        raise ModelError(
            str(path), "a UNet distilled with its guidance scale as input (LCM) is not supported; use an LCM LoRA"
        )
    blocks = getattr(vae, "encoder_block_out_channels", None) or vae.block_out_channels
    if len(blocks) != 4:
        raise ModelError(
            str(path), f"the autoencoder shrinks each side by {2 ** (len(blocks) - 1)}; only 8 is supported"
        )
    for tokenizer, encoder in zip(parts.tokenizers, parts.text_encoders, strict=True):
        if len(tokenizer) > encoder.config.vocab_size:
            raise ModelError(
                str(path),
                f"the tokenizer has {len(tokenizer)} tokens, its text encoder knows {encoder.config.vocab_size}",
            )


def silence_libraries() -> None:
    """Keep the libraries' progress bars and hints out of the logs: what they warn of is an error here."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def vae_dtype(folder: Path, device: Device) -> Any:
    """Give the precision for the autoencoder in this folder: SDXL's says itself that it overflows in fp16."""
    import torch

    upcast = device.vae_dtype == torch.float16 and _json(folder / "config.json").get("force_upcast")
    return torch.float32 if upcast else device.vae_dtype


def _weights(directory: Path, index: dict[str, Any], part: str, device: Device, options: LoadOptions) -> Any:
    folder = _folder(directory, part)
    dtype = vae_dtype(folder, device) if part == "vae" else device.dtype
    variant = check_weights(folder, prefer_half=device.dtype.itemsize == 2)
    diffusers = part in {"unet", "vae"}
    arguments: dict[str, Any] = {"torch_dtype" if diffusers else "dtype": dtype, "variant": variant}
    if diffusers:
        arguments["disable_mmap"] = options.one_read
    model, report = _load(
        folder, _class(index, part, directory), output_loading_info=True, use_safetensors=True, **arguments
    )
    _refuse_incomplete(folder, report)
    return model.to(device.device).eval().requires_grad_(requires_grad=False)


def _tokenizer(directory: Path, index: dict[str, Any], part: str) -> Any:
    folder = _folder(directory, part)
    whole = (folder / "tokenizer.json").is_file()
    if not whole and not ((folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()):
        raise ModelError(
            str(folder), "no tokenizer.json, nor vocab.json with merges.txt: copy the folder from the original model"
        )
    return _load(folder, _class(index, part, directory))


def _load(folder: Path, loader: Any, **arguments: Any) -> Any:
    try:
        return loader.from_pretrained(str(folder), local_files_only=True, **arguments)
    except Exception as error:  # whatever the libraries raise about a file, the file is what is wrong
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise ModelError(str(folder), f"cannot be loaded: {first_line(error)}") from error


def _refuse_incomplete(folder: Path, report: Any) -> None:
    for wrong in ("missing_keys", "mismatched_keys", "error_msgs"):
        names = [str(name) for name in (report.get(wrong) or ()) if "position_ids" not in str(name)]
        if names:
            raise ModelError(
                str(folder), f"{len(names)} {wrong.replace('_', ' ')}, the first: {names[0][:200]}; copy it anew"
            )


def _class_name(index: dict[str, Any], part: str, directory: Path) -> str:
    name = _named(index, part).removesuffix("Fast")
    if not name:
        raise ModelError(str(directory / "model_index.json"), f"{part} is missing; the model is not complete")
    if (part, name) not in _CLASSES:
        allowed = ", ".join(known for at, known in _CLASSES if at == part)
        raise ModelError(str(directory / "model_index.json"), f"{part} is a {name}, which is not supported ({allowed})")
    return name


def _class(index: dict[str, Any], part: str, directory: Path) -> Any:
    name = _class_name(index, part, directory)
    return getattr(import_module(_CLASSES[part, name]), name)


def _named(index: dict[str, Any], part: str) -> str:
    entry = index.get(part)
    return str(entry[1] or "") if isinstance(entry, list) and len(entry) == 2 else ""


def _folder(directory: Path, part: str) -> Path:
    folder = directory / part
    if not folder.is_dir():
        raise ModelError(str(folder), "this part of the model is missing; copy the whole directory anew")
    return folder


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(str(path), "this file of the model is missing; copy the whole directory anew") from None
    except (OSError, ValueError) as error:
        raise ModelError(str(path), f"cannot be read: {first_line(error)}") from error
    if not isinstance(value, dict):
        raise ModelError(str(path), "not a JSON object")
    return value


def first_line(error: Exception) -> str:
    """Give the first line of what a library says, at most 256 characters of it."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:256]


def _memory_format(device: Device) -> Any:
    import torch

    return torch.channels_last if device.channels_last else torch.preserve_format
