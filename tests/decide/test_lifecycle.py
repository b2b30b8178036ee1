"""A placement's way from hunting to serving, and out again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.model.memory import Phase
from controlplane.model.service import Regions


def phases(t) -> dict[str, Phase]:
    return {p.offering.region: p.phase for p in t.memory.placements}


def test_a_placement_hunts_warms_and_serves(toy):
    """Each phase begins with its own fact: asked for, GPU held, healthy behind the load balancer."""
    t = toy.Toy(("us-a1",))
    seen = []
    for _ in range(8):
        t.one_pass()
        seen.append(phases(t)["us-a1"])
        t.step(toy.MINUTE)
    assert list(dict.fromkeys(seen)) == [Phase.HUNTING, Phase.WARMING, Phase.SERVING]


def test_ready_is_not_serving_until_the_load_balancer_says_so(toy):
    """A Ready Pod whose backend is not healthy yet still warms."""
    t = toy.Toy(("us-a1",), lag=toy.seconds(600))
    t.run(6)
    assert t.deployments[t.offering("us-a1")].pods[0].ready
    assert phases(t) == {"us-a1": Phase.WARMING}
    assert t.condition("Available").status == "False"


def test_serving_since_outlives_passes(toy):
    """It is the instant of the first healthy sight, not of the last."""
    t = toy.Toy(("us-a1",))
    t.until(t.__class__.settled)
    since = t.memory.placements[0].serving_since
    t.run(10)
    assert t.memory.placements[0].serving_since == since


def test_an_app_that_never_gets_ready_moves_elsewhere_and_is_no_stock_out(toy):
    """After the warm-up deadline the offering cools as AppUnhealthy, and another region takes over."""
    t = toy.Toy()
    t.sick.add("us-a1")
    t.run(17)
    assert t.memory.offerings[t.offering("us-a1").key].last_refusal.value == "AppUnhealthy"
    t.until(t.__class__.settled)
    assert [o.region for o in t.serving_offerings()] == ["us-b1"]
    assert t.offering("us-a1") not in t.deployments


def test_an_app_that_is_unwell_everywhere_keeps_one_placement_and_hunts_ever_slower(toy):
    """A broken image does not fill the world with paid, useless GPUs."""
    t = toy.Toy(("us-a1", "us-b1", "us-c1"))
    t.sick |= {"us-a1", "us-b1", "us-c1"}
    worst = 0
    for _ in range(5 * 60):
        t.one_pass()
        t.step(toy.MINUTE)
        worst = max(worst, sum(d.replicas for d in t.deployments.values()))
    assert worst <= 3
    assert len(t.created_at) < 5 * 60 / 15 * 1.5
    assert t.condition("Healthy").reason == "AppUnhealthy"


def test_a_readiness_blip_changes_nothing(toy):
    """A replica that is not ready for five minutes loses neither its GPU nor its route."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    passed = len(t.log)
    t.sick.add("us-a1")
    t.run(5)
    t.sick.clear()
    t.run(5)
    assert t.plans(passed) == []
    assert t.settled()


def test_slow_health_of_the_load_balancer_is_waited_for(toy):
    """Ten minutes until a ready backend counts as healthy is no illness."""
    t = toy.Toy(lag=toy.seconds(600))
    t.until(t.__class__.settled)
    assert len(t.deployments) == 1
    assert t.creates == {t.offering("us-a1"): 1}


def test_draining_goes_out_of_the_list_first_and_dies_after_its_time(toy):
    """The route goes, then the draining time passes, then the Deployment goes."""
    t = toy.Toy(spec=toy.make_spec(replicas=2))
    t.until(t.__class__.settled)
    t.respec(replicas=1)
    t.until(lambda w: len(w.listed) == 1)
    unwired = t.now
    assert len(t.deployments) == 2
    t.until(lambda w: len(w.deployments) == 1)
    assert t.now - unwired >= timedelta(seconds=t.spec.ingress.draining_seconds)


def test_a_draining_placement_is_taken_back_when_replicas_are_missing(toy):
    """Nothing is quicker than what still serves."""
    t = toy.Toy(spec=toy.make_spec(replicas=2))
    t.until(t.__class__.settled)
    t.respec(replicas=1)
    t.until(lambda w: len(w.listed) == 1)
    created = dict(t.creates)
    t.respec(replicas=2)
    t.one_pass()
    assert {p.phase for p in t.memory.placements} <= {Phase.SERVING, Phase.WARMING}
    t.until(t.__class__.settled)
    assert t.creates == created


def test_a_region_that_is_denied_later_is_left_once_another_serves(toy):
    """Residency wins over steadiness, and still nothing in flight is cut off."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    home = t.serving_offerings()[0].region
    t.respec(regions=Regions(denied=frozenset({home})))
    t.run(20)
    assert home not in {o.region for o in t.deployments}
    assert t.serving() == 1


@pytest.mark.parametrize("replicas", [1, 3])
def test_fewer_replicas_give_back_the_newest(toy, replicas):
    """Of four equal replicas, the ones that serve longest stay."""
    t = toy.Toy(("us-a1", "us-b1", "us-c1", "us-d1"), toy.make_spec(replicas=2))
    t.until(t.__class__.settled)
    t.respec(replicas=4)
    t.until(t.__class__.settled)
    oldest = sorted(t.memory.placements, key=lambda p: (p.serving_since, p.offering))
    expected = {p.serving_since for p in oldest[:replicas]}
    t.respec(replicas=replicas)
    t.run(15)
    assert t.serving() == replicas
    assert {p.serving_since for p in t.memory.placements} == expected


def test_memory_from_the_future_makes_no_patience_endless(toy):
    """After a clock was set back, stored instants are pulled to the present."""
    t = toy.Toy(stock=0)
    t.run(5)
    t.now -= timedelta(days=1)
    t.set_stock(8)
    for d in t.deployments.values():
        d.created = t.now
        d.refusals.clear()
        for pod in d.pods:
            pod.created = t.now
    t.until(t.__class__.settled)
    assert t.serving() == 1


def test_memory_stays_small(toy):
    """After two days of stock-out in many regions, attempts and cooling placements are bounded."""
    t = toy.Toy(tuple(f"us-r{i}1" for i in range(12)), toy.make_spec(replicas=3), stock=0)
    t.run(60, toy.seconds(1800))
    assert len(t.memory.attempts) <= 50
    assert len(t.memory.placements) <= 23


def test_offerings_that_left_the_fleet_are_forgotten(toy):
    """A cluster that is gone for a day leaves nothing in memory."""
    t = toy.Toy(stock=0)
    t.run(10)
    assert any(key.startswith("us-a1") for key in t.memory.offerings)
    t.clusters = t.clusters[1:]
    t.deployments.clear()
    t.run(12 * 50, timedelta(minutes=5))
    assert not any(key.startswith("us-a1") for key in t.memory.offerings)


def test_paused_decides_nothing_and_remembers_nothing_new(toy):
    """No action, the same memory, and conditions that say so (S10)."""
    t = toy.Toy()
    t.run(2)
    t.respec(paused=True)
    before = t.memory
    t.preempt("us-a1")
    decision = t.run(5)
    assert decision.plan == ()
    assert t.memory == before
    assert t.condition("Progressing").reason == "ServicePaused"
    assert replace(t.spec, paused=False) != t.spec
