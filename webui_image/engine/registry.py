"""The models that may be asked for by name, and those of them that are in memory.

Listing reads configurations alone and never the device; loading happens in the engine's thread when a request needs
it, and whatever was used least recently makes room. A model's identity is the SHA-256 of its weights, which takes
seconds for gigabytes: small models are known at once, large ones when a thread in the background has read them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from webui_image.engine.entries import Entry, digest, entries_of, known_digest
from webui_image.engine.shelf import Hashes, Shelf, near
from webui_image.engine.sources import Sources
from webui_image.values.errors import Invalid, ModelError
from webui_image.values.ports import ModelInfo, Named

if TYPE_CHECKING:
    from pathlib import Path

    from webui_image.engine.devices import Device
    from webui_image.engine.embeddings import EmbeddingTable
    from webui_image.engine.model import LoadedModel

__all__ = ["Registry"]

_HASHED_AT_ONCE = 64 << 20
_SHARE_OF_MEMORY = 0.6
_FIELD = "sd_model_checkpoint"


class Registry:
    """Names to models. Listings may be called from any thread, `get` and `unload` from the engine's alone."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._hashes = Hashes(sources.cache_dir / "hashes.json")
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._fetched: Path | None = None
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()
        self._device: Device | None = None
        self.lora_shelf = Shelf(sources.lora_dir, self._hashes)
        self.embedding_shelf = Shelf(sources.embeddings_dir, self._hashes)
        self.refresh()

    def refresh(self) -> None:
        """List the folders of models, LoRAs and embeddings anew. Loaded models stay."""
        found = entries_of(self._sources, self._fetched)
        with self._lock:
            self._entries = found
        self.lora_shelf.refresh()
        self.embedding_shelf.refresh()
        for model in self._loaded.values():
            model.embeddings = None

    def use_fetched(self, path: Path) -> None:
        """Take the local copy of MODEL_URI into the listing."""
        self._fetched = path
        self.refresh()

    def use_device(self, device: Device) -> None:
        """Load models onto this device from now on."""
        self._device = device

    def models(self) -> tuple[ModelInfo, ...]:
        """Give all models, the default first; digests that are not known yet are empty."""
        default = self.default
        with self._lock:
            entries = sorted(
                self._entries.values(), key=lambda entry: (entry.name != default, entry.shipped, entry.name)
            )
        return tuple(self._info(entry) for entry in entries)

    def loras(self) -> tuple[Named, ...]:
        """Give all LoRAs."""
        return self.lora_shelf.listing()

    def embeddings(self) -> tuple[Named, ...]:
        """Give all textual inversion embeddings."""
        return self.embedding_shelf.listing()

    @property
    def default(self) -> str:
        """The name of the default model, or an empty text where there is none."""
        with self._lock:
            entries = tuple(self._entries.values())
        configured = self._sources.default_model
        if configured in {entry.name for entry in entries}:
            return configured
        order = sorted(entries, key=lambda entry: (entry.shipped, not entry.from_uri, entry.name))
        return order[0].name if order else ""

    def resolve(self, name: str = "") -> ModelInfo:
        """Find a model by name, title, file name or the first digits of its hash; empty: the default.

        Raises Invalid("sd_model_checkpoint", ...) for an unknown one, ModelError where there is no model at all.
        """
        return self._info(self._entry(name))

    def get(self, name: str = "") -> LoadedModel:
        """Give a model, loading it first if need be; blocks for seconds then. Raises Invalid and ModelError."""
        entry = self._entry(name)
        model = self._loaded.get(entry.name)
        if model is None:
            model = self._load(entry)
        self._loaded.move_to_end(entry.name)
        if model.embeddings is None:
            model.embeddings = self._embedding_table(model)
        return model

    def unload(self, name: str | None = None) -> None:
        """Forget one loaded model, or all; their memory is free once nobody draws with them."""
        for each in [name] if name is not None else list(self._loaded):
            self._loaded.pop(each, None)
        self._free()

    def is_loaded(self, name: str) -> bool:
        """Tell whether `get` will answer at once."""
        return self._entry(name).name in self._loaded

    def _entry(self, name: str) -> Entry:
        with self._lock:
            entries = dict(self._entries)
        if not entries:
            raise ModelError(
                str(self._sources.model_dir or self._sources.model_uri or self._sources.shipped),
                "no model found; set MODEL_URI or MODEL_DIR to a pipeline directory or a .safetensors file",
            )
        wanted = name or self.default
        if wanted in entries:
            return entries[wanted]
        for entry in entries.values():
            sha256 = known_digest(entry, self._hashes)
            if wanted in {entry.path.name, self._info(entry).title} or (
                len(wanted) >= 8 and sha256.startswith(wanted.lower())
            ):
                return entry
        raise Invalid(_FIELD, f"there is no model {wanted!r}; {near(wanted, entries)}")

    def _info(self, entry: Entry) -> ModelInfo:
        sha256 = known_digest(entry, self._hashes)
        title = f"{entry.name} [{sha256[:10]}]" if sha256 else entry.name
        return ModelInfo(entry.name, title, sha256, entry.kind, entry.inpainting, entry.recommended)

    def _load(self, entry: Entry) -> LoadedModel:
        from webui_image.engine import devices
        from webui_image.engine.entries import load_parts
        from webui_image.engine.lora import ModelLoras
        from webui_image.engine.model import LoadedModel

        device = self._device or devices.choose()
        if not known_digest(entry, self._hashes):
            self._identify(entry)
        self._make_room(entry.bytes_in_memory(device.dtype.itemsize), device)
        parts = load_parts(entry, device, self._sources)
        loras = ModelLoras(parts, entry.kind, self.lora_shelf, self._hashes)
        model = self._loaded[entry.name] = LoadedModel(self._info(entry), parts, device, loras)
        return model

    def _embedding_table(self, model: LoadedModel) -> EmbeddingTable:
        from webui_image.engine.embeddings import EmbeddingTable

        widths = tuple(encoder.config.hidden_size for encoder in model.text_encoders)
        return EmbeddingTable(self.embedding_shelf, model.tokenizers[0], widths)

    def _identify(self, entry: Entry) -> None:
        """Compute the digest, in the background where that takes longer than a moment."""
        if entry.bytes_on_disk <= _HASHED_AT_ONCE:
            digest(entry, self._hashes)
            return

        def compute() -> None:
            try:
                digest(entry, self._hashes)
            except OSError as error:
                structlog.get_logger().warning("model hash not computed", model=entry.name, reason=str(error))
                return
            model = self._loaded.get(entry.name)
            if model is not None:
                model.info = self._info(entry)

        threading.Thread(target=compute, name=f"hash-{entry.name}", daemon=True).start()

    def _make_room(self, needed: int, device: Device) -> None:
        from webui_image.engine import devices

        bound = self._sources.memory_bytes or int(devices.memory(device.device).total * _SHARE_OF_MEMORY)
        while self._loaded and sum(model.bytes for model in self._loaded.values()) + needed > bound:
            name = next(iter(self._loaded))
            del self._loaded[name]  # the last reference, so that its memory is free before the next one needs it
            structlog.get_logger().info("model unloaded to make room", model=name)
            self._free()

    def _free(self) -> None:
        import gc

        import torch

        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
