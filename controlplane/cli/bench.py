"""`bench`: the promised figures, measured here and now."""

from typing import Annotated, Any

import typer

from controlplane.cli.output import Output, OutputOption, console, emit, note, table


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(bench)


def bench(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Measure only these (repeat it); none means all.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Measure the figures that the project promises, on local clouds of its own. Takes about four minutes.

    Leaves with 1 when a promise is not kept on this machine.
    """
    from controlplane.api import Problem, SpecError
    from controlplane.bench.measurements import MEASUREMENTS, machine
    from controlplane.wiring import configure_logs

    configure_logs(machine=False, verbose=False)
    names = [m.name for m in MEASUREMENTS]
    for name in only or ():
        if name not in names:
            raise SpecError([Problem("--only", f'there is no measurement "{name}"', f"use one of {', '.join(names)}")])
    figures: list[Any] = []
    for measurement in MEASUREMENTS:
        if not only or measurement.name in only:
            note(f"measuring {measurement.about} ...")
            figures += measurement.measure()
    data = {"machine": machine(), "figures": [figure.as_dict() for figure in figures]}
    emit(data, output, lambda: _show(data))
    raise typer.Exit(0 if all(figure.holds for figure in figures) else 1)


def _show(data: dict[str, Any]) -> None:
    console.print(data["machine"])
    rows = [
        [f["name"], f"{f['value']:g} {f['unit']}", f["promise"], "yes" if f["holds"] else "NO", f["detail"]]
        for f in data["figures"]
    ]
    table(("FIGURE", "MEASURED", "PROMISED", "HOLDS", "DETAIL"), rows)
