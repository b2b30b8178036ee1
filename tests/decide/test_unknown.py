"""Unknown is not gone: what the decision does when it cannot see."""

from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.decide import decide
from controlplane.model.decision import ApplyPlacement, DeletePlacement, ScaleDownPlacement, WireIngress
from controlplane.model.memory import Memory


@pytest.fixture
def served(toy):
    """Give two regions that serve one replica each, and a third one to go to."""
    t = toy.Toy(("us-a1", "us-b1", "us-c1"), toy.make_spec(replicas=2))
    t.until(t.__class__.settled)
    return t


def dark(t, *regions):
    t.dark |= {f"{r}/gpu-1" for r in regions}


def test_nothing_is_replaced_within_the_grace(served):
    """An unreachable region counts as serving until the grace is over."""
    dark(served, "us-a1")
    passed = len(served.log)
    served.run(2)
    assert served.plans(passed) == []


def test_a_replacement_is_begun_when_the_grace_is_over_and_not_before(served, toy):
    """Within one pass of the configured time, also when the passes come from different processes."""
    dark(served, "us-a1")
    began = served.now
    served.until(lambda w: w.offering("us-c1") in w.deployments, dt=toy.seconds(20))
    waited = served.now - began
    assert served.spec.timing.unreachable_grace <= waited <= served.spec.timing.unreachable_grace + toy.seconds(40)


def test_nothing_of_an_unreachable_region_is_deleted_nor_unrouted_while_its_backends_are_healthy(served):
    """An API server that hangs is no reason to take traffic away."""
    dark(served, "us-a1")
    served.run(60)
    assert "us-a1/gpu-1" in served.listed
    assert served.offering("us-a1") in served.deployments
    assert served.serving() == 3


def test_a_region_that_is_down_leaves_the_list_once_its_backends_are_known_unhealthy(served):
    """Two signals agree, and others serve."""
    served.region_down("us-a1")
    served.run(20)
    assert served.listed == ("us-b1/gpu-1", "us-c1/gpu-1")


def test_the_surplus_is_given_back_when_a_region_returns(served):
    """Two replicas again, and quiet."""
    served.region_down("us-a1")
    served.run(20)
    served.region_up("us-a1")
    served.run(60)
    assert sum(d.replicas for d in served.deployments.values()) == 2
    assert served.settled()


@pytest.mark.parametrize("count", [2, 3], ids=["two-of-three", "all"])
def test_mass_unknown_takes_nothing_away(served, count):
    """With more than half of the regions unknown nothing destructive happens, for hours."""
    dark(served, *("us-a1", "us-b1", "us-c1")[:count])
    passed = len(served.log)
    served.respec(replicas=1)
    served.run(180)
    actions = [a for _, d in served.log[passed:] for a in d.plan]
    assert not [a for a in actions if isinstance(a, (DeletePlacement, ScaleDownPlacement))]
    assert not [a for a in actions if isinstance(a, WireIngress) and a.removes]
    assert served.condition("FleetKnown").status == "False"


def test_availability_is_unknown_and_not_false_when_all_that_serves_is_out_of_sight(toy):
    """Losing sight is not losing service."""
    t = toy.Toy(("us-a1",))
    t.until(t.__class__.settled)
    dark(t, "us-a1")
    t.run(30)
    assert t.condition("Available").status == "Unknown"


@pytest.mark.parametrize("what", ["fleet_dark", "ingress_dark", "health_dark"])
def test_an_unknown_fact_holds_back_what_rests_on_it(served, what):
    """Two replicas are wanted less, but what proves that it is safe cannot be read: nothing that serves goes."""
    setattr(served, what, True)
    served.respec(replicas=1)
    served.run(30)
    assert served.serving() == 2


def test_an_unknown_fleet_takes_no_route_away(served):
    """The list of clusters is never shortened while the fleet is unknown."""
    served.fleet_dark = True
    served.respec(replicas=1)
    served.run(30)
    assert len(served.listed) == 2


def test_an_incomplete_listing_takes_nothing_away_and_is_told(served, toy):
    """A listing that admits to have left zones out is no ground for a removal."""
    served.respec(replicas=1)
    for _ in range(20):
        observed = replace(served.observe(), unlisted=("asia-east1-a",))
        decision = decide(served.spec, observed, served.memory, served.now)
        served.memory = decision.memory
        served.apply(decision)
        served.step(toy.MINUTE)
    assert served.serving() == 2
    assert "asia-east1-a" in {c.type: c.message for c in decision.conditions}["FleetKnown"]


def test_a_cluster_that_the_fleet_listing_left_out_is_not_taken_for_deleted(served):
    """Its placement is remembered, and nothing is written into its cluster."""
    cluster = served.clusters.pop(0)
    served.run(30)
    assert cluster in {p.offering.cluster for p in served.memory.placements}
    served.clusters.insert(0, cluster)
    served.run(60)
    assert served.settled()


def test_the_first_pass_of_a_lost_memory_takes_nothing_away(served):
    """What stands is adopted first; afterwards the surplus goes, and the world is as before."""
    d = served.deployments[served.offering("us-a1")]
    d.replicas, d.rv = 3, d.rv + 1
    served.run(3)
    served.memory = Memory()
    first = served.one_pass()
    assert not [a for a in first.plan if isinstance(a, (DeletePlacement, ScaleDownPlacement))]
    served.run(40)
    assert sum(d.replicas for d in served.deployments.values()) == 2


def test_a_lost_memory_hunts_for_nothing_that_stands(served):
    """Adopting finds everything, so nothing is created."""
    served.memory = Memory()
    decision = served.run(5)
    assert not [a for a in decision.plan if isinstance(a, ApplyPlacement)]
    assert served.settled()


def test_a_day_of_darkness_and_a_leap_of_the_clock_change_nothing_for_the_worse(served):
    """The grace is over at once after the leap; still nothing is deleted in the dark."""
    dark(served, "us-a1")
    served.run(1)
    served.now += timedelta(days=1)
    served.run(5)
    assert served.offering("us-a1") in served.deployments
    served.dark.clear()
    served.run(60)
    assert served.settled()


@pytest.mark.parametrize(
    ("dark_regions", "goes"), [(2, True), (3, False)], ids=["two-of-four-unknown", "three-of-four-unknown"]
)
def test_a_majority_of_unknown_regions_alone_holds_back_what_all_else_allows(toy, dark_regions, goes):
    """A user who wants no replicas any more is followed where regions answer, unless more than half do not (S8)."""
    t = toy.Toy(("us-a1", "us-b1", "us-c1", "us-d1"), toy.make_spec(replicas=1))
    t.until(t.__class__.settled)
    home = t.serving_offerings()[0]
    dark(t, *[c.region for c in t.clusters if c != home.cluster][:dark_regions])
    t.respec(replicas=0)
    t.run(30)
    assert (home not in t.deployments) is goes
