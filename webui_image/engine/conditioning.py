"""Prompts become what the UNet is conditioned on, with A1111's semantics.

A weight multiplies the embeddings of its tokens, after which the mean that the chunk had before is restored; so
emphasis changes the balance between words, not the loudness of the whole. A schedule is several variants, each valid
from a step on; `AND` is several rows with a weight each. All rows of one request have the same length, shorter ones
being followed by chunks of the empty prompt, so that requests of equal length share a call. A short prompt without
weights gives, bit for bit, what the pipeline's own `encode_prompt` gives.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from webui_image.engine.chunking import CHUNK, Chunk, Token, cut
from webui_image.values.errors import Invalid

if TYPE_CHECKING:
    import torch

    from webui_image.engine.model import LoadedModel
    from webui_image.prompts.plan import Piece, PromptPlan, Subprompt

__all__ = ["Conditioner", "Conditioning", "Row", "StepRows"]

_CACHED_BYTES = 32 << 20
_EMPTY = (Chunk(),)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One conditioning: `embeds` (1, 77 n, D), and SDXL's `pooled` (1, P)."""

    embeds: torch.Tensor
    pooled: torch.Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StepRows:
    """What one step needs: the negative row, and one or (`AND`) more rows with their weights."""

    uncond: Row
    conds: tuple[tuple[float, Row], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """The rows of every step. `chunks` is n, the number of 77-token chunks that all of them have."""

    chunks: int
    first_steps: tuple[int, ...]
    rows: tuple[StepRows, ...]

    def at(self, step: int) -> StepRows:
        """Give the rows of the 0-based sampler step."""
        return self.rows[max(0, bisect_right(self.first_steps, step) - 1)]


class Conditioner:
    """Encodes prompts for one model; remembers the chunks it encoded last. For the engine's thread only."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._tokenizer = model.tokenizers[0]
        comma = self._tokenizer.convert_tokens_to_ids(",</w>")
        self._comma = comma if comma not in {None, self._tokenizer.unk_token_id} else None
        self._cache: OrderedDict[tuple[Any, ...], Row] = OrderedDict()
        self._cached_bytes = 0

    def encode(self, plan: PromptPlan, negative: PromptPlan, clip_skip: int = 1) -> Conditioning:
        """Encode both prompts, with the LoRAs now in force.

        Raises Invalid("clip_skip", ...) for more than the text encoder has layers.
        """
        import torch

        self._check_clip_skip(clip_skip)
        starts = sorted({variant.first_step for each in (plan, negative) for variant in each.variants} | {0})
        conds = [[(part.weight, self._cut(part.pieces)) for part in plan.at(step)] for step in starts]
        unconds = [self._cut(_without_and(negative.at(step))) for step in starts]
        count = max(len(chunks) for chunks in (*unconds, *(chunks for step in conds for _, chunks in step)))
        known: dict[tuple[Any, ...], Row] = {}

        def row(chunks: tuple[Chunk, ...], *, zero: bool = False) -> Row:
            key = (chunks, zero)
            if key not in known:
                known[key] = self._row(chunks, count, clip_skip, zero=zero)
            return known[key]

        zero = self._model.zero_empty_negative and all(chunks == _EMPTY for chunks in unconds)
        with torch.inference_mode():
            rows = tuple(
                StepRows(row(uncond, zero=zero), tuple((weight, row(chunks)) for weight, chunks in parts))
                for uncond, parts in zip(unconds, conds, strict=True)
            )
        return Conditioning(count, tuple(starts), rows)

    def _check_clip_skip(self, clip_skip: int) -> None:
        layers = min(encoder.config.num_hidden_layers for encoder in self._model.text_encoders)
        if not 1 <= clip_skip <= layers:
            raise Invalid(
                "clip_skip", f"{clip_skip} is not between 1 and {layers}, the layers of this model's text encoder"
            )

    def _cut(self, pieces: Sequence[Piece]) -> tuple[Chunk, ...]:
        return tuple(cut(pieces, self._tokenize, comma=self._comma, placeholder=self._tokenizer.eos_token_id))

    def _tokenize(self, text: str) -> list[Token]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return self._model.embeddings.insert(ids) if self._model.embeddings is not None else [*ids]

    def _row(self, chunks: tuple[Chunk, ...], count: int, clip_skip: int, *, zero: bool) -> Row:
        import torch

        parts = [self._chunk(chunk, clip_skip) for chunk in chunks]
        if len(parts) < count:
            parts += [self._chunk(Chunk(), clip_skip)] * (count - len(parts))
        embeds = parts[0].embeds if count == 1 else torch.cat([part.embeds for part in parts], dim=1)
        pooled = parts[0].pooled
        if zero:
            return Row(torch.zeros_like(embeds), None if pooled is None else torch.zeros_like(pooled))
        return Row(embeds, pooled)

    def _chunk(self, chunk: Chunk, clip_skip: int) -> Row:
        key = (chunk, clip_skip, self._model.loras)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        row = self._cache[key] = self._encode(chunk, clip_skip)
        self._cached_bytes += _bytes(row)
        while self._cached_bytes > _CACHED_BYTES and len(self._cache) > 1:
            self._cached_bytes -= _bytes(self._cache.popitem(last=False)[1])
        return row

    def _encode(self, chunk: Chunk, clip_skip: int) -> Row:
        import torch

        model = self._model
        pooled = None
        states = []
        for index, (tokenizer, encoder) in enumerate(zip(model.tokenizers, model.text_encoders, strict=True)):
            ids = [tokenizer.bos_token_id, *chunk.tokens, tokenizer.eos_token_id]
            ids += [tokenizer.pad_token_id] * (CHUNK - len(chunk.tokens))
            hidden = model.is_sdxl or clip_skip > 1
            with self._inserted(encoder, chunk, index):
                output = encoder(torch.tensor([ids], device=model.device), output_hidden_states=hidden)
            if model.is_sdxl:
                state = output.hidden_states[-max(2, clip_skip)]
                pooled = output[0] if index == 1 else None
            elif hidden:
                state = getattr(encoder, "text_model", encoder).final_layer_norm(output.hidden_states[-clip_skip])
            else:
                state = output[0]
            states.append(_weighted(state, chunk.weights))
        embeds = torch.cat(states, dim=-1) if len(states) > 1 else states[0]
        return Row(embeds.to(model.dtype), pooled)

    @contextmanager
    def _inserted(self, encoder: Any, chunk: Chunk, index: int) -> Iterator[None]:
        """Let the embeddings' vectors stand in the places that the chunk keeps for them."""
        with ExitStack() as stack:
            if chunk.inserts and self._model.embeddings is not None:
                vectors = [(place + 1, self._model.embeddings.vectors(name, index)) for place, name in chunk.inserts]

                def insert(_layer: Any, _arguments: Any, output: torch.Tensor) -> torch.Tensor:
                    output = output.clone()
                    for place, rows in vectors:
                        output[0, place : place + len(rows)] = rows.to(output.device, output.dtype)
                    return output

                handle = encoder.get_input_embeddings().register_forward_hook(insert)
                stack.callback(handle.remove)
            yield


def _weighted(state: torch.Tensor, weights: tuple[float, ...]) -> torch.Tensor:
    """Multiply the tokens' embeddings (1, 77, D) by their weights, then restore the mean over all of them."""
    if all(weight == 1.0 for weight in weights):
        return state
    import torch

    factors = torch.ones(state.shape[1])
    factors[1 : 1 + len(weights)] = torch.tensor(weights)
    before = state.float()
    after = before * factors.to(state.device)[None, :, None]
    mean = after.mean()
    if mean != 0:
        after = after * (before.mean() / mean)
    return after.to(state.dtype)


def _without_and(parts: Sequence[Subprompt]) -> list[Piece]:
    """Make one row of a negative prompt: `AND` in it is a word like any other."""
    pieces = list(parts[0].pieces) if parts else []
    for part in parts[1:]:
        if part.pieces:
            pieces += [replace(part.pieces[0], text=" AND ", weight=1.0, is_break=False), *part.pieces]
    return pieces


def _bytes(row: Row) -> int:
    pooled = row.pooled.numel() if row.pooled is not None else 0
    return int((row.embeds.numel() + pooled) * row.embeds.element_size())
