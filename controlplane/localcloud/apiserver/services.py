"""Addresses and node ports of Services: given where the type needs them, taken back where it needs them no more.

A client that changes `spec.type` sends the old type's addresses along, because it read them. As on a real server they
go with the type, unless the client changed them too, which validation then refuses.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.apiserver.store import Store

_SERVICE_RANGE = ipaddress.ip_network("10.96.0.0/16")
_NODE_PORTS = range(30000, 32768)
_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")
_WITH_ADDRESS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
_WITH_LOAD_BALANCER = ("allocateLoadBalancerNodePorts", "loadBalancerClass")


def allocate(store: Store, service: Object, old: Object | None) -> None:
    """Change the Service in place."""
    spec: dict[str, Any] = service["spec"]
    before: dict[str, Any] = (old or {}).get("spec") or {}
    _release(spec, before)
    if spec.get("type") == "ExternalName":
        return
    if before.get("clusterIP") and not spec.get("clusterIP"):
        spec["clusterIP"] = before["clusterIP"]
    if not spec.get("clusterIP"):
        spec["clusterIP"] = _free_address(store)
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec.get("type") in _WITH_NODE_PORTS:
        _give_node_ports(store, spec, before)


def _release(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """Drop what only the former type had, where the client left it as it was."""
    was, now = before.get("type"), spec.get("type")
    dropped: list[str] = []
    if was != "ExternalName" and now == "ExternalName":
        dropped += _WITH_ADDRESS
    if was == "LoadBalancer" and now != "LoadBalancer":
        dropped += _WITH_LOAD_BALANCER
    if was in _WITH_NODE_PORTS and now not in _WITH_NODE_PORTS:
        dropped.append("externalTrafficPolicy")
        if list(_node_ports(spec)) == list(_node_ports(before)):
            for port in spec.get("ports") or ():
                port.pop("nodePort", None)
    for key in dropped:
        if key in spec and spec[key] == before.get(key):
            del spec[key]


def _node_ports(spec: dict[str, Any]) -> Iterator[Any]:
    for port in spec.get("ports") or ():
        yield port.get("nodePort")


def _free_address(store: Store) -> str:
    used = {record.object["spec"].get("clusterIP") for record in store.shelf("services").records.values()}
    for address in _SERVICE_RANGE.hosts():
        if str(address) not in used:
            return str(address)
    raise ApiError(500, "InternalError", "failed to allocate a serviceIP: range is full")


def _give_node_ports(store: Store, spec: dict[str, Any], before: dict[str, Any]) -> None:
    used = {port for record in store.shelf("services").records.values() for port in _node_ports(record.object["spec"])}
    kept = {(port.get("name"), port["port"]): port.get("nodePort") for port in before.get("ports") or ()}
    for port in spec.get("ports") or ():
        if not port.get("nodePort"):
            port["nodePort"] = kept.get((port.get("name"), port["port"])) or next(
                number for number in _NODE_PORTS if number not in used
            )
        used.add(port["nodePort"])
