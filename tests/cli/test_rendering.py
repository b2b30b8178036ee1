"""What became of services, batches and inboxes in a pass, as people and programs are shown it."""

import json
from datetime import UTC, datetime

import pytest

from controlplane.cli import hunt, output
from controlplane.decide.batches import BatchDecision
from controlplane.engine.metrics import Metrics
from controlplane.engine.outcome import BatchReport, ExitCode, Looked, PassReport, ServiceReport
from controlplane.engine.view import View
from controlplane.model.batch import BatchMemory, BatchSpec, JobFact, StartJob
from controlplane.model.decision import Condition, Counts, Decision, ScaleDownPlacement, Suppressed
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.memory import Memory
from controlplane.model.observation import WorkloadFact
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering
from controlplane.model.service import PodTemplate

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
REF = ClusterRef("us-west1", "gpu-us-west1")
SPOT = Offering(REF, Accelerator("nvidia-l4"), Capacity.SPOT)


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Show on 80 columns."""
    monkeypatch.setattr(output.console, "width", 80)


def batch(**more):
    spec = BatchSpec(
        "cats", "default", "u", 1, "gs://b/cats.yaml", "gs://b/out", 100, (SPOT.accelerator,), PodTemplate("i", 0)
    )
    decision = BatchDecision(
        plan=(StartJob(SPOT, 2, (2, 3, 4), "more are wanted"),),
        memory=BatchMemory(done=frozenset({0, 1}), spent=0.25),
        conditions=(Condition("Progressing", "True", "Rendering", "1 of 2 workers render"),),
        counts=Counts(2, 1, 0, 1, 0, 0.5, ("us-west1",), ()),
    )
    return BatchReport("default/cats", ExitCode.OK, spec=spec, decision=decision, **more)


def a_pass(*batches, dry_run=True, **more):
    return PassReport("r", NOW, 0.1, dry_run, ExitCode.OK, batches=batches, calls={"c": 1}, **more)


INBOX = BatchReport("default/drop", ExitCode.OK, looked=Looked(("dogs-1a",), ("bad.yaml",), 3, ("late.yaml",)))


def test_a_plan_shows_batches_and_inboxes(capsys):
    """How far each is, and what would be done; nobody is told that there is nothing."""
    hunt._show_pass(a_pass(batch(), INBOX))
    said = capsys.readouterr().out
    assert "Running 2/5 shards, 1/2 workers, 0.50 $/h" in said
    assert "would start 2 worker(s)" in said
    assert "taken 4  refused 1" in said
    assert "waits: late.yaml" in said
    assert "no GPUService" not in said


def test_a_batch_that_cannot_be_acted_on_says_why(capsys):
    """The problem stands below its name."""
    hunt._show_pass(a_pass(BatchReport("default/cats", ExitCode.BAD_CONFIGURATION, problem="spec.worker: is missing")))
    assert "spec.worker: is missing" in capsys.readouterr().out


@pytest.mark.parametrize("form", [output.Output.TABLE, output.Output.JSON], ids=["line", "json"])
def test_a_watched_pass_tells_of_batches_too(capsys, form):
    """One line each, or one JSON object with all."""
    hunt._print_line(a_pass(batch(), INBOX), form)
    said = capsys.readouterr().out
    if form is output.Output.JSON:
        cats, drop = json.loads(said)["batches"]
        assert cats["shards"] == {"all": 5, "done": 2, "lost": 0}
        assert cats["plan"][0]["action"] == "StartJob"
        assert drop["inbox"]["waiting"] == ["late.yaml"]
    else:
        assert "default/cats Running 2/5 shards, 1/2 workers, 0.50 $/h: would start 2 worker(s)" in said
        assert "default/drop inbox, 4 taken: dogs-1a taken; bad.yaml refused; would take late.yaml" in said


def test_metrics_tell_of_batches_until_they_are_gone():
    """Shards, workers, cost and files as gauges, which end with the batch."""
    metrics = Metrics()
    metrics.record(a_pass(batch(), INBOX))
    value = metrics.registry.get_sample_value
    assert value("gpuhunter_batch_shards", {"batch": "default/cats", "state": "left"}) == 3
    assert value("gpuhunter_batch_workers", {"batch": "default/cats", "state": "serving"}) == 1
    assert value("gpuhunter_batch_cost_usd", {"batch": "default/cats"}) == 0.25
    assert value("gpuhunter_inbox_files", {"inbox": "default/drop", "state": "waiting"}) == 1
    metrics.record(PassReport("r", NOW, 0.1, False, ExitCode.CUT_OFF))  # it came to nothing, and says nothing of them
    assert value("gpuhunter_batch_cost_usd", {"batch": "default/cats"}) == 0.25
    metrics.record(a_pass(INBOX))
    assert value("gpuhunter_batch_shards", {"batch": "default/cats", "state": "left"}) is None
    assert value("gpuhunter_inbox_files", {"inbox": "default/drop", "state": "taken"}) == 4


def test_jobs_without_their_batch_are_told(capsys):
    """They hold GPUs and nobody looks after them; a cluster that does not answer says nothing."""
    workload = WorkloadFact(SPOT, "cats-l4-spot", "u", "1", 1, "", (), created_at=NOW)
    found = {("default", "cats"): (JobFact(workload, (0,)),)}
    dark = Unknown(UnknownReason.DEADLINE_EXCEEDED, NOW)
    jobs = {REF: Known(found, NOW), ClusterRef("x", "y"): dark}
    view = View(NOW, dark, {}, {}, dark, {}, {}, dark, jobs=jobs)
    assert view.strays(set(), {("default", "cats")}) == ()
    (stray,) = view.strays(set(), set())
    assert stray == "us-west1/gpu-us-west1 Job cats-l4-spot of GPUBatch default/cats"
    hunt._show_pass(a_pass(strays=(stray,)))
    assert f"left over {stray}, which is gone" in capsys.readouterr().out


def test_a_line_tells_what_a_guard_holds_back():
    """Whoever reads the log of a watch sees why what is too much stays: that is not a pass with nothing to do."""
    held = Suppressed(ScaleDownPlacement(SPOT, 1, 1, "u", "7", "too much"), "S2", "the fleet is not wholly known")
    counts = Counts(4, 0, 0, 6, 0, 1.24, ("us-west1",), ())
    for suppressed, said in (((held,), f"held back by S2: {held.action} ({held.why})"), ((), "nothing to do")):
        decision = Decision((), Memory(), (), (), counts, suppressed)
        line = hunt.one_line(ServiceReport("default/demo", ExitCode.OK, decision=decision))
        assert line == f"6/4 1.24 $/h: {said}"
