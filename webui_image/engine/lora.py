"""LoRAs: small changes to a model's weights, asked for by name and mixed in with a strength.

Reading a file and adding its layers takes a good part of a second; changing strengths and switching between those
already added takes milliseconds. So the last few stay attached, and a request only says which of them count. Whether
a file fits is found out before the model is touched, by comparing every matrix with the layer that it is for.
"""

from __future__ import annotations

import json
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webui_image.engine.files import read_header
from webui_image.engine.shelf import Hashes, Shelf, near
from webui_image.values.errors import Invalid, ModelError
from webui_image.values.generation import Lora

if TYPE_CHECKING:
    import torch

    from webui_image.engine.model import Parts

__all__ = ["ModelLoras"]

_ATTACHED_AT_MOST = 8
_OTHER_KINDS = (".hada_", ".lokr_", "dora_scale")
_KIND = {"sd1": "Stable Diffusion 1", "sd2": "Stable Diffusion 2", "sdxl": "Stable Diffusion XL"}


class ModelLoras:
    """The LoRAs of one loaded model: attached as adapters, switched by name."""

    def __init__(self, parts: Parts, kind: str, shelf: Shelf, hashes: Hashes) -> None:
        self.active: tuple[Lora, ...] = ()
        self._kind = _KIND.get(kind, kind)
        self._shelf = shelf
        self._hashes = hashes
        names = ("text_encoder", "text_encoder_2")
        self._modules: dict[str, Any] = {"unet": parts.unet, **dict(zip(names, parts.text_encoders, strict=False))}
        self._attached: OrderedDict[str, tuple[str, ...]] = OrderedDict()  # adapter name -> the modules it changes

    def use(self, loras: tuple[Lora, ...]) -> None:
        """Mix in exactly these, strengths of one name added up.

        Raises Invalid("prompt", ...) for one that is unknown or does not fit; the model is then as it was before.
        """
        strengths: dict[str, float] = {}
        for lora in loras:
            strengths[lora.name] = strengths.get(lora.name, 0.0) + lora.weight
        adapters = {self._attach(name, keep=len(strengths)): weight for name, weight in strengths.items()}
        for module_name, module in self._modules.items():
            ours = [adapter for adapter in adapters if module_name in self._attached[adapter]]
            _activate(module, ours, [adapters[adapter] for adapter in ours])
        self.active = loras

    def _attach(self, name: str, *, keep: int) -> str:
        path = self._shelf.path(name)
        if path is None:
            raise Invalid("prompt", f"there is no LoRA {name!r}; {near(name, self._shelf.names())}")
        adapter = f"lora_{self._digest(name, path)[:16]}"
        if adapter in self._attached:
            self._attached.move_to_end(adapter)
            return adapter
        while len(self._attached) >= max(_ATTACHED_AT_MOST, keep):
            self._detach(next(iter(self._attached)))
        state, alphas, metadata = self._read(name, path)
        self._refuse_misfit(name, state)
        self._attached[adapter] = tuple(
            module for module in self._modules if any(key.startswith(f"{module}.") for key in state)
        )
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several are meant
                self._load(adapter, state, alphas, metadata)
        except (ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
            self._detach(adapter)
            raise Invalid("prompt", f"LoRA {name!r} cannot be used: {str(error).splitlines()[0][:200]}") from error
        return adapter

    def _digest(self, name: str, path: Path) -> str:
        try:
            return self._hashes.sha256(path)
        except OSError as error:
            raise Invalid("prompt", f"LoRA {name!r} cannot be read: {error.strerror}") from error

    def _read(
        self, name: str, path: Path
    ) -> tuple[dict[str, torch.Tensor], dict[str, float] | None, dict[str, Any] | None]:
        """Give the matrices under diffusers' names, and their scales: kohya's alphas, or diffusers' metadata."""
        from diffusers.loaders.lora_pipeline import StableDiffusionXLLoraLoaderMixin
        from safetensors.torch import load_file

        try:
            header = read_header(path)
            if any(mark in key for key in header for mark in _OTHER_KINDS):
                raise Invalid("prompt", f"LoRA {name!r} is of a kind that is not supported (LoHa, LoKr or DoRA)")
            told = json.loads(header.get("__metadata__", {}).get("lora_adapter_metadata", "null"))
            state, alphas = StableDiffusionXLLoraLoaderMixin.lora_state_dict(
                dict(load_file(path)), unet_config=self._modules["unet"].config
            )
        except ModelError as error:
            raise Invalid("prompt", f"LoRA {name!r} cannot be used: {error.message}") from error
        except (ValueError, KeyError, IndexError, RuntimeError, AttributeError) as error:
            raise Invalid("prompt", self._misfit(name)) from error
        return state, alphas, None if alphas else told

    def _refuse_misfit(self, name: str, state: dict[str, torch.Tensor]) -> None:
        checked = 0
        for module_name, module in self._modules.items():
            layers = _layers(module_name, module, state)
            known = dict(module.named_modules())
            for layer, (down, up) in layers.items():
                base = known.get(layer)
                weight = getattr(getattr(base, "base_layer", base), "weight", None)
                if weight is None or down.shape[1] != weight.shape[1] or up.shape[0] != weight.shape[0]:
                    raise Invalid("prompt", self._misfit(name))
                checked += 1
        foreign = [key for key in state if key.partition(".")[0] not in self._modules]
        if foreign or not checked:
            raise Invalid("prompt", self._misfit(name))

    def _misfit(self, name: str) -> str:
        return f"LoRA {name!r} was made for another kind of model; this one is {self._kind}"

    def _load(
        self,
        adapter: str,
        state: dict[str, torch.Tensor],
        alphas: dict[str, float] | None,
        metadata: dict[str, Any] | None,
    ) -> None:
        from diffusers.loaders.lora_pipeline import StableDiffusionXLLoraLoaderMixin as Loader

        for module_name in self._attached[adapter]:
            module = self._modules[module_name]
            ours = {key: value for key, value in (metadata or {}).items() if key.startswith(f"{module_name}.")}
            how = {"network_alphas": alphas, "adapter_name": adapter, "metadata": ours or None}
            if module_name == "unet":
                Loader.load_lora_into_unet(state, unet=module, **how)
            else:
                Loader.load_lora_into_text_encoder(state, text_encoder=module, prefix=module_name, **how)
            module.requires_grad_(requires_grad=False)

    def _detach(self, adapter: str) -> None:
        from diffusers.utils.peft_utils import delete_adapter_layers

        for module_name in self._attached.pop(adapter):
            module = self._modules[module_name]
            delete_adapter_layers(module, adapter)
            getattr(module, "peft_config", {}).pop(adapter, None)


def _activate(module: Any, adapters: list[str], weights: list[float]) -> None:
    from diffusers.utils.peft_utils import set_adapter_layers, set_weights_and_activate_adapters

    if adapters:
        set_weights_and_activate_adapters(module, adapters, weights)
    set_adapter_layers(module, enabled=bool(adapters))


def _layers(name: str, module: Any, state: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Give the pairs of matrices meant for one module, by the path of the layer in it."""
    from diffusers.utils.state_dict_utils import (
        convert_state_dict_to_diffusers,
        convert_state_dict_to_peft,
        convert_unet_state_dict_to_peft,
    )

    ours = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
    if not ours:
        return {}
    if name == "unet":
        ours = ours if "lora_A" in next(iter(ours)) else convert_unet_state_dict_to_peft(ours)
    else:
        ours = convert_state_dict_to_peft(convert_state_dict_to_diffusers(ours))
        if not hasattr(module, "text_model"):
            ours = {key.removeprefix("text_model."): value for key, value in ours.items()}
    downs = {key.removesuffix(".lora_A.weight"): value for key, value in ours.items() if key.endswith(".lora_A.weight")}
    return {
        layer: (down, ours[f"{layer}.lora_B.weight"])
        for layer, down in downs.items()
        if f"{layer}.lora_B.weight" in ours
    }
