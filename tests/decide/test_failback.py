"""Back to what is preferred: once, quietly, and by making before breaking."""

from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.model.memory import OfferingMemory
from controlplane.model.offering import Capacity
from controlplane.model.service import Regions, Spread, Timing


def driven_off(toy, *, regions=("us-a1",), **spec):
    """Give a world where L4 was out of stock, so that a T4 serves, and L4 has just come back."""
    t = toy.Toy(regions, toy.make_spec(capacity_types=(Capacity.SPOT,), **spec))
    t.set_stock(0, accelerator=toy.L4.type)
    t.until(t.__class__.settled)
    assert t.serving_offerings()[0].accelerator == toy.T4
    t.set_stock(8)
    return t


def test_the_preferred_gpu_is_taken_up_again_inside_the_region(toy):
    """The better type replaces the lesser one in the same region, and the list of clusters never changes."""
    t = driven_off(toy)
    written = len(t.list_history)
    t.run(90)
    assert t.serving_offerings() == [t.offering("us-a1")]
    assert t.settled()
    assert len(t.list_history) == written


def test_one_return_and_no_more(toy):
    """Over six hours there is one probe and one move."""
    t = driven_off(toy, regions=("us-a1", "us-b1"))
    before = len(t.created_at)
    t.run(360)
    probes = [a for a in t.memory.attempts if a.failback]
    assert (len(probes), len(t.created_at) - before) == (1, 1)
    assert t.condition("PreferredHeld").status == "True"


def test_no_probe_before_the_service_was_whole_for_the_stabilisation_window(toy):
    """The probe comes after the window and not sooner."""
    t = driven_off(toy)
    whole = t.memory.whole_since
    t.until(lambda w: any(a.failback for a in w.memory.attempts))
    assert t.now - whole >= t.spec.timing.stabilisation_window


def test_the_lesser_one_goes_only_after_the_better_one_was_steady(toy):
    """Both serve for the whole window."""
    t = driven_off(toy)
    t.until(lambda w: w.serving() == 2)
    both = t.now
    t.until(lambda w: len(w.deployments) == 1)
    assert t.now - both >= t.spec.timing.stabilisation_window


def test_a_refused_probe_costs_nothing_and_is_repeated_ever_later(toy):
    """While L4 stays out, the T4 serves on, and probes come at growing intervals."""
    t = driven_off(toy)
    t.set_stock(0, accelerator=toy.L4.type)
    lowest = 9
    for _ in range(6 * 60):
        t.one_pass()
        t.step(toy.MINUTE)
        lowest = min(lowest, t.serving())
    assert lowest == 1
    assert len([a for a in t.memory.attempts if a.failback]) <= 14


def test_a_cap_without_room_for_both_holds_the_service_where_it_is_and_says_so(toy):
    """Make before break needs room for two; the condition names the cap."""
    t = driven_off(toy, max_hourly_cost=0.9)
    t.run(120)
    assert t.serving_offerings() == [t.offering("us-a1", toy.T4)]
    held = t.condition("PreferredHeld")
    assert (held.status, held.reason) == ("False", "OverCostCap")


def test_a_much_cheaper_region_is_moved_to_a_slightly_cheaper_one_is_not(toy):
    """Hysteresis is a term of the score: 10 % is not worth a move, 60 % is."""
    for other, expected in ((0.64, "us-a1"), (0.3, "us-b1")):
        t = toy.Toy(price_of={"us-b1": 0.9})
        t.until(t.__class__.settled)
        t.price_of["us-b1"] = other
        t.run(120)
        assert [o.region for o in t.serving_offerings()] == [expected]


def test_a_region_is_left_at_most_twice_an_hour(toy):
    """Even if preference flips all the time; the world is counted, not memory, and the condition names the bound."""
    t = driven_off(toy)
    t.respec(timing=Timing(stabilisation_window=timedelta(minutes=1), min_dwell=timedelta(minutes=1)))
    told = set()
    for turn in range(240):
        if turn % 8 == 0:
            order = (toy.L4, toy.T4) if (turn // 8) % 2 else (toy.T4, toy.L4)
            t.respec(accelerators=order)
        t.one_pass()
        told.add(t.condition("PreferredHeld").reason)
        t.step(toy.MINUTE)
    moves = [at for at, _ in t.left]
    assert len(moves) >= 4
    assert all(sum(at <= m < at + timedelta(hours=1) for m in moves) <= 2 for at in moves)
    assert "MoveLimit" in told


@pytest.mark.parametrize("replicas", [2, 4])
def test_several_replicas_return_too(toy, replicas):
    """All of them end on the preferred type, with service whole all the way."""
    t = driven_off(toy, regions=("us-a1", "us-b1"), replicas=replicas)
    lowest = replicas
    for _ in range(6 * 60):
        t.one_pass()
        t.step(toy.MINUTE)
        lowest = min(lowest, t.serving())
    assert lowest == replicas
    assert {o.accelerator for o in t.serving_offerings()} == {toy.L4}
    assert sum(d.replicas for d in t.deployments.values()) == replicas


def test_no_probe_while_a_region_is_unknown(toy):
    """What cannot be seen is not quiet."""
    t = driven_off(toy, regions=("us-a1", "us-b1"))
    home = t.serving_offerings()[0].region
    t.dark.add(f"{home}/gpu-1")
    t.run(2)
    assert not any(a.failback for a in t.memory.attempts)


def test_a_dearer_region_that_the_spread_calls_for_is_probed_once_and_kept(toy):
    """Spread needs one replica there; a probe of several would be given back as surplus, and begun again for ever."""
    t = toy.Toy(
        spec=toy.make_spec(replicas=3, spread=Spread(2), regions=Regions(denied=frozenset({"us-b1"}))),
        price_of={"us-a1": 0.7, "us-b1": 1.2},
    )
    t.until(t.__class__.settled)
    home, other = t.offering("us-a1"), t.offering("us-b1")
    t.memory = replace(
        t.memory, offerings={**t.memory.offerings, other.key: OfferingMemory(budget=4, last_obtained_at=t.now)}
    )
    t.respec(regions=Regions())
    t.run(60)
    assert t.creates[other] == 1
    assert {o: d.replicas for o, d in t.deployments.items()} == {home: 2, other: 1}
    assert t.settled()


def test_a_region_that_the_spread_needs_is_not_left_for_one_that_is_used(toy):
    """What is preferred and to be had elsewhere would cost the least number of regions, so its own region is probed."""
    spec = toy.make_spec(replicas=2, spread=Spread(min_regions=2, max_replicas_per_region=3), max_hourly_cost=3.0)
    t = toy.Toy(("us-a1", "us-b1"), spec)
    t.set_stock(0, "us-b1", None, Capacity.SPOT)
    t.run(60)
    back = t.now
    t.set_stock(8)
    t.run(120)
    probes = [attempt.offering for attempt in t.memory.attempts if attempt.failback and attempt.started_at >= back]
    assert probes == [t.offering("us-b1")]
    assert sorted(t.serving_offerings(), key=str) == [t.offering("us-a1"), t.offering("us-b1")]
    assert t.settled()
