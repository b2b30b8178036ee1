"""What the server adds to the engine: start, overhead, probes under load, leaving clients, memory, abusive input."""

from __future__ import annotations

import threading
from statistics import median
from typing import TYPE_CHECKING, Any

from webui_image.bench.abusive import ABUSES
from webui_image.bench.engines import Pipeline
from webui_image.bench.figures import Bench, Figure
from webui_image.bench.requests import SIDE
from webui_image.bench.server import Client, Server, started
from webui_image.bench.serving import percentile
from webui_image.values.generation import Generation

if TYPE_CHECKING:
    from webui_image.bench.server import Answer

__all__ = ["server"]

_TEXT_TO_IMAGE = "/sdapi/v1/txt2img"
_STEPS = 4
_COMPARED = 15
_CLIENTS = 6
_PROBED_SECONDS = 6.0
_MEGABYTE = 1_000_000
_ABUSE_SECONDS = 0.05


def server(bench: Bench) -> list[Figure]:
    """Start a server and measure all of it."""
    with started(bench) as running:
        figures = _start(running)
        figures += _overhead(bench, running)
        figures += _probes_under_load(bench, running)
        figures += _client_gone(bench, running)
        figures += _abusive(bench, running)
        figures.append(
            Figure(
                "memory of a replica with the small model",
                running.memory() / _MEGABYTE,
                700.0,
                "MB",
                key=("server", "memory_megabytes"),
            )
        )
    return figures


def _start(running: Server) -> list[Figure]:
    phases = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in running.phases.items())
    return [
        Figure("process start to open port", running.opened, 1.5, "s", key=("server", "open_seconds")),
        Figure("process start to ready", running.ready, 8.0, "s", detail=phases, key=("server", "ready_seconds")),
    ]


def _overhead(bench: Bench, running: Server) -> list[Figure]:
    """Take turns between the pipeline in this process and the server, so that both see the same machine."""
    pipeline, client = Pipeline(bench), Client(running.port)
    request = Generation("a red circle", width=SIDE, height=SIDE, steps=_STEPS, sampler="Euler", guidance_rescale=0.0)
    body = _body(steps=_STEPS)
    direct, served = [], []
    for _ in range(_COMPARED):
        direct.append(_seconds(bench, lambda: pipeline.draw([request])))
        served.append(_seconds(bench, lambda: _good(client.post(_TEXT_TO_IMAGE, body))))
    return [
        Figure(
            "server overhead over calling the pipeline, one request",
            (median(served[2:]) - median(direct[2:])) * 1000,
            30.0,
            "ms",
            detail=f"{median(direct[2:]) * 1000:.0f} ms direct, {median(served[2:]) * 1000:.0f} ms served",
            key=("server", "overhead_milliseconds"),
        )
    ]


def _probes_under_load(bench: Bench, running: Server) -> list[Figure]:
    stop = threading.Event()

    def generate(number: int) -> None:
        client = Client(running.port)
        while not stop.is_set():
            client.post(_TEXT_TO_IMAGE, _body(steps=12, seed=number))

    clients = [threading.Thread(target=generate, args=(number,), daemon=True) for number in range(_CLIENTS)]
    for client in clients:
        client.start()
    probe, taken = Client(running.port), list[float]()
    until = bench.clock.monotonic() + _PROBED_SECONDS
    while bench.clock.monotonic() < until:
        taken.append(_seconds(bench, lambda: _good(probe.get("/livez"))))
        bench.clock.wait(stop, 0.01)
    stop.set()
    for client in clients:
        client.join()
    return [
        Figure(
            f"/livez, 99th percentile while {_CLIENTS} clients generate",
            percentile(taken, 99) * 1000,
            100.0,
            "ms",
            detail=f"median {median(taken) * 1000:.1f} ms of {len(taken)}",
            key=("server", "livez_p99_milliseconds"),
        )
    ]


def _client_gone(bench: Bench, running: Server) -> list[Figure]:
    probe, never, taken = Client(running.port), threading.Event(), []
    for _ in range(3):
        leaving = Client(running.port)
        leaving.send_only(_TEXT_TO_IMAGE, _body(steps=100, batch_size=8))
        while not _at_work(probe):
            bench.clock.wait(never, 0.005)
        leaving.close()
        begun = bench.clock.monotonic()
        while _at_work(probe):
            bench.clock.wait(never, 0.005)
        taken.append(bench.clock.monotonic() - begun)
    return [Figure("client gone to engine idle", max(taken), 1.0, "s", key=("server", "gone_seconds"))]


def _abusive(bench: Bench, running: Server) -> list[Figure]:
    client, refused, slowest, wrong = Client(running.port), 0, 0.0, list[str]()
    for abuse in ABUSES:
        body = abuse.body()
        begun = bench.clock.monotonic()
        try:
            status = client.post(abuse.path, body, abuse.content_type).status
        except (OSError, ValueError):  # cut off in the middle of a body that is too large: refused as well
            status, client = abuse.status, Client(running.port)
        seconds = bench.clock.monotonic() - begun
        slowest = max(slowest, seconds)
        if 400 <= status < 500 and seconds <= _ABUSE_SECONDS:
            refused += 1
        else:
            wrong.append(f"{abuse.name}: {status} in {seconds * 1000:.0f} ms")
    return [
        Figure(
            f"abusive inputs refused within 50 ms, of {len(ABUSES)}",
            float(refused),
            float(len(ABUSES)),
            "",
            at_least=True,
            detail="; ".join([f"slowest {slowest * 1000:.0f} ms", *wrong[:4]]),
            key=("server", "abusive_refused"),
        )
    ]


def _body(**fields: Any) -> dict[str, Any]:
    plain = {
        "prompt": "a red circle",
        "width": SIDE,
        "height": SIDE,
        "sampler_name": "Euler",
        "cfg_scale": 7,
        "seed": 1,
    }
    return plain | fields


def _good(answer: Answer) -> None:
    if answer.status != 200:
        raise RuntimeError(f"the server answered {answer.status}: {answer.body[:200]!r}")


def _at_work(probe: Client) -> bool:
    state = probe.get("/readyz").json()
    return bool(state["waiting"] or state["running"])


def _seconds(bench: Bench, action: Any) -> float:
    begun = bench.clock.monotonic()
    action()
    return bench.clock.monotonic() - begun
