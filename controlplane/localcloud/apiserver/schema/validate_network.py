"""Validation of Services, endpoints and Ingresses."""

import ipaddress
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import names
from controlplane.localcloud.apiserver.schema.errors import (
    NIL,
    TOO_MANY,
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def service(obj: Object) -> list[FieldError]:
    """Complain about a Service."""
    spec = obj.get("spec") or {}
    kind = spec.get("type", "")
    found: list[FieldError] = []
    ports = spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if not ports and not headless and kind != "ExternalName":
        found.append(required("spec.ports"))
    if kind == "LoadBalancer" and headless:
        found.append(invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for LoadBalancer services"))
    if kind == "NodePort" and headless:
        found.append(invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for NodePort services"))
    if kind == "ExternalName":
        name = str(spec.get("externalName", "")).removesuffix(".")
        found += (
            [invalid("spec.externalName", name, text) for text in names.dns1123_subdomain(name)]
            if name
            else [required("spec.externalName")]
        )
        if spec.get("clusterIP"):
            found.append(forbidden("spec.clusterIPs[0]", "may not be set when `type` is 'ExternalName'"))
    found += _service_ports(ports, kind, single=len(ports) == 1)
    found += names.labels("spec.selector", spec.get("selector"))
    if spec.get("sessionAffinity") not in ("ClientIP", "None"):
        found.append(not_supported("spec.sessionAffinity", spec.get("sessionAffinity", ""), ("ClientIP", "None")))
    found += _cluster_ip(spec)
    if kind not in _TYPES:
        found.append(not_supported("spec.type", kind, _TYPES))
    for key in ("externalTrafficPolicy", "internalTrafficPolicy"):
        if spec.get(key, "Cluster") not in ("Cluster", "Local"):
            found.append(not_supported(f"spec.{key}", spec[key], ("Cluster", "Local")))
    return found + _duplicate_ports(ports)


def _cluster_ip(spec: Object) -> list[FieldError]:
    address = spec.get("clusterIP")
    if address in (None, "", "None") or names.is_ip(address):
        return []
    return [invalid("spec.clusterIPs[0]", address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]


def _service_ports(ports: list[Object], kind: str, *, single: bool) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        here = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name and not single:
            found.append(required(f"{here}.name"))
        elif name:
            found += [invalid(f"{here}.name", name, text) for text in names.dns1123_label(name)]
            if name in seen:
                found.append(duplicate(f"{here}.name", name))
            seen.add(name)
        found += names.port_number(f"{here}.port", port.get("port", 0))
        protocol = port.get("protocol", "")
        if not protocol:
            found.append(required(f"{here}.protocol"))
        elif protocol not in _PROTOCOLS:
            found.append(not_supported(f"{here}.protocol", protocol, _PROTOCOLS))
        found += names.port_reference(f"{here}.targetPort", port.get("targetPort", 0))
        if port.get("nodePort") and kind == "ClusterIP":
            found.append(forbidden(f"{here}.nodePort", "may not be used when `type` is 'ClusterIP'"))
    return found


def _duplicate_ports(ports: list[Object]) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        key = (port.get("port"), port.get("protocol"))
        if key in seen:
            shown = {
                "Name": "",
                "Protocol": key[1],
                "AppProtocol": None,
                "Port": key[0],
                "TargetPort": 0,
                "NodePort": 0,
            }
            found.append(duplicate(f"spec.ports[{index}]", shown))
        seen.add(key)
    return found


def service_update(old: Object, new: Object) -> list[FieldError]:
    """Complain about a changed address: clients hold it for ever."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if "ExternalName" in (before.get("type"), after.get("type")):
        return []
    was, now = before.get("clusterIP", ""), after.get("clusterIP", "")
    if not was or was == now:
        return []
    if not now:
        return [invalid("spec.clusterIPs[0]", NIL, "primary clusterIP can not be unset")]
    return [invalid("spec.clusterIPs[0]", [now], "may not change once set")]


def endpoints(obj: Object) -> list[FieldError]:
    """Complain about Endpoints."""
    found: list[FieldError] = []
    for index, subset in enumerate(obj.get("subsets") or ()):
        here = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            found.append(required(here, "must specify `addresses` or `notReadyAddresses`"))
        for key in ("addresses", "notReadyAddresses"):
            for position, address in enumerate(subset.get(key) or ()):
                found += _endpoint_address(f"{here}.{key}[{position}].ip", address.get("ip", ""))
        for position, port in enumerate(subset.get("ports") or ()):
            found += names.port_number(f"{here}.ports[{position}].port", port.get("port", 0))
    return found


def _endpoint_address(field: str, address: str) -> list[FieldError]:
    if not names.is_ip(address):
        return [invalid(field, address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    if ipaddress.ip_address(address).is_unspecified:
        return [invalid(field, address, "may not be unspecified (0.0.0.0 or ::)")]
    return []


def endpoint_slice(obj: Object) -> list[FieldError]:
    """Complain about an EndpointSlice; loopback addresses are let through, because Pods here live on them."""
    kind = obj.get("addressType", "")
    found: list[FieldError] = []
    if not kind:
        found.append(required("addressType"))
    elif kind not in _ADDRESS_TYPES:
        found.append(not_supported("addressType", kind, _ADDRESS_TYPES))
    entries = obj.get("endpoints") or []
    if len(entries) > 1000:
        found.append(FieldError(TOO_MANY, "endpoints", len(entries), "must have at most 1000 items"))
    for index, entry in enumerate(entries):
        here = f"endpoints[{index}].addresses"
        addresses = entry.get("addresses") or []
        if not addresses:
            found.append(required(here, "must contain at least 1 address"))
        for position, address in enumerate(addresses):
            if kind in ("IPv4", "IPv6"):
                found += _endpoint_address(f"{here}[{position}]", address)
    return found


def endpoint_slice_update(old: Object, new: Object) -> list[FieldError]:
    """Complain about a changed address type."""
    if old.get("addressType") == new.get("addressType"):
        return []
    return [invalid("addressType", new.get("addressType"), names.IMMUTABLE)]


def ingress(obj: Object) -> list[FieldError]:
    """Complain about an Ingress."""
    spec = obj.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        return [invalid("spec", spec, "either `defaultBackend` or `rules` must be specified")]
    found = _backend("spec.defaultBackend", spec["defaultBackend"]) if spec.get("defaultBackend") else []
    for index, rule in enumerate(spec.get("rules") or ()):
        http = rule.get("http")
        if http is None:
            continue
        if not http.get("paths"):
            found.append(required(f"spec.rules[{index}].http.paths"))
        for position, path in enumerate(http.get("paths") or ()):
            here = f"spec.rules[{index}].http.paths[{position}]"
            kind = path.get("pathType")
            if not kind:
                found.append(required(f"{here}.pathType", "pathType must be specified"))
            elif kind not in _PATH_TYPES:
                found.append(not_supported(f"{here}.pathType", kind, _PATH_TYPES))
            elif kind in ("Exact", "Prefix") and not str(path.get("path", "")).startswith("/"):
                found.append(invalid(f"{here}.path", path.get("path", ""), "must be an absolute path"))
            found += _backend(f"{here}.backend", path.get("backend") or {})
    return found


def _backend(field: str, backend: Object) -> list[FieldError]:
    target = backend.get("service")
    if target is None:
        return [] if backend.get("resource") else [required(field, "must specify a service or resource")]
    found = [] if target.get("name") else [required(f"{field}.service.name")]
    port = target.get("port") or {}
    if not port.get("name") and not port.get("number"):
        found.append(required(f"{field}.service.port", "port name or number is required"))
    return found
