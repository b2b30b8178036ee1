"""`bench`: the promised figures, measured here and now."""

from typing import Annotated

import typer

from webui_image.cli.output import Output, OutputOption


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(bench)


def bench(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Measure only these (repeat it); none means all.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Measure the figures that the project promises, with the small model, on this machine.

    Leaves with 1 when a promise is not kept here.
    """
    raise NotImplementedError
