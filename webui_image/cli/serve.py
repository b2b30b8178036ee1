"""`serve`: the page and the APIs over one engine."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 7860,
    model: Annotated[str | None, typer.Option(help="Model directory, .safetensors file, URI or hub name.")] = None,
) -> None:
    """Serve the page, AUTOMATIC1111's API and the streaming API."""
    raise NotImplementedError
