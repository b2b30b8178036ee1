"""When a service needs a cluster that is not there."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.decide.growth import need_of
from controlplane.model.decision import Counts, Decision, Standing, Verdict
from controlplane.model.growth import Need
from controlplane.model.memory import Memory
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering
from controlplane.model.service import PodTemplate, Regions, ServiceSpec

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
L4, T4 = Accelerator("nvidia-l4"), Accelerator("nvidia-tesla-t4")
HERE = ClusterRef("us-central1", "gpu")
SPEC = ServiceSpec(
    "web", "default", "u", 1, 2, (L4,), PodTemplate("i:1", 80), capacity_types=(Capacity.SPOT,), regions=Regions()
)


def refused(*reasons, accelerator=L4, capacity=Capacity.SPOT):
    return Verdict(Offering(HERE, accelerator, capacity), Standing.REFUSED, reasons, "")


def stands(standing, reason):
    return Verdict(Offering(HERE, L4, Capacity.SPOT), standing, (reason,), "")


def decision(*verdicts, since=NOW - timedelta(minutes=10), cost=0.0, **counts):
    return Decision(
        plan=(),
        memory=Memory(below_target_since=since),
        verdicts=verdicts or (refused("CoolingAfterStockOut"),),
        conditions=(),
        counts=Counts(
            **{"wanted": 2, "hunting": 0, "warming": 0, "serving": 0, "draining": 0} | counts,
            hourly_cost=cost,
            regions=(),
            accelerators=(),
        ),
    )


def test_a_service_that_was_refused_everywhere_needs_one():
    """With what is missing, the kinds, where it may be and since when."""
    need = need_of(SPEC, decision(serving=1), NOW)
    assert need == Need("default/web", 1, ((L4, Capacity.SPOT),), Regions(), NOW - timedelta(minutes=10), None)


def test_a_service_without_any_cluster_needs_one():
    """No offering at all is no offering that could be tried."""
    assert isinstance(need_of(SPEC, replace(decision(), verdicts=()), NOW), Need)


@pytest.mark.parametrize(
    ("spec", "made"),
    [
        pytest.param(SPEC, decision(serving=2), id="whole"),
        pytest.param(SPEC, decision(serving=1, warming=1), id="warming-up"),
        pytest.param(SPEC, decision(serving=1, hunting=1), id="asked-for"),
        pytest.param(SPEC, decision(since=None), id="since-nobody-knows-when"),
        pytest.param(SPEC, decision(since=NOW - timedelta(minutes=4)), id="for-a-moment"),
        pytest.param(SPEC, decision(stands(Standing.CHOSEN, "BestScore")), id="one-is-chosen"),
        pytest.param(SPEC, decision(stands(Standing.RANKED, "LowerScore")), id="one-could-be-tried"),
        pytest.param(SPEC, decision(stands(Standing.HELD, "AttemptInFlight")), id="one-is-being-tried"),
        pytest.param(SPEC, decision(refused("SpecRejected")), id="the-spec-is-at-fault"),
        pytest.param(SPEC, decision(refused("AppUnhealthy")), id="the-app-is-at-fault"),
        pytest.param(SPEC, decision(refused("CoolingAfterFailure")), id="a-permission-lacks"),
        pytest.param(SPEC, decision(refused("CoolingAfterStockOut", "PriceUnknown")), id="the-price-is-not-known"),
        pytest.param(replace(SPEC, paused=True), decision(), id="paused"),
        pytest.param(replace(SPEC, deleting=True), decision(), id="being-deleted"),
    ],
)
def test_what_a_cluster_would_not_cure_or_is_not_short_needs_none(spec, made):
    """And it says why."""
    why = need_of(spec, made, NOW)
    assert isinstance(why, str)
    assert why


def test_only_the_kinds_that_are_short_of_gpus_are_asked_for():
    """A kind that is refused for another cause stays out."""
    spec = replace(SPEC, accelerators=(L4, T4))
    made = decision(refused("CoolingAfterStockOut"), refused("SpecRejected", accelerator=T4))
    assert need_of(spec, made, NOW).kinds == ((L4, Capacity.SPOT),)


def test_what_it_holds_does_not_keep_it_from_needing_more():
    """Replicas that serve say nothing of the one that is missing."""
    made = decision(stands(Standing.HELD, "HoldsReplicas"), serving=1)
    assert need_of(SPEC, made, NOW).missing == 1


def test_the_cost_cap_leaves_a_budget():
    """What runs is taken off."""
    assert need_of(replace(SPEC, max_hourly_cost=2.0), decision(serving=1, cost=0.5), NOW).budget == 1.5
