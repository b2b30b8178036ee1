"""Every state of a small world: two regions, two GPU types, each placement in each phase, seen or not.

Small worlds find the bugs of big ones. The toy world judges each decision, and what is left when it has been done.
"""

from dataclasses import replace
from functools import cache
from itertools import product

import pytest

from controlplane.model.memory import Memory, Phase, PlacementMemory
from controlplane.model.offering import Capacity
from controlplane.model.template import ingress_spec_hash, spec_template_hash

STATES = ("absent", "pending", "warming", "serving", "draining")
PHASES = {
    "pending": Phase.HUNTING,
    "warming": Phase.WARMING,
    "serving": Phase.SERVING,
    "draining": Phase.DRAINING,
}
REGIONS = ("us-a1", "us-b1")


@cache
def spec_of(toy, replicas, cap):
    """Give the spec, made once, for its fingerprints are made once."""
    return toy.make_spec(replicas=replicas, capacity_types=(Capacity.SPOT,), max_hourly_cost=cap)


def build(toy, states, dark, listed, *, replicas, health, cap):
    """Give a world that stands in just these states, and whose memory knows it."""
    spec = spec_of(toy, replicas, cap)
    t = toy.Toy(REGIONS, spec, lag=toy.seconds(0))
    t.now += toy.seconds(3600)
    long_ago = t.now - toy.seconds(1800)
    placements = []
    for offering, state in zip(t.offerings(), states, strict=True):
        if state == "absent":
            continue
        pod = toy.Pod(t.new_uid(), long_ago)
        if state != "pending":
            pod.scheduled = long_ago
        else:
            pod.created = t.now
        if state in ("serving", "draining"):
            pod.ready = long_ago
        wanted = spec_template_hash(spec, offering)
        t.deployments[offering] = toy.Deployment(offering, t.new_uid(), 1, 1, wanted, long_ago, [pod])
        served = long_ago if pod.ready else None
        placements.append(PlacementMemory(offering, PHASES[state], long_ago, 1, serving_since=served))
    t.listed = listed or None
    t.list_history = [(long_ago, listed)] if listed else []
    t.ingress_hash = ingress_spec_hash(spec)
    t.dark, t.health_dark = set(dark), not health
    t.memory = Memory(
        passes=5,
        placements=tuple(placements),
        unknown_since=dict.fromkeys(dark, long_ago),
        whole_since=long_ago,
    )
    return t


A, BOTH = ("us-a1/gpu-1",), ("us-a1/gpu-1", "us-b1/gpu-1")
SIGHTS = (((), BOTH), ((), A), (A, BOTH), (A, A))
"""Clusters out of sight, and clusters in the list; what is missing here is a mirror image of one of these."""

WANTS = {
    "one": {"replicas": 1, "health": True, "cap": None},
    "two": {"replicas": 2, "health": True, "cap": None},
    "two-health-unknown": {"replicas": 2, "health": False, "cap": None},
    "two-under-a-cap": {"replicas": 2, "health": True, "cap": 0.8},
}


@pytest.mark.parametrize("wants", WANTS)
def test_no_state_of_a_small_world_leads_to_harm(toy, wants):
    """Over all states of four placements, what is in sight and what is wired, no decision breaks an invariant."""
    count = 0
    for states in product(STATES, repeat=4):
        for dark, listed in SIGHTS:
            t = build(toy, states, dark, listed, **WANTS[wants])
            before = set(t.deployments)
            t.one_pass()
            assert all(o in t.deployments for o in before if o.cluster.link in t.dark)
            count += 1
    assert count == 5**4 * 4


@pytest.mark.parametrize("states", [("absent",) * 4, ("serving",) * 4, ("draining",) * 4], ids=lambda s: s[0])
def test_every_uniform_state_settles(toy, states):
    """From nothing, everything and all-draining alike the world comes to rest in the wanted state."""
    t = build(toy, states, (), ("us-a1/gpu-1", "us-b1/gpu-1"), replicas=2, health=True, cap=None)
    t.memory = replace(t.memory, whole_since=None)
    t.run(90)
    assert t.settled(), t.story()
