"""What the worker needs of those who compute and of those who count, and the bounds it keeps to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image

    from webui_image.engine.job import Picture
    from webui_image.engine.planning import Group
    from webui_image.values.errors import WebUIError

__all__ = ["Bounds", "Doing", "Observer"]


class Doing(Protocol):
    """Computes: `drawing.Drawing`, or a test's stand-in."""

    def prepare(self, picture: Picture) -> None:
        """Take a picture to the first step of its pass."""
        ...

    def step(self, pictures: Sequence[Picture]) -> list[BaseException | None]:
        """Take pictures one call further; give what failed for each, raise what failed for all."""
        ...

    def finish(self, pictures: Sequence[Picture]) -> Sequence[Image.Image | WebUIError]:
        """Decode pictures."""
        ...

    def preview(self, picture: Picture) -> Image.Image:
        """Draw a picture as it stands."""
        ...

    def give_up(self, picture: Picture) -> None:
        """Take a picture as it stands for its final one."""
        ...

    def ready(self, group: Group) -> bool:
        """Say whether the group's model is in memory with its LoRAs."""
        ...

    def spare_memory(self, picture: Picture) -> bool:
        """Trade time for memory from now on; False where that was done before."""
        ...

    def memory(self, picture: Picture) -> tuple[int, int]:
        """Give the bytes used and there in all, of the picture's device."""
        ...


class Observer(Protocol):
    """Hears what is worth counting."""

    def waited(self, seconds: float) -> None:
        """Hear that a request's first step begins, so long after its submission."""
        ...

    def batch(self, size: int, seconds: float) -> None:
        """Hear of one call over `size` pictures."""
        ...

    def model_loaded(self, model: str, seconds: float) -> None:
        """Hear that a model was brought into memory."""
        ...

    def memory(self, used: int, total: int) -> None:
        """Hear of the device's memory, in bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the worker keeps to. Pixels are those of the pictures, not of the latents."""

    pictures: int = 16  # in one call
    pixels: int = 16 * 1024 * 1024  # of all rows of one call: 64 of 512 x 512; less where memory turns out to be short
    queue: int = 64  # requests
    queue_per_user: int = 8
    watchdog: float = 60.0  # seconds that a call may take at least before the engine counts as wedged
    watchdog_factor: float = 20.0  # times its usual duration, where that is more
