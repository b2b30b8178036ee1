"""A changed template is rolled out region by region, and stops at the first that does not get healthy.

Of what holds GPUs one placement at a time is changed: first the rest of a region that was begun, then the region of
the least preferred. The next one follows when every placement that was changed serves with its new template alone. A
cluster that went dark in between has proven nothing, so it is waited for. What holds no GPU is changed at once: there
is nothing to lose, unless the template is known to be no good.

Nobody but its Deployment still knows the old template, so nothing is set back by itself: the Deployments keep the old
Pods for as long as the new ones do not get ready, and a spec that is set back is rolled out the same way, the sick
region first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from controlplane.decide.allocation import worst_first
from controlplane.decide.candidates import Candidate, parsed
from controlplane.decide.capacity import cooling
from controlplane.decide.world import Holding, World, outdated
from controlplane.model.decision import Action, ApplyPlacement
from controlplane.model.memory import OfferingMemory
from controlplane.model.service import ServiceSpec
from controlplane.model.template import spec_template_hash

HOPELESS = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""What a Pod waits for, in the kubelet's words, when waiting alone does not help."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far it has come. behind: placements with an older template. unwell: offerings where the new one is not well.

    dark: clusters that were given the new template and do not answer.
    """

    behind: int = 0
    unwell: tuple[str, ...] = ()
    dark: tuple[str, ...] = ()


def behind(spec: ServiceSpec, world: World) -> tuple[Holding, ...]:
    """Give the placements that are still to be brought to the present template."""
    return tuple(h for h in world.holdings if h.visible and h.kept and outdated(spec, h))


def to_roll(
    spec: ServiceSpec,
    world: World,
    candidates: Mapping[str, Candidate],
    offerings: Mapping[str, OfferingMemory],
    now: datetime,
) -> frozenset[str]:
    """Give the keys of the placements to bring to the new template in this pass."""
    old = {h.key: h for h in behind(spec, world)}
    if not old or _refuted(spec, world, offerings, now):
        return frozenset()
    chosen = {key for key, h in old.items() if not h.scheduled}
    if any(_unfinished(h) for h in world.holdings if h.key not in old):
        return frozenset(chosen)
    begun = {h.region for h in world.holdings if h.kept and h.visible and h.scheduled and h.key not in old}
    worst = [h for h in worst_first(spec, world.holdings, candidates, now) if h.key in old and h.scheduled]
    held = sorted(worst, key=lambda h: (not h.rolling, h.region not in begun))
    return frozenset([*chosen, *(h.key for h in held[:1])])


def rolling(spec: ServiceSpec, world: World, plan: Iterable[Action]) -> frozenset[str]:
    """Give the keys of the placements that have been given another template, or are now, and have not proven it."""
    changed = {a.offering.key for a in plan if isinstance(a, ApplyPlacement)}
    return frozenset(
        h.key
        for h in world.holdings
        if (h.rolling and (outdated(spec, h) or not _proven(h)))
        or (h.key in changed and h.scheduled and outdated(spec, h))
    )


def progress(spec: ServiceSpec, world: World, offerings: Mapping[str, OfferingMemory], now: datetime) -> Rollout:
    """Tell how far the rollout has come, and what keeps it."""
    old = behind(spec, world)
    keys = {h.key for h in old}
    unproven = [h for h in world.holdings if h.kept and h.rolling and h.key not in keys and not _proven(h)]
    unwell = {h.key: str(h.offering) for h in unproven if h.visible and _sick(spec, h, now)}
    if old and _refuted(spec, world, offerings, now):
        unwell |= {key: str(parsed(key) or key) for key in _marked(spec, offerings)}
    return Rollout(
        behind=len(old),
        unwell=tuple(text for _, text in sorted(unwell.items())),
        dark=tuple(sorted({h.link for h in unproven if not h.visible})),
    )


def _marked(spec: ServiceSpec, offerings: Mapping[str, OfferingMemory]) -> list[str]:
    """Give where the present template is known not to have come to serve."""
    marked = []
    for key, past in offerings.items():
        offering = parsed(key) if past.unwell_template else None
        if offering is not None and past.unwell_template == spec_template_hash(spec, offering):
            marked.append(key)
    return marked


def _refuted(spec: ServiceSpec, world: World, offerings: Mapping[str, OfferingMemory], now: datetime) -> bool:
    """Tell whether the present template failed somewhere a moment ago, or ever while it serves nowhere."""
    marked = _marked(spec, offerings)
    if not marked or any(cooling(offerings[key], now) for key in marked):
        return bool(marked)
    return not any(h.kept and not outdated(spec, h) and _proven(h) for h in world.holdings)


def _unfinished(holding: Holding) -> bool:
    """Tell whether a placement with the new template still changes or has not come to serve."""
    if not holding.kept:
        return False
    held = holding.visible and holding.workload is not None and holding.scheduled > 0
    return (holding.rolling or held) and not _proven(holding)


def _proven(holding: Holding) -> bool:
    """Tell whether all that a placement holds serves, with the template of its Deployment and no other."""
    workload = holding.workload
    if not holding.visible or workload is None or not workload.rolled_out:
        return False
    return 0 < holding.scheduled <= holding.serving and len(workload.live_pods) <= workload.replicas


def _sick(spec: ServiceSpec, holding: Holding, now: datetime) -> bool:
    """Tell whether a Pod had its time and is not ready, or waits for what will not come by itself."""
    # With an autoscaler, those that do not get ready are the first to be beyond what is wanted.
    pods = (*(holding.workload.live_pods if holding.workload else ()), *holding.beside)
    return any(
        pod.waiting_reason in HOPELESS
        or (pod.scheduled_at is not None and now - pod.scheduled_at >= spec.timing.warmup_deadline)
        for pod in pods
        if not pod.ready
    )
