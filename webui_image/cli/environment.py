"""Where the engine's settings come from: options of the command line, then environment variables, then defaults.

`server/environment.py` does the same for the server's own settings. Every mistake is one line, all at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webui_image.cli.failures import CommandError

if TYPE_CHECKING:
    from webui_image.engine.facade import EngineSettings

_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def _text(text: str) -> str:
    return text


def _folder(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_dir():
        raise ValueError("is no folder; create it, or leave the setting out")
    return path


def _file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError("is no file; create it, or leave the setting out")
    return path


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _flag(text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise ValueError("write 1 or 0")
    return text.lower() in _YES


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise ValueError(f"write a whole number from {least} to {most}")
        return int(text)

    return parse


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError("write 64 hexadecimal digits")
    return text.lower()


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"write {' or '.join(words)}")
        return text.lower()

    return parse


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,2})?", text):
        raise ValueError("write auto, cpu, cuda, cuda:1 or mps")
    return text


def _megabytes(text: str) -> int:
    return _whole(0, 10_000_000)(text) * 1_000_000


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting of the engine: its variable, its field (`part.field`), how its text is read, what it means."""

    name: str
    field: str
    parse: Callable[[str], Any]
    about: str


VARIABLES = (
    Variable("MODEL_URI", "sources.model_uri", _text, "The model: a pipeline directory or a .safetensors file; "
             "a path, `gs://`, `s3://`, `https://` or `hf://organisation/name`. None: the small model."),
    Variable("MODEL_SHA256", "sources.model_sha256", _sha256, "What MODEL_URI must hash to."),
    Variable("MODEL_DIR", "sources.model_dir", _folder, "A folder of further models that users can choose."),
    Variable("MODEL_CONFIG", "sources.model_config", _folder, "A pipeline directory that single files are read with."),
    Variable("DEFAULT_MODEL", "sources.default_model", _text, "The listed name of the model that is drawn with."),
    Variable("MODEL_ONE_READ", "sources.one_read", _flag, "1: read weights in one go instead of mapping them, "
             "for network volumes."),
    Variable("MODEL_MEMORY_MB", "sources.memory_bytes", _megabytes, "What loaded models may take together; "
             "0: 60 % of the device's memory."),
    Variable("LORA_DIR", "sources.lora_dir", _folder, "A folder of LoRAs (.safetensors)."),
    Variable("EMBEDDINGS_DIR", "sources.embeddings_dir", _folder, "A folder of textual inversion embeddings."),
    Variable("CACHE_DIR", "sources.cache_dir", _path, "Where fetched models and hashes are kept; "
             "else below XDG_CACHE_HOME or ~/.cache."),
    Variable("HF_HUB_OFFLINE", "sources.offline", _flag, "1: never ask the model hub."),
    Variable("DEVICE", "device", _device, "auto, cpu, cuda, cuda:1 or mps."),
    Variable("PRECISION", "precision", _one_of("auto", "fp32", "fp16", "bf16"), "auto: what suits the device."),
    Variable("TORCH_THREADS", "threads", _whole(0, 1024), "Threads that compute on a CPU; 0: one for each CPU."),
    Variable("MAX_BATCH", "bounds.pictures", _whole(1, 256), "Pictures that share one step at most."),
    Variable("QUEUE_LIMIT", "bounds.queue", _whole(1, 100_000), "Requests in the engine; beyond it the answer is 429."),
    Variable("QUEUE_PER_USER", "bounds.queue_per_user", _whole(1, 100_000), "The same for each user."),
    Variable("WATCHDOG_SECONDS", "bounds.watchdog", _whole(1, 86_400), "A step that takes longer is a stuck device."),
    Variable("DENY_FILE", "deny_file", _file, "Words that no prompt may contain, one a line."),
    Variable("SAFETY_CHECKER_DIR", "checker_dir", _folder, "A safety checker that looks at every picture."),
)  # fmt: skip


def engine_settings(environ: Mapping[str, str] | None = None, /, **options: Any) -> EngineSettings:
    """Give the engine's settings. `options` are texts by field name that win where they are not None.

    Raises CommandError with one line for each mistake.
    """
    from webui_image.engine.facade import EngineSettings
    from webui_image.engine.sources import Sources
    from webui_image.engine.worker import Bounds

    environ = os.environ if environ is None else environ
    parts: dict[str, dict[str, Any]] = {"": {}, "sources": {}, "bounds": {}}
    mistakes = []
    for variable in VARIABLES:
        part, _, field = variable.field.rpartition(".")
        option = options.get(field)
        text = str(option if option is not None else environ.get(variable.name, "")).strip()
        if not text:
            continue
        try:
            parts[part][field] = variable.parse(text)
        except ValueError as error:
            name = f"--{field.replace('_', '-')}" if option is not None else variable.name
            mistakes.append(f"{name}: {text[:60]!r}: {error}")
    if mistakes:
        raise CommandError("\n".join(mistakes))
    parts["sources"].setdefault("cache_dir", _cache_dir(environ))
    return EngineSettings(sources=Sources(**parts["sources"]), bounds=Bounds(**parts["bounds"]), **parts[""])


def model_options(model: str | None) -> dict[str, str]:
    """Tell a model's place (path, address) from a listed name."""
    if model is None:
        return {}
    if "://" in model or Path(model).expanduser().exists():
        return {"model_uri": model}
    if "/" in model or "\\" in model or model.endswith((".safetensors", ".ckpt")):
        raise CommandError(
            f"--model: {model[:100]!r} does not exist; give a pipeline directory, a .safetensors file, "
            "an address (gs://, s3://, https://, hf://organisation/name) or a listed name (`info` lists them)"
        )
    return {"default_model": model}


def _cache_dir(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache"
    return Path(base).expanduser() / "gpu-hunter-webui"
