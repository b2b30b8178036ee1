"""Where models, LoRAs and embeddings are to be found: what the operator configures, and never a user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["SHIPPED", "Sources"]

SHIPPED = Path(__file__).parent.parent / "demo_model" / "weights"
"""The small model that the project ships, so that every installation can prove itself without a download."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The places. Every one may be left out; without any, there is the shipped model."""

    model_uri: str = (
        ""  # MODEL_URI: a directory or .safetensors file; local, gs://, s3://, https://, hf://organisation/name
    )
    model_sha256: str = ""  # of that file; of a directory, the digest of its SHA256SUMS file
    model_dir: Path | None = None  # MODEL_DIR: pipeline directories and .safetensors files, one level deep
    model_config: Path | None = (
        None  # MODEL_CONFIG: a pipeline directory whose configurations single files are read with
    )
    default_model: str = ""  # a listed name; empty: MODEL_URI's, else the first of MODEL_DIR, else the shipped one
    lora_dir: Path | None = None
    embeddings_dir: Path | None = None
    cache_dir: Path = Path("/tmp/webui-cache")  # noqa: S108 - a volume of the Pod; on a laptop the command line gives another
    offline: bool = False  # never ask the hub
    one_read: bool = False  # read weight files in one go instead of mapping them: for network volumes
    memory_bytes: int = 0  # what loaded models may take together; 0: 60 % of the device's memory
    shipped: Path = SHIPPED
