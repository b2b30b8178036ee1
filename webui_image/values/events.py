"""What the engine tells about a request while it works on it.

For each request: any number of `Queued`, `Step` and `PictureDone`, then exactly one of `Finished`, `Failed`,
`Cancelled`. They are delivered from the engine's thread; whoever listens must not block it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from webui_image.values.errors import WebUIError
    from webui_image.values.generation import Generation


@dataclass(frozen=True, slots=True)
class Queued:
    """The request waits; `position` requests are before it (0: it is next)."""

    position: int


@dataclass(frozen=True, slots=True)
class Step:
    """Picture `index` has made `step` of `steps` steps (both passes counted together)."""

    index: int
    step: int
    steps: int
    preview: Image.Image | None = None  # small and rough; only where previews were asked for


@dataclass(frozen=True, slots=True)
class PictureDone:
    """Picture `index` is complete; `partial` where it was interrupted or skipped and shows what was there."""

    index: int
    image: Image.Image
    seed: int
    variation_seed: int | None
    partial: bool = False
    drawn_at: tuple[int, int] | None = None  # width and height, where the model cannot draw as large as asked: enlarged


@dataclass(frozen=True, slots=True)
class Finished:
    """All pictures are done (or given up by interrupt)."""

    generation: Generation
    model: str  # the model's name, as in the listing
    model_hash: str  # first ten digits of the sha256
    seconds: float  # from submission
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no more pictures, and this is why."""

    error: WebUIError


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Nobody waits for it any more."""


Event = Queued | Step | PictureDone | Finished | Failed | Cancelled
Final = Finished | Failed | Cancelled
