"""Starts the Cloud Run job at once and waits for its end: a pass now, not in a minute.

Source: https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs/run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from controlplane.bootstrap.remedies import Halted, halted
from controlplane.bootstrap.run import Patience
from controlplane.clock import Clock
from controlplane.gateways.errors import GatewayError, Gone

_RUN = "run"


class Jobs(Protocol):
    """The administration gateway, as far as it is needed here."""

    def get(self, api: str, path: str) -> dict[str, Any] | None:
        """Read a resource."""
        ...

    def write(self, api: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make a call that changes something."""
        ...


@dataclass(frozen=True, slots=True)
class Execution:
    """One that has ended. well: its task left with 0; message: what Cloud Run says of it otherwise."""

    name: str
    well: bool
    message: str


def execute(jobs: Jobs, job: str, *, clock: Clock, patience: Patience, say: Callable[[str], None]) -> Execution:
    """Start the job (`projects/P/locations/R/jobs/J`) and wait. Raises Halted when it cannot be started."""
    project = job.split("/")[1]
    try:
        begun = jobs.write(_RUN, "POST", f"/v2/{job}:run", {})
    except Gone as error:
        remedy = "make it with `gpuhunter bootstrap --apply --fleet FILE`"
        raise Halted(job, "there is no such Cloud Run job", remedy) from error
    except GatewayError as error:
        raise halted(job, error, api=_RUN, project=project) from error
    name = str((begun.get("metadata") or {}).get("name", ""))
    say(f"started {name.rpartition('/')[2]}")
    end, wait = clock.monotonic() + patience.whole, patience.first
    while clock.monotonic() < end:
        found = jobs.get(_RUN, f"/v2/{name}") or {}
        if found.get("completionTime"):
            failed = int(found.get("failedCount") or 0) + int(found.get("cancelledCount") or 0)
            return Execution(name, not failed, _told(found))
        clock.sleep(wait)
        wait = min(wait * 1.5, patience.longest)
    raise Halted(name, f"not ended after {patience.whole:.0f} s", "see its logs in the console")


def _told(execution: dict[str, Any]) -> str:
    conditions = execution.get("conditions") or ()
    completed: dict[str, Any] = next((each for each in conditions if each.get("type") == "Completed"), {})
    return str(completed.get("message", ""))
