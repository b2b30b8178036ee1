"""The project's own small Stable Diffusion model: what the Web UI draws with where there is no GPU and no download."""

from pathlib import Path

__all__ = ["WEIGHTS"]

WEIGHTS = Path(__file__).parent / "weights"
"""The shipped model: a diffusers pipeline directory (fp16 safetensors) with `recommended.json` beside it."""
