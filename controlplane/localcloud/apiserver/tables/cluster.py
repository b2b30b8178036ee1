"""Rows of nodes and namespaces, of what leads to Pods, and of Events."""

from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.tables.age import age
from controlplane.localcloud.apiserver.tables.columns import (
    NONE,
    UNKNOWN,
    UNSET,
    Printer,
    created,
    labels_text,
    limited,
    name_of,
    printer,
    selector_text,
)

_ROLE = "node-role.kubernetes.io/"


def _node(obj: Object, now: datetime) -> list[Any]:
    spec, status, metadata = obj.get("spec") or {}, obj.get("status") or {}, obj.get("metadata") or {}
    words = [
        "Ready" if one.get("status") == "True" else "NotReady"
        for one in status.get("conditions") or ()
        if one.get("type") == "Ready"
    ] or ["Unknown"]
    if spec.get("unschedulable"):
        words.append("SchedulingDisabled")
    labels = metadata.get("labels") or {}
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE) and key != _ROLE}
    if labels.get("kubernetes.io/role"):
        roles.add(labels["kubernetes.io/role"])
    info = status.get("nodeInfo") or {}
    addresses = {one.get("type"): one.get("address") for one in reversed(status.get("addresses") or ())}
    return [
        name_of(obj),
        ",".join(words),
        ",".join(sorted(roles)) or NONE,
        age(created(obj), now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP") or NONE,
        addresses.get("ExternalIP") or NONE,
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _namespace(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), (obj.get("status") or {}).get("phase", ""), age(created(obj), now)]


def _external_ip(obj: Object) -> str:
    spec = obj.get("spec") or {}
    external = list(spec.get("externalIPs") or ())
    kind = spec.get("type", "ClusterIP")
    if kind == "ExternalName":
        return str(spec.get("externalName", ""))
    if kind == "LoadBalancer":
        entries = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        found = [one.get("ip") or one.get("hostname") or "" for one in entries] + external
        return ",".join(found) or "<pending>"
    return ",".join(external) or NONE


def _service(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    ports = [
        f"{one.get('port')}:{one['nodePort']}/{one.get('protocol')}"
        if one.get("nodePort")
        else f"{one.get('port')}/{one.get('protocol')}"
        for one in spec.get("ports") or ()
    ]
    return [
        name_of(obj),
        spec.get("type", ""),
        (spec.get("clusterIPs") or [spec.get("clusterIP")])[0] or NONE,
        _external_ip(obj),
        ",".join(ports) or NONE,
        age(created(obj), now),
        labels_text(spec.get("selector")),
    ]


def _endpoints(obj: Object, now: datetime) -> list[Any]:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        ports = subset.get("ports") or ()
        for address in subset.get("addresses") or ():
            found.extend([f"{address.get('ip')}:{port.get('port')}" for port in ports] or [str(address.get("ip"))])
    return [name_of(obj), limited(found), age(created(obj), now)]


def _endpoint_slice(obj: Object, now: datetime) -> list[Any]:
    ports = [str(one["port"]) if one.get("port") is not None else "*" for one in obj.get("ports") or ()]
    addresses = [address for one in obj.get("endpoints") or () for address in one.get("addresses") or ()]
    return [
        name_of(obj),
        obj.get("addressType", ""),
        limited(ports) if ports else UNSET,
        limited(addresses) if addresses else UNSET,
        age(created(obj), now),
    ]


def _event(obj: Object, now: datetime) -> list[Any]:
    series = obj.get("series") or {}
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime")
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or first
    involved = obj.get("involvedObject") or obj.get("regarding") or {}
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    host = source.get("host") or obj.get("reportingInstance") or ""
    target = str(involved.get("kind", "")).lower()
    if involved.get("name"):
        target += f"/{involved['name']}"
    count = series.get("count") or obj.get("count") or obj.get("deprecatedCount") or 1
    return [
        age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        target,
        involved.get("fieldPath", ""),
        f"{component}, {host}" if component and host else component or host,
        str(obj.get("message") or obj.get("note") or "").strip(),
        age(first, now),
        count,
        name_of(obj),
    ]


def _ingress(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    entries = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    shown = f"{','.join(hosts[:3])} + {len(hosts) - 3} more..." if len(hosts) > 3 else ",".join(hosts)
    return [
        name_of(obj),
        spec.get("ingressClassName") or NONE,
        shown or "*",
        ",".join(one.get("ip") or one.get("hostname") or "" for one in entries),
        "80, 443" if spec.get("tls") else "80",
        age(created(obj), now),
    ]


def _ingress_class(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    parameters = spec.get("parameters") or {}
    kind = parameters.get("kind", "")
    if parameters.get("apiGroup"):
        kind = f"{kind}.{parameters['apiGroup']}"
    text = f"{kind}/{parameters.get('name', '')}" if parameters else NONE
    return [name_of(obj), spec.get("controller", ""), text, age(created(obj), now)]


def _network_policy(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), selector_text((obj.get("spec") or {}).get("podSelector")), age(created(obj), now)]


_EVENT = (
    "Last Seen",
    "Type",
    "Reason",
    "Object",
    "+Subobject",
    "+Source",
    "Message",
    "+First Seen",
    "+Count",
    "+Name",
)
CLUSTER: dict[tuple[str, str], Printer] = {
    ("", "Node"): printer(
        _node,
        "Name",
        "Status",
        "Roles",
        "Age",
        "Version",
        "+Internal-IP",
        "+External-IP",
        "+OS-Image",
        "+Kernel-Version",
        "+Container-Runtime",
    ),
    ("", "Namespace"): printer(_namespace, "Name", "Status", "Age"),
    ("", "Service"): printer(_service, "Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"),
    ("", "Endpoints"): printer(_endpoints, "Name", "Endpoints", "Age"),
    ("discovery.k8s.io", "EndpointSlice"): printer(_endpoint_slice, "Name", "AddressType", "Ports", "Endpoints", "Age"),
    ("", "Event"): printer(_event, *_EVENT),
    ("events.k8s.io", "Event"): printer(_event, *_EVENT),
    ("networking.k8s.io", "Ingress"): printer(_ingress, "Name", "Class", "Hosts", "Address", "Ports", "Age"),
    ("networking.k8s.io", "IngressClass"): printer(_ingress_class, "Name", "Controller", "Parameters", "Age"),
    ("networking.k8s.io", "NetworkPolicy"): printer(_network_policy, "Name", "Pod-Selector", "Age"),
}
