"""`render` as one worker of many: a shard of a file that may lie in a bucket, and one line of JSON at the end.

The line goes into the Pod's termination message, where whoever started the worker reads how many pictures failed.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webui_image.cli.failures import EXIT_GAVE_UP, EXIT_RETRY, EXIT_SOME_FAILED, CommandError
from webui_image.cli.output import Output, console, emit, fail_line

if TYPE_CHECKING:
    from webui_image.batch.parameters import Batch, Names
    from webui_image.batch.run import Options
    from webui_image.batch.shards import Shard, ShardResult
    from webui_image.values.ports import Engine, Recommended

TERMINATION_LOG = "GPU_HUNTER_TERMINATION_LOG"
_TOLD = {"region": "GPU_HUNTER_REGION", "gpu": "GPU_HUNTER_ACCELERATOR", "capacity": "GPU_HUNTER_CAPACITY"}
_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class ShardRun:
    """What one worker does: this shard of a batch whose file and results have these addresses.

    beside: other workers render other shards, and whoever started them reads the manifest for pictures that failed.
    """

    batch: Batch
    parameters: str
    out: str
    shard: Shard
    beside: bool


def read_from(uri: str, *, names: Names, recommended: Callable[[str], Recommended]) -> Batch:
    """Read and check a parameters file, wherever it lies. Raises ParametersError, PlaceError, NotReady."""
    from webui_image.batch.parameters import ParametersError, Problem, parse, read
    from webui_image.batch.parameters.limits import FILE_BYTES
    from webui_image.batch.places import PlaceFiles, local_path, place_of, remote, split

    if not remote(uri):
        return read(local_path(uri), names=names, recommended=recommended)
    folder, name = split(uri)
    place = place_of(folder)
    content = place.read(name, FILE_BYTES)
    if content is None:
        raise ParametersError([Problem(uri, 0, "", "does not exist", "look at the address")])
    if len(content) > FILE_BYTES:
        what = f"is larger than {FILE_BYTES // 2**20} MiB"
        raise ParametersError([Problem(uri, 0, "", what, "make it smaller or split it")])
    return parse(content, name, PlaceFiles(place), names=names, recommended=recommended)


def refuse_mixed(*, only: str | None, force: bool) -> None:
    """Refuse what makes no sense beside other workers. Raises CommandError."""
    if only is not None:
        raise CommandError("--only: is for a folder of this machine; leave it out, or use --shard-size and --shards")
    if force:
        raise CommandError("--force: is for a folder of this machine; give another --out instead")


def shard_of(batch: Batch, size: int | None, order: str, index: int) -> Shard:
    """Give the shard that an index means. Without a size, all pictures are one. Raises CommandError."""
    from webui_image.batch.shards import Shard, shards_of

    if size is None:
        return Shard(0, max(1, len(batch.pictures)))
    numbers = _numbers(order) if order else list(range(shards_of(batch, size)))
    if index >= len(numbers):
        raise CommandError(f"--shard-index: {index} is beyond the {len(numbers)} shards; count them from 0")
    if numbers[index] >= shards_of(batch, size):
        raise CommandError(f"--shards: there is no shard {numbers[index]}; the file has {shards_of(batch, size)}")
    return Shard(numbers[index], size)


def render_one(run: ShardRun, engine: Engine, options: Options, output: Output) -> int:
    """Render the shard, collect the whole if it was the last, and give the exit code."""
    from webui_image.batch.collecting import collect
    from webui_image.batch.places import below, place_of, split
    from webui_image.batch.shards import Worker, render_shard
    from webui_image.cli.progress import watching
    from webui_image.cli.stopping import stopped_by_signals
    from webui_image.clock import SystemClock

    clock = SystemClock()
    place = place_of(below(run.out, run.batch.name))
    told = {key: os.environ[name] for key, name in _TOLD.items() if os.environ.get(name)}
    worker = Worker(os.environ.get("GPU_HUNTER_POD") or f"{socket.gethostname()}-{os.getpid()}", told)
    with stopped_by_signals() as stop, watching(clock) as reporter:
        result = render_shard(
            run.batch,
            run.shard,
            place,
            lambda: engine,
            files=place_of(split(run.parameters)[0]),
            worker=worker,
            options=_sharing(options),
            clock=clock,
            stop=stop,
            reporter=reporter,
        )
    if not result.interrupted:
        collect(run.batch, run.shard.size, place, clock)
    data = _data(run, result)
    _leave(data)
    emit(data, output, lambda: _show(run, result))
    if result.interrupted:  # who was stopped is not to blame; who gave up is tried so often, and no more
        return EXIT_GAVE_UP if result.gave_up else EXIT_RETRY
    return EXIT_SOME_FAILED if result.failed and not run.beside else 0


def _sharing(options: Options) -> Options:
    from dataclasses import replace

    from webui_image.batch.shards import IN_FLIGHT

    return replace(options, in_flight=min(options.in_flight, IN_FLIGHT))


def _numbers(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise CommandError(f"--shards: {text[:40]!r} is no list of shards; write one such as 3-5,0-2")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return found


def _data(run: ShardRun, result: ShardResult) -> dict[str, Any]:
    counts = {"asked": result.asked, "rendered": result.rendered, "there": result.there, "failed": len(result.failed)}
    told = {"reason": result.reason} if result.reason else {}
    return {"shard": run.shard.number, **counts, "interrupted": result.interrupted, **told}


def _leave(data: dict[str, Any]) -> None:
    """Leave the termination message, where one is asked for; a worker that cannot has rendered all the same."""
    path = os.environ.get(TERMINATION_LOG)
    if not path:
        return
    try:
        Path(path).write_text(json.dumps(data), encoding="utf-8")
    except OSError as error:
        fail_line(f"{path}: {error.strerror or error}; what was rendered is safe")


def _show(run: ShardRun, result: ShardResult) -> None:
    console.print(
        f"shard {run.shard.number} of {run.batch.name}: {result.rendered:,} rendered, {result.there:,} were there "
        f"already, {len(result.failed):,} failed",
        soft_wrap=True,
    )
    if result.interrupted:
        fail_line(f"{result.reason}; run the same command again to go on")
