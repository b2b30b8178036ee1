"""`render`: a parameters file becomes pictures, without any server."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(render)


def render(
    parameters: Annotated[Path, typer.Argument(help="YAML, JSON, JSONL, CSV, prompts (.txt) or a picture (.png).")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the pictures.", file_okay=False)],
) -> None:
    """Render a parameters file: pictures, a manifest and a contact sheet. Run it again to go on."""
    raise NotImplementedError
