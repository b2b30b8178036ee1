"""What batches promise: a long parameters file is read quickly, and a shard takes little more than its pictures."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from webui_image.bench.figures import Bench, Figure

if TYPE_CHECKING:
    from webui_image.batch.parameters import Batch, Picture
    from webui_image.batch.rendering import Drawn, Outcome
    from webui_image.batch.written import Facts
    from webui_image.values.ports import Engine, Status

__all__ = ["long_files", "reading", "shard"]

LINES = 10_000
PICTURES = 50
_SECONDS, _MB, _SHARE = 2.0, 200.0, 0.05
_SHARD = (
    "defaults: {size: 64x64, steps: 12}\nimages:\n- {prompt: a red circle on a white background, seed: 1, count: 50}\n"
)


def reading(bench: Bench) -> list[Figure]:
    """Read and check a file of 10,000 lines in each format, as a process of its own; the best of some rounds."""
    figures = []
    for name, text in long_files(LINES).items():
        path = bench.scratch / name
        path.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "webui_image.bench.reading", str(path)]
        runs = [_ran(command) for _ in range(bench.rounds)]
        kind, detail = path.suffix[1:], f"{runs[0]['pictures']:g} pictures"
        seconds, most = min(run["seconds"] for run in runs), max(run["mb"] for run in runs)
        key = ("reading", kind)
        figures += [
            Figure(f"{LINES:,} lines of {kind} read and checked", seconds, _SECONDS, "s", detail=detail,
                   key=(*key, "seconds")),
            Figure(f"memory meanwhile, {kind}", most, _MB, "MB", detail="the whole process", key=(*key, "mb")),
        ]  # fmt: skip
    return figures


def long_files(lines: int) -> dict[str, str]:
    """Give parameters files of so many lines, by name: a picture in each line."""
    prompt = "a cat number {n}, oil on canvas"
    head = ["defaults: {size: 512x512, steps: 20}", "images:"]
    entries = [f"- {{prompt: '{prompt.format(n=n)}', seed: {n}}}" for n in range(lines - len(head))]
    objects = (json.dumps({"prompt": prompt.format(n=n), "seed": n, "size": "512x512"}) for n in range(lines))
    rows = [f'"{prompt.format(n=n)}",{n},512,512' for n in range(lines - 1)]
    return {
        "many.yaml": "\n".join([*head, *entries]) + "\n",
        "many.jsonl": "\n".join(objects) + "\n",
        "many.csv": "\n".join(["prompt,seed,width,height", *rows]) + "\n",
    }


def shard(bench: Bench) -> list[Figure]:
    """Render 50 pictures as a shard, and with the engine alone, in turns; the best round of each.

    A shard besides looks what is there, and writes the pictures with their parameters and its record into a folder.
    Both have as many pictures in flight. Manifest and contact sheet are made once for a whole batch, by whoever ends
    its last shard: their time is told beside.
    """
    from webui_image.batch.parameters import parse
    from webui_image.batch.places import LocalPlace, PlaceFiles
    from webui_image.bench.engines import running

    files = LocalPlace(bench.scratch)
    batch = parse(_SHARD.encode(), "shard.yaml", PlaceFiles(files))
    alone, whole, collected = [], [], []
    with running(bench) as engine:
        _alone(bench, batch.pictures[:8], engine)  # what is only slow once is slow now
        for number in range(bench.rounds):
            alone.append(_timed(bench, lambda: _alone(bench, batch.pictures, engine)))
            folder = bench.scratch / f"shard-{number}"
            whole.append(_timed(bench, lambda folder=folder: _as_shard(bench, batch, engine, folder)))  # type: ignore[misc]
            collected.append(_timed(bench, lambda folder=folder: _collected(bench, batch, folder)))  # type: ignore[misc]
    share = min(whole) / min(alone) - 1
    detail = f"{min(whole):.2f} s for {min(alone):.2f} s, {bench.rounds} rounds; sheet {min(collected):.2f} s"
    return [
        Figure(f"overhead of a shard of {PICTURES} pictures", share * 100, _SHARE * 100, "%", detail=detail,
               key=("shard", "overhead_percent")),
    ]  # fmt: skip


def _ran(command: list[str]) -> dict[str, float]:
    run = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
    found: dict[str, float] = json.loads(run.stdout)
    return found


def _timed(bench: Bench, work: Callable[[], None]) -> float:
    begun = bench.clock.monotonic()
    work()
    return bench.clock.monotonic() - begun


def _alone(bench: Bench, pictures: Iterable[Picture], engine: Engine) -> None:
    from webui_image.batch.places import LocalPlace, PlaceFiles
    from webui_image.batch.rendering import Rendering
    from webui_image.batch.shards import IN_FLIGHT
    from webui_image.batch.sources import Sources
    from webui_image.batch.written import Facts

    def keep(_drawn: Drawn) -> Facts:
        return Facts("", 0.0, "", "")

    sources = Sources(PlaceFiles(LocalPlace(bench.scratch)))
    run = Rendering(engine, sources, bench.clock, keep, threading.Event(), IN_FLIGHT)
    if failed := [outcome.error for outcome in run.run(pictures) if outcome.error]:
        raise RuntimeError(failed[0])


def _as_shard(bench: Bench, batch: Batch, engine: Engine, folder: Path) -> None:
    from webui_image.batch.places import LocalPlace
    from webui_image.batch.run import Options
    from webui_image.batch.shards import IN_FLIGHT, Shard, Worker, render_shard

    result = render_shard(
        batch,
        Shard(0, PICTURES),
        LocalPlace(folder),
        lambda: cast("Engine", _Kept(engine)),
        files=LocalPlace(bench.scratch),
        worker=Worker("bench"),
        options=Options(in_flight=IN_FLIGHT),
        clock=bench.clock,
        stop=threading.Event(),
        reporter=_Silent(),
    )
    if result.rendered != PICTURES:
        raise RuntimeError(f"{result.rendered} of {PICTURES} pictures were rendered")


def _collected(bench: Bench, batch: Batch, folder: Path) -> None:
    from webui_image.batch.collecting import collect
    from webui_image.batch.places import LocalPlace

    if not collect(batch, PICTURES, LocalPlace(folder), bench.clock):
        raise RuntimeError("the shard left no record")


class _Kept:
    """An engine that others start and close: starting it again would warm it up once more."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def start(self) -> None:
        """Leave it running."""

    def close(self) -> None:
        """Leave it running."""


class _Silent:
    def waiting(self, status: Status) -> None:
        """Say nothing."""

    def begin(self, asked: int, there: int) -> None:
        """Say nothing."""

    def outcome(self, outcome: Outcome) -> None:
        """Say nothing."""
