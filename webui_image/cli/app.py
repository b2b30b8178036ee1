"""The root of the command line: the commands, and the one place where errors become one line and an exit code.

Exit codes: 0 done, 1 a figure is not reached (`bench`), 3 some pictures failed (`render`), 64 bad configuration, file
or usage, 69 something needed cannot be used, 70 a bug, 75 interrupted, run it again to go on, 130 interrupted
elsewhere.
"""

import os
import traceback
from typing import Annotated

import typer
from typer.exceptions import TyperException

from webui_image.cli import bench, info, render, serve, train
from webui_image.cli.failures import EXIT_BUG, EXIT_INTERRUPTED, EXIT_USAGE, explain
from webui_image.cli.output import fail_line, note

app = typer.Typer(
    name="webui_image",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="A Stable Diffusion web UI that serves many people from one GPU, and renders files in batches.\n\n"
    "With nothing configured it draws with the small model that it brings along. Begin with `serve`, "
    "or with `render params.yaml --out pictures/`.",
    epilog="Exit codes: 0 done, 1 a figure is not reached (bench), 3 some pictures failed (render), "
    "64 bad configuration, file or usage, 69 something needed cannot be used, 70 bug, 75 interrupted, run it again.",
)
serve.register(app)
render.register(app)
bench.register(app)
train.register(app)
info.register(app)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("gpu-hunter")
        except PackageNotFoundError:  # the container image holds the code alone, and is told its version
            found = os.environ.get("APP_VERSION", "dev")
        typer.echo(f"webui_image {found}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that hold for every command."""


def run(arguments: list[str]) -> int:
    """Run one command and give its exit code; every expected failure is one line on stderr."""
    command = typer.main.get_command(app)
    try:
        result = command.main(args=arguments, prog_name="python -m webui_image", standalone_mode=False)
    except TyperException as error:
        return _misused(error)
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        fail_line("interrupted")
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback for what has a name
        return _failed(error)
    return result if isinstance(result, int) else 0


def _misused(error: TyperException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help that was asked for by giving nothing
        typer.echo(error.format_message())
        return EXIT_USAGE
    fail_line(error.format_message())
    context = getattr(error, "ctx", None)
    if context is not None:
        note(f"See `{context.command_path} --help`.")
    return EXIT_USAGE


def _failed(error: Exception) -> int:
    known = explain(error)
    if known is not None:
        fail_line(known[1])
        return known[0]
    fail_line(f"bug: {type(error).__name__}: {error}")
    if os.environ.get("WEBUI_DEBUG"):
        traceback.print_exception(error)
    else:
        note("Set WEBUI_DEBUG=1 to see where.")
    return EXIT_BUG
