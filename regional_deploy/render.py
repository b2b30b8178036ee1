"""Fills the manifests for one placement, as data structures.

The YAML files beside this module are complete, readable manifests of an example service. Text templates would make
them unreadable and let a value break out of its place; here every value is put where it belongs in the parsed object.
Quantities and label values are strings, as the API wants them. Autopilot rewrites what it admits, so whether a live
Deployment is up to date is told by the annotated hash of what was applied, never by comparing templates.
"""

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from importlib import resources
from typing import Any

import yaml

from controlplane.model import naming
from controlplane.model.offering import Capacity, Offering
from controlplane.model.service import Autoscaling, PodTemplate, ServiceSpec

_WORKLOAD_IDENTITY = "iam.gke.io/gcp-service-account"
_METADATA_SERVER = (("169.254.169.252/32", 988), ("169.254.169.254/32", 80))
"""Where GKE's metadata server gives Pods their tokens: with iptables, and with Dataplane V2, as Autopilot has it."""


@cache
def _parsed(name: str) -> dict[str, Any]:
    text = resources.files("regional_deploy").joinpath("manifests", f"{name}.yaml").read_text("utf-8")
    value: dict[str, Any] = yaml.safe_load(text)
    return value


def load(name: str) -> dict[str, Any]:
    """Give a manifest of this package as a structure of one's own."""
    return deepcopy(_parsed(name))


def deployment(
    spec: ServiceSpec, offering: Offering, *, replicas: int | None, spec_hash: str, fence: int
) -> dict[str, Any]:
    """Render the placement's Deployment; with replicas None, for one whose replicas an autoscaler sets."""
    manifest = load("deployment")
    labels = naming.placement_labels(spec.name, offering)
    manifest["metadata"] = {
        "name": naming.deployment_name(spec.name, offering.accelerator, offering.capacity),
        "namespace": spec.namespace,
        "labels": labels,
        "annotations": {
            naming.ANNOTATION_SPEC_HASH: spec_hash,
            naming.ANNOTATION_FENCE: str(fence),
            naming.ANNOTATION_OWNER_UID: spec.uid,
        },
    }
    body = manifest["spec"]
    if replicas is None:
        manifest["metadata"]["annotations"][naming.ANNOTATION_AUTOSCALED] = "true"
        del body["replicas"]
    else:
        body["replicas"] = replicas
    patience = spec.timing.attempt_deadline + spec.timing.warmup_deadline
    body["progressDeadlineSeconds"] = max(body["progressDeadlineSeconds"], int(patience.total_seconds()) + 60)
    body["selector"]["matchLabels"] = dict(labels)
    body["template"]["metadata"]["labels"] = dict(labels)
    if spec.pod.model is not None and spec.pod.model.bucket:
        # By this GKE adds the container that reads the bucket.
        body["template"]["metadata"]["annotations"] = {"gke-gcsfuse/volumes": "true"}
    _fill_app(body["template"]["spec"], spec, offering)
    return manifest


def autoscaler(
    spec: ServiceSpec, offering: Offering, *, minimum: int, maximum: int, uid: str, spec_hash: str
) -> dict[str, Any]:
    """Render the placement's HorizontalPodAutoscaler. uid: of its Deployment, with which it goes.

    Without `spec.autoscaling` it is one to be deleted, and only its name and labels mean anything.
    """
    manifest = load("horizontalpodautoscaler")
    name = naming.deployment_name(spec.name, offering.accelerator, offering.capacity)
    owner = manifest["metadata"]["ownerReferences"][0] | {"name": name, "uid": uid}
    manifest["metadata"] = {
        "name": name,
        "namespace": spec.namespace,
        "labels": naming.placement_labels(spec.name, offering),
        "annotations": {naming.ANNOTATION_SPEC_HASH: spec_hash},
        "ownerReferences": [owner],
    }
    body = manifest["spec"]
    body["scaleTargetRef"]["name"] = name
    body["minReplicas"], body["maxReplicas"] = minimum, maximum
    if spec.autoscaling is not None:
        body["metrics"] = _metrics(spec.autoscaling, body["metrics"][0])
    return manifest


def _metrics(scaled: Autoscaling, cpu: dict[str, Any]) -> list[dict[str, Any]]:
    more = [_plain(metric) for metric in scaled.metrics]
    if scaled.target_cpu is None:
        return more
    cpu["resource"]["target"]["averageUtilization"] = scaled.target_cpu
    return [cpu, *more]


def region_manifests(spec: ServiceSpec) -> list[dict[str, Any]]:
    """Render what the service needs in a region once, whatever runs there: in the order of applying."""
    return [_service_account(spec), _service(spec), _disruption_budget(spec), _network_policy(spec)]


def placement_manifests(
    spec: ServiceSpec, offering: Offering, *, replicas: int, spec_hash: str, fence: int
) -> list[dict[str, Any]]:
    """Render all that a placement needs in its region, the Deployment last."""
    return [*region_manifests(spec), deployment(spec, offering, replicas=replicas, spec_hash=spec_hash, fence=fence)]


def release_order(spec: ServiceSpec) -> list[dict[str, Any]]:
    """Give what is deleted from a region when the service goes, after its Deployments: the reverse of applying."""
    return region_manifests(spec)[::-1]


def namespace(name: str) -> dict[str, Any]:
    """Render a namespace for a member cluster that lacks it."""
    manifest = load("namespace")
    manifest["metadata"]["name"] = name
    return manifest


def priority_class() -> dict[str, Any]:
    """Render the priority of services for a member cluster that lacks it."""
    return load("priorityclass")


def node_selector(offering: Offering) -> dict[str, str]:
    """Give the labels of the node that Autopilot is to provide."""
    selector = {
        naming.NODE_ACCELERATOR: offering.accelerator.type,
        naming.NODE_ACCELERATOR_COUNT: str(offering.accelerator.count),
    }
    if offering.capacity is Capacity.SPOT:
        selector[naming.NODE_SPOT] = "true"
    elif offering.capacity is Capacity.FLEX_START:
        selector[naming.NODE_FLEX_START] = "true"
    return selector


def fill_pod(pod: dict[str, Any], template: PodTemplate, offering: Offering) -> None:
    """Put into a Pod what follows from the user's container and the offering, whatever kind of workload makes it."""
    pod["nodeSelector"] = node_selector(offering)
    pod["terminationGracePeriodSeconds"] = template.termination_grace_seconds
    container = pod["containers"][0]
    container["image"] = template.image
    container["resources"] = {
        "requests": {name: str(quantity) for name, quantity in template.requests.items()},
        "limits": {"nvidia.com/gpu": str(offering.accelerator.count)},
    }
    user = template.run_as_user
    pod["securityContext"] |= {"runAsUser": user, "runAsGroup": user, "fsGroup": user}
    container["securityContext"]["readOnlyRootFilesystem"] = template.read_only_root
    _fill_scratch(pod, container, template)


def _fill_app(pod: dict[str, Any], spec: ServiceSpec, offering: Offering) -> None:
    fill_pod(pod, spec.pod, offering)
    pod["serviceAccountName"] = spec.name
    container = pod["containers"][0]
    container["ports"][0]["containerPort"] = spec.pod.port
    for key, words in (("command", spec.pod.command), ("args", spec.pod.args)):
        if words:
            container[key] = list(words)
    container["env"] = _environment(container["env"], spec, offering)
    _fill_probes(container, spec)
    _fill_model(pod, container, spec)
    if spec.pod.pre_stop_seconds > 0:
        container["lifecycle"]["preStop"]["sleep"]["seconds"] = spec.pod.pre_stop_seconds
    else:
        del container["lifecycle"]


def _environment(told: list[dict[str, Any]], spec: ServiceSpec, offering: Offering) -> list[dict[str, Any]]:
    """Placement variables first; a variable of the user's of the same name wins, since names must be unique."""
    values = {
        "GPU_HUNTER_SERVICE": spec.name,
        "GPU_HUNTER_REGION": offering.region,
        "GPU_HUNTER_ACCELERATOR": offering.accelerator.type,
        "GPU_HUNTER_CAPACITY": offering.capacity.value,
    }
    own = {str(variable["name"]) for variable in spec.pod.env}
    placement = [v | {"value": values[v["name"]]} if v["name"] in values else v for v in told if v["name"] not in own]
    return [*placement, *(_plain(variable) for variable in spec.pod.env)]


def _fill_probes(container: dict[str, Any], spec: ServiceSpec) -> None:
    pod = spec.pod
    given = {
        "startupProbe": pod.startup_probe,
        "readinessProbe": pod.readiness_probe,
        "livenessProbe": pod.liveness_probe,
    }
    for key, probe in given.items():
        if probe is not None:
            container[key] = _plain(probe)


def _fill_scratch(pod: dict[str, Any], container: dict[str, Any], template: PodTemplate) -> None:
    """Mount an empty folder at each scratch path; they count against the Pod's ephemeral storage."""
    for number, scratch in enumerate(template.scratch):
        name = f"scratch-{number}"
        limit = {"sizeLimit": scratch.size} if scratch.size else {}
        pod.setdefault("volumes", []).append({"name": name, "emptyDir": limit})
        container.setdefault("volumeMounts", []).append({"name": name, "mountPath": scratch.path})


def _fill_model(pod: dict[str, Any], container: dict[str, Any], spec: ServiceSpec) -> None:
    """Mount the model read-only, so that every Pod of every region may have it at once."""
    model = spec.pod.model
    if model is None:
        return
    if model.bucket:
        options = "implicit-dirs" + (f",only-dir={model.prefix}" if model.prefix else "")
        attributes = {"bucketName": model.bucket, "mountOptions": options}
        source = {"csi": {"driver": "gcsfuse.csi.storage.gke.io", "readOnly": True, "volumeAttributes": attributes}}
    else:
        source = {"persistentVolumeClaim": {"claimName": model.claim, "readOnly": True}}
    pod.setdefault("volumes", []).append({"name": "model", **source})
    mount = {"name": "model", "mountPath": model.path, "readOnly": True}
    container.setdefault("volumeMounts", []).append(mount)


def _metadata(spec: ServiceSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "namespace": spec.namespace,
        "labels": {naming.LABEL_APP: spec.name, **naming.service_labels(spec.name)},
    }


def _selector(spec: ServiceSpec) -> dict[str, str]:
    return {naming.LABEL_APP: spec.name, naming.LABEL_SERVICE: spec.name}


def _service_account(spec: ServiceSpec) -> dict[str, Any]:
    manifest = load("serviceaccount") | {"metadata": _metadata(spec)}
    if spec.pod.google_service_account:
        manifest["metadata"]["annotations"] = {_WORKLOAD_IDENTITY: spec.pod.google_service_account}
    return manifest


def _service(spec: ServiceSpec) -> dict[str, Any]:
    manifest = load("service") | {"metadata": _metadata(spec)}
    manifest["spec"]["selector"] = _selector(spec)
    return manifest


def _disruption_budget(spec: ServiceSpec) -> dict[str, Any]:
    manifest = load("poddisruptionbudget") | {"metadata": _metadata(spec)}
    manifest["spec"]["selector"]["matchLabels"] = _selector(spec)
    return manifest


def _network_policy(spec: ServiceSpec) -> dict[str, Any]:
    manifest = load("networkpolicy") | {"metadata": _metadata(spec)}
    manifest["spec"]["podSelector"]["matchLabels"] = _selector(spec)
    manifest["spec"]["ingress"][0]["ports"][0]["port"] = spec.pod.port
    if spec.pod.google_service_account or (spec.pod.model and spec.pod.model.bucket):
        manifest["spec"]["egress"] += [_to_metadata(address, port) for address, port in _METADATA_SERVER]
    return manifest


def _to_metadata(address: str, port: int) -> dict[str, Any]:
    return {"to": [{"ipBlock": {"cidr": address}}], "ports": [{"protocol": "TCP", "port": port}]}


def _plain(value: Any) -> Any:
    """Turn mappings and tuples of the frozen spec into what JSON and YAML writers take."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
