"""Each safety guard stops the plan that it exists for; a test of each fails when that guard is taken away."""

from dataclasses import replace

import pytest

from controlplane.decide import safety
from controlplane.decide.look import look
from controlplane.decide.safety import GUARDS, Scene, screen
from controlplane.model.decision import (
    ApplyPlacement,
    Autoscaled,
    DeletePlacement,
    ScaleDownPlacement,
    StartAutoscaling,
    StopAutoscaling,
    UnwireIngress,
    WireIngress,
)
from controlplane.model.service import Regions


@pytest.fixture
def served(toy):
    """Two regions that serve one replica each, of two wanted."""
    t = toy.Toy(spec=toy.make_spec(replicas=2))
    t.until(t.__class__.settled)
    return t


def scene_of(t, **changes) -> Scene:
    """Give what the guards see of a toy world."""
    world = look(t.spec, t.observe(), t.memory, t.now)
    prices = {o.key: t.price(o) for o in t.offerings()}
    scene = Scene(
        spec=t.spec,
        world=world,
        goal=t.spec.replicas,
        cost=t.cost(),
        prices=prices,
        first_pass=False,
        fleet_complete=True,
    )
    return replace(scene, **changes)


def delete(t, region: str) -> DeletePlacement:
    d = t.deployments[t.offering(region)]
    return DeletePlacement(d.offering, d.uid, str(d.rv), "test")


def scale_down(t, region: str, to: int) -> ScaleDownPlacement:
    d = t.deployments[t.offering(region)]
    return ScaleDownPlacement(d.offering, to, d.replicas - to, d.uid, str(d.rv), "test")


def add(t, region: str, number: int = 1) -> ApplyPlacement:
    return ApplyPlacement(t.offering(region, t_four(t)), number, None, number, "test")


def t_four(t):
    return t.spec.accelerators[1]


def both(t) -> WireIngress:
    links = tuple(c.link for c in t.clusters)
    return WireIngress(links[:1], (), links[1:], "test")


def last_route_and_pods(t):
    """S1: one action takes one region's route, the next the other region's Pods."""
    t.spec = replace(t.spec, replicas=1)
    return scene_of(t, goal=0), (both(t), scale_down(t, "us-a1", 0))


def empty_list(t):
    """S1: a list without clusters."""
    return scene_of(t, goal=0), (WireIngress((), (), (), "test"),)


def unseen_cluster(t):
    """S2: a deletion in a cluster that did not answer."""
    action = delete(t, "us-a1")
    t.dark.add("us-a1/gpu-1")
    return scene_of(t, goal=0), (action,)


def first_pass(t):
    """S2: a removal on the first pass of a memory."""
    return scene_of(t, goal=1, first_pass=True), (scale_down(t, "us-a1", 0),)


def unknown_health(t):
    """S2: a removal of a route while the health of the backends is not known."""
    t.health_dark = True
    t.spec = replace(t.spec, replicas=0)
    return scene_of(t, goal=0), (both(t),)


def stale_answer(t):
    """S2: a deletion that rests on an answer of long ago."""
    action, observed = delete(t, "us-a1"), t.observe()
    t.now += toy_minutes(10)
    world = look(t.spec, observed, t.memory, t.now)
    return replace(scene_of(t), world=world, goal=0), (action,)


def toy_minutes(number):
    from datetime import timedelta

    return timedelta(minutes=number)


def denied_region(t):
    """S3: a placement in a denied region."""
    t.spec = replace(t.spec, regions=Regions(denied=frozenset({"us-b1"})))
    return scene_of(t), (add(t, "us-b1"),)


def denied_route(t):
    """S3: a route into a region that is not allowed."""
    t.spec = replace(t.spec, regions=Regions(allowed=frozenset({"us-a1"})))
    return scene_of(t), (WireIngress(("us-a1/gpu-1", "us-b1/gpu-1"), ("us-b1/gpu-1",), (), "test"),)


def over_cap(t):
    """S4: two placements of which only one fits under the cap."""
    t.spec = replace(t.spec, max_hourly_cost=t.cost() + 0.4)
    return scene_of(t), (add(t, "us-a1"), add(t, "us-b1"))


def no_price(t):
    """S4: a placement without a known price under a cap."""
    t.spec = replace(t.spec, max_hourly_cost=100.0)
    return scene_of(t, prices={}), (add(t, "us-a1"),)


def twice(t):
    """S5: two writes of one workload."""
    return scene_of(t), (add(t, "us-a1"), add(t, "us-a1", 2))


def blind_create(t):
    """S5: a creation where a workload is already seen."""
    return scene_of(t), (ApplyPlacement(t.offering("us-a1"), 1, None, 1, "test"),)


def blind_cluster(t):
    """S5: a creation in a cluster that was not read."""
    t.dark.add("us-a1/gpu-1")
    return scene_of(t), (add(t, "us-a1"),)


def break_before_make(t):
    """S6: one of two serving replicas goes although two are wanted."""
    d = t.deployments[t.offering("us-a1")]
    return scene_of(t), (ScaleDownPlacement(d.offering, 0, 1, d.uid, str(d.rv), "test"),)


def still_in_traffic(t):
    """S6: a placement is deleted while the load balancer still sends to it."""
    return scene_of(t, goal=1), (delete(t, "us-a1"),)


def another_object(t):
    """S7: a deletion of an object of the same name that is not the one seen."""
    return scene_of(t, goal=1), (replace(scale_down(t, "us-a1", 0), uid="another"),)


def foreign_ingress(t):
    """S7: a write of an ingress that belongs to somebody else."""
    scene = scene_of(t)
    world = replace(scene.world, ingress_foreign=True)
    return replace(scene, world=world), (WireIngress(tuple(sorted(world.listed)), (), (), "test"),)


def only_wiring(t):
    """S1: the end of the wiring by which the service is reached."""
    return scene_of(t), (UnwireIngress("test"),)


def half_unknown(t):
    """S8: a removal while most regions are unknown."""
    scene = scene_of(t)
    world = replace(scene.world, majority_unknown=True)
    return replace(scene, world=world, goal=1), (scale_down(t, "us-a1", 0),)


def paused(t):
    """S10: anything at all for a paused service."""
    t.spec = replace(t.spec, paused=True)
    return scene_of(t), (add(t, "us-a1"),)


def start(t, region: str, maximum: int) -> StartAutoscaling:
    d = t.deployments[t.offering(region)]
    return StartAutoscaling(d.offering, d.replicas, Autoscaled(maximum, d.replicas, d.uid), str(d.rv), "test")


def stop(t, region: str) -> StopAutoscaling:
    d = t.deployments[t.offering(region)]
    return StopAutoscaling(d.offering, d.replicas, d.uid, str(d.rv), "test")


def stop_unseen(t):
    """S2: the end of autoscaling while the fleet is not wholly known."""
    return scene_of(t, fleet_complete=False), (stop(t, "us-a1"),)


def grows_where_denied(t):
    """S3: a placement in a region that is denied by now is let grow."""
    t.spec = replace(t.spec, regions=Regions(denied=frozenset({"us-b1"})))
    return scene_of(t), (start(t, "us-b1", 4),)


def grows_over_cap(t):
    """S4: two placements may grow to four each, of which the cap has room for one."""
    t.spec = replace(t.spec, max_hourly_cost=t.cost() + 4 * t.price(t.offering("us-a1")))
    return scene_of(t), (start(t, "us-a1", 4), start(t, "us-b1", 4))


def scaled_and_removed(t):
    """S5: a placement is scaled by load that the same plan gives more replicas."""
    d = t.deployments[t.offering("us-a1")]
    return scene_of(t), (ApplyPlacement(d.offering, 2, str(d.rv), 1, "test"), start(t, "us-a1", 4))


def scales_another_object(t):
    """S7: the autoscaler of a Deployment that is not the one seen."""
    action = start(t, "us-a1", 4)
    return scene_of(t), (replace(action, autoscaled=replace(action.autoscaled, uid="another")),)


HARM = {
    "S1-last-region-in-two-steps": (safety.s1_last_healthy_region, last_route_and_pods),
    "S1-empty-list": (safety.s1_last_healthy_region, empty_list),
    "S2-cluster-did-not-answer": (safety.s2_nothing_on_unknown, unseen_cluster),
    "S2-memory-has-just-begun": (safety.s2_nothing_on_unknown, first_pass),
    "S2-health-unknown": (safety.s2_nothing_on_unknown, unknown_health),
    "S2-stale-answer": (safety.s2_nothing_on_unknown, stale_answer),
    "S3-denied-region": (safety.s3_residency, denied_region),
    "S3-route-not-allowed": (safety.s3_residency, denied_route),
    "S4-second-does-not-fit": (safety.s4_cost_cap, over_cap),
    "S4-price-unknown": (safety.s4_cost_cap, no_price),
    "S5-two-writes": (safety.s5_one_workload, twice),
    "S5-already-there": (safety.s5_one_workload, blind_create),
    "S5-cluster-not-read": (safety.s5_one_workload, blind_cluster),
    "S6-too-few-left": (safety.s6_make_before_break, break_before_make),
    "S6-still-in-traffic": (safety.s6_make_before_break, still_in_traffic),
    "S1-only-wiring": (safety.s1_last_healthy_region, only_wiring),
    "S7-another-object": (safety.s7_ours_only, another_object),
    "S7-foreign-ingress": (safety.s7_ours_only, foreign_ingress),
    "S8-most-regions-unknown": (safety.s8_few_at_a_time, half_unknown),
    "S2-stops-scaling-unseen": (safety.s2_nothing_on_unknown, stop_unseen),
    "S3-grows-where-denied": (safety.s3_residency, grows_where_denied),
    "S4-grows-over-cap": (safety.s4_cost_cap, grows_over_cap),
    "S5-scaled-and-written": (safety.s5_one_workload, scaled_and_removed),
    "S7-scales-another-object": (safety.s7_ours_only, scales_another_object),
    "S10-paused": (safety.s10_paused, paused),
}


@pytest.mark.parametrize("name", HARM)
def test_a_guard_takes_the_harm_out_of_a_plan(served, name):
    """The harmful action does not get through, and it is this guard that stops it."""
    guard, arrange = HARM[name]
    scene, plan = arrange(served)
    kept, held = screen(scene, plan, (guard,))
    assert len(kept) < len(plan)
    assert all(s.guard == name.split("-")[0] and s.why for s in held)


ALSO_STOPPED_BY = {"S2-cluster-did-not-answer": {"S6"}, "S2-stale-answer": {"S1"}}
"""Harm that rests on what was not seen: other guards see no proof there either, and stop it too."""


@pytest.mark.parametrize("name", HARM)
def test_no_other_guard_stops_the_harm(served, name):
    """Without its guard the harmful plan gets through whole, save where two guards stand before one harm."""
    guard, arrange = HARM[name]
    scene, plan = arrange(served)
    kept, held = screen(scene, plan, tuple(g for g in GUARDS if g is not guard))
    others = ALSO_STOPPED_BY.get(name, set())
    assert {s.guard for s in held} == others
    assert kept == plan or others


def test_every_guard_has_a_harmful_plan_of_its_own():
    """No guard stands without a test that fails when it is gone."""
    assert {guard for guard, _ in HARM.values()} == set(GUARDS)


def test_no_more_than_two_placements_lose_gpus_in_a_pass(toy):
    """Of four removals that each would be allowed, two go in this pass."""
    t = toy.Toy(("us-a1", "us-b1", "us-c1", "us-d1"), toy.make_spec(replicas=4))
    t.until(t.__class__.settled)
    scene = scene_of(t, goal=0)
    plan = tuple(scale_down(t, c.region, 0) for c in t.clusters)
    kept, held = screen(scene, plan, (safety.s8_few_at_a_time,))
    assert len(kept) == 2
    assert {s.guard for s in held} == {"S8"}


def test_a_harmless_plan_passes_unchanged(served):
    """Additions that break nothing are left as they are."""
    plan = (add(served, "us-a1"), add(served, "us-b1"))
    assert screen(scene_of(served), plan) == (plan, ())


def test_what_a_guard_held_back_is_not_remembered_as_begun(toy, monkeypatch):
    """An attempt that a guard takes out of the plan leaves no attempt and no placement in memory."""
    t = toy.Toy()
    everything = lambda scene, plan: tuple(safety.Suppressed(a, "S4", "test") for a in plan)
    monkeypatch.setattr(safety, "GUARDS", (everything,))
    decision = t.think()
    assert decision.plan == ()
    assert decision.memory.attempts == ()
    assert decision.memory.placements == ()
    assert {c.type: c.status for c in decision.conditions}["NothingHeldBack"] == "False"
