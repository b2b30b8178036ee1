"""Who sets a placement's replicas: when an autoscaler comes and goes, how far it may go, what the rest makes of it."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from controlplane.decide.autoscaling import RETRY, note_unscaled
from controlplane.decide.look import look
from controlplane.model.decision import ScaleDownPlacement, StartAutoscaling, StopAutoscaling
from controlplane.model.observation import AutoscalerFact
from controlplane.model.service import Autoscaling, PodTemplate, Spread
from controlplane.model.template import spec_template_hash

L4_PRICE = 0.7


@pytest.fixture
def grown(toy):
    """Give what makes a service of two replicas in one region that may grow to four, and lets it settle."""

    def make(load=0, replicas=2, most=4, regions=("us-a1",), **spec):
        wanted = {"accelerators": (toy.L4,), "autoscaling": Autoscaling(most, 25), "replicas": replicas}
        t = toy.Toy(regions, toy.make_spec(**(wanted | spec)))
        t.load = dict.fromkeys(regions, load)
        t.run(30)
        return t

    return make


def only(t):
    (found,) = t.deployments.values()
    return found


def test_what_serves_gets_an_autoscaler_and_what_only_hunts_does_not(toy, grown):
    """Its bounds are what is wanted there and what is asked for at most; then nothing is written any more."""
    t = grown()
    scaler = only(t).scaler
    assert (scaler.minimum, scaler.maximum) == (2, 4)
    assert not any(d.plan for _, d in t.log[-10:])
    assert t.condition("Autoscaling").reason == "ScaledByLoad"
    hunting = toy.Toy(spec=toy.make_spec(autoscaling=Autoscaling(4, 25)), stock=0)
    hunting.run(60)
    assert not any(d.scaler for d in hunting.deployments.values())
    assert hunting.condition("Autoscaling").reason == "NoReplicaServing"


def test_pods_beyond_those_wanted_that_get_no_gpu_leave_the_placement_in_peace(grown):
    """A stock-out of what the load adds is no attempt, no failure, no rest and no move: what serves, serves."""
    t = grown()
    t.set_stock(2)
    t.load = {"us-a1": 4}
    before, passes = t.memory.offerings, len(t.log)
    t.run(120)
    assert only(t).replicas == 4
    assert sum(p.ready is not None for p in only(t).pods) == 2
    assert t.plans(passes) == []
    assert t.memory.offerings == before
    assert (t.condition("Available").status, t.condition("Progressing").reason) == ("True", "Steady")
    assert "2 wait for a GPU" in t.condition("Autoscaling").message


def test_the_worst_pods_are_those_beyond_what_is_wanted(grown):
    """As long as enough of a placement's Pods are well it is well, whichever of them those are."""
    t = grown(load=3)
    only(t).pods[0].ready = None
    world = look(t.spec, t.observe(), t.memory, t.now)
    (holding,) = world.holdings
    assert (holding.target, holding.scheduled, holding.ready, holding.extra, holding.extra_ready) == (2, 2, 2, 1, 0)
    assert (holding.grown, holding.ceiling, holding.billed) == (3, 4, 4)


def test_the_health_of_what_is_beyond_is_not_lent_to_another_placement(toy, grown):
    """The load balancer counts a region's healthy Pods together; two that are beyond are not somebody else's."""
    t = grown(load=4)
    other = toy.Deployment(t.offering("us-a1", capacity=toy.L4 and only(t).offering.capacity), "u", 1, 1, "", t.now)
    other.offering = replace(other.offering, accelerator=toy.T4)
    other.pods = [toy.Pod("p", t.now, t.now, t.now)]
    t.deployments[other.offering] = other
    t.healthy = lambda: {"us-a1": 4}
    world = look(t.spec, t.observe(), t.memory, t.now)
    assert {h.offering.accelerator: h.serving for h in world.holdings} == {toy.L4: 2, toy.T4: 0}


@pytest.mark.parametrize(
    ("cap", "maximum"),
    [
        pytest.param(None, 4, id="no-cap"),
        pytest.param(4 * L4_PRICE, 4, id="room-for-all"),
        pytest.param(3.5 * L4_PRICE, 3, id="room-for-one"),
        pytest.param(2 * L4_PRICE, None, id="room-for-none"),
    ],
)
def test_a_placement_may_grow_as_far_as_the_cap_on_the_cost_has_room(grown, cap, maximum):
    """What may run at most is counted as if it ran; where nothing may be added there is no autoscaler."""
    t = grown(load=9, max_hourly_cost=cap)
    scaler = only(t).scaler
    assert (scaler and scaler.maximum) == maximum
    assert only(t).replicas == (maximum or 2)
    assert maximum or t.condition("Autoscaling").reason == "NoRoomToGrow"


@pytest.mark.parametrize(("most", "maximum"), [(3, 3), (2, None)], ids=["one-more", "none"])
def test_a_placement_may_grow_as_far_as_its_region_may(grown, most, maximum):
    """The most replicas of a region are counted with what may be added there."""
    t = grown(load=9, spread=Spread(max_replicas_per_region=most))
    scaler = only(t).scaler
    assert (scaler and scaler.maximum) == maximum


def test_a_lowered_cap_takes_back_what_load_may_add_and_nothing_that_is_wanted(grown):
    """The maximum goes down with the cap; the replicas that are wanted serve on throughout."""
    t = grown(load=4)
    t.respec(max_hourly_cost=2.2 * L4_PRICE)
    t.until(lambda w: only(w).worst == 2)
    assert only(t).scaler.maximum == 2
    assert t.serving() == 2
    assert not [a for _, d in t.log for a in d.plan if isinstance(a, ScaleDownPlacement)]


def test_a_missing_replica_takes_the_room_that_load_would_have(grown):
    """When one more is wanted and the cap has room for it only if nothing grows, growing ends first."""
    t = grown(load=4, regions=("us-a1", "us-b1"), max_hourly_cost=4 * L4_PRICE)
    assert sum(d.worst for d in t.deployments.values()) == 4
    t.respec(replicas=4)
    t.until(lambda w: w.serving() == 4 and sum(d.replicas for d in w.deployments.values()) == 4)
    assert t.worst_cost() <= 4 * L4_PRICE + 1e-6


def test_without_the_section_the_replicas_are_ours_again_and_what_serves_stays(grown):
    """The autoscaler goes, nothing that runs goes with it, and what is too much is given back by the usual rules."""
    t = grown(load=4)
    assert t.serving() == 4
    t.set_stock(3)
    pods = {p.uid for p in only(t).pods}
    t.respec(autoscaling=None)
    t.one_pass()
    assert (only(t).scaler, only(t).replicas) == (None, 4)
    assert {p.uid for p in only(t).pods} == pods
    t.run(60)
    assert (only(t).replicas, t.serving()) == (2, 2)
    assert {p.uid for p in only(t).pods} < pods, "those that are left were not started anew"


def test_without_the_section_what_waits_for_a_gpu_is_dropped_and_learnt_nothing_from(grown):
    """Pods that the load asked for and never came are no attempt of ours afterwards either."""
    t = grown()
    t.set_stock(2)
    t.load = {"us-a1": 4}
    t.run(30)
    before = t.memory.offerings
    t.respec(autoscaling=None)
    t.one_pass()
    assert only(t).replicas == 2
    t.run(10)
    assert t.memory.offerings == before


def test_a_placement_that_is_left_grows_no_more(grown):
    """Where draining begins, autoscaling ends, with all that serves there still in place."""
    t = grown(load=4, regions=("us-a1", "us-b1"), replicas=1, most=3)
    (held,) = t.deployments
    t.respec(regions=replace(t.spec.regions, denied=frozenset({held.region})))
    passes = len(t.log)
    t.until(lambda w: held not in w.deployments)
    plans = [a for _, d in t.log[passes:] for a in d.plan if getattr(a, "offering", None) == held]
    assert isinstance(plans[0], StopAutoscaling)
    assert plans[0].replicas == 3
    assert not any(isinstance(a, StartAutoscaling) for a in plans)


def test_a_rollout_leaves_the_number_to_the_autoscaler(grown):
    """A changed template is brought without a word about replicas."""
    t = grown(load=4)
    t.respec(pod=PodTemplate(image="demo:2", port=7860))
    t.run(30)
    assert (only(t).replicas, only(t).scaler.minimum) == (4, 2)
    assert not any(d.plan for _, d in t.log[-5:])


def test_changed_settings_reach_the_autoscaler(grown):
    """Another maximum or another metric is brought, and nothing else is written."""
    t = grown()
    for changed in (Autoscaling(6, 25), Autoscaling(6, 60), Autoscaling(3, 60)):
        t.respec(autoscaling=changed)
        (action,) = t.one_pass().plan
        assert isinstance(action, StartAutoscaling)
        assert (action.autoscaled.maximum, action.begins) == (changed.max_replicas, False)
    assert not t.one_pass().plan


def test_what_an_autoscaler_may_reach_out_of_sight_is_billed(grown):
    """A cluster that goes dark may grow meanwhile: under a cap, its room is not given away."""
    t = grown(regions=("us-a1", "us-b1"), replicas=1, max_hourly_cost=4 * L4_PRICE)
    (held,) = t.deployments
    t.dark.add(held.cluster.link)
    t.load = {held.region: 9}
    for _ in range(20):
        t.step(t.boot)
        t.one_pass()
        assert t.worst_cost() <= 4 * L4_PRICE + 1e-6
    assert list(t.deployments) == [held]


def test_an_autoscaler_that_cannot_scale_is_told(grown):
    """Its own words are the condition's."""
    t = grown()
    only(t).scaler = replace(only(t).scaler, problem="FailedGetPodsMetric: no such metric")
    t.one_pass()
    condition = t.condition("Autoscaling")
    assert (condition.status, condition.reason) == ("False", "AutoscalerUnwell")
    assert "no such metric" in condition.message
    assert isinstance(only(t).scaler, AutoscalerFact)


def test_a_template_is_rolled_out_though_load_waits_for_gpus(toy):
    """What load adds and finds no GPU stands in no rollout's way; afterwards the placement may grow as before."""
    spec = toy.make_spec(accelerators=(toy.L4,), autoscaling=Autoscaling(4, 25), replicas=2)
    t = toy.Toy(("us-a1",), spec, surges=True)
    t.load = {"us-a1": 4}
    t.set_stock(2)
    t.run(60)
    assert (only(t).replicas, t.serving()) == (4, 2)
    t.respec(pod=PodTemplate(image="demo:2", port=7860))
    t.run(10)
    assert t.serving() == 2
    t.set_stock(3)
    t.run(60)
    serving = [pod.hash == only(t).hash for pod in only(t).pods if pod.ready]
    assert serving == [True, True, True]
    assert only(t).scaler.maximum == 4


def test_a_template_that_is_no_good_is_told_where_placements_may_grow_too(toy):
    """The Pod that does not get ready is beyond what is wanted, and is what a rollout is judged by all the same."""
    spec = toy.make_spec(accelerators=(toy.L4,), autoscaling=Autoscaling(4, 25), replicas=2)
    t = toy.Toy(("us-a1",), spec, surges=True)
    t.run(30)
    t.respec(pod=PodTemplate(image="demo:broken", port=7860))
    t.bad.add(spec_template_hash(t.spec, only(t).offering))
    t.run(60)
    assert t.condition("Progressing").reason == "RolloutStopped"
    assert t.serving() == 2


def test_a_price_that_nobody_knows_takes_nothing_away(grown):
    """What load has added under a cap serves on; that its price is not known now is no reason to end it."""
    t = grown(load=4, max_hourly_cost=10)
    assert t.serving() == 4
    t.prices_known = False
    t.run(5)
    assert (t.serving(), only(t).scaler.maximum) == (4, 4)


def test_where_no_autoscaler_can_be_made_it_is_told_and_tried_again_later(toy):
    """A cluster without the rights keeps its fixed number, in peace, until it has them or nothing is asked for."""
    t = toy.Toy(("us-a1",), toy.make_spec(accelerators=(toy.L4,), autoscaling=Autoscaling(4, 25)))
    refused = []

    def one_pass():
        decision = t.one_pass(keep=lambda action: not isinstance(action, StartAutoscaling))
        for action in decision.plan:
            if isinstance(action, StartAutoscaling):
                refused.append(t.now)
                t.memory = note_unscaled(t.memory, action.offering, "may not get", t.now)
        t.step(timedelta(minutes=1))

    for _ in range(60):
        one_pass()
    assert len(refused) > 2
    assert min(later - earlier for earlier, later in pairwise(refused)) >= RETRY
    condition = t.condition("Autoscaling")
    assert (condition.status, condition.reason) == ("False", "AutoscalerNotMade")
    assert condition.message.endswith(": may not get")
    assert {p.ceiling for p in t.memory.placements} == {0}
    t.run(12)
    assert only(t).scaler is not None
    assert t.condition("Autoscaling").reason == "ScaledByLoad"
