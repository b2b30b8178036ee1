"""What a decision tells: verdicts, conditions, counts and reasons."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import controlplane.decide
from controlplane.decide import scoring
from controlplane.model.decision import Standing
from controlplane.model.facts import Unknown, UnknownReason
from controlplane.model.memory import Memory, OfferingMemory
from controlplane.model.offering import ClusterRef, RefusalClass
from controlplane.model.reasons import Reason
from controlplane.model.service import PodTemplate

CONDITIONS = (
    "Available",
    "Progressing",
    "PreferredHeld",
    "Healthy",
    "AddressReady",
    "FleetKnown",
    "WithinCostCap",
    "NothingHeldBack",
)


@pytest.fixture
def story(toy):
    """Live through hunting, serving, loss, darkness and return, and keep every decision."""
    t = toy.Toy(("us-a1", "us-b1"), toy.make_spec(max_hourly_cost=3.0))
    t.until(t.__class__.settled)
    t.set_stock(0, accelerator=toy.L4.type)
    t.preempt("us-a1")
    t.run(30)
    t.region_down("us-a1")
    t.run(20)
    t.faults_stop()
    t.run(60)
    return [d for _, d in t.log]


def test_every_condition_is_told_on_every_visit(story):
    """From the first pass on, each has a status of three, a reason and a message."""
    for decision in story:
        assert tuple(c.type for c in decision.conditions) == CONDITIONS
        assert all(c.status in ("True", "False", "Unknown") for c in decision.conditions)
        assert all(c.reason and c.message and len(c.message) <= 300 for c in decision.conditions)


def test_every_reason_told_is_on_the_one_list(story):
    """Verdicts and conditions use no other words."""
    told = {r for d in story for v in d.verdicts for r in v.reasons} | {c.reason for d in story for c in d.conditions}
    assert told <= {r.value for r in Reason}


def test_every_reason_on_the_list_is_given_by_some_code():
    """A reason that nothing gives would be a promise that nobody keeps."""
    folder = Path(controlplane.decide.__file__).parent
    code = "\n".join(path.read_text() for path in sorted(folder.rglob("*.py")))
    unused = [r.name for r in Reason if not re.search(rf"\bReason\.{r.name}\b", code)]
    assert unused == []


@pytest.mark.parametrize("reason", list(Reason), ids=lambda r: r.value)
def test_a_reason_is_pascal_case(reason):
    """As Kubernetes wants them, and never the name of a state."""
    assert re.fullmatch(r"[A-Z][a-z]+([A-Z][a-z]+)*", reason.value)
    assert reason.value not in ("Pending", "Unknown", "Failed")


def test_one_verdict_per_offering_each_explained(story, toy):
    """Two regions, two GPUs, two capacity types: eight verdicts, always, in a stable order."""
    orders = {tuple(v.offering for v in d.verdicts) for d in story}
    assert len(orders) == 1
    assert len(next(iter(orders))) == 8
    for verdict in (v for d in story for v in d.verdicts):
        assert verdict.message
        assert (verdict.score is None) == (verdict.standing is Standing.REFUSED)


def test_the_score_is_the_sum_of_the_terms_told(story):
    """What explain prints adds up."""
    for verdict in (v for v in story[0].verdicts if v.score is not None):
        terms = [float(part.split()[1]) for part in verdict.message.split(", ") if part.split()[0] in scoring.SCORERS]
        assert sum(terms) == pytest.approx(verdict.score, abs=0.01)


def test_lower_terms_never_outweigh_a_higher_tier():
    """Spread, price, failures, losses and advice together are less than one step of capacity type."""
    lower = scoring.SPREAD_MOST + scoring.PRICE + scoring.FAILURES_MOST + scoring.LOSS + scoring.ADVICE
    lower += scoring.PREEMPTIONS
    assert lower + scoring.STEADINESS <= scoring.CAPACITY + scoring.STEADINESS
    assert scoring.CAPACITY * 2 + lower < scoring.ACCELERATOR


def test_every_scorer_is_documented():
    """Each says in a sentence what it prefers."""
    assert all(s.__doc__ and s.__doc__.strip() for s in scoring.SCORERS.values())


def test_counts_tell_what_stands_and_what_it_costs(toy):
    """One L4 on Spot serves in one region."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    counts = t.log[-1][1].counts
    assert (counts.wanted, counts.hunting, counts.warming, counts.serving, counts.draining) == (1, 0, 0, 1, 0)
    assert (counts.regions, counts.accelerators, counts.hourly_cost) == (("us-a1",), ("nvidia-l4",), 0.7)


def test_hunting_tells_how_many_offerings_are_left(toy):
    """The summary is a sorted histogram."""
    t = toy.Toy(stock=0)
    t.run(20)
    assert re.search(
        r"^\d asked for; \d/8 offerings can be tried: \d CoolingAfterStockOut", t.condition("Progressing").message
    )


def test_deciding_twice_gives_the_same(toy):
    """A decision is a function of its inputs, so a plan is what the next pass does (Q2)."""
    t = toy.Toy(spec=toy.make_spec(replicas=2))
    for _ in range(12):
        assert t.think() == t.think()
        t.one_pass()
        t.step(toy.MINUTE)


def test_the_inputs_are_left_as_they_were(toy):
    """Memory and observation are values."""
    t = toy.Toy(spec=toy.make_spec(replicas=2))
    t.run(5)
    observed, memory = t.observe(), t.memory
    before = (repr(observed), repr(memory))
    controlplane.decide.decide(t.spec, observed, memory, t.now)
    assert (repr(observed), repr(memory)) == before


@pytest.mark.parametrize("price", [float("nan"), float("inf"), -1.0], ids=["nan", "infinite", "negative"])
def test_a_price_that_is_none_is_not_known(toy, price):
    """It poisons no sum and passes no cap."""
    t = toy.Toy(price_of={"us-a1": price}, spec=toy.make_spec(max_hourly_cost=5.0))
    decision = t.think()
    assert t.verdict(t.offering("us-a1"), decision).reasons[0] == "PriceUnknown"
    assert decision.counts.hourly_cost == 0
    t.until(t.__class__.settled)
    assert [o.region for o in t.serving_offerings()] == ["us-b1"]


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "CrashLoopBackOff", "CreateContainerConfigError"])
def test_a_rollout_that_is_stuck_says_what_its_pods_wait_for(toy, monkeypatch, reason):
    """A wrong image is found in the status, without a look into each region; what every Pod waits for is not told."""
    t = toy.Toy(("us-a1", "us-b1"), toy.make_spec(replicas=2))
    t.until(t.__class__.settled)
    seen = toy.Deployment.fact
    waits = {"ContainerCreating"}

    def waiting(deployment):
        workload = seen(deployment)
        pods = tuple(replace(pod, waiting_reason=next(iter(waits))) for pod in workload.pods)
        return replace(workload, pods=pods)

    monkeypatch.setattr(toy.Deployment, "fact", waiting)
    t.respec(pod=PodTemplate(image="demo:broken", port=7860))
    t.one_pass()
    assert "wait" not in t.condition("Progressing").message
    waits.clear()
    waits.add(reason)
    t.one_pass()
    assert f"us-a1 {toy.L4.type} spot {reason}" in t.condition("Progressing").message


def test_a_region_that_cannot_be_seen_is_told_with_its_reason(toy, monkeypatch):
    """A listing that is not complete is no silence: who reads the status is not sent to look for a dead network."""
    t = toy.Toy(("us-a1", "us-b1"))
    t.until(t.__class__.settled)
    t.region_down("us-a1")
    monkeypatch.setattr(t, "unknown", lambda: Unknown(UnknownReason.LIST_INCOMPLETE, t.now))
    t.one_pass()
    told = t.condition("FleetKnown").message
    assert f"{t.offering('us-a1').cluster.link} (ListIncomplete)" in told


def test_a_stock_out_is_told_as_a_lower_chance_next_door(toy):
    """Another cluster of the region shares what one of them met; another region does not."""
    t = toy.Toy(("us-a1", "us-b1"))
    t.clusters.append(ClusterRef("us-a1", "gpu-2"))
    met, minute = t.offering("us-a1"), toy.MINUTE
    past = OfferingMemory(
        failures=1,
        not_before=t.now + 4 * minute,
        last_refusal=RefusalClass.STOCK_OUT,
        last_refused_at=t.now - minute,
    )
    t.memory = Memory(passes=1, offerings={met.key: past})
    chances = {v.offering.cluster.link: v.chance for v in t.think().verdicts if v.offering.kind == met.kind}
    assert chances["us-a1/gpu-1"] < chances["us-a1/gpu-2"] < chances["us-b1/gpu-1"]
