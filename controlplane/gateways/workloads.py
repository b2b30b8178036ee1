"""From the raw objects of a member cluster to the facts the decision works on. Pure.

Deployments tell what we wanted, Pods what came of it, Events why not, Nodes where. A Pod that is scheduled has its GPU
whatever was refused to it before; an Event of a Pod that is gone, or older than the Deployment, belongs to an earlier
try and says nothing about this one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controlplane.gateways.instants import event_time, parse_instant
from controlplane.gateways.refusals import classify_create, classify_event
from controlplane.gateways.sanitise import sanitise
from controlplane.model import naming
from controlplane.model.observation import AutoscalerFact, PodFact, Refusal, WorkloadFact
from controlplane.model.offering import Capacity, ClusterRef, Offering, RefusalClass

Json = Mapping[str, Any]
ServiceKey = tuple[str, str]
_IMPENDING = "cloud.google.com/impending-node-termination"
_PREEMPTED = frozenset({"NodeShutdown", "Terminated", "Preempting", "Preempted", "Shutdown"})
_ABLE = ("AbleToScale", "ScalingActive")
_DISRUPTED = frozenset({"TerminationByKubelet", "DeletionByTaintManager"})


@dataclass(frozen=True, slots=True)
class RawMember:
    """What was listed in one member cluster. Events and nodes are listed only when they can matter."""

    deployments: Sequence[Json]
    pods: Sequence[Json]
    events: Sequence[Json] = ()
    nodes: Sequence[Json] = ()
    autoscalers: Sequence[Json] = ()


def workloads_by_service(cluster: ClusterRef, raw: RawMember) -> dict[ServiceKey, tuple[WorkloadFact, ...]]:
    """Give the facts of every service's Deployments. Objects that are not wholly ours are left out."""
    nodes = {metadata_of(node).get("name"): node for node in raw.nodes}
    pods = defaultdict(list)
    for pod in raw.pods:
        offering = _offering(cluster, pod)
        if offering is not None:
            pods[_key(pod), offering].append(pod)
    told = by_uid(raw.events)
    scalers = {(str(metadata_of(each).get("namespace", "")), _scaled_uid(each)): each for each in raw.autoscalers}
    found: dict[ServiceKey, list[WorkloadFact]] = defaultdict(list)
    for deployment in raw.deployments:
        offering, key = _offering(cluster, deployment), _key(deployment)
        if offering is None or metadata_of(deployment)["name"] != naming.deployment_name(
            key[1], offering.accelerator, offering.capacity
        ):
            continue
        own = tuple(pod_fact(pod, nodes, offering) for pod in pods[key, offering])
        refusals = _refusals(deployment, own, told, raw.events)
        scaler = scalers.get((key[0], str(metadata_of(deployment)["uid"])))
        found[key].append(_workload(deployment, offering, own, refusals, _autoscaler(scaler) if scaler else None))
    return {key: tuple(sorted(facts, key=lambda fact: fact.name)) for key, facts in found.items()}


def any_autoscaled(deployments: Iterable[Json]) -> bool:
    """Tell whether a Deployment says that an autoscaler sets its replicas."""
    return any(naming.ANNOTATION_AUTOSCALED in mapping(metadata_of(d), "annotations") for d in deployments)


def _scaled_uid(autoscaler: Json) -> str:
    """Give the uid of the Deployment that an autoscaler belongs to; empty where it says none."""
    owners = metadata_of(autoscaler).get("ownerReferences") or ()
    return next((str(o.get("uid")) for o in owners if isinstance(o, Mapping) and o.get("kind") == "Deployment"), "")


def _autoscaler(autoscaler: Json) -> AutoscalerFact:
    spec, annotations = mapping(autoscaler, "spec"), mapping(metadata_of(autoscaler), "annotations")
    stuck = [c for kind in _ABLE if (c := condition_of(autoscaler, kind)).get("status") == "False"]
    told = [f"{c.get('reason', '')}: {c.get('message', '')}" for c in stuck if c.get("reason") != "ScalingDisabled"]
    return AutoscalerFact(
        minimum=max(1, int(spec.get("minReplicas") or 1)),
        maximum=max(1, int(spec.get("maxReplicas") or 1)),
        spec_hash=str(annotations.get(naming.ANNOTATION_SPEC_HASH, "")),
        problem=sanitise(told[0]) if told else "",
    )


def needs_events(deployments: Iterable[Json], pods: Iterable[Json]) -> set[str]:
    """Give the namespaces in which something is missing, so that the Events may say why."""
    ready: dict[tuple[str, str, str, str, str], int] = defaultdict(int)
    for pod in pods:
        if condition_of(pod, "Ready").get("status") == "True" and "deletionTimestamp" not in metadata_of(pod):
            ready[_placement(pod)] += 1
    short = (d for d in deployments if ready[_placement(d)] < int(mapping(d, "spec").get("replicas") or 0))
    return {str(metadata_of(deployment).get("namespace", "")) for deployment in short}


def left_out(deployments: Sequence[Json], pods: Sequence[Json]) -> str:
    """Hold two lists against each other; give what one of them must have left out, or nothing.

    A list cut short without a word is what has made controllers delete what they could not see. Pods without their
    Deployment and Deployments with more Pods than were listed give it away; for a moment both are so in normal life
    too, and then it is cheap to look again in the next pass.
    """
    seen: dict[tuple[str, str, str, str, str], int] = defaultdict(int)
    for pod in pods:
        if "deletionTimestamp" not in metadata_of(pod) and mapping(pod, "status").get("phase") not in (
            "Failed",
            "Succeeded",
        ):
            seen[_placement(pod)] += 1
    listed = {_placement(deployment) for deployment in deployments}
    orphans = sorted({key[1] for key in seen if key not in listed})
    if orphans:
        return f"Pods of {', '.join(orphans)} are listed without their Deployment"
    for deployment in deployments:
        said = int(mapping(deployment, "status").get("readyReplicas") or 0)
        if "deletionTimestamp" not in metadata_of(deployment) and said > seen[_placement(deployment)]:
            return f"Deployment {metadata_of(deployment).get('name')} says it has {said} ready Pods, fewer are listed"
    return ""


def _placement(obj: Json) -> tuple[str, str, str, str, str]:
    metadata = metadata_of(obj)
    labels = mapping(metadata, "labels")
    wanted = (naming.LABEL_SERVICE, naming.LABEL_ACCELERATOR, naming.LABEL_ACCELERATOR_COUNT, naming.LABEL_CAPACITY)
    service, accelerator, count, capacity = (str(labels.get(key, "")) for key in wanted)
    return str(metadata.get("namespace", "")), service, accelerator, count, capacity


def _workload(
    deployment: Json,
    offering: Offering,
    pods: tuple[PodFact, ...],
    refusals: tuple[Refusal, ...],
    autoscaler: AutoscalerFact | None,
) -> WorkloadFact:
    metadata = metadata_of(deployment)
    annotations = mapping(metadata, "annotations")
    fence = str(annotations.get(naming.ANNOTATION_FENCE, "0"))
    return WorkloadFact(
        offering=offering,
        name=str(metadata["name"]),
        uid=str(metadata["uid"]),
        resource_version=str(metadata["resourceVersion"]),
        replicas=int(mapping(deployment, "spec").get("replicas") or 0),
        template_hash=str(annotations.get(naming.ANNOTATION_SPEC_HASH, "")),
        pods=tuple(sorted(pods, key=lambda pod: (pod.created_at, pod.name))),
        refusals=refusals,
        created_at=parse_instant(metadata.get("creationTimestamp")),
        deleting="deletionTimestamp" in metadata,
        fence=int(fence) if fence.isdigit() else 0,
        rolled_out=_rolled_out(deployment),
        autoscaler=autoscaler,
    )


def _rolled_out(deployment: Json) -> bool:
    """Say whether all Pods have the template that was applied last.

    Until the controller has seen it, the status is that of the template before, which looks whole.
    """
    status, wanted = mapping(deployment, "status"), int(mapping(deployment, "spec").get("replicas") or 0)
    seen = int(status.get("observedGeneration") or 0) >= int(metadata_of(deployment).get("generation") or 0)
    return seen and int(status.get("updatedReplicas") or 0) == int(status.get("replicas") or 0) == wanted


def pod_fact(pod: Json, nodes: Mapping[Any, Json], offering: Offering) -> PodFact:
    """Give the facts of one Pod. Raises ValueError for an object without a time of creation."""
    metadata, status = metadata_of(pod), mapping(pod, "status")
    scheduled, ready = condition_of(pod, "PodScheduled"), condition_of(pod, "Ready")
    name = mapping(pod, "spec").get("nodeName") or None
    node = nodes.get(name, {})
    containers = [c for c in status.get("containerStatuses") or () if isinstance(c, Mapping)]
    waiting = [mapping(mapping(c, "state"), "waiting").get("reason") for c in containers]
    created = parse_instant(metadata.get("creationTimestamp"))
    if created is None:
        raise ValueError("a Pod without creationTimestamp")
    return PodFact(
        name=str(metadata["name"]),
        uid=str(metadata["uid"]),
        created_at=created,
        scheduled_at=parse_instant(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else None,
        ready_at=parse_instant(ready.get("lastTransitionTime")) if ready.get("status") == "True" else None,
        node=str(name) if name else None,
        zone=_zone(node),
        terminating="deletionTimestamp" in metadata,
        preempted=_preempted(pod, node, offering),
        failed=status.get("phase") in ("Failed", "Succeeded"),
        restarts=sum(int(c.get("restartCount") or 0) for c in containers),
        waiting_reason=sanitise(next((reason for reason in waiting if reason), ""), 64),
        lost_at=_lost_at(pod),
    )


def _preempted(pod: Json, node: Json, offering: Offering) -> bool:
    """Say whether Google Cloud takes or took the Pod's node back."""
    if mapping(pod, "status").get("reason") in _PREEMPTED:
        return True
    taints = mapping(node, "spec").get("taints") or ()
    if any(isinstance(taint, Mapping) and taint.get("key") == _IMPENDING for taint in taints):
        return True
    disruption = condition_of(pod, "DisruptionTarget")
    taken = disruption.get("status") == "True" and disruption.get("reason") in _DISRUPTED
    return taken and offering.capacity is Capacity.SPOT


def _lost_at(pod: Json) -> datetime | None:
    disruption = condition_of(pod, "DisruptionTarget")
    return parse_instant(disruption.get("lastTransitionTime")) if disruption.get("status") == "True" else None


def _refusals(
    deployment: Json, pods: Sequence[PodFact], told: Mapping[str, Sequence[Json]], events: Sequence[Json]
) -> tuple[Refusal, ...]:
    found = [refusal for pod in pods if not pod.scheduled for refusal in pod_refusals(pod, told.get(pod.uid, ()))]
    found += _create_refusals(deployment, pods, events)
    return tuple(sorted(found, key=lambda refusal: (refusal.at, refusal.refusal, refusal.pod_uid)))


def pod_refusals(pod: PodFact, events: Sequence[Json]) -> list[Refusal]:
    """Give the refusals that the Events of a Pod tell."""
    found = []
    for event in events:
        message = str(event.get("message") or "")
        classified, at = classify_event(str(event.get("reason") or ""), message), event_time(event)
        if classified is not None and at is not None and at >= pod.created_at.replace(microsecond=0):
            found.append(Refusal(classified.refusal, at, sanitise(message), classified.zones, pod.uid))
    causes = [refusal for refusal in found if refusal.refusal is not RefusalClass.BACKING_OFF]
    # A back-off hides its cause. Where the cause is known, it stands, with its own time: nothing new was refused.
    return causes or found


def _create_refusals(deployment: Json, pods: Sequence[PodFact], events: Sequence[Json]) -> list[Refusal]:
    """Read why Pods could not be created at all: the Deployment's condition, or Events of its ReplicaSets before it."""
    condition = condition_of(deployment, "ReplicaFailure")
    if condition.get("status") == "True":
        at = parse_instant(condition.get("lastUpdateTime")) or parse_instant(condition.get("lastTransitionTime"))
        message = str(condition.get("message") or "")
        return [Refusal(classify_create(message), at, sanitise(message))] if at else []
    metadata, found = metadata_of(deployment), []
    since = parse_instant(metadata.get("creationTimestamp"))
    if pods or int(mapping(deployment, "spec").get("replicas") or 0) == 0:
        return []
    for event in events:
        involved, at = mapping(event, "involvedObject"), event_time(event)
        of_ours = involved.get("kind") == "ReplicaSet" and involved.get("namespace") == metadata.get("namespace")
        owner = str(involved.get("name", "")).rpartition("-")[0]
        message = str(event.get("message") or "")
        classified = classify_event(str(event.get("reason") or ""), message)
        if of_ours and owner == metadata["name"] and classified and at and (since is None or at >= since):
            found.append(Refusal(classified.refusal, at, sanitise(message)))
    return found


def by_uid(events: Sequence[Json]) -> dict[str, list[Json]]:
    """Give the Events by the uid of what they are about."""
    found: dict[str, list[Json]] = defaultdict(list)
    for event in events:
        found[str(mapping(event, "involvedObject").get("uid", ""))].append(event)
    return found


def _offering(cluster: ClusterRef, obj: Json) -> Offering | None:
    labels = mapping(metadata_of(obj), "labels")
    if labels.get(naming.LABEL_MANAGED_BY) != naming.FIELD_MANAGER or naming.LABEL_SERVICE not in labels:
        return None
    try:
        return naming.offering_from_labels(cluster, dict(labels))
    except (KeyError, ValueError):
        return None


def _key(obj: Json) -> ServiceKey:
    metadata = metadata_of(obj)
    return str(metadata.get("namespace", "")), str(mapping(metadata, "labels").get(naming.LABEL_SERVICE, ""))


def _zone(node: Json) -> str | None:
    zone = mapping(metadata_of(node), "labels").get("topology.kubernetes.io/zone")
    return str(zone) if zone else None


def condition_of(obj: Json, kind: str) -> Json:
    """Give an object's condition of a kind; empty when there is none."""
    conditions = mapping(obj, "status").get("conditions") or ()
    return next((c for c in conditions if isinstance(c, Mapping) and c.get("type") == kind), {})


def metadata_of(obj: Json) -> Json:
    """Give an object's metadata; empty for what is no object."""
    return mapping(obj, "metadata")


def mapping(holder: Json, key: str) -> Json:
    """Give a section of an object; empty when it is not there or is no section."""
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}
