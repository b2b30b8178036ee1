"""How many replicas a resource metric asks for: the replica calculator of kube-controller-manager.

The ratio of what ready Pods use to what they are to use gives the number, unless it is within the tolerance. Pods that
tell nothing are taken to use what speaks against a change, and what begins only now is taken to use nothing on the way
up, so that neither sets off a scaling that the whole would not bear out. Source: pkg/controller/podautoscaler/
replica_calculator.go of Kubernetes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema.quantity import parse_quantity
from controlplane.localcloud.controllers.horizontal.samples import Sample
from controlplane.localcloud.controllers.objects import condition, is_deleting, parse_time
from controlplane.localcloud.controllers.pods import phase_of

TOLERANCE = 0.1
CPU_INITIALISATION = timedelta(minutes=5)
READINESS_DELAY = timedelta(seconds=30)


class CannotScaleError(Exception):
    """A metric tells nothing; the text is Kubernetes' own."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be used: a percentage of what is requested, or thousandths of a core on average."""

    percent: int | None = None
    milli: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """The replicas that a metric asks for, and what it was found to be."""

    replicas: int
    milli: int
    percent: int | None = None


@dataclass(slots=True)
class Groups:
    """Pods by what their samples are good for."""

    ready: int = 0
    unready: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    used: dict[str, int] = field(default_factory=dict)


def replicas_for(  # noqa: PLR0917 - one question, spelt out
    current: int,
    pods: Sequence[Object],
    sample_of: Callable[[Object], Sample | None],
    target: Target,
    now: datetime,
    resource: str = "cpu",
) -> Proposal:
    """Give what a resource asks for. Raises CannotScaleError."""
    samples = {_name(pod): sample for pod in pods if (sample := sample_of(pod)) is not None}
    if not samples:
        text = f"unable to get metrics for resource {resource}: no metrics returned from resource metrics API"
        raise CannotScaleError(text)
    groups = group(pods, samples, now)
    if not groups.used:
        raise CannotScaleError("did not receive metrics for targeted pods (pods might be unready)")
    requests = {_name(pod): _request(pod) for pod in pods} if target.percent is not None else {}
    ratio, average, percent = _ratio(groups.used, requests, target)
    replicas = _replicas(current, groups, requests, target, ratio)
    return Proposal(replicas, average, percent)


def group(pods: Sequence[Object], samples: Mapping[str, Sample], now: datetime) -> Groups:
    """Sort out which Pods count; those that go or have failed do not at all."""
    groups = Groups()
    for pod in pods:
        name = _name(pod)
        if is_deleting(pod) or phase_of(pod) == "Failed":
            continue
        sample = samples.get(name)
        if phase_of(pod) == "Pending":
            groups.unready.add(name)
        elif sample is None:
            groups.missing.add(name)
        elif _unready(pod, sample, now):
            groups.unready.add(name)
        else:
            groups.ready += 1
            groups.used[name] = sample.milli
    return groups


def _unready(pod: Object, sample: Sample, now: datetime) -> bool:
    """Tell whether what a Pod uses is still that of its start."""
    status = pod.get("status") or {}
    ready, started = condition(status, "Ready"), parse_time(status.get("startTime"))
    changed = parse_time(ready.get("lastTransitionTime")) if ready else None
    if ready is None or started is None or changed is None:
        return True
    if started + CPU_INITIALISATION > now:
        return ready["status"] == "False" or sample.at < changed + timedelta(seconds=sample.window)
    return ready["status"] == "False" and started + READINESS_DELAY > changed


def _replicas(current: int, groups: Groups, requests: Mapping[str, int], target: Target, ratio: float) -> int:
    starting = bool(groups.unready) and ratio > 1.0
    if not starting and not groups.missing:
        return current if abs(1.0 - ratio) <= TOLERANCE else math.ceil(ratio * groups.ready)
    used = dict(groups.used)
    for name in groups.missing:
        if ratio < 1.0:
            used[name] = _in_full(name, requests, target)
        elif ratio > 1.0:
            used[name] = 0
    if starting:
        used |= dict.fromkeys(groups.unready, 0)
    again, _, _ = _ratio(used, requests, target)
    if abs(1.0 - again) <= TOLERANCE or (ratio < 1.0 < again) or (again < 1.0 < ratio):
        return current
    wanted = math.ceil(again * len(used))
    return current if (again < 1.0 and wanted > current) or (again > 1.0 and wanted < current) else wanted


def _ratio(used: Mapping[str, int], requests: Mapping[str, int], target: Target) -> tuple[float, int, int | None]:
    """Give what is used over what is to be, the average in thousandths of a core, and the percentage."""
    total = sum(used.values())
    average = total // len(used)
    if target.percent is None:
        return average / target.milli, average, None
    percent = total * 100 // sum(requests[name] for name in used)
    return percent / target.percent, average, percent


def _in_full(name: str, requests: Mapping[str, int], target: Target) -> int:
    """Give what a Pod without a sample is taken to use when the others ask for fewer."""
    return target.milli if target.percent is None else requests[name] * max(100, target.percent) // 100


def _request(pod: Object) -> int:
    """Give the thousandths of a core that a Pod requests in all."""
    total = 0
    for container in pod["spec"]["containers"]:
        asked = ((container.get("resources") or {}).get("requests") or {}).get("cpu")
        if asked is None:
            raise CannotScaleError(f"missing request for cpu in container {container['name']} of Pod {_name(pod)}")
        total += math.ceil(parse_quantity(asked) * 1000)
    return total


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])
