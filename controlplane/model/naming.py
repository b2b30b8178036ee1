"""Names, labels and annotations that our objects carry. Deterministic, so the API server itself detects duplicates.

Deployment names are `<service>-<accelerator>-<capacity>` (DESIGN section 5); the count is added when it is not one.
A name over 63 characters is cut and ends in a hash, so that it stays a valid label value and stays unique.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering

GROUP = "gpuhunter.dev"
FIELD_MANAGER = "gpu-hunter"
HANDOVER_MANAGER = "gpu-hunter-handover"
"""Holds `spec.replicas` from when we let go of it until an autoscaler changes it, so that it does not fall to one."""

FINALIZER = f"{GROUP}/teardown"

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_SERVICE = f"{GROUP}/service"
LABEL_BATCH = f"{GROUP}/batch"
LABEL_INBOX = f"{GROUP}/inbox"
LABEL_ACCELERATOR = f"{GROUP}/accelerator"
LABEL_ACCELERATOR_COUNT = f"{GROUP}/accelerator-count"
LABEL_CAPACITY = f"{GROUP}/capacity"
LABEL_APP = "app"

ANNOTATION_SPEC_HASH = f"{GROUP}/spec-hash"
ANNOTATION_AUTOSCALED = f"{GROUP}/autoscaled"
ANNOTATION_FENCE = f"{GROUP}/fence"
ANNOTATION_SOURCE = f"{GROUP}/source"
ANNOTATION_SHARDS = f"{GROUP}/shards"
ANNOTATION_RESULTS = f"{GROUP}/results"
ANNOTATION_OWNER_UID = f"{GROUP}/owner-uid"

NODE_ACCELERATOR = "cloud.google.com/gke-accelerator"
NODE_ACCELERATOR_COUNT = "cloud.google.com/gke-accelerator-count"
NODE_SPOT = "cloud.google.com/gke-spot"
NODE_FLEX_START = "cloud.google.com/gke-flex-start"


def deployment_name(service: str, accelerator: Accelerator, capacity: Capacity) -> str:
    """Give the name of a placement's Deployment, at most 63 characters."""
    kind = accelerator.type.removeprefix("nvidia-")
    count = "" if accelerator.count == 1 else f"-x{accelerator.count}"
    return shorten(f"{service}-{kind}{count}-{capacity.value}", 63)


def shorten(name: str, limit: int) -> str:
    """Give the name itself, or its beginning and eight hash characters when it is over `limit`."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: limit - 9].rstrip('-')}-{digest}"


def service_labels(service: str) -> dict[str, str]:
    """Give the labels that select everything of a service that is ours (S7)."""
    return {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_SERVICE: service}


def is_ours(found: Mapping[str, Any], service: str) -> bool:
    """Say whether an object, of whatever shape, carries the labels of this service's own (S7)."""
    metadata = found.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, Mapping) else None
    return isinstance(labels, Mapping) and all(labels.get(k) == v for k, v in service_labels(service).items())


def is_of_batch(found: Mapping[str, Any], batch: str) -> bool:
    """Say whether an object carries the labels of this batch's own (S7)."""
    metadata = found.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, Mapping) else None
    ours = {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_BATCH: batch}
    return isinstance(labels, Mapping) and all(labels.get(key) == value for key, value in ours.items())


def placement_labels(service: str, offering: Offering) -> dict[str, str]:
    """Give the labels of a placement's Deployment and Pods; `app` is what the regional Service selects by."""
    return {
        LABEL_APP: service,
        **service_labels(service),
        LABEL_ACCELERATOR: offering.accelerator.type,
        LABEL_ACCELERATOR_COUNT: str(offering.accelerator.count),
        LABEL_CAPACITY: offering.capacity.value,
    }


def job_labels(batch: str, offering: Offering) -> dict[str, str]:
    """Give the labels of a batch's Job and its Pods in one placement."""
    return {
        LABEL_MANAGED_BY: FIELD_MANAGER,
        LABEL_BATCH: batch,
        LABEL_ACCELERATOR: offering.accelerator.type,
        LABEL_ACCELERATOR_COUNT: str(offering.accelerator.count),
        LABEL_CAPACITY: offering.capacity.value,
    }


def offering_from_labels(cluster: ClusterRef, labels: dict[str, str]) -> Offering:
    """Read an offering back from a Deployment's labels. Raises KeyError or ValueError when they are not ours."""
    accelerator = Accelerator(labels[LABEL_ACCELERATOR], int(labels[LABEL_ACCELERATOR_COUNT]))
    return Offering(cluster, accelerator, Capacity(labels[LABEL_CAPACITY]))
