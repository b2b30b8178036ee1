"""What an action brought, in the memory."""

from datetime import UTC, datetime

import pytest

from controlplane.decide.growth.notes import Brought, noted
from controlplane.model.growth import Grown, GrowthMemory, Stage
from controlplane.model.growthplan import ClearCluster, CreateCluster, DeleteCluster, PrepareCluster
from controlplane.model.offering import ClusterRef

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
REF = ClusterRef("us-east4", "gpu")
MEMORY = GrowthMemory(clusters={REF.link: Grown(Stage.CREATING, NOW)})


@pytest.mark.parametrize(
    ("action", "brought", "kept"),
    [
        pytest.param(CreateCluster(REF, {}, ""), Brought(True, operation="op"), {"operation": "op"}, id="asked-for"),
        pytest.param(
            PrepareCluster(REF, ""), Brought(True, kube_uid="k"), {"kube_uid": "k", "prepared": True}, id="prepared"
        ),
        pytest.param(ClearCluster(REF, ""), Brought(True), {"cleared": True}, id="cleared"),
        pytest.param(PrepareCluster(REF, ""), Brought(False, message="dark"), {"trouble": "dark"}, id="not-prepared"),
        pytest.param(ClearCluster(REF, ""), Brought(False, message="dark"), {"cleared": False}, id="not-cleared"),
        pytest.param(
            DeleteCluster(REF, "u", {}, ""), Brought(False, refused=True, message="no"), {"trouble": "no"}, id="kept"
        ),
        pytest.param(CreateCluster(REF, {}, ""), Brought(False, message="doubt"), {"trouble": "doubt"}, id="in-doubt"),
    ],
)
def test_what_was_learnt_is_kept(action, brought, kept):
    """What succeeded is not asked for again; what did not says why."""
    grown = noted(MEMORY, [(action, brought)], NOW).clusters[REF.link]
    assert {key: getattr(grown, key) for key in kept} == kept


@pytest.mark.parametrize(("taken", "reason"), [(False, "ClusterFailed"), (True, "NameTaken")], ids=["refused", "taken"])
def test_a_creation_that_is_refused_is_forgotten_and_its_region_rests(taken, reason):
    """Another region may have its turn in the next pass."""
    brought = Brought(False, refused=True, taken=taken, message="no")
    memory = noted(MEMORY, [(CreateCluster(REF, {}, ""), brought)], NOW)
    assert memory.clusters == {}
    assert (memory.regions["us-east4"].reason, memory.regions["us-east4"].failures) == (reason, 1)
    assert memory.regions["us-east4"].not_before > NOW
