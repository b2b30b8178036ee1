"""Every filter refuses what it is for, with its reason, and nothing else."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.decide import decide, filters
from controlplane.decide.filters import FILTERS
from controlplane.model.decision import Standing
from controlplane.model.facts import Known
from controlplane.model.memory import OfferingMemory
from controlplane.model.observation import ClusterInfo, Member, Quota, RegionSignals
from controlplane.model.offering import Accelerator, Capacity, RefusalClass
from controlplane.model.service import Regions, Spread

HERE = "us-a1"


def signals(t, accelerators=("nvidia-l4", "nvidia-tesla-t4"), **quotas) -> RegionSignals:
    named = {name: Quota(*limit_usage) for name, limit_usage in quotas.items()}
    return RegionSignals(Known(frozenset(accelerators), t.now), Known(named, t.now))


def seen(**changes):
    """Change the observation."""
    return lambda t, o: replace(o, **{k: v(t, o) if callable(v) else v for k, v in changes.items()})


def with_families(limit, usage, *, quotas):
    """Set the limits over families of this service's GPU, of both capacity types, beside regional quotas."""

    def change(t, o):
        names = "GPUS_PER_GPU_FAMILY/NVIDIA_L4", "PREEMPTIBLE_GPUS_PER_GPU_FAMILY/NVIDIA_L4"
        told = Known(dict.fromkeys(names, Quota(limit, usage, told=False)), t.now)
        found = RegionSignals(Known(frozenset({"nvidia-l4"}), t.now), Known(quotas, t.now), family_quotas=told)
        return replace(o, signals={HERE: found})

    return change


def with_signals(**kwargs):
    return seen(signals=lambda t, o: {**o.signals, HERE: signals(t, **kwargs)})


def members(t, o, member):
    cluster = t.clusters[0]
    return {**o.members, cluster: member(t, cluster)}


def spec(**changes):
    """Change the spec."""

    def change(t, o):
        t.spec = replace(t.spec, **changes)
        return o

    return change


def learnt(refusal, *, ago=1, minutes=10, **more):
    """Let the offering have been refused."""

    def change(t, o):
        past = OfferingMemory(
            failures=1,
            last_refusal=refusal,
            last_refused_at=t.now - timedelta(minutes=ago),
            not_before=t.now + timedelta(minutes=minutes),
            last_message="why",
            **more,
        )
        t.memory = replace(t.memory, offerings={t.offering(HERE).key: past})
        return o

    return change


def lost(t, o):
    past = OfferingMemory(last_lost_at=t.now - timedelta(minutes=1))
    t.memory = replace(t.memory, offerings={t.offering(HERE).key: past})
    return o


def rejected(t, o):
    past = OfferingMemory(blocked_generation=t.spec.generation, last_message="denied by Warden")
    t.memory = replace(t.memory, offerings={t.offering("us-b1").key: past})
    return o


def unusable(t, o):
    fleet = tuple(ClusterInfo(c, usable=c.region != HERE, status="ERROR") for c in t.clusters)
    return replace(o, fleet=Known(fleet, t.now))


def no_prices(t, o):
    t.spec = replace(t.spec, max_hourly_cost=10.0)
    return replace(o, prices={})


CASES = {
    "denied-region": (spec(regions=Regions(denied=frozenset({HERE}))), "RegionDenied"),
    "region-not-allowed": (spec(regions=Regions(allowed=frozenset({"us-b1"}))), "RegionNotAllowed"),
    "rejected-spec-blocks-everywhere": (rejected, "SpecRejected"),
    "broken-cluster": (unusable, "ClusterNotUsable"),
    "silent-cluster": (
        seen(members=lambda t, o: members(t, o, lambda t, c: Member(ClusterInfo(c), t.unknown()))),
        "ClusterUnknown",
    ),
    "cluster-nobody-asked": (
        seen(members=lambda t, o: {c: m for c, m in o.members.items() if c.region != HERE}),
        "ClusterUnknown",
    ),
    "gpu-not-in-the-catalogue": (with_signals(accelerators=("nvidia-tesla-t4",)), "NotOfferedInRegion"),
    "region-quota-used-up": (with_signals(PREEMPTIBLE_NVIDIA_L4_GPUS=(4, 4)), "QuotaExhausted"),
    "no-quota-of-either-kind": (
        with_signals(PREEMPTIBLE_NVIDIA_L4_GPUS=(0, 0), NVIDIA_L4_GPUS=(0, 0)),
        "QuotaExhausted",
    ),
    "limit-over-families-used-up-by-ourselves": (with_families(8, 8, quotas={}), "QuotaExhausted"),
    "project-quota-used-up": (
        seen(project_gpu_quota=lambda t, o: Known(Quota(0, 0), t.now)),
        "ProjectQuotaExhausted",
    ),
    "cooling-after-stock-out": (learnt(RefusalClass.STOCK_OUT), "CoolingAfterStockOut"),
    "cooling-after-quota": (learnt(RefusalClass.QUOTA_REGION), "CoolingAfterQuota"),
    "cooling-after-project-quota": (learnt(RefusalClass.QUOTA_PROJECT), "ProjectQuotaExhausted"),
    "cooling-after-timeout": (learnt(RefusalClass.PROVISIONING_TIMEOUT), "CoolingAfterTimeout"),
    "cooling-after-bad-health": (learnt(RefusalClass.APP_UNHEALTHY), "AppUnhealthy"),
    "cooling-after-something-unclassified": (learnt(RefusalClass.UNCLASSIFIED), "CoolingAfterFailure"),
    "no-ip-space": (learnt(RefusalClass.IP_SPACE), "IpSpaceExhausted"),
    "not-authorised": (learnt(RefusalClass.UNAUTHORISED), "CoolingAfterFailure"),
    "just-preempted": (lost, "CoolingAfterPreemption"),
    "price-unknown-under-a-cap": (no_prices, "PriceUnknown"),
    "over-the-cap": (spec(max_hourly_cost=0.1), "OverCostCap"),
    "region-full": (spec(spread=Spread(max_replicas_per_region=0)), "RegionFull"),
}


def decided(t, change=lambda t, o: o):
    observation = change(t, t.observe())
    return decide(t.spec, observation, t.memory, t.now)


@pytest.mark.parametrize("case", CASES)
def test_an_offering_is_refused_with_its_reason(toy, case):
    """The offering is refused, the reason comes first, and a message says more."""
    change, reason = CASES[case]
    t = toy.Toy()
    verdict = t.verdict(t.offering(HERE), decided(t, change))
    assert verdict.standing is Standing.REFUSED
    assert verdict.reasons[0] == reason
    assert verdict.message
    assert verdict.score is None


PASSING = {
    "quota-metric-absent-is-unknown": with_signals(NVIDIA_T4_GPUS=(0, 0)),
    "quota-unknown": seen(
        signals=lambda t, o: {HERE: RegionSignals(Known(frozenset({"nvidia-l4"}), t.now), t.unknown())}
    ),
    "spot-draws-on-standard-quota-when-preemptible-was-never-granted": with_signals(
        PREEMPTIBLE_NVIDIA_L4_GPUS=(0, 0), NVIDIA_L4_GPUS=(4, 0)
    ),
    "limit-over-families-with-room": with_families(8, 7, quotas={}),
    "a-regional-metric-comes-before-the-limit-over-families": with_families(
        0, 0, quotas={"PREEMPTIBLE_NVIDIA_L4_GPUS": Quota(4, 0)}
    ),
    "catalogue-unknown": seen(signals={}),
    "price-unknown-without-a-cap": seen(prices={}),
    "cool-down-over": learnt(RefusalClass.STOCK_OUT, ago=60, minutes=-1),
    "rejected-by-an-older-generation": learnt(RefusalClass.REJECTED_SPEC, minutes=-1, blocked_generation=0),
}


@pytest.mark.parametrize("case", PASSING)
def test_what_is_not_known_refuses_nothing(toy, case):
    """The offering can be tried."""
    t = toy.Toy(regions=(HERE,))
    assert t.verdict(t.offering(HERE), decided(t, PASSING[case])).standing is Standing.CHOSEN


SCOPES = {
    # refusal: which other offerings it blocks (same region T4 spot, same region L4 on-demand, other region L4 spot)
    RefusalClass.STOCK_OUT: (False, False, False),
    RefusalClass.PROVISIONING_TIMEOUT: (False, False, False),
    RefusalClass.QUOTA_REGION: (False, False, False),
    RefusalClass.QUOTA_PROJECT: (True, True, True),
    RefusalClass.IP_SPACE: (True, True, False),
    RefusalClass.UNAUTHORISED: (True, True, False),
    RefusalClass.APP_UNHEALTHY: (False, False, False),
    RefusalClass.UNCLASSIFIED: (False, False, False),
}


@pytest.mark.parametrize("refusal", SCOPES, ids=lambda r: r.value)
def test_a_refusal_blocks_its_scope_and_no_more(toy, refusal):
    """A stock-out blocks its offering, IP space its cluster, a project quota everything."""
    t = toy.Toy()
    decision = decided(t, learnt(refusal))
    others = (
        t.offering(HERE, toy.T4),
        t.offering(HERE, toy.L4, Capacity.ON_DEMAND),
        t.offering("us-b1"),
    )
    blocked = tuple(t.verdict(o, decision).standing is Standing.REFUSED for o in others)
    assert blocked == SCOPES[refusal]


def test_a_region_quota_blocks_the_gpu_family_in_every_cluster_and_count_of_the_region(toy):
    """Two L4s of the same capacity type are blocked too, on-demand is not."""
    pair = Accelerator("nvidia-l4", 2)
    t = toy.Toy(spec=toy.make_spec(accelerators=(toy.L4, pair)))
    decision = decided(t, learnt(RefusalClass.QUOTA_REGION))
    assert t.verdict(t.offering(HERE, pair), decision).reasons[0] == "CoolingAfterQuota"
    assert t.verdict(t.offering(HERE, pair, Capacity.ON_DEMAND), decision).standing is not Standing.REFUSED


def test_a_rejected_spec_is_carried_to_no_other_region_until_it_changes(toy):
    """Nothing is tried anywhere; a new generation is."""
    t = toy.Toy()
    rejected(t, None)
    assert decided(t).plan == ()
    t.respec(replicas=1)
    assert decided(t).plan


def test_a_cooling_offering_says_when_it_is_tried_again(toy):
    """`next_try` is the end of the back-off."""
    t = toy.Toy()
    verdict = t.verdict(t.offering(HERE), decided(t, learnt(RefusalClass.STOCK_OUT)))
    assert verdict.next_try == t.now + timedelta(minutes=10)


def test_the_histogram_counts_first_reasons(toy):
    """`0/4 offerings can be tried` names how many were refused for what."""
    t = toy.Toy(regions=(HERE,), spec=toy.make_spec(regions=Regions(denied=frozenset({HERE}))))
    decision = decided(t)
    assert dict(decision.histogram) == {"RegionDenied": 4}
    assert not decision.feasible
    progressing = next(c for c in decision.conditions if c.type == "Progressing")
    assert progressing.reason == "NothingFeasible"
    assert "0/4 offerings can be tried: 4 RegionDenied" in progressing.message


def test_every_filter_is_documented():
    """Each filter says in a sentence what it keeps away."""
    assert all(f.__doc__ and f.__doc__.strip() for f in FILTERS)
    assert len({f.__name__ for f in FILTERS}) == len(FILTERS)


@pytest.mark.parametrize("seed", range(3), ids=lambda seed: f"seed{seed}")
def test_filters_that_are_not_asked_would_have_refused_nothing(toy, monkeypatch, seed):
    """A pass that asks every filter about every offering decides the same, in a world where all goes wrong."""

    class Thorough(toy.Toy):
        def think(self):
            quick = super().think()
            with monkeypatch.context() as patch:
                patch.setattr(filters, "IDLE", {})
                assert super().think() == quick
            return quick

    chance = random.Random(seed)
    t = Thorough(("us-a1", "us-b1", "us-c1"), toy.make_spec(replicas=2, max_hourly_cost=(None, 3.0)[seed % 2]))
    for number in range(40):
        toy.wild_event(t, chance, number)
        t.step(toy.MINUTE)
        t.one_pass()
    assert t.created_at
