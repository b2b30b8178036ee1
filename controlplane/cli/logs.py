"""Whether what is said goes to a person or to Cloud Logging, and then with which trace and labels."""

import os
from enum import StrEnum

from controlplane.cli.connect import Settings
from controlplane.cli.output import LOG_LINES


class LogFormat(StrEnum):
    """The forms of log lines."""

    AUTO = "auto"
    TEXT = "text"
    CLOUD = "cloud"


def speak_in_log_lines(chosen: LogFormat, project: str, *, verbose: bool) -> bool:
    """Turn everything that is said into lines for Cloud Logging where that is chosen; say whether it is."""
    cloud = chosen is LogFormat.CLOUD or (chosen is LogFormat.AUTO and bool(os.environ.get("CLOUD_RUN_JOB")))
    LOG_LINES.set(cloud)
    if cloud:
        _configure(project, verbose=verbose)
    return cloud


def set_up_logs(settings: Settings, *, machine: bool = False) -> None:
    """Set up logging for a person, or with `machine` for a program, where the lines are not for Cloud Logging."""
    from controlplane.wiring import configure_logs

    if not settings.log_lines:
        configure_logs(machine=machine, verbose=settings.verbose)


def _configure(project: str, *, verbose: bool) -> None:
    import sys

    from controlplane.engine.cloudrun import Task
    from controlplane.engine.logs import Origin, configure

    task = Task.of(os.environ)
    origin = Origin()
    if task is not None:
        trace = f"projects/{project}/traces/{task.trace}" if project else ""
        origin = Origin(trace, task.span if trace else "", task.labels())
    configure(json_lines=True, level="debug" if verbose else "info", stream=sys.stdout, origin=origin)


def run_id() -> str | None:
    """Give the run id of a Cloud Run task; None where any will do."""
    from controlplane.engine.cloudrun import Task

    task = Task.of(os.environ)
    return task.run_id if task else None
