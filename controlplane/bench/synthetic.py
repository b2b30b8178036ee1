"""A large observation, made up, to time the decision alone."""

import statistics
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from controlplane.clock import Clock
from controlplane.decide import decide
from controlplane.model.facts import Known
from controlplane.model.memory import Memory
from controlplane.model.observation import (
    ClusterInfo,
    IngressFact,
    Member,
    Observation,
    Quota,
    RegionSignals,
)
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering
from controlplane.model.service import PodTemplate, Policy, ServiceSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def decide_seconds(
    clock: Clock, *, regions: int, accelerators: int, policy: Policy | None = None, runs: int = 15
) -> float:
    """Give the median time of one decision, in seconds."""
    spec = replace(_spec(accelerators), policy=policy or Policy())
    observation = _observation(regions, accelerators)
    memory = decide(spec, observation, Memory(), NOW).memory
    seconds = []
    for run in range(runs):
        begun = clock.monotonic()
        decide(spec, observation, memory, NOW + timedelta(seconds=run))
        seconds.append(clock.monotonic() - begun)
    return statistics.median(seconds)


def _types(count: int) -> tuple[Accelerator, ...]:
    return tuple(Accelerator(f"nvidia-gpu-{number}") for number in range(count))


def _spec(accelerators: int) -> ServiceSpec:
    pod = PodTemplate(image="app:1", port=7860)
    return ServiceSpec("bench", "default", "uid", 1, 8, _types(accelerators), pod)


def _observation(regions: int, accelerators: int) -> Observation:
    infos = tuple(ClusterInfo(ClusterRef(f"region-x{n}", "gpu")) for n in range(regions))
    names = frozenset(accelerator.type for accelerator in _types(accelerators))
    signals = {info.ref.region: RegionSignals(Known(names, NOW), Known({}, NOW)) for info in infos}
    prices = {
        Offering(info.ref, accelerator, capacity): 0.2 + 0.01 * number
        for number, info in enumerate(infos)
        for accelerator in _types(accelerators)
        for capacity in (Capacity.SPOT, Capacity.ON_DEMAND)
    }
    return Observation(
        at=NOW,
        fleet=Known(infos, NOW),
        members={info.ref: Member(info, Known((), NOW)) for info in infos},
        signals=signals,
        ingress=Known(IngressFact(None, None, Known({}, NOW)), NOW),
        project_gpu_quota=Known(Quota(1000, 0), NOW),
        prices=prices,
    )
