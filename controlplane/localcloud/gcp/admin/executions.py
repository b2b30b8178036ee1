"""Executions of Cloud Run jobs: tasks, their attempts and time limits, and how all of it ended.

Source: https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs.executions and
https://cloud.google.com/run/docs/container-contract#jobs-env-vars.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from controlplane.localcloud.clock import Clock, new_suffix, new_uid, rfc3339_micro
from controlplane.localcloud.gcp.admin.calls import Document
from controlplane.localcloud.gcp.admin.policies import etag_of
from controlplane.localcloud.gcp.admin.workshop import Workshop
from controlplane.localcloud.kubelet.images import Image
from controlplane.localcloud.kubelet.process import Process, StartError
from controlplane.localcloud.metadata import MetadataServer

# Between SIGTERM and SIGKILL.
GRACE_SECONDS = 10.0
_KEPT = 200


class Executions:
    """Starts executions and keeps what is known of them. `issue` gives an account's access token."""

    def __init__(
        self, project: str, clock: Clock, issue: Callable[[str], str], changed: Callable[[Document], None]
    ) -> None:
        self._project = project
        self._clock = clock
        self._issue = issue
        self._changed = changed
        self.workshop: Workshop | None = None
        self.all: dict[str, Document] = {}
        self._running: dict[str, set[Process]] = {}
        # What an execution's processes were, for the admin port: the log of each attempt.
        self.logs: dict[str, list[str]] = {}

    def open(self, job: Document, creator: str) -> Document:
        """Make the execution of a job, as it is before anything runs."""
        short = job["name"].rpartition("/")[2]
        now = rfc3339_micro(self._clock.now())
        template = job["template"]
        name = f"{job['name']}/executions/{short}-{new_suffix()}"
        execution = self.all[name] = {
            "name": name,
            "uid": new_uid(),
            "creator": creator,
            "generation": "1",
            "labels": {**job.get("labels", {}), **template.get("labels", {})},
            "createTime": now,
            "updateTime": now,
            "launchStage": "GA",
            "job": short,
            "parallelism": template["parallelism"],
            "taskCount": template["taskCount"],
            "template": template["template"],
            "reconciling": True,
            "conditions": [{"type": "Completed", "state": "CONDITION_RECONCILING", "lastTransitionTime": now}],
            "observedGeneration": "1",
            "logUri": f"https://console.cloud.google.com/logs/viewer?project={self._project}",
            "etag": etag_of([name, now]),
        }
        while len(self.all) > _KEPT:
            self.forget(next(iter(self.all)))
        return execution

    def forget(self, name: str) -> None:
        """Forget an execution that is over."""
        self.all.pop(name, None)
        self.logs.pop(name, None)

    async def run(self, execution: Document, image: Image) -> None:
        """Run all tasks to their end."""
        name, count = execution["name"], int(execution["taskCount"])
        execution |= {"startTime": rfc3339_micro(self._clock.now()), "runningCount": count}
        self._running[name] = set()
        self._changed(execution)
        email = execution["template"]["serviceAccount"]
        side_by_side = asyncio.Semaphore(int(execution["parallelism"]) or count)

        async def one(index: int) -> str:
            async with side_by_side:
                return await self._task(execution, image, index, server.environment)

        with MetadataServer(self._project, email, lambda: self._issue(email)) as server:
            wrong = [each for each in await asyncio.gather(*map(one, range(count))) if each]
        self._running.pop(name, None)
        cancelled = execution.pop("cancelling", False)
        self.end(execution, failed=0 if cancelled else len(wrong), cancelled=len(wrong) if cancelled else 0,
                 why=wrong[0] if wrong else "")  # fmt: skip

    def cancel(self, execution: Document) -> None:
        """Ask an execution's processes to end."""
        execution["cancelling"] = True
        for process in self._running.get(execution["name"], ()):
            process.stop(GRACE_SECONDS)

    def kill_all(self) -> None:
        """Have nothing of ours left running."""
        for processes in self._running.values():
            for process in processes:
                process.kill()

    def end(self, execution: Document, *, failed: int, cancelled: int = 0, why: str = "") -> None:
        """Write down how it ended."""
        now = rfc3339_micro(self._clock.now())
        good = not failed and not cancelled
        condition = {
            "type": "Completed",
            "state": "CONDITION_SUCCEEDED" if good else "CONDITION_FAILED",
            "lastTransitionTime": now,
        }
        if not good:
            reason = "CANCELLED" if cancelled else "NON_ZERO_EXIT_CODE"
            condition |= {"message": why, "executionReason": reason}
        execution |= {
            "completionTime": now,
            "updateTime": now,
            "reconciling": False,
            "runningCount": 0,
            "succeededCount": int(execution["taskCount"]) - failed - cancelled,
            "failedCount": failed,
            "cancelledCount": cancelled,
            "conditions": [condition],
            "etag": etag_of([execution["name"], now]),
        }
        self._changed(execution)

    async def _task(self, execution: Document, image: Image, index: int, where: Mapping[str, str]) -> str:
        """Run one task, as often as it may be tried; gives what went wrong with the last attempt."""
        short = execution["name"].rpartition("/")[2]
        wrong = ""
        for attempt in range(int(execution["template"]["maxRetries"]) + 1):
            given = {
                "CLOUD_RUN_JOB": execution["job"],
                "CLOUD_RUN_EXECUTION": short,
                "CLOUD_RUN_TASK_INDEX": str(index),
                "CLOUD_RUN_TASK_COUNT": str(execution["taskCount"]),
                "CLOUD_RUN_TASK_ATTEMPT": str(attempt),
                **where,
            }
            execution["retriedCount"] = max(execution.get("retriedCount", 0), int(attempt > 0))
            wrong = await self._attempt(execution, image, f"{short}-task{index}-{attempt}", given)
            if not wrong or execution.get("cancelling"):
                break
        return wrong and f"Task {short}-task{index} failed with message: {wrong}"

    async def _attempt(self, execution: Document, image: Image, name: str, given: Mapping[str, str]) -> str:
        if self.workshop is None:
            return "There is no place to run containers."
        template: Mapping[str, Any] = execution["template"]
        try:
            process, log = await self.workshop.start(name, image, template["containers"][0], given)
        except (StartError, OSError) as error:
            return f"The container could not be started: {error}"
        self.logs.setdefault(execution["name"], []).append(str(log))
        running = self._running.setdefault(execution["name"], set())
        running.add(process)
        seconds = float(str(template["timeout"]).removesuffix("s"))
        late = asyncio.ensure_future(self._clock.sleep(seconds))
        ended = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait({late, ended}, return_when=asyncio.FIRST_COMPLETED)
            over_time = not ended.done()
            if over_time:
                process.stop(GRACE_SECONDS)
            code = await ended
        finally:
            for each in (late, ended):
                each.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(late, ended, return_exceptions=True)
            running.discard(process)
        if over_time:
            return "The configured timeout was reached."
        return f"The container exited with an error: exit({code})." if code else ""
