"""The root of the command line: options that hold for every command, and the one place where errors become exit codes.

Exit codes: 0 steady or progressing, 2 below target, 3 nothing feasible, 4 cut off, 64 bad configuration or usage,
69 the local cloud cannot be used, 70 a bug, 130 interrupted.
"""

import os
import traceback
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from controlplane.cli import batch, bench, bootstrap, demo, doctor, drill, fleet, hunt, local, runner, show, simulate
from controlplane.cli.connect import Settings
from controlplane.cli.logs import LogFormat, speak_in_log_lines
from controlplane.cli.output import fail_line, note

EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_BUG, EXIT_INTERRUPTED = 64, 69, 70, 130

app = typer.Typer(
    name="gpuhunter",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Finds GPUs in whichever region has them, serves from there behind one address, and moves on when they go.\n\n"
    "With nothing configured it works on a local cloud that it starts by itself. Begin with `demo`, "
    "or with `local up`, `apply -f`, `reconcile --watch`.",
    epilog="Exit codes: 0 steady or progressing, 2 below target, 3 nothing feasible, 4 cut off, "
    "64 bad configuration, 69 local cloud not usable, 70 bug.",
)
app.add_typer(local.app, name="local")
app.add_typer(drill.fail_app, name="fail")
app.add_typer(drill.recover_app, name="recover")
app.add_typer(runner.app, name="runner")
app.add_typer(batch.app, name="batch")
hunt.register(app)
show.register(app)
fleet.register(app)
doctor.register(app)
demo.register(app)
bench.register(app)
simulate.register(app)
bootstrap.register(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"gpuhunter {_own_version()}")
        raise typer.Exit


def _own_version() -> str:
    """Give the version: of the installed package, or in the image, which holds the code alone, what it was built as."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gpu-hunter")
    except PackageNotFoundError:
        return os.environ.get("APP_VERSION", "unknown")


@app.callback()
def root(
    context: typer.Context,
    state_dir: Annotated[
        Path | None,
        typer.Option(envvar="GPUHUNTER_LOCAL_DIR", help="Folder of the local cloud's state.", file_okay=False),
    ] = None,
    project: Annotated[
        str | None, typer.Option(envvar="GPUHUNTER_PROJECT", help="Google Cloud project; none means the local cloud.")
    ] = None,
    config_cluster: Annotated[
        str | None, typer.Option(envvar="GPUHUNTER_CONFIG_CLUSTER", help="Config cluster as LOCATION/NAME.")
    ] = None,
    fleet_file: Annotated[
        Path | None,
        typer.Option(
            "--fleet", envvar="GPUHUNTER_FLEET", help="Fleet (YAML) that names project, config cluster and members."
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(envvar="GPUHUNTER_PRICES", help="Price table (YAML) to use instead of the built-in one."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show log lines of every step.")] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            envvar="GPUHUNTER_LOG_FORMAT",
            help="cloud: every line as Cloud Logging reads it, on stdout; auto: that in a Cloud Run job, else text.",
        ),
    ] = LogFormat.AUTO,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Keep the options that hold for every command."""
    log_lines = speak_in_log_lines(log_format, project or "", verbose=verbose)
    context.obj = Settings(state_dir, project or None, config_cluster, fleet_file, prices, verbose, log_lines)


def run(arguments: list[str]) -> int:
    """Run one command and give its exit code; every expected failure is one line on stderr."""
    command = typer.main.get_command(app)
    speak_in_log_lines(LogFormat.AUTO, os.environ.get("GPUHUNTER_PROJECT", ""), verbose=False)
    try:
        result = command.main(args=arguments, prog_name="gpuhunter", standalone_mode=False)
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
    fail_line(error.format_message().replace("Value error, ", ""))  # the parser's word for what the rest says
    context = getattr(error, "ctx", None)
    if context is not None:
        note(f"See `{context.command_path} --help`.")
    return EXIT_USAGE


def _failed(error: Exception) -> int:
    from controlplane.wiring import explain_failure

    known = explain_failure(error)
    if known is None:
        known = _of_local_cloud(error)
    if known is not None:
        fail_line(known[1])
        return known[0]
    fail_line(f"bug: {type(error).__name__}: {error}")
    if os.environ.get("GPUHUNTER_DEBUG"):
        traceback.print_exception(error)
    else:
        note("Set GPUHUNTER_DEBUG=1 to see where.")
    return EXIT_BUG


def _of_local_cloud(error: Exception) -> tuple[int, str] | None:
    try:
        from controlplane.localcloud.control.errors import LocalCloudError, RefusedError
    except ImportError:
        return None
    if isinstance(error, LocalCloudError):
        return EXIT_USAGE if isinstance(error, RefusedError) else EXIT_UNAVAILABLE, str(error)
    return None
