"""Choices under `spec.policy`: what is missing, what bridges, what is spare, what is given back and what is moved."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from controlplane.decide.valued.worth import PRESETS, recoveries_of, value_of_missing
from controlplane.model.decision import Standing
from controlplane.model.facts import Known
from controlplane.model.memory import OfferingMemory
from controlplane.model.observation import Advice, Quota, RegionSignals
from controlplane.model.offering import Capacity
from controlplane.model.service import Policy, Preset, Regions, Spread

HOUR = timedelta(hours=1)
SPOT, ON_DEMAND = Capacity.SPOT, Capacity.ON_DEMAND
ABC = ("us-a1", "us-b1", "us-c1")
NO_SPARES = Policy(Preset.BALANCED, max_spares=0)


def world(toy, regions=ABC, stock=8, price_of=None, **spec):
    """Give a world of one GPU type, under a policy without spares unless told otherwise."""
    spec = {"accelerators": (toy.L4,), "policy": NO_SPARES, **spec}
    return toy.Toy(regions, toy.make_spec(**spec), stock=stock, price_of=price_of or {})


def learnt(t, **by_region):
    """Let the Spot of regions have a past."""
    lately = {name.replace("_", "-"): replace(p, last_obtained_at=t.now - HOUR) for name, p in by_region.items()}
    offerings = {t.offering(region).key: past for region, past in lately.items()}
    t.memory = replace(t.memory, offerings={**t.memory.offerings, **offerings})


def asked(decision):
    """Give what a pass asks for, as (region, capacity type)."""
    return sorted((a.offering.region, a.offering.capacity.value) for a in decision.plan if getattr(a, "adds", 0))


def serving(t):
    """Give the replicas that are held, by region and capacity type."""
    return {name.replace(" nvidia-l4", ""): count for name, count in t.held_where().items()}


# what is missing


def test_what_is_missing_goes_where_it_is_cheapest(toy):
    """Among places that are as good, the price decides, and not the name."""
    t = world(toy, price_of={"us-a1:x": 1, "us-c1/gpu-1:nvidia-l4:1:spot": 0.4})

    assert ("us-c1", "spot") in asked(t.think())


def test_a_place_that_loses_often_must_be_cheaper_by_what_its_losses_cost(toy):
    """A little cheaper is not enough where everything was lost within minutes; much cheaper is."""
    for price, chosen in ((0.65, "us-b1"), (0.05, "us-a1")):
        t = world(toy, ABC[:2], price_of={"us-a1/gpu-1:nvidia-l4:1:spot": price}, policy=Policy(Preset.FRUGAL))
        learnt(t, us_a1=OfferingMemory(losses=3, exposure=0.5))
        assert (chosen, "spot") in asked(t.think()), price


def test_the_first_accelerator_comes_first_however_dear(toy):
    """The user's order of accelerators goes before all money."""
    t = toy.Toy(ABC, toy.make_spec(policy=NO_SPARES))

    assert {a.offering.accelerator for a in t.think().plan} == {toy.L4}


def test_the_second_accelerator_is_taken_where_the_first_is_sold_out(toy):
    """And is left again when the first is to be had."""
    t = toy.Toy(ABC, toy.make_spec(policy=NO_SPARES))
    t.set_stock(0, accelerator=toy.L4.type)
    t.until(lambda w: w.serving() == 1)
    t.run(20)
    assert list(t.held_where()) != []
    assert all("tesla-t4" in name for name in t.held_where())

    t.set_stock(8)
    t.run(150)
    assert t.held_where() in [{f"{region} nvidia-l4 spot": 1} for region in ABC]


# bridges


def test_on_demand_bridges_at_once_beside_the_spot_attempt(toy):
    """Nobody waits for the answer where a missing replica costs many times the bridge."""
    t = world(toy, policy=Policy(Preset.AVAILABLE, max_spares=0))
    verdicts = t.think().verdicts

    chosen = {v.offering.capacity: v.reasons[0] for v in verdicts if v.standing is Standing.CHOSEN}
    assert chosen == {SPOT: "BestScore", ON_DEMAND: "Bridge"}


def test_nothing_bridges_where_a_missing_replica_costs_less_than_the_bridge(toy):
    """On-demand at 1.4 USD is not worth a replica whose absence costs 1."""
    t = world(toy, policy=Policy(missing_replica_cost=1.0, max_spares=0))
    t.set_stock(0, capacity=SPOT)
    t.run(60)

    assert {o.capacity for _, o in t.created_at} == {SPOT}


@pytest.mark.parametrize(("wins", "capacities"), [(10, {"spot"}), (5, {"spot", "on-demand"})], ids=["sure", "even"])
def test_nothing_bridges_what_is_nearly_sure_to_come(toy, wins, capacities):
    """What a bridge saves is what is missing if the Spot attempt fails, and that is as likely as it was before."""
    t = world(toy, policy=Policy(missing_replica_cost=5.0, max_spares=0))
    past = OfferingMemory(tries=10, wins=wins)
    learnt(t, us_a1=past, us_b1=past, us_c1=past)

    assert {capacity for _, capacity in asked(t.think())} == capacities


def test_a_bridge_stays_until_spot_serves_and_then_goes(toy):
    """Never before: what it bridges to may be lost while it warms."""
    t = world(toy, policy=Policy(Preset.AVAILABLE, max_spares=0))
    t.set_stock(0, capacity=SPOT)
    t.until(lambda w: w.serving() == 1)
    t.run(30)
    assert list(serving(t).values()) == [1]
    assert "on-demand" in next(iter(serving(t)))
    assert "on-demand bridges 1 replica" in t.condition("PreferredHeld").message + t.condition("Available").message
    assert t.condition("Progressing").status == "True"

    t.set_stock(8)
    for _ in range(90):
        t.step(toy.MINUTE)
        t.one_pass()
        assert t.serving() >= 1
    assert [name.split()[1] for name in serving(t)] == ["spot"]


def test_a_bridge_that_warms_is_kept_beside_spot_that_warms(toy):
    """What warms may be lost before it serves; the bridge is then what serves."""
    policy = Policy(Preset.AVAILABLE, max_spares=0)
    t = toy.Toy(ABC, toy.make_spec(accelerators=(toy.L4,), policy=policy), warm=6 * toy.MINUTE)
    t.run(6)
    assert sorted(name.split()[1] for name in serving(t)) == ["on-demand", "spot"]
    assert t.serving() == 0

    t.set_stock(0, capacity=SPOT)
    assert sum(t.preempt(region) for region in ABC) == 1
    t.run(4)
    assert t.serving() == 1


def test_a_bridge_that_only_waits_goes_when_it_is_not_needed_any_more(toy):
    """Without waiting for its answer: what is asked for in vain may come, and then costs."""
    policy = Policy(Preset.AVAILABLE, max_spares=0)
    t = toy.Toy(ABC, toy.make_spec(accelerators=(toy.L4,), policy=policy, replicas=3), stock=0, silent=True)
    t.run(2)
    t.respec(replicas=1)
    t.run(3)

    assert sum(d.replicas for o, d in t.deployments.items() if o.capacity is ON_DEMAND) == 1


def test_spot_that_is_dearer_than_on_demand_is_never_asked_for(toy):
    """It goes away as well, so there is nothing to be said for it."""
    t = world(toy, price_of=dict.fromkeys(ABC, 1.0))
    t.run(60)

    assert {o.capacity for _, o in t.created_at} == {ON_DEMAND}
    assert t.serving() == 1


def test_a_denied_region_s_prices_do_not_count(toy):
    """Cheap on-demand where nothing may be does not make Spot dear elsewhere."""
    t = world(toy, price_of={"us-c1": 0.1})
    t.respec(regions=Regions(denied=frozenset({"us-c1"})))
    t.run(40)

    assert [name.split()[1] for name in serving(t)] == ["spot"]


def test_a_bridge_may_take_the_money_of_what_it_bridges_to_where_nothing_else_is_under_way(toy):
    """The cap has room for on-demand or for Spot: while Spot is sold out, one that bridges is better than none."""
    t = world(toy, policy=Policy(Preset.AVAILABLE, max_spares=0), max_hourly_cost=1.5)
    t.set_stock(0, capacity=SPOT)
    t.until(lambda w: w.serving() == 1)

    assert {name.split()[1] for name in serving(t)} == {"on-demand"}


def test_spot_that_is_cheaper_than_on_demand_beside_it_is_stood_on_where_the_cheapest_on_demand_is_sold_out(toy):
    """The service stands on cheap on-demand of one region; without that, not on dear on-demand of another."""
    t = toy.Toy(ABC, toy.make_spec(policy=NO_SPARES), price_of={"us-a1/gpu-1:nvidia-l4:1:on-demand": 0.5})
    t.set_stock(0, "us-a1", toy.L4.type)
    t.run(60)

    assert [name.partition(" ")[2] for name in t.held_where()] == ["nvidia-l4 spot"]


@pytest.mark.parametrize("only", [SPOT, ON_DEMAND], ids=lambda c: c.value)
def test_a_service_of_one_capacity_type_gets_that(toy, only):
    """Nothing else is asked for, and it is enough."""
    t = world(toy, capacity_types=(only,))
    t.run(30)

    assert {o.capacity for _, o in t.created_at} == {only}
    assert t.serving() == 1


# spares


HAZARDOUS = OfferingMemory(losses=8, exposure=0.5)
ORDINARY = OfferingMemory(losses=0, exposure=1)
SAFE = OfferingMemory(losses=0, exposure=40)


def spares(toy, policy, past, replicas=2):
    """Give how many replicas more than wanted are held after some hours in places with such a past."""
    t = world(toy, policy=policy, replicas=replicas)
    learnt(t, us_a1=past, us_b1=past, us_c1=past)
    t.run(120)
    return t.serving() - replicas


def test_spares_are_held_where_losses_cost_more_than_they_do(toy):
    """Where everything is lost often there are some, where nothing is lost there are none."""
    assert spares(toy, Policy(Preset.BALANCED), HAZARDOUS) > 0
    assert spares(toy, Policy(Preset.BALANCED), SAFE) == 0


def test_who_values_more_holds_more(toy):
    """Frugal holds no more spares than balanced, and balanced no more than available."""
    held = [spares(toy, Policy(preset), ORDINARY) for preset in (Preset.FRUGAL, Preset.BALANCED, Preset.AVAILABLE)]

    assert held == sorted(held)
    assert held[0] < held[-1]


@pytest.mark.parametrize("most", [0, 1])
def test_there_are_never_more_spares_than_the_user_allows(toy, most):
    """Whatever they would be worth; none at all where 0 is allowed."""
    assert spares(toy, Policy(missing_replica_cost=10_000.0, max_spares=most), HAZARDOUS) == most


def test_a_spare_is_told(toy):
    """In the conditions and in the verdicts."""
    t = world(toy, policy=Policy(missing_replica_cost=10_000.0, max_spares=1))
    bad = OfferingMemory(losses=8, exposure=0.5)
    learnt(t, us_a1=bad, us_b1=bad, us_c1=bad)
    t.run(60)

    assert "1 of 1 replicas serve; 1 spare held" in t.condition("Available").message
    reasons = {v.reasons[0] for _, d in t.log for v in d.verdicts}
    assert "Spare" in reasons


# giving back and moving


@pytest.mark.parametrize(("saves", "goes"), [(0.97, False), (0.9, True)], ids=["nearly its price", "much less"])
def test_a_spare_is_kept_until_it_saves_clearly_less_than_it_costs(toy, saves, goes):
    """To get it back is not certain, so a few percent are no reason to let it go."""
    t = world(toy, policy=Policy(missing_replica_cost=10_000.0, max_spares=1))
    t.until(lambda w: w.serving() == 2)
    t.run(60)
    hazard = max(t.verdict(offering).hazard for offering in t.serving_offerings())
    hours, missing = 3 / 60, 5 / 3  # until a lost one is replaced; what one missing of one counts
    cost = saves * t.price(t.serving_offerings()[0]) / (hazard * hours * missing)
    t.respec(policy=Policy(missing_replica_cost=cost, max_spares=1))

    assert bool(t.think().plan) is goes


def test_of_what_is_too_much_the_dearest_goes(toy):
    """A service made smaller keeps what is cheap."""
    t = world(toy, ABC, replicas=3, price_of={"us-b1/gpu-1:nvidia-l4:1:spot": 0.9}, spread=Spread(3))
    t.until(lambda w: w.settled())
    assert len(serving(t)) == 3
    t.respec(replicas=2, spread=Spread(1))
    t.run(40)

    assert "us-b1 spot" not in serving(t)
    assert sum(serving(t).values()) == 2


def test_of_what_is_too_much_the_lesser_accelerator_goes_first(toy):
    """However cheap it is."""
    t = toy.Toy(ABC, toy.make_spec(policy=NO_SPARES, replicas=2))
    t.set_stock(0, accelerator=toy.L4.type)
    t.stock["us-a1", toy.L4.type, SPOT] = 1
    t.until(lambda w: w.serving() == 2)
    t.respec(replicas=1)
    t.run(60)

    assert t.held_where() == {"us-a1 nvidia-l4 spot": 1}


def dear_first(toy, cheap, **spec):
    """Give a world that stands where it is dear, and in which a cheaper place has stock from now on."""
    price_of = {"us-a1/gpu-1:nvidia-l4:1:spot": 1.2, "us-b1/gpu-1:nvidia-l4:1:spot": cheap}
    t = world(toy, ABC[:2], price_of=price_of, **spec)
    t.set_stock(0, region="us-b1", capacity=SPOT)
    t.until(lambda w: w.settled() and all(o.region == "us-a1" and o.capacity is SPOT for o in w.serving_offerings()))
    t.run(60)
    t.set_stock(8)
    return t


def test_what_is_dear_is_moved_to_what_is_cheap_and_never_let_go_before(toy):
    """Make before break."""
    t = dear_first(toy, cheap=0.1)
    for _ in range(90):
        t.step(toy.MINUTE)
        t.one_pass()
        assert t.serving() >= 1

    assert serving(t) == {"us-b1 spot": 1}
    assert not t.run(60).plan


@pytest.mark.parametrize(("cheap", "place"), [(1.08, "us-a1"), (0.8, "us-b1")], ids=["a tenth", "a third"])
def test_a_move_that_gains_little_is_not_made(toy, cheap, place):
    """A tenth off the price is not worth the way and a third is, where next to nothing but the price counts."""
    t = dear_first(toy, cheap=cheap, policy=Policy(missing_replica_cost=0.01, max_spares=0))
    before = len(t.created_at)
    t.run(240)

    assert serving(t) == {f"{place} spot": 1}
    assert (len(t.created_at) == before) is (place == "us-a1")


def test_moves_are_made_one_at_a_time_and_only_after_some_dwelling(toy):
    """Four replicas take their time, two an hour at most."""
    t = dear_first(toy, cheap=0.2, replicas=4)
    began, most = t.now, 0
    while t.now - began < 6 * HOUR:
        t.step(toy.MINUTE)
        t.one_pass()
        most = max(most, sum(serving(t).values()))

    assert most <= 5
    assert serving(t) == {"us-b1 spot": 4}
    assert t.left[-1][0] - t.left[0][0] >= HOUR


# what binds all of it


def test_the_cost_cap_holds_over_what_would_be_worth_it(toy):
    """Neither bridge nor spare passes it; the toy world checks S4 in every pass."""
    t = world(toy, replicas=2, policy=Policy(missing_replica_cost=10_000.0), max_hourly_cost=1.6)
    t.run(60)

    assert t.serving() == 2
    assert t.cost() <= 1.6


def test_a_quota_holds(toy):
    """What the region's quota has no room for is not asked for, spares and bridges included."""
    t = world(toy, ("us-a1",), replicas=3, policy=Policy(missing_replica_cost=10_000.0), capacity_types=(SPOT,))
    seen = t.observe
    quotas = {"PREEMPTIBLE_NVIDIA_L4_GPUS": Quota(2, 0), "NVIDIA_L4_GPUS": Quota(2, 0)}

    def observe():
        used = {name: replace(q, usage=t.held("us-a1", toy.L4.type, SPOT)) for name, q in quotas.items()}
        signals = RegionSignals(Known(frozenset({toy.L4.type}), t.now), Known(used, t.now))
        return replace(seen(), signals={"us-a1": signals})

    t.observe = observe
    t.run(30)

    assert serving(t) == {"us-a1 spot": 2}


def test_residency_holds(toy):
    """The cheapest region is not used where it is denied."""
    t = world(toy, price_of={"us-a1": 0.01})
    t.respec(regions=Regions(denied=frozenset({"us-a1"})))
    t.run(60)

    assert t.serving() == 1
    assert not any(o.region == "us-a1" for _, o in t.created_at)


def test_as_many_regions_as_wanted_and_no_more_in_one_than_allowed(toy):
    """Spread goes before price."""
    cheap = {"us-a1/gpu-1:nvidia-l4:1:spot": 0.1}
    t = world(toy, replicas=3, spread=Spread(2, 2), price_of=cheap)
    t.run(60)

    counts = {name.split()[0]: count for name, count in serving(t).items()}
    assert counts["us-a1"] == 2
    assert sum(counts.values()) == 3


def test_a_region_that_comes_back_mends_the_spread(toy):
    """Two regions were wanted and one was to be had; later there are two."""
    t = world(toy, ABC[:2], replicas=2, spread=Spread(2), capacity_types=(SPOT,))
    t.set_stock(0, region="us-b1")
    t.until(lambda w: w.serving() == 2)
    assert set(serving(t)) == {"us-a1 spot"}
    t.set_stock(8)
    t.run(90)

    assert serving(t) == {"us-a1 spot": 1, "us-b1 spot": 1}


@pytest.mark.parametrize(
    "policy", [Policy(Preset.BALANCED), Policy(missing_replica_cost=5.0)], ids=["preset", "in dollars"]
)
def test_without_any_price_the_service_comes_up_and_settles(toy, policy):
    """What prices are not known is weighed without them."""
    t = world(toy, policy=policy)
    t.prices_known = False
    t.run(120)

    assert t.serving() >= 1
    assert not any(d.plan for _, d in t.log[-30:])
    assert any("spot" in name for name in serving(t))


def test_a_region_out_of_sight_is_not_empty(toy):
    """What it held covers for a while, and nothing is taken from it."""
    t = world(toy, ABC, replicas=2, spread=Spread(2))
    t.until(lambda w: w.settled())
    gone = t.serving_offerings()[0]
    t.dark.add(gone.cluster.link)
    t.step(toy.MINUTE)

    assert not t.one_pass().plan
    t.run(30)
    assert gone in t.deployments


@pytest.mark.parametrize("change", [{"paused": True}, {"deleting": True}], ids=["paused", "deleting"])
def test_a_stopped_service_asks_for_nothing(toy, change):
    """Nothing is bought for it, and every offering is told why."""
    t = world(toy, policy=Policy(Preset.AVAILABLE))
    t.respec(**change)
    decision = t.run(5)

    assert not t.created_at
    assert all(v.reasons[0] in ("ServicePaused", "ServiceDeleting") for v in decision.verdicts)


# verdicts


def test_verdicts_tell_chance_hazard_and_what_was_learnt(toy):
    """Of every offering that is not ruled out for good; on-demand is not taken away."""
    t = world(toy, regions=ABC)
    t.respec(regions=Regions(denied=frozenset({"us-c1"})))
    learnt(t, us_a1=OfferingMemory(tries=4.0, wins=3.0))
    for verdict in t.think().verdicts:
        denied = verdict.offering.region == "us-c1"
        assert (verdict.chance is None) is denied
        assert (verdict.hazard is None) is denied
        if not denied:
            assert 0 <= verdict.chance <= 1
            assert (verdict.hazard > 0) is (verdict.offering.capacity is SPOT)
    assert "3 of the last 4" in t.verdict(t.offering("us-a1"), t.think()).learnt


def test_a_refusal_for_now_keeps_its_odds(toy):
    """What cools down may be had later, so its chance is told."""
    t = world(toy, stock=0)
    t.run(5)
    cooling = [v for v in t.think().verdicts if v.reasons[0] == "CoolingAfterStockOut"]

    assert cooling
    assert all(v.chance is not None and v.learnt for v in cooling)


def test_under_a_policy_a_verdict_tells_money(toy):
    """The price, what losses are to be expected to cost, and what one more would save."""
    t = world(toy)
    t.run(30)
    told = {v.offering.key: v.message for v in t.log[-1][1].verdicts}

    assert all("$" in message for message in told.values())
    assert all("only bridges" in m for key, m in told.items() if key.endswith("on-demand"))
    assert any("one more would cost" in m for key, m in told.items() if key.endswith("spot"))


@pytest.mark.parametrize("policy", [Policy(), Policy(Preset.BALANCED)], ids=["ranked", "valued"])
def test_a_score_is_the_lower_the_better(toy, policy):
    """What is chosen has the lowest score of its accelerator and capacity type."""
    t = world(toy, policy=policy, price_of={"us-b1/gpu-1:nvidia-l4:1:spot": 0.3})
    spot = [v for v in t.think().verdicts if v.offering.capacity is SPOT]

    assert min(spot, key=lambda v: v.score).standing is Standing.CHOSEN or policy.valued
    assert t.verdict(t.offering("us-b1"), t.think()).standing is Standing.CHOSEN


@pytest.mark.parametrize(
    ("rates", "first"),
    [
        pytest.param({"us-a1": 0.4, "us-b1": 0.1}, "us-b1", id="the-lower-rate"),
        pytest.param({"us-a1": 0.1, "us-b1": 0.4}, "us-a1", id="the-other-way-round"),
        pytest.param({"us-a1": 0.4}, "us-b1", id="unknown-before-much"),
        pytest.param({"us-b1": 0.05}, "us-b1", id="little-before-unknown"),
        pytest.param({"us-b1": float("nan")}, "us-a1", id="absurd-is-unknown"),
    ],
)
def test_of_equals_the_one_that_was_preempted_less_is_tried_first(toy, rates, first):
    """The history breaks a tie in the user's order, and no more than that."""
    t = world(toy, policy=Policy(), replicas=1)
    for region, rate in rates.items():
        t.advice[t.offering(region)] = Advice(0.5, None, rate)
    spot = [v for v in t.think().verdicts if v.offering.capacity is SPOT and v.offering.region in {"us-a1", "us-b1"}]
    assert min((v for v in spot if v.score is not None), key=lambda v: v.score).offering.region == first


def test_advice_that_lies_does_not_keep_a_service_down(toy):
    """Whatever the advice API says of chances and uptimes, the service comes up and keeps still."""
    t = world(toy, policy=Policy(Preset.BALANCED))
    for number, offering in enumerate(t.offerings()):
        t.advice[offering] = Advice(number % 2, [1.0, 1e9][number % 2])
    t.run(180)
    t.run(60, toy.SETTLED)

    assert t.serving() >= 1
    assert not any(d.plan for _, d in t.log[-40:])


def test_a_preset_is_reckoned_by_the_gpu_type_that_is_preferred(toy):
    """A cheap second choice does not make a missing replica cheap; the count of a Pod's GPUs does count."""
    spec = toy.make_spec(accelerators=(replace(toy.L4, count=2), toy.T4), policy=Policy(Preset.BALANCED))
    t = toy.Toy(spec=spec)
    on_demand = t.price(t.offering("us-a1", spec.accelerators[0], Capacity.ON_DEMAND))
    found = value_of_missing(spec, t.observe(), ())
    assert found == pytest.approx(PRESETS[Preset.BALANCED] * on_demand * 2)


@pytest.mark.parametrize(
    ("took", "expected"),
    [((), (3, 3)), ((None,), (3, 3)), ((1,), (3, 3)), ((5, 12), (5, 12)), ((5, 90), (5, 30)), ((90,), (30, 30))],
    ids=["nothing seen", "not ready yet", "quick", "two", "one waited long", "slow"],
)
def test_a_recovery_takes_what_was_seen_within_bounds(toy, took, expected):
    """The shortest and the longest of what is held, in minutes: at least three, at most thirty."""
    ready = [None if minutes is None else toy.START + minutes * toy.MINUTE for minutes in took]
    pods = [SimpleNamespace(created_at=toy.START, ready_at=at) for at in ready]
    holding = SimpleNamespace(workload=SimpleNamespace(live_pods=pods), visible=True)

    assert recoveries_of(SimpleNamespace(holdings=[holding])) == tuple(minutes * toy.MINUTE for minutes in expected)
