"""How much of a limit is used where nobody tells: what our own Pods hold, of all services, and nothing else."""

from datetime import UTC, datetime

from controlplane.engine.usage import accelerators_wanted, with_our_usage
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import PodFact, Quota, RegionSignals, WorkloadFact
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DARK = Unknown(UnknownReason.FORBIDDEN, NOW)
H100, SPOT_H100 = "GPUS_PER_GPU_FAMILY/NVIDIA_H100", "PREEMPTIBLE_GPUS_PER_GPU_FAMILY/NVIDIA_H100"


def workload(region, capacity, *nodes, count=1, failed=False):
    offering = Offering(ClusterRef(region, "gpu"), Accelerator("nvidia-h100-80gb", count), capacity)
    pods = tuple(PodFact(str(n), str(n), NOW, node=node, failed=failed) for n, node in enumerate(nodes))
    return WorkloadFact(offering, "web", "u", "1", len(nodes), "h", pods)


def signals(*metrics):
    return RegionSignals(DARK, DARK, family_quotas=Known({m: Quota(8, 0, told=False) for m in metrics}, NOW))


def test_scheduled_pods_use_their_region_family_and_capacity_type():
    """A Pod without a node holds no GPU, nor does a failed one; Spot has a limit of its own."""
    found = with_our_usage(
        {"us-east4": signals(H100, SPOT_H100), "us-west1": signals(H100)},
        [
            workload("us-east4", Capacity.ON_DEMAND, "n1", None, count=2),
            workload("us-east4", Capacity.ON_DEMAND, "n2", count=4),
            workload("us-east4", Capacity.SPOT, "n3"),
            workload("us-east4", Capacity.SPOT, "n4", failed=True),
        ],
    )
    east, west = (found[region].family_quotas.value for region in ("us-east4", "us-west1"))
    assert {name: quota.usage for name, quota in east.items()} == {H100: 6, SPOT_H100: 1}
    assert west[H100].usage == 0
    assert not east[H100].told


def test_what_is_unknown_stays_unknown():
    """And what was not asked stays that too."""
    unknown, unasked = RegionSignals(DARK, DARK, family_quotas=DARK), RegionSignals(DARK, DARK)
    before = {"a": unknown, "b": unasked, "c": signals(H100)}
    assert {region: with_our_usage(before, [])[region].family_quotas for region in "ab"} == {"a": DARK, "b": None}


def test_types_are_read_from_services_as_they_stand():
    """One that cannot be read asks for nothing, and keeps nobody from asking."""
    wanted = {"spec": {"accelerators": [{"type": "nvidia-l4"}, {"type": 3}, "x"]}}
    assert accelerators_wanted([wanted, {"spec": {"accelerators": "x"}}, {"spec": None}, {}]) == {"nvidia-l4"}
