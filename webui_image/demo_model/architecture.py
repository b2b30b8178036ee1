"""The small model's shape: a complete Stable Diffusion pipeline directory that stays under 10 MB.

It is loaded through the same code as real models, so each part is an ordinary diffusers or transformers class: a CLIP
text encoder with the full 77 positions, a UNet with cross attention, an autoencoder eight times smaller per side. The
autoencoder is the "tiny" kind without normalisation: group norms lose the mean of flat colours at this size.
"""

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from webui_image.demo_model.vocabulary import tokenizer_words

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

__all__ = [
    "NATIVE_SIDE",
    "assemble",
    "make_autoencoder",
    "make_scheduler",
    "make_text_encoder",
    "make_tokenizer",
    "make_unet",
    "untrained",
]

NATIVE_SIDE: Final = 64
"""Side of a picture in pixels as trained; latents are an eighth of it."""
_TEXT_WIDTH: Final = 128
_POSITIONS: Final = 77
_END: Final = "<|endoftext|>"


def untrained(directory: Path, seed: int = 0) -> None:
    """Write the model with random weights as a pipeline directory in fp32 safetensors, built as the shipped one is.

    The global random state of torch is left as it was. Takes well under a second once torch is imported.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = make_tokenizer(directory)
        pipeline = assemble(tokenizer, make_text_encoder(len(tokenizer)), make_unet(), make_autoencoder())
    pipeline.save_pretrained(directory, safe_serialization=True)


def assemble(
    tokenizer: "CLIPTokenizer", text_encoder: "CLIPTextModel", unet: "UNet2DConditionModel", vae: "AutoencoderTiny"
) -> "StableDiffusionPipeline":
    """Join the parts to one pipeline, without safety checker and feature extractor."""
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def make_tokenizer(directory: Path) -> "CLIPTokenizer":
    """Make a CLIP tokenizer that knows the vocabulary's words whole and spells the rest.

    Its source files stay in `directory`/tokenizer.
    """
    from transformers import CLIPTokenizer

    alphabet = [*_byte_characters()]
    merges = _merges(tokenizer_words())
    tokens = [*alphabet, *(f"{c}</w>" for c in alphabet), *(left + right for left, right in merges)]
    tokens += ["<|startoftext|>", _END]
    folder = directory / "tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False))
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=_POSITIONS, pad_token=_END
    )


def make_text_encoder(vocabulary: int) -> "CLIPTextModel":
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=_TEXT_WIDTH,
        intermediate_size=2 * _TEXT_WIDTH,
        projection_dim=_TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=_POSITIONS,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return CLIPTextModel(config)


def make_unet() -> "UNet2DConditionModel":
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=NATIVE_SIDE // 8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 96),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=4,  # the number of heads, in spite of its name
        norm_num_groups=16,
        cross_attention_dim=_TEXT_WIDTH,
    )


def make_autoencoder() -> "AutoencoderTiny":
    from diffusers import AutoencoderTiny

    return AutoencoderTiny(
        encoder_block_out_channels=(24, 24, 24, 24),
        decoder_block_out_channels=(24, 24, 24, 24),
        num_encoder_blocks=(0, 1, 2, 2),
        num_decoder_blocks=(3, 2, 2, 0),
        latent_channels=4,
    )


def make_scheduler() -> "DDIMScheduler":
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,  # without effect under trailing spacing; the pipeline warns about any other value
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )


def _merges(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """List the BPE merges, by rank, that make each word one token.

    A word is first merged as far as earlier words' merges take it, then joined from the left. Later merges rank lower,
    so they cannot break an earlier word.
    """
    ranks: dict[tuple[str, str], int] = {}
    for word in words:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            pairs = list(itertools.pairwise(pieces))
            best = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)))
            ranks.setdefault(best, len(ranks))
            pieces = _join(pieces, best)
    return list(ranks)


def _join(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    for piece in pieces:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _byte_characters() -> str:
    """Name the 256 characters that stand for bytes in every byte-level BPE vocabulary, printable bytes first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return "".join(map(chr, [*printable, *range(256, 256 + others)]))
