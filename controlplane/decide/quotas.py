"""Which quota binds what would be asked for: Google Cloud counts GPUs by region, family and capacity type.

An absent metric is unknown, neither 0 nor endless: newer GPU types have none here.
"""

from collections.abc import Mapping
from functools import lru_cache

from controlplane.decide.candidates import Candidate
from controlplane.model.facts import Known
from controlplane.model.observation import Observation, Quota
from controlplane.model.offering import Capacity


def quota_room(observation: Observation, candidate: Candidate) -> tuple[str, Quota] | None:
    """Give the quota that binds a candidate; None when it is unknown."""
    signals = observation.signals.get(candidate.region)
    if signals is None or not isinstance(signals.quotas, Known):
        return None
    offering = candidate.offering
    return binding_quota(signals.quotas.value, offering.accelerator.type, offering.capacity)


def binding_quota(quotas: Mapping[str, Quota], accelerator: str, capacity_type: Capacity) -> tuple[str, Quota] | None:
    """Give the metric and quota of a region that bind a GPU type and capacity type; None when there is none."""
    standard = quota_metric(accelerator)
    if capacity_type is Capacity.ON_DEMAND:
        return (standard, quotas[standard]) if standard in quotas else None
    preemptible = f"PREEMPTIBLE_{standard}"
    if preemptible not in quotas:
        return None
    if quotas[preemptible].limit <= 0 and standard in quotas:
        return standard, quotas[standard]  # Spot draws on the standard quota where a preemptible one was never granted
    return preemptible, quotas[preemptible]


@lru_cache(maxsize=256)
def quota_metric(accelerator: str) -> str:
    """Give the metric of a GPU type's on-demand quota."""
    family = accelerator.removeprefix("nvidia-").removeprefix("tesla-")
    return f"NVIDIA_{family.upper().replace('-', '_')}_GPUS"
