"""What the server, the batch renderer and the bench need of an engine: small Protocols and the values they speak in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from webui_image.values.events import Event
from webui_image.values.generation import Generation


class Phase(StrEnum):
    """Where the engine stands. Only READY takes requests."""

    STARTING = "starting"
    IMPORTING = "importing"
    DOWNLOADING = "downloading"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"  # the model cannot be loaded; `detail` says why
    OUT_OF_MEMORY = "out of memory"
    WEDGED = "wedged"  # a step is far beyond its watchdog, or the worker thread is dead


@dataclass(frozen=True, slots=True)
class Status:
    """The engine at one moment."""

    phase: Phase
    detail: str = ""  # e.g. "12 of 48 MB"
    progress: float = 0.0  # 0 to 1, of the phase where it is known
    waiting: int = 0  # pictures in the queue
    running: int = 0  # pictures between their first and last step
    seconds_since_success: float | None = None  # since a picture was last finished
    device: str = ""  # "cpu", "cuda: NVIDIA L4", "mps"
    phase_seconds: tuple[tuple[str, float], ...] = ()  # how long each start-up phase took
    model: str = ""


@dataclass(frozen=True, slots=True)
class Recommended:
    """What a model draws best with; the page starts with it."""

    width: int = 512
    height: int = 512
    steps: int = 20
    cfg_scale: float = 7.0
    sampler: str = "DPM++ 2M"
    scheduler: str = "Automatic"
    guidance_rescale: float = 0.0
    negative_prompt: str = ""
    examples: tuple[str, ...] = ()
    native_side: int = 512  # what it was trained at, in pixels
    largest_side: int = 0  # beyond it the picture is drawn at the native size and enlarged; 0: draws any size


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that can be asked for by name."""

    name: str
    title: str  # "name [hash]", as A1111 writes it
    sha256: str
    kind: str  # "sd1", "sd2", "sdxl"
    inpainting: bool = False
    recommended: Recommended = field(default_factory=Recommended)


@dataclass(frozen=True, slots=True)
class Named:
    """A LoRA, embedding or VAE that can be asked for by name. No path ever leaves the engine."""

    name: str
    sha256: str = ""


class Ticket(Protocol):
    """A request in the engine's hands. All three may be called from any thread, more than once, at any time."""

    def cancel(self) -> None:
        """Forget it: nobody waits for it any more. Takes effect at the next step."""
        ...

    def interrupt(self) -> None:
        """Finish now: what is being drawn is handed over as it stands, the rest is not begun."""
        ...

    def skip(self) -> None:
        """Hand over the pictures being drawn as they stand, and go on with the next ones."""
        ...


class Submitter(Protocol):
    """Takes requests."""

    def submit(self, generation: Generation, *, user: str, deliver: Callable[[Event], None]) -> Ticket:
        """Take a request; its events go to `deliver`, in order, from the engine's thread.

        Raises QueueFull, NotReady, or Invalid where only the engine can tell (unknown model, sampler, LoRA).
        """
        ...


class Reporting(Protocol):
    """Tells how it is."""

    def status(self) -> Status:
        """Give the state at this moment; never blocks."""
        ...


class Catalogue(Protocol):
    """Lists what can be asked for by name. Never blocks on a device."""

    def models(self) -> Sequence[ModelInfo]:
        """Give all models, the default first."""
        ...

    def loras(self) -> Sequence[Named]:
        """Give all LoRAs."""
        ...

    def embeddings(self) -> Sequence[Named]:
        """Give all textual inversion embeddings."""
        ...


class Lifecycle(Protocol):
    """Starts and ends."""

    def start(self) -> None:
        """Begin to import, fetch, load and warm up in threads of its own; returns at once."""
        ...

    def drain(self, grace: float) -> None:
        """Take nothing more; finish what fits into `grace` seconds, fail the rest with HandedBack; block until then."""
        ...

    def close(self) -> None:
        """End at once; requests fail with HandedBack."""
        ...


class Engine(Submitter, Reporting, Catalogue, Lifecycle, Protocol):
    """All of it: what `webui_image.engine.build` returns."""
