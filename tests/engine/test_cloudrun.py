"""A Cloud Run job's task: what its environment says, and the lines that Cloud Logging groups by it."""

import io
import json

import pytest
import structlog

from controlplane.engine.cloudrun import Task
from controlplane.engine.logs import Origin, configure

ENVIRON = {
    "CLOUD_RUN_JOB": "gpu-hunter",
    "CLOUD_RUN_EXECUTION": "gpu-hunter-x7k2p",
    "CLOUD_RUN_TASK_INDEX": "0",
    "CLOUD_RUN_TASK_ATTEMPT": "1",
}


def test_elsewhere_there_is_no_task():
    """Without the job's name this is no Cloud Run job."""
    assert Task.of({}) is None
    assert Task.of({**ENVIRON, "CLOUD_RUN_JOB": ""}) is None


def test_a_run_id_names_the_attempt_and_is_never_twice_the_same():
    """Two processes with the same environment are two runs: the lease must tell them apart."""
    task = Task.of(ENVIRON)
    assert task.run_id.startswith("gpu-hunter-x7k2p/0/1-")
    assert task.run_id != task.run_id


def test_one_execution_is_one_trace():
    """All attempts of an execution share a trace of 32 hexadecimal digits, and no two executions do."""
    first, second = Task.of(ENVIRON), Task.of({**ENVIRON, "CLOUD_RUN_TASK_ATTEMPT": "2"})
    assert first.trace == second.trace
    assert len(bytes.fromhex(first.trace)) == 16
    assert Task.of({**ENVIRON, "CLOUD_RUN_EXECUTION": "other"}).trace != first.trace


def test_a_trace_that_is_handed_over_is_taken():
    """TRACEPARENT in the form of W3C Trace Context wins; what is not of that form is left."""
    given = {**ENVIRON, "TRACEPARENT": f"00-{'a' * 32}-{'b' * 16}-01"}
    assert (Task.of(given).trace, Task.of(given).span) == ("a" * 32, "b" * 16)
    assert Task.of({**ENVIRON, "TRACEPARENT": "nonsense"}) == Task.of(ENVIRON)


def test_nothing_of_the_environment_can_forge_a_holder():
    """Characters that have no business in a name are replaced, and the length is bounded."""
    task = Task.of({**ENVIRON, "CLOUD_RUN_EXECUTION": "a\n/b" + "c" * 500})
    assert task.execution.startswith("a-b")
    assert len(task.execution) == 128


@pytest.fixture
def line():
    """Give a function that writes one line of a task and reads it back."""
    stream = io.StringIO()
    task = Task.of(ENVIRON)
    configure(json_lines=True, stream=stream, origin=Origin("projects/p/traces/t", task.span, task.labels()))

    def written(**values):
        structlog.get_logger("test").info("pass done", **values)
        return json.loads(stream.getvalue().splitlines()[-1])

    yield written
    structlog.reset_defaults()


def test_lines_carry_trace_and_labels(line):
    """Trace, execution, attempt, run and service are where Cloud Logging takes them from; labels are strings."""
    found = line(run_id="r-1", service="default/web")
    labels = found["logging.googleapis.com/labels"]
    assert found["logging.googleapis.com/trace"] == "projects/p/traces/t"
    assert labels["run.googleapis.com/execution_name"] == "gpu-hunter-x7k2p"
    assert labels["run.googleapis.com/task_attempt"] == "1"
    assert (labels["run_id"], labels["service"]) == ("r-1", "default/web")
    assert all(isinstance(value, str) for value in labels.values())
    assert "logging.googleapis.com/spanId" not in found


@pytest.mark.parametrize(
    ("code", "severity"), [(0, "INFO"), (2, "WARNING"), (3, "WARNING"), (4, "WARNING"), (64, "ERROR"), (70, "ERROR")]
)
def test_a_pass_has_the_severity_of_its_exit_code(line, code, severity):
    """An alert on severity finds the passes that are not what was wanted."""
    assert line(exit_code=code)["severity"] == severity
