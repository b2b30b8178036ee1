"""Waiting for a batch on the command line: how the one that is there stands, and when waiting has an end."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from controlplane.cli.output import note

if TYPE_CHECKING:
    from controlplane.wiring import App

_EVERY = 2.0
_OVER = ("Succeeded", "Failed")


def tell_of_the_old(working: "App", namespace: str, name: str) -> None:
    """Say how the batch stands that this file became before. Raises SpecError where it is on its way out."""
    from controlplane.api import Problem, SpecError

    found = working.batches(namespace, name)
    if not found or "deletionTimestamp" in found[0]["metadata"]:
        what = "this file's batch is being deleted"
        raise SpecError([Problem(f"{namespace}/{name}", what, "submit it again once `batch list` shows it no more")])
    status = found[0].get("status") or {}
    phase = status.get("phase", "Pending")
    note({
        "Succeeded": "this file was rendered before; nothing is rendered again",
        "Failed": f"this file's batch failed before; `batch cancel {name}` and submit it again: what is rendered stays",
        "Paused": "this file's batch is there already, and paused",
    }.get(phase, "this file's batch is under way already, with the settings that it was given first"))  # fmt: skip


def see_through(working: "App", namespace: str, name: str) -> dict[str, Any]:
    """Make passes until the batch is over and give its status; where another process makes them, watch.

    Raises SpecError for a batch that would never be over.
    """
    from controlplane.clock import SystemClock

    clock, told = SystemClock(), ""
    while True:
        report = working.run_pass(keep_lease=True)
        _refuse_what_never_ends(report, f"{namespace}/{name}")
        found = working.batches(namespace, name)
        status = dict((found[0].get("status") or {}) if found else {"phase": "Failed", "done": "it was deleted"})
        done, workers = status.get("done", "0"), status.get("workers", "0/0")
        line = f"{status.get('phase', 'Pending')}: {done} pictures, {workers} workers"
        line += _why_nobody_works(status)
        if line != told:
            note(line + (f" in {status['regions']}" if status.get("regions") else ""))
            told = line
        if status.get("phase") in _OVER:
            working.run_pass()
            return status
        clock.sleep(_EVERY)


def _refuse_what_never_ends(report: Any, key: str) -> None:
    """Raise SpecError for a batch that no pass will act on, however long one waits."""
    from controlplane.api import Problem, SpecError

    for batch in report.batches:
        if batch.key != key or batch.exit_code.name not in ("BAD_CONFIGURATION", "OK"):
            continue
        if batch.problem:
            raise SpecError([Problem(key, *parts(batch.problem))])
        if batch.spec is not None and batch.spec.paused:
            raise SpecError([Problem(key, "is paused, so that waiting has no end", "set spec.paused to false")])


def _why_nobody_works(status: Mapping[str, Any]) -> str:
    found = [c for c in status.get("conditions") or () if c.get("type") == "Progressing" and c.get("status") == "False"]
    return f" ({found[0]['message']})" if found and status.get("phase") == "Running" else ""


def parts(line: str) -> tuple[str, str]:
    """Give what is wrong, and the remedy, of one line of a reader of parameters files."""
    what, _, remedy = line.rpartition("; ")
    return (what, remedy) if what else (line, "correct it")
