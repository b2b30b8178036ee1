"""What is remembered of clusters on demand, at the beginning of a pass."""

from datetime import UTC, datetime

import pytest

from controlplane.api.growth import growth_to_status
from controlplane.engine.growth import remembered
from controlplane.gateways.fleet import Listing
from controlplane.model.facts import Known
from controlplane.model.growth import Grown, GrowthMemory, Stage
from controlplane.model.observation import ClusterInfo
from controlplane.model.offering import ClusterRef

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
REF = ClusterRef("us-east4", "gpu")
USED = ClusterInfo(REF)


def stored(stage):
    return {"status": {"memory": growth_to_status(GrowthMemory(clusters={REF.link: Grown(stage, NOW)}))}}


@pytest.mark.parametrize(
    ("stage", "usable", "leaving"),
    [
        (Stage.CREATING, False, False),
        (Stage.PREPARING, False, False),
        (Stage.READY, True, False),
        (Stage.IDLE, True, False),
        (Stage.DRAINING, True, True),
        (Stage.UNREGISTERING, True, True),
    ],
    ids=lambda value: value.value if isinstance(value, Stage) else "",
)
def test_what_comes_or_goes_is_closed_to_services(stage, usable, leaving):
    """One that is not ready takes nothing yet, one that goes takes nothing more; both are seen."""
    past = remembered(stored(stage))
    (info,) = past.closed(Known(Listing((USED,), {}), NOW)).value.clusters
    assert (info.usable, info.leaving) == (usable, leaving)
    assert past.going is leaving


def test_a_cluster_that_nobody_made_on_demand_is_as_it_is():
    """Only what is remembered is closed."""
    listing = Known(Listing((ClusterInfo(ClusterRef("us-west1", "gpu")),), {}), NOW)
    assert remembered(stored(Stage.DELETING)).closed(listing) == listing


@pytest.mark.parametrize("fleet", [None, {}, {"status": {}}], ids=["no-fleet", "no-status", "no-memory"])
def test_without_memory_nothing_is_remembered(fleet):
    """And nothing is in doubt."""
    assert remembered(fleet).memory == GrowthMemory()
    assert not remembered(fleet).doubt


def test_a_memory_that_cannot_be_read_is_doubt():
    """It begins anew, and this pass neither makes nor takes away."""
    past = remembered({"status": {"memory": {"version": 99}}})
    assert past.memory == GrowthMemory()
    assert "99" in past.doubt
