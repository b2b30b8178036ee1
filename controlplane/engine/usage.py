"""How much of a quota we use ourselves, where Google Cloud tells a limit and no usage.

It is the least that is used, since the project may run other GPUs. So a limit that is seen to be used up refuses, and
one that seems to have room may still be met by the autoscaler, whose refusal is then learnt.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from controlplane.engine.ports import Json
from controlplane.model.facts import Known, map_fact
from controlplane.model.observation import Quota, RegionSignals, WorkloadFact
from controlplane.model.quotas import family_metric


def accelerators_wanted(services: Iterable[Json]) -> frozenset[str]:
    """Give the GPU types that GPUServices name, readable or not: only for these is more asked than costs nothing."""
    found: set[str] = set()
    for service in services:
        spec = service.get("spec")
        listed = spec.get("accelerators") if isinstance(spec, Mapping) else None
        for each in listed if isinstance(listed, list) else ():
            if isinstance(each, Mapping) and isinstance(each.get("type"), str):
                found.add(each["type"])
    return frozenset(found)


def with_our_usage(
    signals: Mapping[str, RegionSignals], workloads: Iterable[WorkloadFact]
) -> Mapping[str, RegionSignals]:
    """Fill in what these workloads, of all services, hold of the limits whose usage nobody tells."""
    if not any(isinstance(each.family_quotas, Known) for each in signals.values()):
        return signals
    used: Counter[tuple[str, str]] = Counter()
    for workload in workloads:
        offering, held = workload.offering, sum(pod.scheduled and not pod.failed for pod in workload.pods)
        metric = family_metric(offering.accelerator.type, offering.capacity)
        used[offering.region, metric] += held * offering.accelerator.count

    def filled(region: str, quotas: Mapping[str, Quota]) -> Mapping[str, Quota]:
        return {name: replace(quota, usage=float(used[region, name])) for name, quota in quotas.items()}

    return {
        region: each
        if each.family_quotas is None
        else replace(each, family_quotas=map_fact(each.family_quotas, lambda quotas, at=region: filled(at, quotas)))  # type: ignore[misc]
        for region, each in signals.items()
    }
