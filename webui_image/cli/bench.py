"""`bench`: the promised figures, measured here and now."""

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from webui_image.cli.failures import CommandError
from webui_image.cli.output import Output, OutputOption, console, emit, note, table

if TYPE_CHECKING:
    from webui_image.bench.figures import Figure, Measurement

EXIT_NOT_REACHED = 1


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(bench)


def bench(
    *,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Measure only these (repeat it); none means all.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Pipeline directory to draw with; none: the small model.", file_okay=False)
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="How often each is measured; the best counts.")] = 3,
    output: OutputOption = Output.TABLE,
) -> None:
    """Measure the figures that the project promises, with the small model, on this machine. Takes some minutes.

    Leaves with 1 when a promise is not kept here.
    """
    from webui_image.bench.run import UnknownMeasurement, as_json, run
    from webui_image.cli.quiet import quiet_logs

    quiet_logs()
    if model is not None and not (model / "model_index.json").is_file():
        raise CommandError(f"--model: {model}: holds no model_index.json; give a pipeline directory")
    try:
        figures = run(only or (), report=_report, model=model, rounds=rounds)
    except UnknownMeasurement as error:
        raise CommandError(f"--only: {error}") from None
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    emit({"machine": machine, **as_json(figures)}, output, lambda: _show(figures))
    raise typer.Exit(0 if all(figure.holds for figure in figures) else EXIT_NOT_REACHED)


def _report(measurement: "Measurement", figures: "list[Figure]") -> None:
    broken = sum(not figure.holds for figure in figures)
    note(f"measured: {measurement.about}" + (f" ({broken} not reached)" if broken else ""))


def _show(figures: "list[Figure]") -> None:
    rows = [
        (each.name, f"{each.value:g} {each.unit}", each.promise, "yes" if each.holds else "NO", each.detail)
        for each in figures
    ]
    table(("FIGURE", "MEASURED", "PROMISED", "HOLDS", "DETAIL"), rows)
    console.print(f"{sum(each.holds for each in figures)} of {len(figures)} hold")
