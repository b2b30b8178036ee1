"""The production decision as a policy: what it gets and pays in traces made for the purpose."""

import random
from dataclasses import replace

import pytest

from controlplane.api.problems import SpecError
from controlplane.model.offering import Accelerator, Capacity
from controlplane.model.service import Policy, Preset, Regions
from controlplane.simulate.hunter import Hunter, service_for
from controlplane.simulate.hunter.places import Places, matching
from controlplane.simulate.market import Kind, Scoring
from controlplane.simulate.replay import replay
from controlplane.simulate.trace import Trace, Zone

HOUR = 3600
SCORING = Scoring()


def zone(name, *capacity, region="r1", price=1.0, accelerator="V100"):
    return Zone(name, region, price, capacity, accelerator)


def steady(count, intervals=20):
    return (count,) * intervals


def trace(*zones, interval=300.0):
    return Trace("made", zones[0].accelerator, interval, 3.0, zones)


def rough(seed, zones=5, intervals=150):
    """Give a trace in which capacity comes and goes at random, by the hour and by regions."""
    chance = random.Random(seed)
    found = []
    for index in range(zones):
        up, capacity = chance.random() < 0.5, []
        for _ in range(intervals):
            up = up if chance.random() < 0.9 else not up
            capacity.append(chance.choice([1, 2, 8]) if up else 0)
        found.append(Zone(f"zone-{index}", f"r{index // 2}", 0.8 + 0.1 * index, tuple(capacity), "V100"))
    return trace(*found)


def play(given, replicas=2, spec=None, skipping=True, scoring=SCORING):
    """Replay a trace from its start to its end; give the policy and the history."""
    hunter = Hunter(spec or service_for(given, replicas), given, scoring, skipping=skipping)
    return hunter, replay(given, hunter, replicas, scoring)


def held(history, kind=None):
    """Give (zone index, hours) of everything that was held."""
    end = history.trace.duration
    return [
        (lease.zone, ((lease.ended_at if lease.ended_at is not None else end) - lease.requested_at) / HOUR)
        for lease in history.ledger.leases
        if kind in (None, lease.kind)
    ]


def told(history):
    """Give everything that can be compared of what happened."""
    ledger = history.ledger
    leases = [(x.id, x.zone, x.requested_at, x.ended_at, x.why_ended) for x in ledger.leases]
    return leases, ledger.readiness, ledger.attempts, ledger.refusals, ledger.preempted, ledger.notes, history.result


def test_where_all_is_to_be_had_it_holds_what_is_wanted_and_no_more():
    """Calm capacity is taken once, is never asked for again, and is there all the time."""
    _, history = play(trace(zone("a", *steady(8)), zone("b", *steady(8), region="r2")))

    assert history.result.availability == 1.0
    assert history.result.attempts == 2
    assert history.result.failed_attempts == history.result.preemptions == 0
    assert history.result.cost == pytest.approx(1 / 3, rel=0.01)


def test_what_is_lost_in_one_zone_is_found_in_another():
    """When a zone sells out, the service comes back elsewhere within minutes."""
    gone = trace(zone("a", *steady(8, 10), *steady(0, 30)), zone("b", *steady(8, 40), region="r2", price=1.2))

    _, history = play(gone)

    assert history.result.preemptions > 0
    assert history.ledger.readiness[-1][1] == 2
    assert history.result.longest_outage_minutes < 10


def test_on_demand_bridges_a_time_without_spot():
    """Where no zone has spot, on-demand is taken if the service allows it."""
    empty = trace(zone("a", *steady(0)), zone("b", *steady(0), region="r2"))

    _, history = play(empty)

    assert history.ledger.readiness[-1][1] == 2
    assert held(history, Kind.ON_DEMAND)
    assert not held(history, Kind.SPOT)


def test_a_service_of_spot_alone_takes_no_on_demand():
    """Capacity types that the service does not name are not used, however long it waits."""
    empty = trace(zone("a", *steady(0)))

    _, history = play(empty, spec=service_for(empty, 2, (Capacity.SPOT,)))

    assert not held(history)
    assert history.result.availability == 0.0


@pytest.mark.parametrize("step", [30.0, 60.0, 300.0], ids=lambda step: f"every{step:g}s")
@pytest.mark.parametrize("seed", [1, 2])
def test_leaving_out_quiet_passes_changes_nothing(seed, step):
    """The history with quiet passes left out is, to the second, the one with all of them."""
    given, scoring = rough(seed), replace(SCORING, step=step)

    quick, short = play(given, 4, scoring=scoring)
    slow, whole = play(given, 4, scoring=scoring, skipping=False)

    assert told(short) == told(whole)
    assert quick.passes < slow.passes or step >= 300.0


@pytest.mark.parametrize("preset", Preset)
def test_leaving_out_quiet_passes_changes_nothing_of_what_is_valued(preset):
    """Where a policy weighs hazards, which change with time, nothing is left out that would have decided anything."""
    given = rough(3)
    spec = replace(service_for(given, 4), policy=Policy(preset))

    quick, short = play(given, 4, spec)
    slow, whole = play(given, 4, spec, skipping=False)

    assert told(short) == told(whole)
    assert quick.passes < slow.passes


def test_names_of_zones_and_regions_mean_nothing():
    """Renamed zones are held for the very same hours: a policy must not know a trace by its names."""
    given = rough(3)
    names = ["z9", "us-east-1a", "a/b_8", "é", "0"]
    regions = {"r0": "us-west-2a/v100_1", "r1": "zz", "r2": "a"}
    renamed = replace(
        given,
        name="other",
        zones=tuple(replace(z, name=n, region=regions[z.region]) for z, n in zip(given.zones, names, strict=True)),
    )

    _, one = play(given, 4)
    _, other = play(renamed, 4)

    assert held(one) == held(other)
    assert one.result == other.result


def test_notes_tell_what_was_done_where_and_why_in_the_names_of_the_trace():
    """A person reads zone names, never the made-up ones."""
    _, history = play(trace(zone("us-west-2a/v100_8", *steady(8), region="pool")), 1)
    texts = [text for _, text in history.ledger.notes]

    assert texts[0].startswith("apply us-west-2a/v100_8 nvidia-v100 spot with 1 replica(s): ")
    assert "wire the address to us-west-2a/v100_8: Ready in us-west-2a/v100_8" in texts
    assert not [text for text in texts if "region-" in text]


def test_the_first_gpu_type_of_the_service_comes_first():
    """Zones of several GPU types are offerings of these types, in the order in which the service names them."""
    both = trace(zone("old", *steady(8), accelerator="K80", price=0.2), zone("new", *steady(8), accelerator="V100"))
    spec = service_for(both, 2)

    _, by_trace = play(both, spec=spec)
    _, turned = play(both, spec=replace(spec, accelerators=spec.accelerators[::-1]))

    assert {index for index, _ in held(by_trace)} == {0}
    assert {index for index, _ in held(turned)} == {1}


def test_zones_without_a_gpu_type_of_the_service_are_left_out():
    """What the service does not want is not used."""
    both = trace(zone("old", *steady(8), accelerator="K80"), zone("new", *steady(8), accelerator="V100"))

    _, history = play(both, spec=replace(service_for(both, 2), accelerators=(Accelerator("nvidia-tesla-v100"),)))

    assert {index for index, _ in held(history)} == {1}


@pytest.mark.parametrize(
    "regions",
    [Regions(denied=frozenset({"us-east-1"})), Regions(allowed=frozenset({"us-west-2"}))],
    ids=["denied", "allowed"],
)
def test_a_region_that_the_service_may_not_use_is_not_used(regions):
    """The regions that a service denies, or allows, are named as the trace names them."""
    given = trace(zone("a", *steady(8), region="us-east-1", price=0.1), zone("b", *steady(8), region="us-west-2"))

    _, history = play(given, spec=replace(service_for(given, 2), regions=regions))

    assert {index for index, _ in held(history)} == {1}


def test_the_decision_sees_prices_of_one_gpu():
    """A trace has prices of replicas, which may have several GPUs each."""
    given = trace(zone("a", *steady(8), price=2.0))
    spec = replace(service_for(given, 2), accelerators=(Accelerator("nvidia-tesla-v100", 4),))

    prices = Places(spec, given).prices()

    assert {offering.capacity: price for offering, price in prices.items()} == {
        Capacity.SPOT: 0.5,
        Capacity.ON_DEMAND: 0.75,
    }


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"accelerators": (Accelerator("nvidia-l4"),)},
            "made: the trace sells V100, the service wants nvidia-l4; name the trace's GPU type in spec.accelerators",
        ),
        (
            {"regions": Regions(allowed=frozenset({"mars"}))},
            "made: the service may use none of the trace's regions (r1); change spec.regions",
        ),
    ],
    ids=["GPU type", "region"],
)
def test_a_service_that_can_have_nothing_is_a_problem_of_one_line(changes, line):
    """What could only end at no availability is told before it is replayed."""
    given = trace(zone("a", *steady(8)))

    with pytest.raises(SpecError) as caught:
        Hunter(replace(service_for(given, 2), **changes), given, SCORING)

    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("types", "name", "found"),
    [
        (["nvidia-tesla-t4", "nvidia-tesla-v100"], "V100", "nvidia-tesla-v100"),
        (["nvidia-h100-80gb"], "H100 (a3-highgpu-1g)", "nvidia-h100-80gb"),
        (["nvidia-a100-80gb", "nvidia-tesla-a100"], "A100", "nvidia-tesla-a100"),
        (["nvidia-tesla-a100", "nvidia-a100-80gb"], "A100-80GB", "nvidia-a100-80gb"),
        (["nvidia-l4"], "V100", None),
        (["nvidia-l4"], "", None),
    ],
    ids=["short name", "machine named", "plain", "memory named", "other", "empty"],
)
def test_a_trace_s_name_of_a_gpu_type_is_found_among_node_labels(types, name, found):
    """Traces say `V100` where GKE says `nvidia-tesla-v100`."""
    best = matching(tuple(map(Accelerator, types)), name)

    assert (best.type if best else None) == found
