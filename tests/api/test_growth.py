"""The memory of clusters on demand in the Fleet's status."""

import json
from datetime import UTC, datetime

import pytest

from controlplane.api.codec import MemoryUnreadable
from controlplane.api.growth import growth_from_status, growth_to_status, verdicts_to_status
from controlplane.model.growth import Grown, GrowthMemory, RegionPast, Stage
from controlplane.model.growthplan import RegionVerdict

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MEMORY = GrowthMemory(
    fence=7,
    clusters={"us-east4/gpu": Grown(Stage.UNWIRING, NOW, "web is short", "u1", "k1", prepared=True, clean_since=NOW)},
    regions={"us-west1": RegionPast(2, NOW, "ClusterFailed", "no room")},
)
RECORD = {"stage": "Ready", "since": "2026-11-01T12:00:00Z"}


def test_what_is_written_is_read_back():
    """Through JSON, as an API server keeps it."""
    wire = json.loads(json.dumps({"memory": growth_to_status(MEMORY)}))
    assert growth_from_status(wire) == MEMORY


@pytest.mark.parametrize("status", [None, {}, {"clusters": "1/1"}], ids=["no-status", "empty", "others"])
def test_a_status_without_memory_is_a_fresh_one(status):
    """Nothing is remembered yet."""
    assert growth_from_status(status) == GrowthMemory()


@pytest.mark.parametrize(
    "memory",
    [
        pytest.param("x", id="no-mapping"),
        pytest.param({"version": 9}, id="another-version"),
        pytest.param({"version": 1, "clusters": {"us-east4/gpu": {**RECORD, "stage": "Sleeping"}}}, id="unknown-stage"),
        pytest.param({"version": 1, "clusters": {"nowhere": RECORD}}, id="no-cluster-name"),
        pytest.param(
            {"version": 1, "clusters": {"a/b": {**RECORD, "since": "2026-11-01T12:00:00"}}}, id="no-time-zone"
        ),
        pytest.param({"version": 1, "regions": {"a": {"failures": "many"}}}, id="no-number"),
    ],
)
def test_what_does_not_fit_is_not_believed(memory):
    """It says what is wrong in a line."""
    with pytest.raises(MemoryUnreadable, match=r"status\.memory"):
        growth_from_status({"memory": memory})


def test_verdicts_are_told_without_empty_parts():
    """As users read them."""
    told = verdicts_to_status([RegionVerdict("us-east4", "NoServiceShort", "no service needs a cluster there")])
    assert told == [{"region": "us-east4", "reason": "NoServiceShort", "message": "no service needs a cluster there"}]
