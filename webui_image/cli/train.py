"""`train-demo-model`: makes the small model again, from a seed."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("train-demo-model")(train_demo_model)


def train_demo_model(
    out: Annotated[Path, typer.Option("--out", help="Folder to write the model to.", file_okay=False)],
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same training.")] = 0,
) -> None:
    """Train the small model that the project ships, from pictures drawn by code. Under an hour on two cores."""
    raise NotImplementedError
