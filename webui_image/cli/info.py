"""`info`: what stands here, or what stands in a picture."""

from pathlib import Path
from typing import Annotated

import typer

from webui_image.cli.output import Output, OutputOption


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(info)


def info(
    picture: Annotated[Path | None, typer.Argument(help="A picture whose parameters are to be read.")] = None,
    model: Annotated[str | None, typer.Option(help="A model to tell about.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the device, versions, models and their settings; or the parameters inside a picture."""
    raise NotImplementedError
