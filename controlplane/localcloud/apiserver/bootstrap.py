"""The objects that every cluster has from its first moment."""

from collections.abc import Iterator

from controlplane.localcloud.apiserver.api import Object

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_RBAC = "rbac.authorization.k8s.io"
_ALL_READS = ["get", "list", "watch"]
_ALL_WRITES = ["create", "delete", "deletecollection", "patch", "update"]
_WORKLOADS = [
    {"apiGroups": [""], "resources": ["pods", "pods/log", "services", "endpoints", "events", "configmaps",
                                      "serviceaccounts", "persistentvolumeclaims", "replicationcontrollers",
                                      "replicationcontrollers/scale", "limitranges", "resourcequotas"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale", "replicasets", "replicasets/scale",
                                          "statefulsets", "statefulsets/scale", "daemonsets", "controllerrevisions"]},
    {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"]},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"]},
    {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]},
]  # fmt: skip
_SECRETS = {"apiGroups": [""], "resources": ["secrets", "pods/eviction", "pods/binding"]}
_ROLES = {"apiGroups": [_RBAC], "resources": ["roles", "rolebindings"]}
_EVERYTHING = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]
_ABOUT_ONESELF = [
    {"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
     "verbs": ["create"]},
    {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
]  # fmt: skip
_DISCOVERY = [
    {"nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*",
                         "/readyz", "/version", "/version/"], "verbs": ["get"]},
]  # fmt: skip


def bootstrap_objects() -> Iterator[tuple[str, str, Object]]:
    """Give (resource, namespace, object), in an order in which they can be created."""
    for name in NAMESPACES:
        yield "namespaces", "", _named("v1", "Namespace", name)
    for name in NAMESPACES:
        yield "serviceaccounts", name, _named("v1", "ServiceAccount", "default")
    cluster = (
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."
    )
    node = "Used for system critical pods that must not be moved from their current node."
    for name, value, what in (
        ("system-cluster-critical", 2_000_000_000, cluster),
        ("system-node-critical", 2_000_001_000, node),
    ):
        body = _named("scheduling.k8s.io/v1", "PriorityClass", name)
        yield "priorityclasses.scheduling.k8s.io", "", {**body, "value": value, "description": what}
    yield from _roles()
    yield "services", "default", _server_service()


def _server_service() -> Object:
    """Give the Service by which Pods find the API server."""
    service = _named("v1", "Service", "kubernetes")
    service["metadata"]["labels"] = {"component": "apiserver", "provider": "kubernetes"}
    port = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": 443}
    return {**service, "spec": {"type": "ClusterIP", "ports": [port]}}


def server_endpoints(host: str, port: int) -> Iterator[tuple[str, str, Object]]:
    """Give (resource, namespace, object) that say where that Service leads."""
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    endpoints = _named("v1", "Endpoints", "kubernetes")
    endpoints["metadata"]["labels"] = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    yield "endpoints", "default", {**endpoints, "subsets": [{"addresses": [{"ip": host}], "ports": ports}]}
    piece = _named("discovery.k8s.io/v1", "EndpointSlice", "kubernetes")
    piece["metadata"]["labels"] = {"kubernetes.io/service-name": "kubernetes"}
    addresses = [{"addresses": [host], "conditions": {"ready": True}}]
    yield "endpointslices.discovery.k8s.io", "default", {
        **piece, "addressType": "IPv4", "endpoints": addresses, "ports": ports,
    }  # fmt: skip


def _roles() -> Iterator[tuple[str, str, Object]]:
    edit = [{**rule, "verbs": [*_ALL_READS, *_ALL_WRITES]} for rule in [*_WORKLOADS, _SECRETS]]
    view = [{**rule, "verbs": _ALL_READS} for rule in _WORKLOADS]
    roles = {
        "cluster-admin": (_EVERYTHING, "Group", "system:masters"),
        "system:basic-user": (_ABOUT_ONESELF, "Group", "system:authenticated"),
        "system:discovery": (_DISCOVERY, "Group", "system:authenticated"),
        "admin": ([*edit, {**_ROLES, "verbs": [*_ALL_READS, *_ALL_WRITES]}], "", ""),
        "edit": (edit, "", ""),
        "view": (view, "", ""),
    }
    for name, (rules, kind, subject) in roles.items():
        yield f"clusterroles.{_RBAC}", "", {**_named(f"{_RBAC}/v1", "ClusterRole", name), "rules": rules}
        if kind:
            binding = _named(f"{_RBAC}/v1", "ClusterRoleBinding", name)
            binding["subjects"] = [{"apiGroup": _RBAC, "kind": kind, "name": subject}]
            binding["roleRef"] = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}
            yield f"clusterrolebindings.{_RBAC}", "", binding


def _named(api_version: str, kind: str, name: str) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
