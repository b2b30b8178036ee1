"""One member cluster as the load balancer sees it: the derived Services in it, and the Pods behind them.

Only a cluster whose API answers is looked at. What was last seen of any other stays as it is, for the health checks to
judge, as with Google's controller.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from controlplane.localcloud.apiserver.api import Api, ApiError, Object
from controlplane.localcloud.loadbalancer.envoy_backends import Endpoint
from controlplane.localcloud.loadbalancer.exports import EXPORTS, Ports
from controlplane.localcloud.loadbalancer.wanted import MULTI_CLUSTER_SERVICE, Backend, Key, Service

MANAGED_LABEL = "networking.gke.io/managed-by"
MANAGER = "multi-cluster-ingress-controller"
PARENT_ANNOTATION = "networking.gke.io/multiclusterservice-parent"
NEG_ANNOTATION = "cloud.google.com/neg"
ZONE_LABEL = "topology.kubernetes.io/zone"
SLICES = "endpointslices.discovery.k8s.io"
WATCHED = ("services", SLICES, "namespaces", "nodes", EXPORTS)


@dataclass
class MemberState:
    """What was last seen of a member: Pods by backend service, every zone it had nodes in, what it exports.

    uid: of its kube-system, by which GKE tells clusters apart in what it names.
    """

    endpoints: dict[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    zones: set[str] = field(default_factory=set)
    exports: dict[Key, Ports] = field(default_factory=dict)
    uid: str = ""


def sync(api: Api, location: str, state: MemberState, *, present: Iterable[Service], kept: Iterable[Service]) -> None:
    """Make the derived Services of `present` exist, remove those in neither list, and look at the Pods of both."""
    services = {(service.kind, service.key): service for service in (*kept, *present)}
    for service in present:
        if service.kind == MULTI_CLUSTER_SERVICE:
            _ensure(api, service)
    _remove_strays(api, {(service.key[0], service.derived_name) for service in services.values()})
    node_zones = {node["metadata"]["name"]: _zone(node) for node in api.list("nodes")}
    endpoints: dict[str, tuple[Endpoint, ...]] = {}
    for service in services.values():
        slices = _slices(api, service)
        for backend in service.backends:
            endpoints[backend.name] = _endpoints(slices, backend, node_zones, location)
    state.endpoints = endpoints
    state.uid = _identity(api)
    state.zones |= {zone for zone in node_zones.values() if zone}
    state.zones |= {endpoint.zone for found in endpoints.values() for endpoint in found}


def _identity(api: Api) -> str:
    system = api.find("namespaces", "kube-system")
    return str(system["metadata"]["uid"]) if system else ""


def _zone(node: Object) -> str:
    zone: str = (node["metadata"].get("labels") or {}).get(ZONE_LABEL, "")
    return zone


def _ensure(api: Api, service: Service) -> None:
    namespace, name = service.key
    # Namespace sameness: where the namespace does not exist, the service has no Pods.
    if api.find("namespaces", namespace) is None:
        return
    spec = json.loads(service.template)
    spec["ports"] = [{key: value for key, value in port.items() if value != ""} for port in spec["ports"]]
    live = api.find("services", service.derived_name, namespace)
    if live is None:
        exposed: Object = {str(port["port"]): {} for port in spec["ports"]}
        metadata = {
            "name": service.derived_name,
            "namespace": namespace,
            "labels": {MANAGED_LABEL: MANAGER},
            "annotations": {
                PARENT_ANNOTATION: json.dumps({"Namespace": namespace, "Name": name}),
                NEG_ANNOTATION: json.dumps({"exposed_ports": exposed}),
            },
        }
        api.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, namespace)
    elif _differs(live["spec"], spec):
        operations = [
            {"op": "add", "path": "/spec/selector", "value": spec["selector"]},
            {"op": "add", "path": "/spec/ports", "value": spec["ports"]},
        ]
        api.patch("services", service.derived_name, operations, namespace, kind="json")


def _differs(live: Object, spec: Object) -> bool:
    ports = [
        {key: port.get(key) for key in ("name", "protocol", "port", "targetPort")} for port in live.get("ports", ())
    ]
    wanted = [{key: port.get(key) for key in ("name", "protocol", "port", "targetPort")} for port in spec["ports"]]
    return (live.get("selector") or {}) != spec["selector"] or ports != wanted


def _remove_strays(api: Api, wanted: set[Key]) -> None:
    for body in api.list("services", label_selector=f"{MANAGED_LABEL}={MANAGER}"):
        metadata = body["metadata"]
        if (metadata["namespace"], metadata["name"]) not in wanted and "deletionTimestamp" not in metadata:
            try:
                api.delete("services", metadata["name"], metadata["namespace"])
            except ApiError as error:
                if error.code != 404:
                    raise


def _slices(api: Api, service: Service) -> list[Object]:
    return api.list(SLICES, service.key[0], label_selector=f"kubernetes.io/service-name={service.derived_name}")


def _endpoints(
    slices: Iterable[Object], backend: Backend, node_zones: dict[str, str], location: str
) -> tuple[Endpoint, ...]:
    found = {}
    for body in slices:
        ports = [port["port"] for port in body.get("ports") or () if (port.get("name") or "") == backend.port_name]
        for entry in body.get("endpoints") or ():
            conditions = entry.get("conditions") or {}
            # A Pod that ends is out at once, while it still serves what it has: nobody meets a closed door.
            if conditions.get("ready") is False or conditions.get("terminating"):
                continue
            node = entry.get("nodeName") or ""
            # Every network endpoint group has a zone, so a Pod whose zone nobody says is counted with the region's.
            zone = entry.get("zone") or node_zones.get(node) or location
            pod = (entry.get("targetRef") or {}).get("name", "")
            for address in entry["addresses"]:
                for port in ports:
                    found[address, port] = Endpoint(address, port, zone, pod, node)
    return tuple(found[key] for key in sorted(found))
