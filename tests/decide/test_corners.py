"""Rare facts that must not surprise the decision."""

from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.decide import decide
from controlplane.model.decision import ApplyPlacement, RemoveFinalizer, Standing
from controlplane.model.facts import Known
from controlplane.model.memory import Move
from controlplane.model.observation import ClusterInfo, Member
from controlplane.model.offering import Capacity


def deleting(t, observed):
    """Let every Deployment be seen with a deletion timestamp."""
    members = {
        c: Member(m.info, Known(tuple(replace(w, deleting=True) for w in m.workloads.value), t.now))
        for c, m in observed.members.items()
    }
    return replace(observed, members=members)


def test_a_deployment_that_is_going_is_replaced_elsewhere_and_blocks_its_name(toy):
    """Its name is not free yet, and its GPUs still count against the cap."""
    t = toy.Toy(spec=toy.make_spec(max_hourly_cost=1.0))
    t.until(t.__class__.settled)
    decision = decide(t.spec, deleting(t, t.observe()), t.memory, t.now)
    going = t.verdict(t.offering("us-a1"), decision)
    assert (going.standing, going.reasons[0]) == (Standing.REFUSED, "BeingRemoved")
    assert t.verdict(t.offering("us-b1"), decision).reasons[0] == "OverCostCap"


def test_a_cluster_that_left_a_complete_fleet_for_an_hour_is_gone(toy):
    """Two signals, and time: then its placement is forgotten and holds no finalizer any more."""
    t = toy.Toy(spec=toy.make_spec(replicas=2))
    t.until(t.__class__.settled)
    gone = t.clusters.pop(0)
    t.run(70)
    assert gone not in {p.offering.cluster for p in t.memory.placements}
    assert gone.link not in t.listed
    t.respec(deleting=True)
    t.until(lambda w: not w.finalizer)


def test_a_region_that_was_left_twice_within_the_hour_is_not_left_again(toy):
    """The condition names the limit."""
    t = toy.Toy(("us-a1",), toy.make_spec(capacity_types=(Capacity.SPOT,)))
    t.set_stock(0, accelerator=toy.L4.type)
    t.until(t.__class__.settled)
    t.set_stock(8)
    t.memory = replace(t.memory, moves=(Move("us-a1", t.now), Move("us-a1", t.now)))
    t.run(45)
    assert t.serving_offerings() == [t.offering("us-a1", toy.T4)]
    assert "left twice" in t.condition("PreferredHeld").message
    t.run(60)
    assert t.offering("us-a1") in t.serving_offerings()


def test_what_is_held_at_an_unknown_price_makes_the_cap_unknown(toy):
    """Neither within nor over: nobody knows."""
    t = toy.Toy(spec=toy.make_spec(max_hourly_cost=5.0))
    t.until(t.__class__.settled)
    decision = decide(t.spec, replace(t.observe(), prices={}), t.memory, t.now)
    cost = next(c for c in decision.conditions if c.type == "WithinCostCap")
    assert (cost.status, cost.reason) == ("Unknown", "PriceUnknown")
    assert not [a for a in decision.plan if isinstance(a, ApplyPlacement) and a.adds]


def test_an_accelerator_taken_out_of_the_spec_is_replaced_before_it_goes(toy):
    """It ranks behind everything the spec names, and it serves until the other does."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    t.respec(accelerators=(toy.T4,))
    lowest = 1
    for _ in range(90):
        t.one_pass()
        t.step(toy.MINUTE)
        lowest = min(lowest, t.serving())
    assert lowest == 1
    assert {o.accelerator for o in t.serving_offerings()} == {toy.T4}
    assert t.settled()


@pytest.mark.parametrize("status", ["PROVISIONING", "STOPPING", "ERROR"])
def test_a_cluster_that_is_not_running_is_neither_used_nor_counted_as_dark(toy, status):
    """It is refused as ClusterNotUsable, and the rest works on."""
    t = toy.Toy()
    t.dark.add("us-a1/gpu-1")
    fleet = tuple(ClusterInfo(c, usable=c.region != "us-a1", status=status) for c in t.clusters)
    observed = replace(t.observe(), fleet=Known(fleet, t.now))
    decision = decide(t.spec, observed, t.memory, t.now)
    assert t.verdict(t.offering("us-a1"), decision).reasons[0] == "ClusterNotUsable"
    assert [a.offering.region for a in decision.plan] == ["us-b1"]
    assert {c.type: c.status for c in decision.conditions}["FleetKnown"] == "True"


def test_two_clusters_of_one_region_share_its_health(toy):
    """The load balancer tells health by region; one healthy backend is not counted twice."""
    t = toy.Toy(("us-a1",), toy.make_spec(replicas=2, accelerators=(toy.L4,)))
    t.until(t.__class__.settled)
    ingress = t.observe().ingress.value
    half = replace(t.observe(), ingress=Known(replace(ingress, healthy=Known({"us-a1": 1}, t.now)), t.now))
    assert decide(t.spec, half, t.memory, t.now).counts.serving == 1


def test_health_of_other_regions_counts_for_nothing(toy):
    """A region in the health report that holds nothing of ours proves nothing."""
    t = toy.Toy(("us-a1",))
    t.until(t.__class__.settled)
    ingress = t.observe().ingress.value
    other = replace(t.observe(), ingress=Known(replace(ingress, healthy=Known({"mars-1": 9}, t.now)), t.now))
    decision = decide(t.spec, other, t.memory, t.now)
    assert decision.counts.serving == 0
    assert not decision.plan


def test_no_fleet_at_all_keeps_the_finalizer_of_a_service_being_deleted(toy):
    """An unknown fleet is not an empty one; a known and empty one lets the service go."""
    t = toy.Toy((), toy.make_spec(deleting=True))
    t.fleet_dark = True
    assert not [a for a in t.one_pass().plan if isinstance(a, RemoveFinalizer)]
    t.fleet_dark = False
    assert [type(a) for a in t.one_pass().plan] == [RemoveFinalizer]


def test_a_leap_of_ten_minutes_back_and_forth_ends_nothing(toy):
    """Clocks that are apart by minutes cost neither service nor convergence."""
    t = toy.Toy(spec=toy.make_spec(replicas=2))
    t.until(t.__class__.settled)
    for leap in (10, -10, 60, -60):
        t.now += timedelta(minutes=leap)
        t.run(3)
        assert t.serving() == 2
    t.run(40)
    assert t.settled()


def test_a_service_with_no_wanted_replicas_gives_all_back(toy):
    """Should zero ever be asked for, it is done without an empty list."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    t.respec(replicas=0)
    t.run(30)
    assert t.deployments == {}
    assert t.listed == ("us-a1/gpu-1",)
