"""What Google Cloud's quotas on GPUs are called: by family and capacity type, of a region.

Families up to the A100 have regional metrics, which Compute Engine tells with limit and usage. From the H100 on,
on-demand GPUs of every family share one quota with the family as a dimension, whose limits Cloud Quotas tells and whose
usage nobody does; some of these families have a regional metric for preemptible GPUs all the same.
"""

from functools import lru_cache

from controlplane.model.offering import Capacity

FAMILY_LIMIT = "GPUS_PER_GPU_FAMILY"
_OF_OLD = frozenset({"T4", "L4", "A100", "A100_80GB", "V100", "P100", "P4", "K80"})
_FAMILIES = {"H100_80GB": "H100", "H100_MEGA_80GB": "H100_MEGA", "H200_141GB": "H200"}
"""Families that are not what the accelerator type is called."""


@lru_cache(maxsize=256)
def family_of(accelerator: str) -> str:
    """Give the family of a GPU type: `NVIDIA_L4`, `NVIDIA_A100_80GB`, `NVIDIA_H100`."""
    return f"NVIDIA_{_bare(accelerator)}"


@lru_cache(maxsize=256)
def regional_metric(accelerator: str, capacity: Capacity) -> str:
    """Give the regional metric: `NVIDIA_L4_GPUS`, `PREEMPTIBLE_NVIDIA_L4_GPUS` for Spot and flex-start."""
    return f"{_preemptible(capacity)}{family_of(accelerator)}_GPUS"


@lru_cache(maxsize=256)
def family_metric(accelerator: str, capacity: Capacity) -> str:
    """Give the quota over families, with the family as Cloud Quotas has it: `GPUS_PER_GPU_FAMILY/NVIDIA_H100`."""
    return f"{_preemptible(capacity)}{FAMILY_LIMIT}/{family_of(accelerator)}"


@lru_cache(maxsize=256)
def by_family(accelerator: str) -> bool:
    """Say whether a GPU type is so new that its on-demand quota is not a regional metric."""
    return accelerator.startswith("nvidia-") and _bare(accelerator) not in _OF_OLD


def _bare(accelerator: str) -> str:
    name = accelerator.removeprefix("nvidia-").removeprefix("tesla-").upper().replace("-", "_")
    return _FAMILIES.get(name, name)


def _preemptible(capacity: Capacity) -> str:
    return "" if capacity is Capacity.ON_DEMAND else "PREEMPTIBLE_"
