"""Which addresses stand behind a Service, worked out once for Endpoints and EndpointSlices alike. Pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.controllers.objects import is_deleting, uid_of
from controlplane.localcloud.controllers.pods import is_finished, is_ready

# (name, port, protocol, appProtocol) of one resolved port
PortKey = tuple[tuple[str, int | None, str, str], ...]


@dataclass(frozen=True, slots=True)
class Backend:
    """One Pod behind a Service, with the ports of the Service as this Pod resolves them."""

    pod: Object
    ip: str
    ready: bool
    serving: bool
    terminating: bool
    ports: PortKey


def backends(service: Object, pods: Iterable[Object]) -> list[Backend]:
    """Give the Pods that have an address and still run, by name."""
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    found = []
    for pod in pods:
        ip = (pod.get("status") or {}).get("podIP")
        if not ip or is_finished(pod):
            continue
        serving = is_ready(pod)
        terminating = is_deleting(pod)
        ready = publish or (serving and not terminating)
        found.append(Backend(pod, ip, ready, serving, terminating, resolve_ports(service, pod)))
    return sorted(found, key=lambda backend: str(backend.pod["metadata"]["name"]))


def resolve_ports(service: Object, pod: Object) -> PortKey:
    """Give the ports of the Service on this Pod; a named target that the Pod lacks is left out."""
    spec = service["spec"]
    resolved = []
    for port in spec.get("ports") or []:
        protocol = port.get("protocol", "TCP")
        number = target_port(port, pod, protocol)
        if number is not None:
            resolved.append((port.get("name", ""), number, protocol, port.get("appProtocol", "")))
    return tuple(resolved)


def target_port(port: Mapping[str, object], pod: Object, protocol: str) -> int | None:
    """Find the number behind a targetPort, which may be a container port's name."""
    target = port.get("targetPort") or port.get("port")
    if isinstance(target, int):
        return target
    for container in [*pod["spec"].get("containers", []), *pod["spec"].get("initContainers", [])]:
        for offered in container.get("ports") or []:
            if offered.get("name") == target and offered.get("protocol", "TCP") == protocol:
                return int(offered["containerPort"])
    return None


def group_by_ports(found: Sequence[Backend]) -> dict[PortKey, list[Backend]]:
    """Put Pods that resolve the ports alike together: a slice or subset has one list of ports."""
    groups: dict[PortKey, list[Backend]] = {}
    for backend in found:
        groups.setdefault(backend.ports, []).append(backend)
    return groups


def port_objects(ports: PortKey) -> list[Object]:
    """Give the ports as the API writes them."""
    return [
        {"name": name, "port": number, "protocol": protocol, **({"appProtocol": app} if app else {})}
        for name, number, protocol, app in ports
    ]


def subsets(found: Sequence[Backend], *, publish: bool) -> list[Object]:
    """Give the subsets of the Endpoints object: terminating Pods are not in it, not-ready ones apart."""
    result = []
    for ports, members in sorted(group_by_ports(found).items(), key=lambda item: repr(item[0])):
        alive = [b for b in members if publish or not b.terminating]
        ready = [_address(b) for b in alive if b.ready]
        waiting = [_address(b) for b in alive if not b.ready]
        if not ready and not waiting:
            continue
        subset: Object = {}
        if ready:
            subset["addresses"] = ready
        if waiting:
            subset["notReadyAddresses"] = waiting
        listed = [{k: v for k, v in port.items() if v != ""} for port in port_objects(ports)]
        if listed:
            subset["ports"] = listed
        result.append(subset)
    return result


def _address(backend: Backend) -> Object:
    address: Object = {"ip": backend.ip, "targetRef": target_reference(backend.pod)}
    if node := backend.pod["spec"].get("nodeName"):
        address["nodeName"] = node
    if name := host_name(backend.pod):
        address["hostname"] = name
    return address


def host_name(pod: Object) -> str:
    """Give the name under which a headless Service resolves this one Pod."""
    spec = pod["spec"]
    return str(spec.get("hostname") or "") if spec.get("subdomain") else ""


def target_reference(pod: Object) -> Object:
    meta = pod["metadata"]
    return {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": uid_of(pod)}


def endpoint(backend: Backend, zone: str) -> Object:
    """Give the Pod as one endpoint of a slice."""
    result: Object = {
        "addresses": [backend.ip],
        "conditions": {"ready": backend.ready, "serving": backend.serving, "terminating": backend.terminating},
        "targetRef": target_reference(backend.pod),
    }
    if node := backend.pod["spec"].get("nodeName"):
        result["nodeName"] = node
    if zone:
        result["zone"] = zone
    if name := host_name(backend.pod):
        result["hostname"] = name
    return result
