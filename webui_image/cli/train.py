"""`train-demo-model`: makes the small model again, from a seed."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from webui_image.cli.failures import CommandError


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("train-demo-model")(train_demo_model)


def train_demo_model(
    out: Annotated[Path, typer.Option("--out", help="Folder to write the model to.", file_okay=False)],
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same drawings and order.")] = 0,
    work: Annotated[
        Path | None, typer.Option("--work", help="Folder of the checkpoints; none: below --out.", file_okay=False)
    ] = None,
    share: Annotated[float, typer.Option("--share", help="Part of the full training, for a quick look.")] = 1.0,
    threads: Annotated[int, typer.Option("--threads", min=1, max=256, help="Threads that compute.")] = 2,
) -> None:
    """Train the small model that the project ships, from pictures drawn by code. Under an hour on two cores.

    It keeps checkpoints, and goes on from them when it is started again.
    """
    from webui_image.demo_model.train import train

    if not 0 < share <= 1:
        raise CommandError(f"--share: {share:g} is no part; give more than 0 and at most 1")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    train(out, seed=seed, work=work, steps_share=share, threads=threads)
