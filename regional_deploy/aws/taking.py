"""A file of the inbox becomes one job, whatever happens on the way, and what is wrong is put aside.

The folders are those of `controlplane/model/inbox.py`, and one more for the jobs:

    <inbox>/jobs/<name>-<digest>.json   what Batch was asked for, for `aws batch submit-job --cli-input-json`
    <inbox>/jobs/<name>-<digest>.id     the job that it became

Every step may be done again. A function that dies between submitting and noting the id finds the job by its name, which
follows from the content. Two functions at once could both find none; so there is only one (reserved concurrency), and
were there two, their jobs would share the pictures and double none (`webui_image/batch/shards.py`).
"""

import json
import logging
from enum import StrEnum
from typing import Protocol

from controlplane.model.inbox import batch_name, mark, wanted
from regional_deploy.aws.jobs import Json, Target, request
from webui_image.batch.parameters import ParametersError
from webui_image.batch.places import Tray
from webui_image.batch.snapshot import Snapshot, snapshot

_log = logging.getLogger("gpu_hunter")


class Jobs(Protocol):
    """Where jobs are looked for and submitted."""

    def find(self, queue: str, name: str) -> str: ...

    def submit(self, request: Json) -> str: ...


class Became(StrEnum):
    """What became of a file."""

    JOB = "a job"
    KNOWN = "taken before"
    REJECTED = "rejected"
    CHANGED = "changed while it was read"  # its next version has an event of its own
    GONE = "not there any more"


class Taking:
    """Takes files from one inbox, whose address is `inbox`."""

    def __init__(self, inbox: str, tray: Tray, jobs: Jobs, target: Target) -> None:
        self._inbox, self._tray, self._jobs, self._target = inbox, tray, jobs, target

    def waiting(self) -> list[str]:
        """Give the files that may be parameters files, whether they were taken or not."""
        return sorted(name for name in self._tray.versions() if wanted(name))

    def take(self, name: str) -> Became:
        """Take one file. Raises NotReady, PlaceError, and what boto3 raises."""
        version = self._tray.versions().get(name)
        if version is None:
            return _told(name, Became.GONE)
        marked = f"taken/{mark(name, version)}"
        if self._tray.read(marked, 0) is not None:
            return _told(name, Became.KNOWN)
        found = self._read(name)
        if self._tray.versions().get(name) != version:
            return _told(name, Became.CHANGED)
        if isinstance(found, str):
            return self._reject(name, version, found)
        batch = batch_name(found.name, found.digest, self._target.output)
        job = self._start(batch, name, found)
        self._tray.publish(marked, f"{batch} {job}\n".encode())
        return _told(name, Became.JOB, f"{found.pictures} pictures, job {batch} {job}")

    def _read(self, name: str) -> Snapshot | str:
        try:
            return snapshot(self._tray, name)
        except ParametersError as error:
            return str(error)

    def _start(self, batch: str, name: str, found: Snapshot) -> str:
        """Give the id of the batch's job, which is submitted unless somebody has."""
        noted = self._tray.read(f"jobs/{batch}.id")
        if noted is not None:
            return noted.decode().strip()
        for path, content in found.files.items():
            self._tray.publish(f"batches/{batch}/{path}", content)
        asked = request(self._target, batch, f"{self._inbox}/batches/{batch}/{name}", found.pictures)
        self._tray.publish(f"jobs/{batch}.json", json.dumps(asked, indent=1).encode())
        job = self._jobs.find(self._target.queue, batch) or self._jobs.submit(asked)
        self._tray.publish(f"jobs/{batch}.id", f"{job}\n".encode())
        return job

    def _reject(self, name: str, version: str, problems: str) -> Became:
        """Move what is wrong out of the way, with its report beside it; what came in its place meanwhile stays."""
        content = self._tray.read(name)
        if content is not None:
            self._tray.publish(f"rejected/{name}", content)
            self._tray.publish(f"rejected/{name}.txt", f"{problems}\n".encode())
            self._tray.remove(name, version)
        return _told(name, Became.REJECTED, problems.splitlines()[0])


def _told(name: str, became: Became, detail: str = "") -> Became:
    level = logging.WARNING if became is Became.REJECTED else logging.INFO
    _log.log(level, "%s: %s%s", name, became.value, f": {detail}" if detail else "")
    return became
