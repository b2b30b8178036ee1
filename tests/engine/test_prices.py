"""Live Spot prices stand in for the table's where they are sane, and never make a steady service be written."""

import math
from dataclasses import replace

import pytest

from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import Advice
from controlplane.model.offering import Capacity


@pytest.fixture
def run(world):
    """Give a function that makes passes in which the advice API names a price, an error or nothing."""
    told = {}

    class Source:
        def advice(self, offerings):
            now = world.clock.now()
            silent = Unknown(UnknownReason.UNREACHABLE, now)
            fact = silent if told["price"] is None else Known(Advice(spot_price=told["price"]), now)
            return {o: fact for o in offerings}

    make = world.reconciler

    def advised(**options):
        reconciler = make(**options)
        reconciler._judge = replace(reconciler._judge, advice=Source())
        return reconciler

    world.reconciler = advised

    def passes(price, count):
        told["price"] = price
        return world.run(count)

    return passes


def cost(world):
    return world.config.stored["web"]["status"]["hourlyCost"]


@pytest.mark.parametrize(
    ("price", "expected"),
    [(0.3, "0.30"), (1.0, "1.00"), (1.01, "0.50"), (0.0, "0.50"), (-0.2, "0.50"), (math.nan, "0.50"),
     (math.inf, "0.50"), (None, "0.50")],
    ids=["cheaper", "twice-on-demand", "dearer-than-that", "nothing", "negative", "nan", "infinite", "silent"],
)  # fmt: skip
def test_a_sane_live_price_stands_in_for_the_tables(world, run, price, expected):
    """The table says 0.50 for Spot and on-demand; what cannot be a price leaves it at that."""
    run(price, 4)
    assert cost(world) == expected


def test_the_price_of_a_machine_is_shared_by_its_gpus(world, run):
    """The API prices machines; a replica of two GPUs costs one machine."""
    world.config.stored["web"]["spec"]["accelerators"] = [{"type": "nvidia-l4", "count": 2}]
    run(0.8, 4)
    assert cost(world) == "0.80"


def test_on_demand_keeps_the_tables_price(world, run):
    """A Spot price says nothing of on-demand machines."""
    world.config.stored["web"]["spec"]["capacityTypes"] = [Capacity.ON_DEMAND.value]
    run(0.3, 4)
    assert cost(world) == "0.50"


def test_prices_that_come_and_go_are_no_reason_to_write(world, run):
    """A steady service stays unwritten while the API answers, falls silent and names another price."""
    run(0.3, 5)
    written = len(world.journal)
    for price in (None, 0.4, None, 0.3, 0.31):
        run(price, 1)
    assert world.journal[written:] == []
