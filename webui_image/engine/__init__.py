"""The engine: one set of weights in memory, many requests that share each of its steps.

`build` is all that others need; what it gives is described in `values.ports`. Importing this package imports neither
torch nor diffusers: that happens in the engine's thread, once it is started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webui_image.clock import Clock
    from webui_image.engine.facade import EngineSettings, Metrics
    from webui_image.values.ports import Engine

__all__ = ["build"]


def build(settings: EngineSettings, *, metrics: Metrics | None = None, clock: Clock) -> Engine:
    """Make an engine; `start()` brings it up. Raises ModelError where configured places cannot be used."""
    from webui_image.engine.facade import StableDiffusion

    return StableDiffusion(settings, metrics=metrics, clock=clock)
