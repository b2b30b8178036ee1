"""From a new process to a model that has drawn a picture, with every phase told and timed.

Importing the libraries takes seconds of computing and fetching weights takes seconds of waiting, so they run side by
side. A model counts as ready when one step of a picture has come out of it, not when its files are open: what fails
there would fail for every user. A failure ends in the phase FAILED with one line that says why; the process stays up
and tells it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from webui_image.clock import Clock
from webui_image.engine.registry import Registry
from webui_image.engine.sources import Sources
from webui_image.engine.weights import Fetch, local_path
from webui_image.values.errors import WebUIError
from webui_image.values.ports import Phase

if TYPE_CHECKING:
    from pathlib import Path

    from webui_image.engine.devices import Device
    from webui_image.engine.model import LoadedModel

__all__ = ["Progress", "Startup", "import_libraries", "warm_up"]

_MEGABYTE = 1_000_000
_WARM_UP_SIDE = 512


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the start has come; fields as in `values.ports.Status`."""

    phase: Phase = Phase.STARTING
    detail: str = ""
    progress: float = 0.0
    phase_seconds: tuple[tuple[str, float], ...] = ()
    device: str = ""
    model: str = ""


class Startup:
    """Runs the phases once. `progress` may be read from any thread at any time."""

    def __init__(
        self,
        sources: Sources,
        registry: Registry,
        *,
        clock: Clock,
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        warm: Callable[[LoadedModel], None] | None = None,
    ) -> None:
        self._sources = sources
        self._registry = registry
        self._clock = clock
        self._wanted = (device, precision, threads)
        self._warm = warm or warm_up
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._progress = Progress()
        self.device: Device | None = None

    @property
    def progress(self) -> Progress:
        """How far it has come, at this moment."""
        return self._progress

    def start(self, ready: Callable[[LoadedModel], None]) -> threading.Thread:
        """Run in a thread of its own; `ready` gets the model there."""

        def run() -> None:
            model = self.run()
            if model is not None:
                ready(model)

        thread = threading.Thread(target=run, name="startup", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """End a download at its next range; the start then fails."""
        self._stop.set()

    def run(self) -> LoadedModel | None:
        """Go through all phases in this thread, down to the model.

        None where one failed, which `progress` then explains.
        """
        try:
            return self._run()
        except WebUIError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - a start that fails must say so, whatever it was
            structlog.get_logger().exception("start failed")
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:256]}"
        structlog.get_logger().error("start failed", phase=str(self._progress.phase), reason=reason)
        self._set(phase=Phase.FAILED, detail=reason)
        return None

    def _run(self) -> LoadedModel:
        from webui_image.engine import devices

        fetching = _Fetching(self._fetch) if local_path(self._sources.model_uri or ".") is None else None
        with self._phase(Phase.IMPORTING):
            import_libraries()
            self.device = devices.choose(*self._wanted[:2])
            devices.limit_threads(self._wanted[2])
            self._set(device=self.device.label)
        self._registry.use_device(self.device)
        if fetching is not None:
            self._set(phase=Phase.DOWNLOADING)
            self._registry.use_fetched(fetching.result())
        else:
            self._registry.refresh()
        with self._phase(Phase.LOADING):
            model = self._registry.get()
            self._set(model=model.info.name, detail=model.info.name)
        with self._phase(Phase.WARMING):
            self._warm(model)
        self._set(phase=Phase.READY, detail="", progress=1.0)
        structlog.get_logger().info("model ready", model=model.info.name, **dict(self._progress.phase_seconds))
        return model

    def _fetch(self) -> Path:
        fetch = Fetch(self._sources.cache_dir, self._clock, self._stop, self._sources.offline, self._prefers_half())
        begun = self._clock.monotonic()
        path = fetch(self._sources.model_uri, self._fetched, self._sources.model_sha256)
        self._took(Phase.DOWNLOADING, begun)
        return path

    def _fetched(self, done: int, total: int) -> None:
        detail = f"{done // _MEGABYTE:,} of {total // _MEGABYTE:,} MB"
        self._set(phase=Phase.DOWNLOADING, detail=detail, progress=done / total if total else 1.0)

    def _prefers_half(self) -> bool:
        """Tell whether fp16 files will do: torch is not there yet to ask, and a CPU can widen them."""
        return self._wanted[1] != "fp32"

    @contextmanager
    def _phase(self, phase: Phase) -> Iterator[None]:
        begun = self._clock.monotonic()
        if not (phase is Phase.IMPORTING and self._progress.phase is Phase.DOWNLOADING):
            self._set(phase=phase, detail="", progress=0.0)
        yield
        self._took(phase, begun)

    def _took(self, phase: Phase, begun: float) -> None:
        seconds = round(self._clock.monotonic() - begun, 3)
        with self._lock:
            self._progress = replace(
                self._progress, phase_seconds=(*self._progress.phase_seconds, (str(phase), seconds))
            )

    def _set(self, **changes: object) -> None:
        with self._lock:
            self._progress = replace(self._progress, **changes)  # type: ignore[arg-type]


class _Fetching:
    """A download in a thread of its own; its error is raised where its result is asked for."""

    def __init__(self, fetch: Callable[[], Path]) -> None:
        self._path: Path | None = None
        self._error: Exception | None = None

        def run() -> None:
            try:
                self._path = fetch()
            except Exception as error:  # noqa: BLE001 - raised again by result()
                self._error = error

        self._thread = threading.Thread(target=run, name="fetch", daemon=True)
        self._thread.start()

    def result(self) -> Path:
        """Wait for the end, and give the local path."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._path is None:
            raise RuntimeError("the download ended without a result")
        return self._path


def import_libraries() -> None:
    """Import what every model needs, so that loading and the first request do not pay for it."""
    # Read once by OpenMP when torch is imported. Its threads spin between two operators otherwise, and on a node that
    # others compute on as well that takes ten times as long as the operators.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch  # noqa: F401
    from diffusers.models.autoencoders import autoencoder_kl, autoencoder_tiny  # noqa: F401
    from diffusers.models.unets import unet_2d_condition  # noqa: F401
    from transformers.models.clip import modeling_clip, tokenization_clip  # noqa: F401


def warm_up(model: LoadedModel) -> None:
    """Draw one step of a picture: kernels are chosen, memory is taken, and a model that gives NaN is found out.

    Raises NotFinite and OutOfMemory.
    """
    import torch

    from webui_image.engine.conditioning import Conditioner
    from webui_image.prompts.grammar import parse
    from webui_image.values.errors import NotFinite

    native = model.info.recommended.native_side
    side = 64 if model.device.type == "cpu" else min(native, _WARM_UP_SIDE)
    rows = Conditioner(model).encode(parse("a circle", 1), parse("", 1)).at(0)
    both = [rows.uncond, rows.conds[0][1]]
    with torch.inference_mode():
        size = (2, model.unet.config.in_channels, side // model.scale, side // model.scale)
        latents = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(model.device, model.dtype)
        pooled = torch.cat([row.pooled for row in both if row.pooled is not None]) if model.is_sdxl else None
        prediction = model.unet(
            latents,
            torch.tensor(model.scheduler_config.get("num_train_timesteps", 1000) - 1, device=model.device),
            encoder_hidden_states=torch.cat([row.embeds for row in both]),
            added_cond_kwargs=model.added_conditions(pooled, [(side, side)] * 2),
            return_dict=False,
        )[0]
        if not torch.isfinite(prediction).all():
            raise NotFinite(
                f"{model.info.name} gives numbers that are none (NaN) in {model.dtype}; take precision fp32"
            )
        model.decode(prediction[:1])
