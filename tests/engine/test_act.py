"""Carrying out a plan: what stands in the way of taking away, and what each write rests on."""

from types import SimpleNamespace

import pytest

from controlplane.api import parse_service
from controlplane.engine.act import Executor, Work
from controlplane.engine.outcome import Outcome
from controlplane.gateways import errors
from controlplane.model.decision import ApplyPlacement, DeletePlacement, ScaleDownPlacement, WireIngress
from controlplane.model.naming import offering_from_labels
from controlplane.model.offering import Offering
from controlplane.model.service import IngressKind
from ingress import WIRINGS

MCI = IngressKind.MULTI_CLUSTER_INGRESS


@pytest.fixture
def served(world):
    """Give a world in which one replica serves, with what is needed to carry out plans of one's own."""
    world.run(4)
    ref, member = next((r, m) for r, m in world.members.items() if m.deployments())
    found = member.deployments()[0]
    here = offering_from_labels(ref, found["metadata"]["labels"])
    elsewhere = Offering(next(r for r in world.refs if r != ref), here.accelerator, here.capacity)
    fence = SimpleNamespace(number=9, left=30.0, check=lambda **_: None)
    executor = Executor(world.config, WIRINGS, fence, world.clock)
    uid, version = found["metadata"]["uid"], found["metadata"]["resourceVersion"]
    wired = world.config.objects["MultiClusterService"]["metadata"]["resourceVersion"]

    def run(*plan, wired_version=wired):
        service = world.config.stored["web"]
        return executor.run(
            Work(parse_service(service), service, plan, world.members, wired_versions={MCI: wired_version})
        )

    return SimpleNamespace(
        world=world,
        run=run,
        found=found,
        here=here,
        elsewhere=elsewhere,
        add=ApplyPlacement(elsewhere, 1, None, 1, "test"),
        wire=WireIngress((elsewhere.cluster.link,), (elsewhere.cluster.link,), (ref.link,), "test"),
        delete=DeletePlacement(here, uid, version, "test"),
        scale=ScaleDownPlacement(here, 0, 1, uid, version, "test"),
    )


def refuse(error):
    def call(*_args, **_more):
        raise error("test")

    return call


def add_fails(s, error):
    s.world.members[s.elsewhere.cluster].apply = refuse(error)
    return (s.add,)


def foreign_in_the_way(s, _error):
    labels = {"app.kubernetes.io/managed-by": "another"}
    metadata = {"name": "web-l4-spot", "labels": labels, "resourceVersion": "1", "uid": "x"}
    s.world.members[s.elsewhere.cluster].get = lambda _manifest: {"metadata": metadata}
    return (s.add,)


def wiring_fails(s, error):
    s.world.config.apply = refuse(error)
    return (s.wire,)


EARLIER_FAILURES = {
    "unreachable": (add_fails, errors.Unreachable),
    "refused": (add_fails, errors.Forbidden),
    "conflict": (add_fails, errors.Conflict),
    "no-answer": (add_fails, errors.Ambiguous),
    "foreign-object": (foreign_in_the_way, None),
    "wiring-failed": (wiring_fails, errors.ServerFault),
}


@pytest.mark.parametrize("removal", ["delete", "scale"])
@pytest.mark.parametrize("failure", EARLIER_FAILURES)
def test_nothing_is_taken_away_after_a_failure(served, failure, removal):
    """Whatever was to be there first is not there, so what serves stays as it is (S6)."""
    arrange, error = EARLIER_FAILURES[failure]
    results = served.run(*arrange(served, error), getattr(served, removal))
    assert results[0].outcome is not Outcome.DONE
    assert results[-1].outcome is Outcome.SKIPPED
    assert served.found["spec"]["replicas"] == 1
    assert "deletionTimestamp" not in served.found["metadata"]


def test_without_a_failure_it_is_taken_away(served):
    """The same plan goes through when what adds is done."""
    results = served.run(served.add, served.wire, served.delete)
    assert [r.outcome for r in results] == [Outcome.DONE] * 3
    assert "deletionTimestamp" in served.found["metadata"]


def test_the_list_of_clusters_is_written_onto_what_was_decided_on(served):
    """A list that somebody changed since it was observed is not overwritten."""
    listed = served.world.config.objects["MultiClusterService"]
    listed["spec"]["clusters"] = [{"link": "by-hand/gpu"}]
    served.world.config._stamp(listed)
    (result,) = served.run(served.wire)
    assert result.outcome is Outcome.CONFLICT
    assert served.world.config.objects["MultiClusterService"]["spec"]["clusters"] == [{"link": "by-hand/gpu"}]


def test_a_list_that_appeared_since_is_left(served):
    """Where none was observed, none is overwritten."""
    before = served.world.config.objects["MultiClusterService"]["spec"]["clusters"]
    (result,) = served.run(served.wire, wired_version="")
    assert result.outcome is Outcome.CONFLICT
    assert served.world.config.objects["MultiClusterService"]["spec"]["clusters"] == before
