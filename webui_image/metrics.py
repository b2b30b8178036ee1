"""What the server and the engine count, for Prometheus: one object with a registry of its own.

Its methods are named after what happened, so that those who report know nothing of Prometheus, and every name, label
and unit stands here. Labels have few values by construction: kinds, reasons and route patterns, never users or
prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
_STEP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_HTTP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


class Metrics:
    """All figures of one process. Methods may be called from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.device_memory: tuple[int, int] | None = None  # used and total bytes, as last noted
        self._engine_metrics()
        self._server_metrics()

    def watch(self, waiting: Callable[[], float], running: Callable[[], float], ready: Callable[[], float]) -> None:
        """Read the queue's length, the pictures being drawn and readiness (0 or 1) when they are asked for."""
        self._waiting.set_function(waiting)
        self._running.set_function(running)
        self._ready.set_function(ready)

    def waited(self, seconds: float) -> None:
        """Count a request whose first step begins `seconds` after its submission."""
        self._wait.observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """Count one call of the UNet over `size` pictures."""
        self._batch_size.observe(size)
        self._step_seconds.observe(seconds)
        self._steps.inc(size)

    def picture(self, kind: str) -> None:
        """Count a finished picture; `kind` is txt2img, img2img, generate or batch."""
        self._pictures.labels(kind).inc()

    def finished(self, kind: str, seconds: float) -> None:
        """Count a request that got all its pictures, `seconds` after its submission."""
        self._latency.labels(kind).observe(seconds)

    def failed(self, kind: str, reason: str) -> None:
        """Count a request that got none; `reason` is a name from `server/problems.py` or "cancelled"."""
        self._failures.labels(kind, reason).inc()

    def phase(self, name: str, seconds: float) -> None:
        """Note how long a phase of the start-up took."""
        self._phases.labels(name).set(seconds)

    def model_loaded(self, model: str, seconds: float) -> None:
        """Count a model brought into memory."""
        self._loads.labels(model).observe(seconds)

    def memory(self, used: int, total: int) -> None:
        """Note the device's memory, in bytes."""
        self.device_memory = (used, total)
        self._memory.labels("used").set(used)
        self._memory.labels("total").set(total)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an HTTP answer; `route` is the route's pattern, not the path."""
        self._http.labels(route, method, str(status)).inc()
        self._http_seconds.labels(route).observe(seconds)

    def about(self, **labels: str) -> None:
        """Say what this replica is: version, region, accelerator and the like."""
        Gauge("sdwebui_info", "What this replica is.", list(labels), registry=self.registry).labels(**labels).set(1)

    def text(self) -> bytes:
        """Give all figures in Prometheus' text format."""
        return generate_latest(self.registry)

    def _engine_metrics(self) -> None:
        own = self.registry
        self._waiting = Gauge("sdwebui_queue_pictures", "Pictures that wait.", registry=own)
        self._running = Gauge("sdwebui_running_pictures", "Pictures being drawn.", registry=own)
        self._wait = Histogram(
            "sdwebui_queue_wait_seconds", "From submission to first step.", buckets=_SECONDS, registry=own
        )
        self._batch_size = Histogram("sdwebui_batch_size", "Pictures in one UNet call.", buckets=_SIZES, registry=own)
        self._step_seconds = Histogram(
            "sdwebui_step_seconds", "Duration of one UNet call.", buckets=_STEP_SECONDS, registry=own
        )
        self._steps = Counter("sdwebui_steps", "Denoising steps, each picture's own.", registry=own)
        self._phases = Gauge("sdwebui_start_seconds", "Duration of each start-up phase.", ["phase"], registry=own)
        self._loads = Histogram(
            "sdwebui_model_load_seconds", "Bringing a model into memory.", ["model"], buckets=_SECONDS, registry=own
        )
        self._memory = Gauge("sdwebui_device_memory_bytes", "The device's memory.", ["what"], registry=own)

    def _server_metrics(self) -> None:
        own = self.registry
        self._ready = Gauge("sdwebui_ready", "1 where this replica takes requests.", registry=own)
        self._pictures = Counter("sdwebui_pictures", "Finished pictures.", ["kind"], registry=own)
        self._latency = Histogram(
            "sdwebui_request_seconds", "From submission to last picture.", ["kind"], buckets=_SECONDS, registry=own
        )
        self._failures = Counter("sdwebui_failures", "Requests without pictures.", ["kind", "reason"], registry=own)
        self._http = Counter("sdwebui_http_requests", "HTTP answers.", ["route", "method", "code"], registry=own)
        self._http_seconds = Histogram(
            "sdwebui_http_seconds", "Duration of HTTP answers.", ["route"], buckets=_HTTP_SECONDS, registry=own
        )
