"""What the UNet's layers read of a prompt, computed once for all steps.

Each cross attention layer projects the prompt's embeddings to keys and values, the same ones at every step. In small
models those projections are a sixth of all computing, since a prompt has 77 tokens and a small picture only 64
places. So a row's projections are kept, and a call puts those of its rows together. In large models they are a
hundredth of the computing and many megabytes, and are left where they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from webui_image.engine.conditioning import Row

__all__ = ["Prompts"]

_MOST_BYTES_A_ROW = 1 << 20  # of 77 tokens; beyond it the model is large
_KEPT_BYTES = 64 << 20
_TOKENS = 77


class Prompts:
    """Keys and values of prompts, for all layers of one UNet."""

    @staticmethod
    def of(unet: Any) -> Prompts | None:
        """Install into a UNet whose layers are of the ordinary kind and small; None for any other."""
        layers = [module for name, module in unet.named_modules() if name.endswith(".attn2")]
        width = sum(2 * layer.inner_dim for layer in layers)
        item = next(unet.parameters()).element_size()
        if not layers or width * _TOKENS * item > _MOST_BYTES_A_ROW or not all(map(_ordinary, layers)):
            return None
        return Prompts(layers)

    def __init__(self, layers: Sequence[Any]) -> None:
        self._layers = layers
        self._kept: OrderedDict[int, tuple[torch.Tensor, torch.Tensor]] = OrderedDict()
        self._bytes = 0
        self._identity: tuple[int, ...] = ()
        self._together: torch.Tensor | None = None
        self.current: list[tuple[torch.Tensor, torch.Tensor]] | None = None
        for index, layer in enumerate(layers):
            layer.set_processor(_Processor(self, index, layer.processor))

    @property
    def installed(self) -> bool:
        """Whether the layers still ask here; slicing attention, when memory is short, takes this out."""
        return all(isinstance(layer.processor, _Processor) for layer in self._layers)

    @contextmanager
    def used(self, rows: Sequence[Row]) -> Iterator[None]:
        """Let calls read these rows, in this order, instead of the text that they are given."""
        identity = tuple(id(row.embeds) for row in rows)
        if identity != self._identity or self._together is None:
            self._together = torch.cat([self._of(row.embeds) for row in rows])
            # The identity holds as long as the tensors are kept.
            self._identity = identity
            self._forget(set(identity))
        self.current = self._by_layer(self._together, rows[0].embeds.shape[1])
        try:
            yield
        finally:
            self.current = None

    def _of(self, embeds: torch.Tensor) -> torch.Tensor:
        """Give one row's keys and values of all layers, end to end: (1, n)."""
        known = self._kept.get(id(embeds))
        if known is None:
            parts = [
                _by_head(projection(embeds), layer.heads)
                for layer in self._layers
                for projection in (layer.to_k, layer.to_v)
            ]
            known = self._kept[id(embeds)] = (embeds, torch.cat([part.flatten(1) for part in parts], dim=1))
            self._bytes += known[1].nbytes
        self._kept.move_to_end(id(embeds))
        return known[1]

    def _forget(self, needed: set[int]) -> None:
        for key in list(self._kept):
            if self._bytes <= _KEPT_BYTES:
                return
            if key not in needed:
                self._bytes -= self._kept.pop(key)[1].nbytes

    def _by_layer(self, together: torch.Tensor, tokens: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        found, at = [], 0
        for layer in self._layers:
            shape = (len(together), layer.heads, tokens, layer.inner_dim // layer.heads)
            size = tokens * layer.inner_dim
            key, value = (together[:, at + part * size : at + (part + 1) * size].view(shape) for part in (0, 1))
            found.append((key, value))
            at += 2 * size
        return found


class _Processor:
    """Reads what is kept; computes as the layer did before where nothing is."""

    def __init__(self, prompts: Prompts, index: int, otherwise: Any) -> None:
        self._prompts = prompts
        self._index = index
        self._otherwise = otherwise

    def __call__(self, layer: Any, hidden_states: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        """Attend from (B, places, channels) to the prompts."""
        if self._prompts.current is None:
            before: torch.Tensor = self._otherwise(layer, hidden_states, *arguments, **named)
            return before
        key, value = self._prompts.current[self._index]
        query = _by_head(layer.to_q(hidden_states), layer.heads)
        found = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        result: torch.Tensor = layer.to_out[0](found.transpose(1, 2).flatten(2))
        return result


def _by_head(projected: torch.Tensor, heads: int) -> torch.Tensor:
    """Turn (B, n, channels) into (B, heads, n, channels / heads)."""
    return projected.unflatten(2, (heads, -1)).transpose(1, 2)


def _ordinary(layer: Any) -> bool:
    """Say whether the layer does nothing but project, attend and project."""
    nothing = all(getattr(layer, name, None) is None for name in ("spatial_norm", "group_norm", "norm_q", "norm_k"))
    plain = not layer.norm_cross and not layer.residual_connection and layer.rescale_output_factor == 1
    return nothing and plain and type(layer.processor).__name__ == "AttnProcessor2_0"
