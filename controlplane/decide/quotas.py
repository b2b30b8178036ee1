"""Which quota binds what would be asked for: Google Cloud counts GPUs by region, family and capacity type.

An absent metric is unknown, neither 0 nor endless. A regional metric comes first, since it tells its usage; where there
is none the limit over families binds, of which at least what we hold ourselves is used.
"""

from collections.abc import Iterator, Mapping

from controlplane.decide.candidates import Candidate
from controlplane.model.facts import Known
from controlplane.model.observation import Observation, Quota, RegionSignals
from controlplane.model.offering import Capacity
from controlplane.model.quotas import family_metric, regional_metric


def quota_room(observation: Observation, candidate: Candidate) -> tuple[str, Quota] | None:
    """Give the quota that binds a candidate; None when it is unknown."""
    signals = observation.signals.get(candidate.region)
    if signals is None:
        return None
    offering = candidate.offering
    return binding_quota(signals, offering.accelerator.type, offering.capacity)


def binding_quota(signals: RegionSignals, accelerator: str, capacity_type: Capacity) -> tuple[str, Quota] | None:
    """Give the metric and quota of a region that bind a GPU type and capacity type; None when none is known."""
    found = _published(signals, accelerator, capacity_type)
    if capacity_type is Capacity.ON_DEMAND or found is None or found[1].limit > 0:
        return found
    # Spot draws on the standard quota where a preemptible one was never granted.
    return _published(signals, accelerator, Capacity.ON_DEMAND) or found


def known_quotas(signals: RegionSignals) -> Iterator[Mapping[str, Quota]]:
    """Give the quotas of a region that are known, those with usage first."""
    for fact in (signals.quotas, signals.family_quotas):
        if isinstance(fact, Known):
            yield fact.value


def _published(signals: RegionSignals, accelerator: str, capacity_type: Capacity) -> tuple[str, Quota] | None:
    names = regional_metric(accelerator, capacity_type), family_metric(accelerator, capacity_type)
    for quotas in known_quotas(signals):
        for name in names:
            if name in quotas:
                return name, quotas[name]
    return None
