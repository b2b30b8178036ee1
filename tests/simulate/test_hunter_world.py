"""The simulated cluster: what becomes of Pods, and what a pass sees of it."""

import pytest

from controlplane.model.decision import (
    ApplyPlacement,
    DeletePlacement,
    RemoveFinalizer,
    ScaleDownPlacement,
    WireIngress,
)
from controlplane.model.facts import Known
from controlplane.model.offering import Capacity, Offering, RefusalClass
from controlplane.simulate.hunter import service_for
from controlplane.simulate.hunter.places import Places
from controlplane.simulate.hunter.world import World
from controlplane.simulate.market import Market, Scoring
from controlplane.simulate.trace import Trace, Zone


class Rig:
    """A world over a market of two zones in two regions."""

    def __init__(self, *columns):
        zones = [Zone(f"z{n}", f"r{n}", 1.0, column, "V100") for n, column in enumerate(columns)]
        self.trace = Trace("made", "V100", 300.0, 3.0, tuple(zones))
        self.market = Market(self.trace, Scoring())
        self.places = Places(service_for(self.trace, 2), self.trace)
        self.spec = self.places.spec
        self.world = World(self.places)

    def offering(self, index=0, capacity=Capacity.SPOT):
        place = self.places.all[index]
        return Offering(place.cluster, place.accelerator, capacity)

    def advance(self, to):
        self.market.advance(to)
        self.world.heed(self.market)

    def fact(self, index=0, capacity=Capacity.SPOT):
        """Give the Deployment of a zone, as the next pass sees it; None when there is none."""
        offering = self.offering(index, capacity)
        facts = self.world.observe(self.market.now).members[offering.cluster].workloads
        assert isinstance(facts, Known)
        return next((w for w in facts.value if w.offering == offering), None)

    def apply(self, replicas, index=0, capacity=Capacity.SPOT):
        now = self.fact(index, capacity)
        version = now.resource_version if now else None
        self.do(ApplyPlacement(self.offering(index, capacity), replicas, version, 1, "test"))

    def shrink(self, replicas):
        now = self.fact()
        self.do(ScaleDownPlacement(self.offering(), replicas, 1, now.uid, now.resource_version, "test"))

    def wire(self, *indices):
        links = tuple(self.places.all[index].cluster.link for index in indices)
        self.do(WireIngress(links, links, (), "test"))

    def do(self, action):
        self.world.perform(self.spec, action, self.market)

    def healthy(self):
        return self.world.observe(self.market.now).ingress.value.healthy.value


def test_a_pod_has_its_node_when_the_request_is_answered_and_is_ready_after_the_delay():
    """Created, scheduled and ready are told with the market's instants."""
    rig = Rig((1, 1, 1, 1))
    rig.apply(1)
    before = rig.fact().pods[0]
    rig.advance(60)
    answered = rig.fact().pods[0]
    rig.advance(180)
    ready = rig.fact().pods[0]

    assert (before.scheduled, before.ready) == (False, False)
    assert (answered.scheduled, answered.ready) == (True, False)
    assert (ready.scheduled_at - before.created_at).total_seconds() == 60
    assert (ready.ready_at - before.created_at).total_seconds() == 180


def test_on_demand_has_its_node_at_once():
    """On-demand is granted when it is asked for, whatever the zone has in stock."""
    rig = Rig((0, 0))
    rig.apply(1, capacity=Capacity.ON_DEMAND)

    assert rig.fact(capacity=Capacity.ON_DEMAND).pods[0].scheduled
    assert not rig.market.ledger.attempts


def test_a_refused_pod_stays_pending_with_its_refusal_and_asks_no_more():
    """As on GKE, asking again is a matter of scaling down and up."""
    rig = Rig((0, 8, 8, 8))
    rig.apply(1)
    rig.advance(60)
    fact = rig.fact()
    rig.advance(900)

    assert [(r.refusal, r.pod_uid) for r in fact.refusals] == [(RefusalClass.STOCK_OUT, fact.pods[0].uid)]
    assert not rig.fact().pods[0].scheduled
    assert len(rig.market.ledger.attempts) == 1


def test_a_preempted_pod_has_a_successor_that_asks_at_once():
    """The Deployment's controller does not wait for a pass."""
    rig = Rig((1, 0, 0))
    rig.apply(1)
    rig.advance(200)
    rig.advance(310)
    lost, successor = rig.fact().pods

    assert (lost.preempted, lost.failed, lost.ready) == (True, True, False)
    assert (successor.preempted, successor.scheduled) == (False, False)
    assert rig.market.ledger.attempts == [0.0, 310.0]
    assert rig.fact().replicas == 1


def test_a_lost_pod_is_gone_once_a_pass_has_seen_it():
    """With its node, the Pod's object goes too, and that is a change to look at."""
    rig = Rig((1, 0, 0))
    rig.apply(1)
    rig.advance(310)
    assert len(rig.fact().pods) == 2
    before = rig.world.revision

    rig.world.sweep()

    assert rig.world.revision > before
    assert [pod.preempted for pod in rig.fact().pods] == [False]


def test_a_scale_down_takes_what_runs_least_and_then_the_newest():
    """Kubernetes removes pending Pods first, then those that are not ready, then the newest."""
    rig = Rig((3, 3, 3, 3))
    rig.apply(1)
    rig.advance(30)
    rig.apply(2)
    rig.advance(190)
    rig.apply(3)
    rig.advance(250)
    rig.apply(4)
    eldest, ready, *_ = (pod.uid for pod in rig.fact().pods)

    left = []
    for replicas in (3, 2, 1):
        rig.shrink(replicas)
        left.append([pod.uid for pod in rig.fact().pods])

    assert [len(uids) for uids in left] == [3, 2, 1]
    assert left[1] == [eldest, ready]
    assert left[2] == [eldest]
    assert len(rig.market.leases) == 1


def test_a_scale_down_takes_a_pending_pod_before_a_newer_one_that_has_its_node():
    """How far a Pod has come counts before its age."""
    rig = Rig((1, 2, 2, 2))
    rig.apply(2)
    rig.advance(310)
    rig.apply(3)
    rig.advance(400)
    eldest, pending, newest = rig.fact().pods
    assert (pending.scheduled, newest.scheduled, newest.ready) == (False, True, False)

    rig.shrink(2)

    assert [pod.uid for pod in rig.fact().pods] == [eldest.uid, newest.uid]


def test_a_deleted_placement_holds_nothing():
    """Every request of a deleted Deployment is given back or withdrawn."""
    rig = Rig((3, 3, 3, 3))
    rig.apply(2)
    rig.advance(60)
    rig.apply(3)
    now = rig.fact()

    rig.do(DeletePlacement(rig.offering(), now.uid, now.resource_version, "test"))

    assert rig.fact() is None
    assert not rig.market.leases


def test_the_load_balancer_finds_healthy_what_is_ready_in_listed_clusters():
    """Health comes with the next observation, by region; a cluster that is not listed has none."""
    rig = Rig((2, 2, 2), (2, 2, 2))
    rig.apply(2, index=0)
    rig.apply(1, index=1)
    rig.advance(180)
    assert rig.healthy() == {}

    rig.wire(0)
    assert rig.healthy() == {rig.offering(0).region: 2}
    rig.wire(0, 1)
    assert rig.healthy() == {rig.offering(0).region: 2, rig.offering(1).region: 1}


def test_a_cluster_in_which_nothing_happened_shows_the_very_same_facts():
    """Facts are made anew only where something changed; the instant of reading is always the present."""
    rig = Rig((2, 2, 2), (2, 2, 2))
    rig.apply(1, index=0)
    rig.apply(1, index=1)
    rig.advance(180)
    first = rig.world.observe(180)
    rig.apply(2, index=1)
    second = rig.world.observe(210)
    quiet, busy = (place.cluster for place in rig.places.all)

    assert second.members[quiet].workloads.value[0] is first.members[quiet].workloads.value[0]
    assert second.members[busy].workloads.value[0].replicas == 2
    assert second.members[quiet].workloads.at > first.members[quiet].workloads.at


def test_the_revision_tells_changes_from_quiet():
    """Time that passes without news is no change."""
    rig = Rig((2, 2, 2))
    rig.apply(1)
    rig.advance(180)
    before = rig.world.revision

    rig.advance(250)

    assert rig.world.revision == before


@pytest.mark.parametrize("version", [None, "7"], ids=["must not exist", "other version"])
def test_a_write_that_rests_on_something_else_fails(version):
    """The simulator would show a decision that writes over what it has not seen."""
    rig = Rig((2, 2))
    rig.apply(1)

    with pytest.raises(RuntimeError, match="another version stands there"):
        rig.do(ApplyPlacement(rig.offering(), 2, version, 1, "test"))


def test_a_simulated_service_is_never_taken_down():
    """An action that ends a service has no place in a replay and is not passed over in silence."""
    with pytest.raises(TypeError, match="remove the finalizer"):
        Rig((1, 1)).do(RemoveFinalizer("test"))
