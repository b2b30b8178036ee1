"""`info`: what stands here, or what stands in a picture."""

import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webui_image.cli.failures import CommandError
from webui_image.cli.output import Output, OutputOption, console, emit, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webui_image.values.ports import ModelInfo

_PACKAGES = ("diffusers", "transformers", "safetensors", "pillow", "fastapi")
_LARGEST_FILE = 64 * 2**20


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(info)


def info(
    picture: Annotated[
        Path | None, typer.Argument(help="A PNG, JPEG or WEBP whose parameters are to be read.", show_default=False)
    ] = None,
    *,
    model: Annotated[str | None, typer.Option(help="Tell about this model: a path or a listed name.")] = None,
    model_dir: Annotated[str | None, typer.Option(help="Folder of models to list. [MODEL_DIR]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps. [DEVICE]")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the device, the versions, the models and what they draw best with; or the parameters inside a picture."""
    if picture is not None:
        if model is not None:
            raise CommandError("--model: means nothing beside a picture; leave one of the two out")
        _picture(picture, output)
        return
    from webui_image.cli.environment import engine_settings, model_options
    from webui_image.clock import SystemClock
    from webui_image.engine import build

    settings = engine_settings(model_dir=model_dir, device=device, **model_options(model))
    engine = build(settings, clock=SystemClock())
    models = engine.models()
    if model is not None:
        if not models:
            raise CommandError(f"--model: {model[:100]!r} is not here yet; an address is listed once it is fetched")
        data = asdict(models[0])
        emit(data, output, lambda: _show_model(models[0]))
        return
    facts: dict[str, Any] = {"machine": _machine(settings.device, settings.precision)}
    facts["models"] = [asdict(each) for each in models]
    facts |= {
        "loras": [each.name for each in engine.loras()],
        "embeddings": [each.name for each in engine.embeddings()],
    }
    emit(facts, output, lambda: _show(facts, models))


def _picture(path: Path, output: Output) -> None:
    from webui_image.pictures import png_info
    from webui_image.pictures.limits import PictureLimits
    from webui_image.prompts import infotext

    if path.is_dir():
        raise CommandError(f"{path}: is a folder; name a picture")
    if path.is_file() and path.stat().st_size > _LARGEST_FILE:
        raise CommandError(f"{path}: is larger than {_LARGEST_FILE // 2**20} MiB; no picture of ours is")
    found = png_info.read(path.read_bytes(), field=str(path), limits=PictureLimits(encoded_bytes=_LARGEST_FILE))
    if not found.text:
        raise CommandError(f"{path}: holds no parameters; it was not made by such a program, or was saved again since")
    fields = infotext.parse(found.text).as_fields()
    data = {"text": found.text, "fields": fields, "items": found.items}
    emit(data, output, lambda: table(("FIELD", "VALUE"), [(key, _one_line(value)) for key, value in fields.items()]))


def _one_line(text: str) -> str:
    return " ⏎ ".join(line.strip() for line in text.splitlines())


def _machine(wanted: str, precision: str) -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, version

    from webui_image.engine import devices

    device = devices.choose(wanted, precision)
    found: dict[str, Any] = {
        "device": device.label,
        "precision": str(device.dtype).removeprefix("torch."),
        "memory": f"{devices.memory(device.device).total / 1e9:.1f} GB",
        "cpus": devices.container_cpus(),
        "python": platform.python_version(),
        **devices.versions(device.device),
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _show(facts: dict[str, Any], models: "Sequence[ModelInfo]") -> None:
    table(("MACHINE", ""), facts["machine"].items())
    console.print()
    rows = []
    for each in models:
        best = each.recommended
        size = f"{best.width}x{best.height}"
        rows.append((each.name, each.kind, each.sha256[:10], size, best.steps, f"{best.cfg_scale:g}", best.sampler))
    if rows:
        table(("MODEL", "KIND", "HASH", "BEST AT", "STEPS", "CFG", "SAMPLER"), rows)
    else:
        console.print("no model: set MODEL_URI or MODEL_DIR, or give --model")
    for what in ("loras", "embeddings"):
        if facts[what]:
            console.print(f"{what}: {', '.join(facts[what])}", soft_wrap=True)


def _show_model(model: "ModelInfo") -> None:
    facts = {key: value for key, value in asdict(model).items() if key != "recommended"}
    table(("MODEL", ""), facts.items())
    console.print()
    best = asdict(model.recommended)
    table(("DRAWS BEST WITH", ""), [(key, ", ".join(v) if isinstance(v, tuple) else v) for key, v in best.items()])
