"""`render`: a parameters file becomes pictures, without any server."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webui_image.cli.failures import EXIT_RETRY, EXIT_SOME_FAILED, CommandError
from webui_image.cli.output import Output, OutputOption, console, emit, fail_line, note, table
from webui_image.cli.stopping import stopped_by_signals

if TYPE_CHECKING:
    from webui_image.batch.parameters import Batch, Names
    from webui_image.batch.run import Options, Plan, Result
    from webui_image.values.ports import Engine, Recommended

_SHOWN = 40
_IN_FLIGHT = 32


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command(
        epilog="Exit codes: 0 all pictures are there, 3 some failed (manifest.json says why), 64 the file or an option "
        "is wrong, 69 the model cannot be used, 74 a shard was given up, 75 interrupted by SIGTERM or "
        "Ctrl-C after writing what was nearly done: run it again to go on. webui_image/README.md describes the file."
    )(render)


def render(
    parameters: Annotated[
        str, typer.Argument(help="YAML, JSON, JSONL, CSV, prompts (.txt) or a picture (.png): a path, gs:// or s3://.")
    ],
    *,
    out: Annotated[str, typer.Option("--out", help="Folder for the pictures: a path, gs:// or s3://.")],
    model: Annotated[
        str | None, typer.Option(help="Model directory, .safetensors file, address or listed name. [MODEL_URI]")
    ] = None,
    model_dir: Annotated[str | None, typer.Option(help="Folder of models to choose from. [MODEL_DIR]")] = None,
    lora_dir: Annotated[str | None, typer.Option(help="Folder of LoRAs. [LORA_DIR]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps. [DEVICE]")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, fp16 or bf16. [PRECISION]")] = None,
    only: Annotated[str | None, typer.Option(help="Only these pictures, by index: N, N..M, N.. or ..M.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be rendered; write nothing.")] = False,
    shard_size: Annotated[
        int | None, typer.Option(min=1, help="Render one shard of so many pictures, beside other workers.")
    ] = None,
    shards: Annotated[
        str, typer.Option(help="Numbers of the shards in the order of the indexes, such as 3-5,0-2.")
    ] = "",
    shard_index: Annotated[
        int,
        typer.Option(min=0, envvar="AWS_BATCH_JOB_ARRAY_INDEX", help="Which of them is this worker's, counted from 0."),
    ] = 0,
    force: Annotated[bool, typer.Option("--force", help="Render what is there already as well.")] = False,
    grace: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds for what is being drawn when a signal comes.")
    ] = 5.0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Render a parameters file: pictures, a manifest and a contact sheet. Run it again to go on.

    Writes OUT/NAME/INDEX-SEED.png with the parameters inside; NAME is the file's name or its `name:`. A second run
    renders only what is missing or has other parameters.
    """
    from webui_image.batch.parameters import ParametersError
    from webui_image.batch.places import local_path, remote
    from webui_image.batch.run import Options, plan
    from webui_image.cli.environment import engine_settings, model_options
    from webui_image.cli.quiet import quiet_logs
    from webui_image.cli.shard import ShardRun, read_from, refuse_mixed, render_one, shard_of
    from webui_image.clock import SystemClock
    from webui_image.engine import build

    chosen = _range(only)
    queue = {"queue": 4 * _IN_FLIGHT, "queue_per_user": 4 * _IN_FLIGHT}
    places = {"model_dir": model_dir, "lora_dir": lora_dir, "device": device, "precision": precision}
    settings = engine_settings(**queue, **places, **model_options(model))
    quiet_logs()
    engine = build(settings, clock=SystemClock())
    models = _Models(engine, settings.sources.model_uri)
    try:
        batch = read_from(parameters, names=models.names(), recommended=models.recommended)
    except ParametersError as error:
        raise CommandError(str(error)) from None
    options = Options(only=chosen, force=force, model=models.default, in_flight=_IN_FLIGHT, grace=grace)
    if dry_run:
        planned = plan(batch, Path("nowhere") if remote(out) else local_path(out), options, models.hash)
        emit(_plan_data(planned), output, lambda: _show_plan(batch, planned))
        return
    if not models.default:
        raise CommandError("there is no model; set MODEL_URI or MODEL_DIR, or give --model")
    if shard_size is not None or remote(out) or remote(parameters):
        refuse_mixed(only=only, force=force)
        run = ShardRun(
            batch, parameters, out, shard_of(batch, shard_size, shards, shard_index), beside=shard_size is not None
        )
        raise typer.Exit(render_one(run, engine, options, output))
    result = _run(batch, local_path(parameters).parent, local_path(out), engine=engine, options=options, models=models)
    emit(_result_data(result), output, lambda: _show_result(result))
    if result.interrupted:
        raise typer.Exit(EXIT_RETRY)
    raise typer.Exit(EXIT_SOME_FAILED if result.failed else 0)


def _run(
    batch: "Batch", source_folder: Path, out: Path, *, engine: "Engine", options: "Options", models: "_Models"
) -> "Result":
    from webui_image.batch.run import render as run
    from webui_image.cli.progress import watching
    from webui_image.clock import SystemClock

    with stopped_by_signals() as stop, watching(SystemClock()) as reporter:
        return run(
            batch,
            source_folder,
            out,
            lambda: engine,
            options=options,
            clock=SystemClock(),
            stop=stop,
            reporter=reporter,
            hashes=models.hash,
        )


class _Models:
    """What is known of the models before anything is loaded."""

    def __init__(self, engine: "Engine", uri: str) -> None:
        self._listed = {model.name: model for model in engine.models()}
        # An address is not listed until it is fetched; it is as good a name to tell pictures apart.
        self.remote = uri if "://" in uri and not uri.startswith("file://") else ""
        self.default = self.remote or next(iter(self._listed), "")

    def recommended(self, name: str) -> "Recommended":
        """Give what the model draws best with."""
        from webui_image.values.ports import Recommended

        known = self._listed.get(name or self.default)
        return known.recommended if known is not None else Recommended()

    def hash(self, name: str) -> str:
        """Give the hash of the model's weights, where it is known."""
        known = self._listed.get(name)
        return known.sha256 if known is not None else ""

    def name(self, asked: str) -> str:
        """Give the listed name that a name, title or hash stands for. Raises Invalid."""
        from webui_image.values.errors import Invalid

        for each in self._listed.values():
            by_hash = len(asked) >= 8 and each.sha256.startswith(asked.lower())
            if asked.lower() in {each.name.lower(), each.title.lower()} or by_hash:
                return each.name
        if self.remote:
            return asked
        known = ", ".join(list(self._listed)[:20]) or "none"
        raise Invalid("model", f"there is no model {asked[:60]!r}; here are {known} (set MODEL_DIR for more)")

    def names(self) -> "Names":
        """Give what a parameters file is checked with."""
        from webui_image.batch.parameters import Names
        from webui_image.engine.samplers import resolve
        from webui_image.pictures.upscale import LATENT_MODES, UPSCALERS

        def canonical(sampler: str, scheduler: str) -> tuple[str, str]:
            choice = resolve(sampler, scheduler)
            return choice.sampler, choice.schedule

        return Names(canonical, (*LATENT_MODES, *UPSCALERS), self.name)


def _range(text: str | None) -> range | None:
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{0,6})\s*(\.\.)?\s*(\d{0,6})\s*", text)
    if match is None or not (match[1] or match[3]):
        raise CommandError(f"--only: {text[:40]!r} is no range; write N, N..M, N.. or ..M")
    first = int(match[1] or 0)
    last = int(match[3] or 10**6) if match[2] else first
    if last < first:
        raise CommandError(f"--only: {text[:40]!r} ends before it begins; write the smaller number first")
    return range(first, last + 1)


def _plan_data(planned: "Plan") -> dict[str, Any]:
    todo = {picture.index for picture in planned.todo}
    rows = []
    for picture in planned.selected:
        generation = picture.generation
        row = {"index": picture.index, "file": picture.file_name, "render": picture.index in todo, "line": picture.line}
        size = {"width": generation.width, "height": generation.height, "steps": generation.steps}
        how = {"sampler": generation.sampler, "scheduler": generation.scheduler, "cfg_scale": generation.cfg_scale}
        rows.append({**row, "seed": generation.seed, "prompt": generation.prompt, **size, **how})
    pixel_steps = sum(picture.generation.pixel_steps for picture in planned.todo)
    return {"folder": str(planned.folder), "to_render": len(todo), "pixel_steps": pixel_steps, "pictures": rows}


def _show_plan(batch: "Batch", planned: "Plan") -> None:
    rows = [
        (p.file_name, f"{g.width}x{g.height}", g.steps, g.sampler, f"{g.cfg_scale:g}", _short(g.prompt))
        for p, g in ((picture, picture.generation) for picture in planned.todo[:_SHOWN])
    ]
    if rows:
        table(("FILE", "SIZE", "STEPS", "SAMPLER", "CFG", "PROMPT"), rows)
    if len(planned.todo) > _SHOWN:
        console.print(f"... and {len(planned.todo) - _SHOWN:,} more")
    there = len(planned.selected) - len(planned.todo)
    steps = sum(picture.generation.pixel_steps for picture in planned.todo) / 1e6
    console.print(
        f"{batch.name}: {len(planned.todo):,} of {len(batch.pictures):,} pictures would be rendered into "
        f"{planned.folder}, {there:,} are there already; {steps:,.1f} million pixel steps",
        soft_wrap=True,
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"


def _result_data(result: "Result") -> dict[str, Any]:
    return {
        "folder": str(result.folder),
        "state": result.state,
        "asked": result.asked,
        "selected": result.selected,
        "rendered": result.rendered,
        "there": result.there,
        "failed": {str(index): reason for index, reason in result.failed.items()},
        "stale": list(result.stale),
        "reason": result.reason,
    }


def _show_result(result: "Result") -> None:
    console.print(
        f"{result.folder}: {result.rendered:,} rendered, {result.there:,} were there already, "
        f"{len(result.failed):,} failed",
        soft_wrap=True,
    )
    if result.stale:
        note(f"{len(result.stale):,} pictures belong to an earlier version of the file; manifest.json names them")
    if result.interrupted:
        fail_line(f"{result.reason}; run the same command again to go on")
    elif result.failed:
        fail_line(f"{len(result.failed):,} pictures failed; manifest.json says why, and the next run tries them again")
