"""What Cloud Run tells a job's task of itself, in environment variables, and what we make of it.

A task gets no request and so no trace header; Cloud Logging can still show all lines of one execution together when
they carry one trace, so its id follows from the execution's name. Somebody who starts the job as part of a larger
trace hands that over as TRACEPARENT, in the form of W3C Trace Context.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.clock import new_run_id

JOB = "CLOUD_RUN_JOB"
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt at one task of one execution of a job. `trace` is 32 hexadecimal digits, `span` 16 or none."""

    job: str
    execution: str
    index: str
    attempt: str
    trace: str
    span: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Task | None":
        """Read the environment; None when this is no task of a Cloud Run job."""
        job = _plain(environ.get(JOB, ""))
        if not job:
            return None
        execution = _plain(environ.get("CLOUD_RUN_EXECUTION", "")) or job
        given = _TRACEPARENT.fullmatch(environ.get("TRACEPARENT", ""))
        return cls(
            job=job,
            execution=execution,
            index=_plain(environ.get("CLOUD_RUN_TASK_INDEX", "0")),
            attempt=_plain(environ.get("CLOUD_RUN_TASK_ATTEMPT", "0")),
            trace=given[1] if given else hashlib.sha256(execution.encode()).hexdigest()[:32],
            span=given[2] if given else "",
        )

    @property
    def run_id(self) -> str:
        """Give a run id that names the attempt, and stays unique where the environment was copied to another place."""
        return f"{self.execution}/{self.index}/{self.attempt}-{new_run_id()}"

    def labels(self) -> dict[str, str]:
        """Give the labels of every log line; the execution's name is the one that Cloud Run's own lines have."""
        return {
            "job": self.job,
            "run.googleapis.com/execution_name": self.execution,
            "run.googleapis.com/task_index": self.index,
            "run.googleapis.com/task_attempt": self.attempt,
        }


def _plain(text: str) -> str:
    return _UNSAFE.sub("-", text)[:128]
