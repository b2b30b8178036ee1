"""How many replicas go where."""

import pytest

from controlplane.model.decision import Standing
from controlplane.model.offering import Capacity
from controlplane.model.service import Spread

FOUR = ("us-a1", "us-b1", "us-c1", "us-d1")


def replicas(t) -> dict[str, int]:
    found: dict[str, int] = {}
    for d in t.deployments.values():
        found[d.offering.region] = found.get(d.offering.region, 0) + d.replicas
    return found


def test_the_first_accelerator_and_capacity_type_come_first(toy):
    """With stock everywhere, the first of both lists is chosen."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    assert t.serving_offerings() == [t.offering("us-a1", toy.L4, Capacity.SPOT)]


def test_the_order_of_accelerators_outranks_everything_below(toy):
    """On-demand of the first type in a dear region beats Spot of the second type."""
    t = toy.Toy(price_of={"us-a1": 9.0, "us-b1": 9.0})
    t.set_stock(0, accelerator=toy.L4.type, capacity=Capacity.SPOT)
    t.until(t.__class__.settled)
    assert t.serving_offerings()[0].accelerator == toy.L4
    assert t.serving_offerings()[0].capacity is Capacity.ON_DEMAND


def test_price_breaks_ties(toy):
    """Of two regions that are equal otherwise, the cheaper one."""
    t = toy.Toy(price_of={"us-a1": 0.9, "us-b1": 0.6})
    t.until(t.__class__.settled)
    assert t.serving_offerings()[0].region == "us-b1"


def test_more_replicas_expand_into_another_region(toy):
    """The second replica lies in another region than the first."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    t.respec(replicas=2)
    t.until(t.__class__.settled)
    assert replicas(t) == {"us-a1": 1, "us-b1": 1}


def test_the_least_number_of_regions_is_honoured_against_price(toy):
    """Three regions, although two of them are much dearer."""
    t = toy.Toy(FOUR, toy.make_spec(replicas=3, spread=Spread(3)), price_of={"us-a1": 0.1})
    t.until(t.__class__.settled)
    assert len(replicas(t)) == 3


def test_availability_outranks_spread_when_regions_are_short(toy):
    """With stock in one region alone, all replicas lie there rather than nowhere."""
    t = toy.Toy(("us-a1", "us-b1"), toy.make_spec(replicas=2, spread=Spread(2)))
    t.set_stock(0, region="us-b1")
    t.until(lambda w: w.serving() == 2)
    assert replicas(t)["us-a1"] == 2


def test_spread_is_mended_when_a_region_has_stock_again(toy):
    """Later a replica moves, once, so that the least number of regions is held."""
    t = toy.Toy(("us-a1", "us-b1"), toy.make_spec(replicas=2, spread=Spread(2)))
    t.set_stock(0, region="us-b1")
    t.until(lambda w: w.serving() == 2)
    t.set_stock(8)
    t.run(90)
    assert replicas(t) == {"us-a1": 1, "us-b1": 1}
    assert t.settled()


def test_no_region_holds_more_than_it_may(toy):
    """The rest stays missing, and the verdict says RegionFull."""
    t = toy.Toy(("us-a1",), toy.make_spec(replicas=3, spread=Spread(max_replicas_per_region=2)))
    t.run(30)
    assert replicas(t) == {"us-a1": 2}
    assert t.verdict(t.offering("us-a1", toy.T4)).reasons[0] == "RegionFull"
    assert t.condition("Available").reason == "SomeReplicasServing"


def test_the_first_attempt_is_one_replica_and_success_doubles_it(toy):
    """One region: 1, then 2, then 4 ... replicas are asked for at once."""
    t = toy.Toy(("us-a1",), toy.make_spec(replicas=7, capacity_types=(Capacity.SPOT,), accelerators=(toy.L4,)))
    asked = []
    for _ in range(30):
        asked += [a.adds for a in t.one_pass().plan if getattr(a, "adds", 0) and hasattr(a, "offering")]
        t.step(toy.MINUTE)
    assert asked == [1, 2, 4]


def test_a_lesser_gpu_is_not_taken_while_a_better_one_is_about_to_answer(toy):
    """Three replicas over two regions: the third waits for the first answer instead of taking on-demand."""
    t = toy.Toy(spec=toy.make_spec(replicas=3))
    t.until(t.__class__.settled)
    assert {o.capacity for o in t.creates} == {Capacity.SPOT}


def test_silence_of_the_better_one_is_not_waited_for_long(toy):
    """When no answer comes for a third of the deadline, the next tier is hunted too."""
    t = toy.Toy(("us-a1",), toy.make_spec(replicas=2), silent=True)
    t.set_stock(0, accelerator=toy.L4.type, capacity=Capacity.SPOT)
    t.run(8)
    assert t.offering("us-a1", toy.L4, Capacity.ON_DEMAND) in t.deployments


@pytest.mark.parametrize(("cap", "expected"), [(0.7, 1), (1.5, 2), (100.0, 3)])
def test_the_cost_cap_bounds_what_is_hunted(toy, cap, expected):
    """As many replicas as fit under the cap, at $0.70 each or cheaper."""
    t = toy.Toy(("us-a1", "us-b1", "us-c1"), toy.make_spec(replicas=3, max_hourly_cost=cap, accelerators=(toy.L4,)))
    t.run(40)
    assert t.serving() == expected
    assert t.cost() <= cap


def test_a_lowered_cap_gives_back_until_it_fits_but_never_the_last(toy):
    """The cap ends growth, it does not end the service."""
    t = toy.Toy(spec=toy.make_spec(replicas=2, accelerators=(toy.L4,)))
    t.until(t.__class__.settled)
    t.respec(max_hourly_cost=0.75)
    t.run(20)
    assert (t.serving(), len(t.deployments)) == (1, 1)
    t.respec(max_hourly_cost=0.1)
    t.run(20)
    assert t.serving() == 1
    assert t.condition("WithinCostCap").reason == "OverCostCap"


def test_a_long_list_that_is_sold_out_does_not_keep_the_next_gpu_from_its_turn(toy):
    """Sixteen sold-out offerings, each cool again before the last was asked; the T4 is reached in the first round."""
    regions = tuple(f"us-r{number}1" for number in range(8))
    t = toy.Toy(regions)
    t.set_stock(0, accelerator=toy.L4.type)
    t.until(t.__class__.settled)
    assert t.serving_offerings()[0].accelerator == toy.T4
    assert max(t.creates.values()) == 1


def test_what_returns_in_the_middle_of_a_hunt_gets_its_turn(toy):
    """After an hour of stock-out everywhere, a T4 that comes back is found within the longest back-off and a round."""
    t = toy.Toy(tuple(f"us-r{number}1" for number in range(4)), stock=0)
    t.run(60)
    t.set_stock(8, region="us-r31", accelerator=toy.T4.type, capacity=Capacity.ON_DEMAND)
    assert t.until(t.__class__.settled) <= 30 + 2 * 16 + 5


def test_replicas_of_another_hand_are_given_back(toy):
    """A manual scale-up ends where the spec says."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    d = t.deployments[t.offering("us-a1")]
    d.replicas, d.rv = 4, d.rv + 1
    t.run(30)
    assert replicas(t) == {"us-a1": 1}


def test_a_deployment_deleted_by_another_hand_is_hunted_for_again(toy):
    """The service comes back."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    t.deployments.clear()
    t.until(t.__class__.settled)
    assert t.serving() == 1


def test_what_ranks_lower_says_so(toy):
    """Offerings that nobody needs are ranked, with a score and EnoughReplicas."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    other = t.verdict(t.offering("us-b1"))
    assert (other.standing, other.reasons) == (Standing.RANKED, ("EnoughReplicas",))
    assert other.score is not None
    assert t.verdict(t.offering("us-a1")).standing is Standing.HELD


@pytest.mark.parametrize("regions", [(), ("us-a1",)], ids=["no-cluster", "one-cluster"])
def test_an_empty_world_is_decided_too(toy, regions):
    """No fleet, no stock: no traceback, no action that takes anything away, conditions on the first visit."""
    t = toy.Toy(regions, stock=0)
    decision = t.run(3)
    assert {c.type for c in decision.conditions} >= {"Available", "Progressing", "FleetKnown", "WithinCostCap"}
    assert decision.feasible == bool(regions)
