"""Which facts about batches follow from raw Jobs, Pods and Events.

A Job's completion indexes are not shards: each Job takes the shards in an order of its own, which stands in an
annotation of it. What a worker did with its shard it leaves in its Pod's termination message, as JSON; the pictures
themselves tell the same, so a message that is missing or garbled costs a count and no picture.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.gateways.instants import parse_instant
from controlplane.gateways.sanitise import sanitise
from controlplane.gateways.workloads import (
    RawMember,
    by_uid,
    condition_of,
    mapping,
    metadata_of,
    pod_fact,
    pod_refusals,
)
from controlplane.model import naming
from controlplane.model.batch import JobFact, numbers_of
from controlplane.model.observation import PodFact, Refusal, WorkloadFact
from controlplane.model.offering import ClusterRef, Offering

Json = Mapping[str, Any]
BatchKey = tuple[str, str]
_INDEX = "batch.kubernetes.io/job-completion-index"
_CANNOT_START = ("ErrImage", "ImagePull", "InvalidImage", "CreateContainer", "RunContainer")


def jobs_by_batch(cluster: ClusterRef, jobs: Sequence[Json], raw: RawMember) -> dict[BatchKey, tuple[JobFact, ...]]:
    """Give the facts of every batch's Jobs; `raw` holds their Pods. Objects that are not wholly ours are left out."""
    nodes = {metadata_of(node).get("name"): node for node in raw.nodes}
    events = by_uid(raw.events)
    pods: dict[str, list[Json]] = defaultdict(list)
    for pod in raw.pods:
        for owner in metadata_of(pod).get("ownerReferences") or ():
            if owner.get("kind") == "Job":
                pods[str(owner.get("uid"))].append(pod)
    found: dict[BatchKey, list[JobFact]] = defaultdict(list)
    for job in jobs:
        offering = _offering(cluster, job)
        if offering is None:
            continue
        metadata = metadata_of(job)
        own = pods[str(metadata["uid"])]
        facts = tuple(pod_fact(pod, nodes, offering) for pod in own)
        refusals = [
            refusal for pod in facts if not pod.scheduled for refusal in pod_refusals(pod, events.get(pod.uid, ()))
        ]
        found[_key(job)].append(_fact(job, offering, own, facts, refusals))
    return {key: tuple(sorted(facts, key=lambda fact: fact.workload.name)) for key, facts in found.items()}


def waits(jobs: Sequence[Json], pods: Sequence[Json]) -> set[str]:
    """Give the namespaces in which a Pod waits for its node, so that the Events may say why."""
    waiting = [pod for pod in pods if not mapping(pod, "spec").get("nodeName")]
    return {str(metadata_of(obj).get("namespace", "")) for obj in waiting} if jobs else set()


def _fact(
    job: Json, offering: Offering, pods: Sequence[Json], facts: tuple[PodFact, ...], refusals: Sequence[Refusal]
) -> JobFact:
    metadata, status = metadata_of(job), mapping(job, "status")
    annotations = mapping(metadata, "annotations")
    shards = numbers_of(str(annotations[naming.ANNOTATION_SHARDS]))
    done = _shards(status.get("completedIndexes"), shards)
    failed = _shards(status.get("failedIndexes"), shards) - done
    over = [kind for kind in ("Complete", "Failed") if condition_of(job, kind).get("status") == "True"]
    if "Failed" in over and not failed:
        failed = frozenset(shards) - done  # it ended as a whole: by a rule, not by one index
    fence = str(annotations.get(naming.ANNOTATION_FENCE, "0"))
    return JobFact(
        workload=WorkloadFact(
            offering=offering,
            name=str(metadata["name"]),
            uid=str(metadata["uid"]),
            resource_version=str(metadata["resourceVersion"]),
            replicas=int(mapping(job, "spec").get("parallelism") or 0),
            template_hash="",
            pods=tuple(sorted(facts, key=lambda pod: (pod.created_at, pod.name))),
            refusals=tuple(sorted(refusals, key=lambda refusal: (refusal.at, refusal.refusal, refusal.pod_uid))),
            created_at=parse_instant(metadata.get("creationTimestamp")),
            deleting="deletionTimestamp" in metadata,
            fence=int(fence) if fence.isdigit() else 0,
        ),
        shards=shards,
        done=done,
        failed=failed,
        bad_pictures=_bad_pictures(pods, shards),
        trouble=_trouble(pods) if failed else "",
        finished=bool(over),
        owner=str(annotations.get(naming.ANNOTATION_OWNER_UID, "")),
        stuck=_stuck(pods),
    )


def _shards(indexes: object, shards: Sequence[int]) -> frozenset[int]:
    numbers = numbers_of(str(indexes)) if indexes else ()
    return frozenset(shards[index] for index in numbers if index < len(shards))


def _bad_pictures(pods: Sequence[Json], shards: Sequence[int]) -> dict[int, int]:
    found = {}
    for pod in pods:
        index = str(mapping(metadata_of(pod), "annotations").get(_INDEX, ""))
        if mapping(pod, "status").get("phase") != "Succeeded" or not index.isdigit() or int(index) >= len(shards):
            continue
        for ended in _terminated(pod):
            try:
                count = int(json.loads(str(ended.get("message") or "{}")).get("failed", 0))
            except (ValueError, TypeError, AttributeError):
                continue
            if count > 0:
                found[shards[int(index)]] = count
    return found


def _trouble(pods: Sequence[Json]) -> str:
    """Give what the Pod that failed last said, or its exit code."""
    failed = [pod for pod in pods if mapping(pod, "status").get("phase") == "Failed"]
    for pod in sorted(failed, key=lambda p: str(metadata_of(p).get("creationTimestamp", "")), reverse=True):
        for ended in _terminated(pod):
            told = str(ended.get("message") or "").strip() or str(ended.get("reason") or "")
            return sanitise(f"exit code {ended.get('exitCode')}: {told}", 300)
    return ""


def _stuck(pods: Sequence[Json]) -> str:
    """Give why a container that has its node does not start: an image, a Secret or a setting that is wrong."""
    for pod in pods:
        for container in mapping(pod, "status").get("containerStatuses") or ():
            waiting = mapping(mapping(container, "state"), "waiting") if isinstance(container, Mapping) else {}
            if (reason := str(waiting.get("reason", ""))).startswith(_CANNOT_START):
                return sanitise(f"{reason}: {waiting.get('message') or ''}".rstrip(": "), 200)
    return ""


def _terminated(pod: Json) -> list[Json]:
    containers = mapping(pod, "status").get("containerStatuses") or ()
    ends = [mapping(mapping(c, "state"), "terminated") for c in containers if isinstance(c, Mapping)]
    return [end for end in ends if end]


def _offering(cluster: ClusterRef, job: Json) -> Offering | None:
    labels = mapping(metadata_of(job), "labels")
    ours = labels.get(naming.LABEL_MANAGED_BY) == naming.FIELD_MANAGER and naming.LABEL_BATCH in labels
    try:
        return naming.offering_from_labels(cluster, dict(labels)) if ours else None
    except (KeyError, ValueError):
        return None


def _key(job: Json) -> BatchKey:
    metadata = metadata_of(job)
    return str(metadata.get("namespace", "")), str(mapping(metadata, "labels").get(naming.LABEL_BATCH, ""))
