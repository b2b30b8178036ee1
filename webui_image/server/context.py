"""What every route gets: one value instead of globals, so that a test runs as many servers as it likes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webui_image.server.callers import Callers
from webui_image.server.draining import Draining

if TYPE_CHECKING:
    from webui_image.clock import Clock
    from webui_image.metrics import Metrics
    from webui_image.server.settings import Settings
    from webui_image.values.ports import Engine


@dataclass(frozen=True, slots=True)
class Context:
    """The server's parts. `callers.of(request)` says who asks; `results.submit(context, ...)` makes pictures."""

    settings: Settings
    engine: Engine
    metrics: Metrics
    clock: Clock
    callers: Callers
    draining: Draining = field(default_factory=Draining)
    # Decoding and encoding pictures takes tens of milliseconds, which the event loop must not spend.
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="pictures"))
