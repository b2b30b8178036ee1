"""What is found where models may lie: one `Entry` for each directory or file that can be loaded.

A faulty model does not hide the others: it is left out with a line in the log. The one that was asked for by
MODEL_URI is not left out, since starting without it would be starting with something else.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from webui_image.engine.files import PICKLES, read_header, refuse_pickle, weight_files
from webui_image.engine.loading import PARTS, LoadOptions, kind_of
from webui_image.engine.recommended import read_recommended
from webui_image.engine.shelf import Hashes
from webui_image.engine.sources import Sources
from webui_image.values.errors import ModelError
from webui_image.values.ports import Recommended

if TYPE_CHECKING:
    from webui_image.engine.devices import Device
    from webui_image.engine.model import Parts

__all__ = ["Entry", "digest", "entries_of", "known_digest", "load_parts"]

SHIPPED_NAME = "demo"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that may be loaded: a pipeline directory, or one .safetensors file."""

    name: str
    path: Path
    kind: str
    inpainting: bool = False
    recommended: Recommended = field(default_factory=Recommended)
    weights: tuple[Path, ...] = ()
    shipped: bool = False
    from_uri: bool = False

    @property
    def bytes_on_disk(self) -> int:
        """The size of all weight files."""
        return sum(path.stat().st_size for path in self.weights if path.exists())

    def bytes_in_memory(self, item: int) -> int:
        """Estimate what the weights take when each number has `item` bytes; in files it has two or four."""
        stored = 2
        if self.weights and self.weights[0].exists():
            types = {
                entry.get("dtype") for name, entry in read_header(self.weights[0]).items() if name != "__metadata__"
            }
            stored = 4 if "F32" in types else 2
        return self.bytes_on_disk * item // stored


def entries_of(sources: Sources, fetched: Path | None) -> dict[str, Entry]:
    """Find all models, by name. Raises ModelError for a MODEL_URI that cannot be one, or a MODEL_DIR that is none."""
    found: dict[str, Entry] = {}
    local = fetched or _local(sources.model_uri)
    if local is not None:
        entry = _entry(_name(sources.model_uri or local.name), local, from_uri=True)
        found[entry.name] = entry
    if sources.model_dir is not None:
        if not sources.model_dir.is_dir():
            raise ModelError(str(sources.model_dir), "MODEL_DIR is no directory; create it, or leave MODEL_DIR out")
        paths = sorted(sources.model_dir.iterdir())
        for path in paths:
            if path.with_name(f"{path.name}.safetensors") not in paths:  # else it is the configuration of that file
                _add(found, path)
    if (sources.shipped / "model_index.json").is_file():
        name = _own_name(sources.shipped)
        found.setdefault(name, _entry(name, sources.shipped, shipped=True))
    return found


def digest(entry: Entry, hashes: Hashes) -> str:
    """Give the SHA-256 that a model is known by: its file's, or that of its weight files' digests. Raises OSError."""
    return _combined(tuple(hashes.sha256(path) for path in entry.weights))


def known_digest(entry: Entry, hashes: Hashes) -> str:
    """Give the same without reading a weight file; empty where that is not possible yet."""
    parts = tuple(hashes.known(path) for path in entry.weights)
    return _combined(parts) if all(parts) else ""


def load_parts(entry: Entry, device: Device, sources: Sources) -> Parts:
    """Load a model's parts onto the device. Raises ModelError."""
    from webui_image.engine import loading, single_file

    options = LoadOptions(one_read=sources.one_read)
    if entry.path.is_dir():
        return loading.load_parts(entry.path, device, options)
    return single_file.load_parts(entry.path, device, single_file.config_for(entry.path, sources.model_config), options)


def _add(found: dict[str, Entry], path: Path) -> None:
    if path.suffix in PICKLES:
        structlog.get_logger().warning("pickle passed over; convert it to safetensors", file=path.name)
    if not ((path / "model_index.json").is_file() or path.suffix == ".safetensors"):
        return
    name = _name(path.name)
    try:
        found.setdefault(name, _entry(name, path))
    except ModelError as error:
        structlog.get_logger().warning("model passed over", file=path.name, reason=error.message)


def _entry(name: str, path: Path, *, shipped: bool = False, from_uri: bool = False) -> Entry:
    refuse_pickle(path)
    if path.is_dir() or not path.exists():
        kind, inpainting = kind_of(path)
        recommended = read_recommended(path / "recommended.json", kind, _native_side(path))
        weights = tuple(sorted(file for part in PARTS for file in weight_files(path / part)))
    else:
        from webui_image.engine import single_file

        kind, inpainting = single_file.kind_of(path)
        recommended = read_recommended(path.with_suffix(".recommended.json"), kind)
        weights = (path,)
    return Entry(name, path, kind, inpainting, recommended, weights, shipped, from_uri)


def _own_name(path: Path) -> str:
    """Give the name that a model gives itself in its recommended.json: the folder of the shipped one says nothing."""
    try:
        name = json.loads((path / "recommended.json").read_text(encoding="utf-8")).get("name")
    except (OSError, ValueError, AttributeError):
        name = None
    return name if isinstance(name, str) and name else SHIPPED_NAME


def _native_side(path: Path) -> int:
    side = json.loads((path / "unet" / "config.json").read_text(encoding="utf-8")).get("sample_size")
    return 8 * side if isinstance(side, int) and 8 <= side <= 256 else 0


def _local(uri: str) -> Path | None:
    """Give MODEL_URI as a path where it is one; a remote one is listed once it is fetched."""
    from webui_image.engine.weights import local_path

    return local_path(uri) if uri else None


def _name(text: str) -> str:
    last = text.rstrip("/").rpartition("/")[2]
    return last.removesuffix(".safetensors")


def _combined(parts: tuple[str, ...]) -> str:
    if len(parts) == 1:
        return parts[0]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""
