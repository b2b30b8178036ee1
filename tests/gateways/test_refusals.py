# ruff: noqa: E501 - foreign messages stand here as they come
"""What Events, conditions and admission errors mean, by messages as Google Cloud writes them."""

import pytest

from controlplane.gateways.refusals import classify_create, classify_event
from controlplane.model.offering import RefusalClass as R

UP = "Node scale up in zones us-central1-a, us-central1-b associated with this pod failed: {}. Pod is at risk of not being scheduled."
WARDEN = (
    'admission webhook "warden-validating.common-webhooks.networking.gke.io" denied the request: GKE Warden rejected the'
    " request because it violates one or more constraints.\nViolations details: "
)

SCALE_UPS = {
    "out of resources": (UP.format("GCE out of resources"), R.STOCK_OUT),
    "out of resources, empty zone list": (
        "Node scale up in zones associated with this pod failed: GCE out of resources. Pod is at risk of not being scheduled.",
        R.STOCK_OUT,
    ),
    "combined events": ("(combined from similar events): " + UP.format("GCE out of resources"), R.STOCK_OUT),
    "cut at 250 characters": (
        (
            "Node scale up in zones "
            + ", ".join(["us-central1-a"] * 9)
            + " associated with this pod failed: GCE out of resources"
        )[:250],
        R.STOCK_OUT,
    ),
    "GCE code of a zone": (UP.format("ZONE_RESOURCE_POOL_EXHAUSTED"), R.STOCK_OUT),
    "GCE code with details": (UP.format("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"), R.STOCK_OUT),
    "GCE code of a region": (UP.format("REGION_RESOURCE_POOL_EXHAUSTED"), R.STOCK_OUT),
    "GPU_STOCKOUT": (UP.format("GPU_STOCKOUT"), R.STOCK_OUT),
    "GCE_STOCKOUT": (UP.format("GCE_STOCKOUT"), R.STOCK_OUT),
    "zone in words": (
        (
            "The zone 'projects/p/zones/us-central1-a' does not have enough resources available to fulfill the request.  Try a"
            " different zone, or try again later."
        ),
        R.STOCK_OUT,
    ),
    "zone in words, resource type": (
        "The zone 123 does not have enough resources available to fulfill the request, '(resource type:compute)'.",
        R.STOCK_OUT,
    ),
    "quota": (UP.format("GCE quota exceeded"), R.QUOTA_REGION),
    "quota code": (UP.format("QUOTA_EXCEEDED"), R.QUOTA_REGION),
    "quota metric": (UP.format("Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 0.0 in region us-central1"), R.QUOTA_REGION),
    "preemptible quota metric": (UP.format("Quota 'PREEMPTIBLE_NVIDIA_T4_GPUS' exceeded.  Limit: 1.0"), R.QUOTA_REGION),
    "GCE_QUOTA_EXCEEDED": (UP.format("GCE_QUOTA_EXCEEDED"), R.QUOTA_REGION),
    "quota of the project": (UP.format("Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally"), R.QUOTA_PROJECT),
    "quota and stock-out": (UP.format("GCE out of resources, GCE quota exceeded"), R.QUOTA_REGION),
    "quota and IP": (UP.format("IP space exhausted, GCE quota exceeded"), R.QUOTA_REGION),
    "IP space": (UP.format("IP space exhausted"), R.IP_SPACE),
    "IP_SPACE_EXHAUSTED": (UP.format("IP_SPACE_EXHAUSTED"), R.IP_SPACE),
    "IP and stock-out": (UP.format("GCE out of resources, IP space exhausted"), R.IP_SPACE),
    "stock-out and time-out": (
        UP.format('GCE out of resources, Some nodes in node group ["ng1"] failed to appear in time'),
        R.STOCK_OUT,
    ),
    "time-out": (UP.format('Some nodes in node group ["ng1"] failed to appear in time'), R.PROVISIONING_TIMEOUT),
    "time-out message id": (UP.format("scale.up.error.waiting.for.instances.timeout"), R.PROVISIONING_TIMEOUT),
    "internal error": (UP.format("Internal error"), R.UNCLASSIFIED),
    "service account": (UP.format("Service Account was deleted"), R.UNCLASSIFIED),
    "reservation not ready": (UP.format("Reservation not ready"), R.UNCLASSIFIED),
    "reservation capacity": (UP.format("Reservation capacity exceeded"), R.UNCLASSIFIED),
    "reservation not found": (UP.format("Reservation not found or incorrectly shared"), R.UNCLASSIFIED),
    "reservation incompatible": (UP.format("Reservation incompatible with node group"), R.UNCLASSIFIED),
    "invalid reservation": (UP.format("Invalid Reservation"), R.UNCLASSIFIED),
    "compact placement": (UP.format("Unsupported Compact Placement Config"), R.UNCLASSIFIED),
    "words nobody knows": (UP.format("the dog ate the GPUs"), R.UNCLASSIFIED),
    "stock mentioned, but not so": (UP.format("stock keeping unit unknown, resources fine"), R.UNCLASSIFIED),
    "empty": ("", R.UNCLASSIFIED),
}

NO_REFUSALS = {
    "scale-up triggered": (
        "TriggeredScaleUp",
        "pod triggered scale-up: [{https://www.googleapis.com/compute/v1/projects/P/zones/us-west1-b/instanceGroups/gk3-dev-nap-1-grp 0->1 (max: 1000)}]",
    ),
    "newer form": ("TriggeredScaleUp", "Pod triggered scale-up: [{gk3-temporary-mig-async-0 0->1 (max: 1000)}]"),
    "scheduler waits": (
        "FailedScheduling",
        (
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3"
            " Preemption is not helpful for scheduling."
        ),
    ),
    "scheduler waits for GPUs": ("FailedScheduling", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
    "other node groups": (
        "NotTriggerScaleUp",
        "pod didn't trigger scale-up (it wouldn't fit if a new node is added): 16 node(s) didn't match Pod's node affinity/selector",
    ),
    "group size": ("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached"),
    "queued": (
        "IgnoredInScaleUp",
        "Unschedulable pod ignored in scale-up loop, because it's consuming ProvisioningRequest default/x that is in Accepted state.",
    ),
    "scheduled": ("Scheduled", "Successfully assigned default/web-0 to gk3-node"),
    "image pull": ("Failed", "Failed to pull image: GCE out of resources is what this text says"),
    "probe": ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
}

CREATES = {
    "GPU without selector": (
        WARDEN
        + """{"[denied by autogke-gpu-limitation]":["When requesting 'nvidia.com/gpu' resources, you must specify either node selector"]}""",
        R.REJECTED_SPEC,
    ),
    "toleration without GPU": (
        WARDEN
        + "The toleration with key 'nvidia.com/gpu' and operator 'Exists' cannot be specified if the pod does not request to use GPU in Autopilot.",
        R.REJECTED_SPEC,
    ),
    "CPU below the minimum": (
        WARDEN
        + "[denied by autogke-pod-limit-constraints] workload 'x' cpu requests '250m' is lower than the Autopilot minimum",
        R.REJECTED_SPEC,
    ),
    "too much storage": (
        WARDEN
        + "Total ephemeral-storage requested by containers for workload 'x' is higher than the Autopilot maximum of '10Gi'.",
        R.REJECTED_SPEC,
    ),
    "machine family": (WARDEN + "[denied by autopilot-machine-family-selection-limitation]", R.REJECTED_SPEC),
    "compute class": (WARDEN + "[denied by ccc-node-affinity-selector-limitation]", R.REJECTED_SPEC),
    "reason form": ("GKE Warden constraints violations", R.REJECTED_SPEC),
    "another webhook": (
        'admission webhook "policy.example.com" denied the request: no images from outside',
        R.REJECTED_SPEC,
    ),
    "Pod security": (
        'pods "web-1" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
        R.REJECTED_SPEC,
    ),
    "service account": (
        'pods "web-" is forbidden: error looking up service account default/web: serviceaccount "web" not found',
        R.REJECTED_SPEC,
    ),
    "resource quota of GPUs": (
        'pods "web-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: 2, limited: 2',
        R.QUOTA_REGION,
    ),
    "resource quota of CPUs": ('pods "web-1" is forbidden: exceeded quota: cpus, requested: cpu=4', R.REJECTED_SPEC),
    "RBAC": (
        'pods is forbidden: User "system:serviceaccount:kube-system:replicaset-controller" cannot create resource "pods" in API group ""',
        R.UNAUTHORISED,
    ),
    "invalid": ('Pod "web-1" is invalid: spec.containers[0].image: Required value', R.REJECTED_SPEC),
    "time-out of a webhook": ("context deadline exceeded", R.UNCLASSIFIED),
    "etcd": ("etcdserver: request timed out", R.UNCLASSIFIED),
}


@pytest.mark.parametrize(("message", "expected"), SCALE_UPS.values(), ids=SCALE_UPS.keys())
def test_failed_scale_up(message, expected):
    """A failed scale-up is classified by substrings; quota before IP before stock-out before time-out before the rest."""
    assert classify_event("FailedScaleUp", message).refusal is expected


@pytest.mark.parametrize(("reason", "message"), NO_REFUSALS.values(), ids=NO_REFUSALS.keys())
def test_normal_while_waiting(reason, message):
    """What is normal while a node is on its way refuses nothing."""
    assert classify_event(reason, message) is None


@pytest.mark.parametrize(("message", "expected"), CREATES.values(), ids=CREATES.keys())
def test_pods_that_could_not_be_created(message, expected):
    """Why a ReplicaSet could not create Pods never says anything about capacity."""
    assert classify_create(message) is expected
    assert classify_event("FailedCreate", "Error creating: " + message).refusal is expected


def test_backing_off_hides_its_cause():
    """The autoscaler's back-off is a class of its own, since the message does not say what failed before."""
    found = classify_event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 in backoff after failed scale-up")
    assert found.refusal is R.BACKING_OFF


@pytest.mark.parametrize(
    ("zones", "expected"),
    [
        ("us-central1-a, us-central1-b ", ("us-central1-a", "us-central1-b")),
        ("us-south1-ai1b ", ("us-south1-ai1b",)),
        ("", ()),
        (" ", ()),
    ],
    ids=["two", "AI zone", "none", "blank"],
)
def test_zones_of_a_scale_up(zones, expected):
    """The zones are read from the text; an empty list gives none."""
    message = f"Node scale up in zones {zones}associated with this pod failed: GCE out of resources."
    assert classify_event("FailedScaleUp", message).zones == expected
