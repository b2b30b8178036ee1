"""Small values that everything else leans on."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.decision import Standing, Verdict, WireIngress, histogram_of
from controlplane.model.facts import Known, Unknown, UnknownReason, known_or, map_fact
from controlplane.model.memory import Memory
from controlplane.model.naming import deployment_name, offering_from_labels, placement_labels, shorten
from controlplane.model.observation import PodFact, Quota
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering, region_of
from controlplane.model.service import Regions

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = st.from_regex(r"\A[a-z]([a-z0-9-]{0,20}[a-z0-9])?\Z")
OFFERINGS = st.builds(
    Offering,
    st.builds(ClusterRef, NAMES, NAMES),
    st.builds(Accelerator, NAMES, st.integers(1, 8)),
    st.sampled_from(Capacity),
)


@given(OFFERINGS)
def test_a_key_reads_back_as_its_offering(offering):
    """Memory is keyed by it."""
    assert Offering.parse(offering.key) == offering


@given(OFFERINGS)
def test_labels_read_back_as_their_offering(offering):
    """What is found in a cluster is told from its labels alone."""
    assert offering_from_labels(offering.cluster, placement_labels("web", offering)) == offering


@pytest.mark.parametrize("key", ["", "a", "a/b:c:1", "a/b:c:x:spot", "a/b:c:1:free", "a:c:1:spot"])
def test_a_garbled_key_is_refused(key):
    """With ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"."):
        Offering.parse(key)


@pytest.mark.parametrize(
    ("location", "region"),
    [("us-central1", "us-central1"), ("us-central1-a", "us-central1"), ("us-south1-ai1b", "us-south1")],
)
def test_the_region_of_a_location(location, region):
    """Zones belong to regions, AI zones too."""
    assert region_of(location) == region


@given(NAMES, OFFERINGS)
def test_deployment_names_fit_a_label(service, offering):
    """63 characters at most, and deterministic."""
    name = deployment_name(service, offering.accelerator, offering.capacity)
    assert len(name) <= 63
    assert name == deployment_name(service, offering.accelerator, offering.capacity)


def test_long_names_stay_apart():
    """What differs only after the cut has another hash."""
    assert shorten("a" * 70 + "b", 63) != shorten("a" * 70 + "c", 63)


@pytest.mark.parametrize(
    ("regions", "permitted"),
    [
        (Regions(), True),
        (Regions(allowed=frozenset({"r"})), True),
        (Regions(allowed=frozenset()), False),
        (Regions(denied=frozenset({"r"})), False),
        (Regions(allowed=frozenset({"r"}), denied=frozenset({"r"})), False),
    ],
    ids=["everywhere", "allowed", "nowhere-allowed", "denied", "denied-outranks-allowed"],
)
def test_residency(regions, permitted):
    """A denied region is never used, come what may."""
    assert regions.permits("r") is permitted


def test_an_unknown_fact_has_no_value():
    """The default is named by who reads it, and mapping leaves it unknown."""
    unknown = Unknown(UnknownReason.UNREACHABLE, NOW)
    assert known_or(unknown, 7) == 7
    assert map_fact(unknown, str) is unknown
    assert map_fact(Known(3, NOW), str) == Known("3", NOW)


def test_a_pod_that_is_going_away_is_not_ready():
    """Although its probe still answers."""
    pod = PodFact("p", "u", NOW, scheduled_at=NOW, ready_at=NOW, node="n", terminating=True)
    assert pod.scheduled
    assert not pod.ready


def test_free_quota_may_be_negative():
    """A limit lowered below its usage leaves less than nothing."""
    assert Quota(limit=1, usage=3).free == -2


def test_the_histogram_is_sorted_by_count_then_name():
    """So that two passes with the same facts print the same line."""
    where = Offering(ClusterRef("r", "c"), Accelerator("nvidia-l4"), Capacity.SPOT)
    reasons = ["B", "A", "C", "C"]
    verdicts = [Verdict(where, Standing.REFUSED, (r,), "") for r in reasons]
    verdicts.append(Verdict(where, Standing.HELD, ("Z",), ""))
    assert list(histogram_of(verdicts).items()) == [("C", 2), ("A", 1), ("B", 1)]


def test_actions_speak_for_themselves():
    """A plan is printed by str()."""
    assert str(WireIngress(("a/b", "c/d"), ("c/d",), (), "why")) == "wire the address to a/b, c/d: why"


def test_memories_do_not_share_their_mappings():
    """Two fresh memories are equal and apart."""
    assert Memory() == Memory()
    assert Memory().offerings is not Memory().offerings
