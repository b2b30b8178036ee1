"""A pass of the job at once, and passes that take services down."""

import pytest

from controlplane.bootstrap.execution import execute
from controlplane.bootstrap.remedies import Halted
from controlplane.bootstrap.run import Patience
from controlplane.bootstrap.services import take_services
from controlplane.gateways.errors import Gone

JOB = "projects/p/locations/us-west2/jobs/gpu-hunter"


class Jobs:
    """Cloud Run with one execution that takes `seconds`."""

    def __init__(self, clock, seconds=0.0, failed=0, there=True):
        self.clock, self.seconds, self.failed, self.there = clock, seconds, failed, there

    def write(self, api, method, path, body=None):
        if not self.there:
            raise Gone("Resource 'gpu-hunter' was not found")
        assert (api, method, path) == ("run", "POST", f"/v2/{JOB}:run")
        return {"name": "operations/1", "metadata": {"name": f"{JOB}/executions/gpu-hunter-abc"}}

    def get(self, api, path):
        if self.clock.elapsed < self.seconds:
            return {"runningCount": 1}
        conditions = [{"type": "Completed", "message": "Task failed with exit code 70." if self.failed else ""}]
        return {"completionTime": "2026-11-01T12:00:00Z", "failedCount": self.failed, "conditions": conditions}


def run(jobs, clock, **patience):
    return execute(jobs, JOB, clock=clock, patience=Patience(**patience), say=lambda _what: None)


def test_an_execution_is_waited_for(clock):
    """It is over when Cloud Run says so."""
    done = run(Jobs(clock, seconds=40.0), clock)
    assert (done.well, done.name.rpartition("/")[2]) == (True, "gpu-hunter-abc")
    assert 40.0 <= clock.elapsed < 50.0


def test_a_failed_execution_tells_why(clock):
    """What Cloud Run says of the task is passed on."""
    done = run(Jobs(clock, failed=1), clock)
    assert (done.well, done.message) == (False, "Task failed with exit code 70.")


def test_a_job_that_is_not_there_is_one_line(clock):
    """With the command that makes it."""
    with pytest.raises(Halted) as halt:
        run(Jobs(clock, there=False), clock)
    assert "bootstrap --apply" in halt.value.hint


def test_an_execution_that_never_ends_is_given_up(clock):
    """After the patience for one part."""
    with pytest.raises(Halted, match="not ended after 60 s"):
        run(Jobs(clock, seconds=1e9), clock, whole=60.0)


class Passes:
    """Services that are gone a number of passes after they were deleted."""

    def __init__(self, count, passes=2):
        self.left = {f"web-{number}": passes for number in range(count)}
        self.deleted = set()

    def services(self):
        stamp = {"deletionTimestamp": "2026-11-01T12:00:00Z"}
        return [
            {"metadata": {"namespace": "sd", "name": name, **(stamp if name in self.deleted else {})}}
            for name in self.left
        ]

    def delete(self, namespace, name):
        assert name not in self.deleted
        self.deleted.add(name)

    def run_pass(self):
        self.left = {
            name: n - (name in self.deleted) for name, n in self.left.items() if n > 1 or name not in self.deleted
        }


def test_services_are_deleted_once_and_waited_for(clock):
    """Passes are made until none is left."""
    passes = Passes(3)
    take_services(passes, say=lambda _what: None, clock=clock)
    assert passes.left == {}
    assert len(passes.deleted) == 3


def test_services_that_do_not_go_are_named(clock):
    """With the command that says what keeps them."""
    with pytest.raises(Halted) as halt:
        take_services(Passes(1, passes=10**6), say=lambda _what: None, clock=clock)
    assert halt.value.message == "GPUServices: still there: sd/web-0"
    assert "explain" in halt.value.hint
