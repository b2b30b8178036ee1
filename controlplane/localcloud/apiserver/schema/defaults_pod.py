"""Default values of a Pod's spec, which templates share."""

from typing import Any

from controlplane.localcloud.apiserver.api import Object

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_READABLE = 0o644
_COMPUTE = ("cpu", "memory")


def pod_spec(spec: Object, *, is_pod: bool = False) -> None:
    """Complete a Pod's spec; a Pod proper also gets what the server and its admission add at creation."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec.setdefault("serviceAccountName", account)
        spec["serviceAccount"] = spec["serviceAccountName"]
    containers = [*spec.get("initContainers", ()), *spec.get("containers", ())]
    for container in [*containers, *spec.get("ephemeralContainers", ())]:
        _container(container, host_network=bool(spec.get("hostNetwork")))
    for volume in spec.get("volumes", ()):
        _volume(volume)
    if is_pod:
        _pod_only(spec, containers)


def _pod_only(spec: Object, containers: list[Object]) -> None:
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    if not spec.get("priorityClassName"):
        spec.setdefault("priority", 0)
    if not spec.get("serviceAccountName"):
        spec["serviceAccountName"] = spec["serviceAccount"] = "default"
    for container in containers:
        resources = container["resources"]
        limits = resources.get("limits")
        if limits:
            requests = dict(resources.get("requests") or {})
            for name, amount in limits.items():
                requests.setdefault(name, amount)
            resources["requests"] = requests
    _tolerate_node_failures(spec)


def quality_of_service(spec: Object) -> str:
    """Give the quality-of-service class: whether requests and limits of cpu and memory are absent, partial or equal."""
    guaranteed, any_set = True, False
    for container in [*spec.get("containers", ()), *spec.get("initContainers", ())]:
        resources = container.get("resources") or {}
        limits = {key: value for key, value in (resources.get("limits") or {}).items() if key in _COMPUTE}
        requests = {key: value for key, value in (resources.get("requests") or {}).items() if key in _COMPUTE}
        any_set = any_set or bool(limits or requests)
        guaranteed = (
            guaranteed
            and len(limits) == len(_COMPUTE)
            and all(requests.get(key, value) == value for key, value in limits.items())
        )
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _tolerate_node_failures(spec: Object) -> None:
    """Tolerate an unreachable node for five minutes, as the DefaultTolerationSeconds admission does."""
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(_tolerates(one, key) for one in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})


def _tolerates(toleration: Object, key: str) -> bool:
    return toleration.get("key") in (key, None, "") and toleration.get("effect") in ("NoExecute", None, "")


def _container(container: Object, *, host_network: bool) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = _pull_policy(container.get("image", ""))
    container.setdefault("resources", {})
    for port in container.get("ports", ()):
        port.setdefault("protocol", "TCP")
        if host_network:
            port.setdefault("hostPort", port.get("containerPort", 0))
    for name in _PROBES:
        if name in container:
            _probe(container[name])
    for variable in container.get("env", ()):
        field = (variable.get("valueFrom") or {}).get("fieldRef")
        if field is not None:
            field.setdefault("apiVersion", "v1")
        resource = (variable.get("valueFrom") or {}).get("resourceFieldRef")
        if resource is not None:
            resource.setdefault("divisor", "0")
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict):
            _http_get(handler.get("httpGet"))


def _pull_policy(image: str) -> str:
    """Give Always for `latest` and for images without a tag."""
    if "@" in image:
        return "IfNotPresent"
    name = image.rsplit("/", 1)[-1]
    tag = name.partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _probe(probe: Object) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    for key in ("timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if probe[key] == 0:  # zero is "unset" to the defaulter
            probe[key] = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}[key]
    _http_get(probe.get("httpGet"))
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _http_get(action: Any) -> None:
    if isinstance(action, dict):
        action.setdefault("path", "/")
        action.setdefault("scheme", "HTTP")


def _volume(volume: Object) -> None:
    if not any(key != "name" for key in volume):
        volume["emptyDir"] = {}
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        if source in volume:
            volume[source].setdefault("defaultMode", _READABLE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    for source in (volume.get("projected") or {}).get("sources", ()):
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
        _downward(source.get("downwardAPI"))
    _downward(volume.get("downwardAPI"))
    claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if claim is not None:
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _downward(source: Any) -> None:
    for item in (source or {}).get("items", ()):
        if "fieldRef" in item:
            item["fieldRef"].setdefault("apiVersion", "v1")
        if "resourceFieldRef" in item:
            item["resourceFieldRef"].setdefault("divisor", "0")
