"""The names and health of the Google Cloud resources that the programmed ingresses stand for."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from controlplane.localcloud.loadbalancer.envoy_backends import Endpoint
from controlplane.localcloud.loadbalancer.members import MemberState
from controlplane.localcloud.loadbalancer.names import digest, resource_name
from controlplane.localcloud.loadbalancer.resources import (
    BackendServiceHealth,
    EndpointHealth,
    ForwardingRule,
    GroupHealth,
)
from controlplane.localcloud.loadbalancer.wanted import (
    GATEWAY,
    MULTI_CLUSTER_SERVICE,
    SERVICE_IMPORT,
    Backend,
    Ingress,
    Key,
    Service,
    Wanted,
)

# By backend service and address: whether its health check passes; absent or None when nothing is known yet.
Health = Mapping[tuple[str, str, int], bool | None]


def group_name(service: Service, backend: Backend, link: str) -> str:
    """Give a network endpoint group's name as GKE's NEG controller makes it: k8s1, cluster, Service, port, hash."""
    namespace, _ = service.key
    cluster = digest(link, 8)
    tail = digest(f"{link};{namespace};{service.derived_name};{backend.port}", 8)
    return f"k8s1-{cluster}-{namespace[:12]}-{service.derived_name[:18]}-{backend.port}-{tail}"


def backend_services(wanted: Wanted, members: Mapping[str, MemberState], health: Health) -> list[BackendServiceHealth]:
    """Describe every backend service with its groups."""
    described = []
    for backend in wanted.backends():
        service = wanted.service(backend.service, backend.kind)
        if service is None:
            continue
        groups = [
            GroupHealth(
                name=group_name(service, backend, link),
                zone=zone,
                cluster=link,
                endpoints=tuple(
                    _endpoint(backend, each, health)
                    for each in member.endpoints.get(backend.name, ())
                    if each.zone == zone
                ),
                uid=member.uid,
            )
            for link, member in sorted(members.items())
            if service.in_cluster(link)
            for zone in sorted(member.zones)
        ]
        described.append(
            BackendServiceHealth(
                name=backend.name,
                namespace=service.key[0],
                service=service.key[1],
                port=backend.port,
                groups=tuple(groups),
                timeout_seconds=backend.timeout,
                draining_seconds=backend.draining,
                health_check=backend.name,
                check_path=backend.health.path,
                check_interval_seconds=backend.health.interval,
                affinity=backend.affinity,
                scheme="EXTERNAL_MANAGED" if backend.kind == SERVICE_IMPORT else "EXTERNAL",
                kind=backend.kind,
            )
        )
    return described


def _endpoint(backend: Backend, endpoint: Endpoint, health: Health) -> EndpointHealth:
    healthy = health.get((backend.name, endpoint.address, endpoint.port))
    return EndpointHealth(endpoint.address, endpoint.port, healthy, endpoint.pod, endpoint.node)


def https_rule(ingress: Ingress, port: int) -> ForwardingRule:
    """Describe where an ingress answers by HTTPS."""
    plain = forwarding_rule(ingress, port)
    if ingress.kind == GATEWAY:
        return replace(plain, name=f"{plain.name}-s", target_proxy=f"{plain.target_proxy}-s", tls=True)
    base = ingress.slug
    return replace(plain, name=resource_name(f"fws-{base}"), target_proxy=resource_name(f"{base}-s"), tls=True)


def forwarding_rule(ingress: Ingress, port: int) -> ForwardingRule:
    """Describe an ingress' address."""
    if ingress.kind == GATEWAY:
        return ForwardingRule(
            name=ingress.slug,
            address="127.0.0.1",
            port=port,
            target_proxy=ingress.slug,
            url_map=ingress.slug,
            backend_services=ingress.backends,
            scheme="EXTERNAL_MANAGED",
        )
    base = ingress.slug
    return ForwardingRule(
        name=resource_name(f"fw-{base}"),
        address="127.0.0.1",
        port=port,
        target_proxy=resource_name(base),
        url_map=resource_name(base),
        backend_services=ingress.backends,
    )


def ingress_status(ingress: Ingress, port: int, described: Iterable[BackendServiceHealth]) -> dict[str, Any]:
    """Give the status of a MultiClusterIngress."""
    rule = forwarding_rule(ingress, port)
    used = [each for each in described if each.name in ingress.backends]
    groups = {f"zones/{group.zone}/networkEndpointGroups/{group.name}" for each in used for group in each.groups}
    return {
        # The port is part of the address, since nobody on a laptop may listen on port 80.
        "VIP": f"{rule.address}:{port}",
        "CloudResources": {
            "BackendServices": [each.name for each in used],
            "Firewalls": [resource_name(f"{ingress.key[0]}-l7")],
            "ForwardingRules": [rule.name],
            "HealthChecks": [each.health_check for each in used],
            "NetworkEndpointGroups": sorted(groups),
            "TargetProxies": [rule.target_proxy],
            "UrlMap": rule.url_map,
        },
    }


def service_status(key: Key, described: Iterable[BackendServiceHealth]) -> dict[str, Any]:
    """Give the status of a MultiClusterService: empty until an ingress uses it."""
    used = [e for e in described if (e.kind, e.namespace, e.service) == (MULTI_CLUSTER_SERVICE, *key)]
    if not used:
        return {}
    groups = {f"zones/{group.zone}/networkEndpointGroups/{group.name}" for each in used for group in each.groups}
    resources = {"BackendServices": [each.name for each in used], "NetworkEndpointGroups": sorted(groups)}
    return {"CloudResources": resources}


def read_health(clusters_page: bytes) -> dict[tuple[str, str, int], bool | None]:
    """Read Envoy's `/clusters?format=json`: only active health checks count, as in Google's getHealth."""
    health: dict[tuple[str, str, int], bool | None] = {}
    for cluster in orjson.loads(clusters_page).get("cluster_statuses", ()):
        for host in cluster.get("host_statuses", ()):
            address = host["address"]["socket_address"]
            status = host.get("health_status", {})
            failed = status.get("failed_active_health_check", False)
            pending = status.get("pending_active_hc", False)
            health[cluster["name"], address["address"], address["port_value"]] = None if pending else not failed
    return health


def endpoints_of(wanted: Wanted, members: Mapping[str, MemberState]) -> dict[str, dict[str, tuple[Endpoint, ...]]]:
    """Give, by backend service and cluster link, the Pods that are to get traffic."""
    result: dict[str, dict[str, tuple[Endpoint, ...]]] = {}
    for service in wanted.services:
        links = sorted(members) if service.links is None else service.links
        for backend in service.backends:
            found = {link: members[link].endpoints.get(backend.name, ()) for link in links if link in members}
            result[backend.name] = {link: endpoints for link, endpoints in found.items() if endpoints}
    return result
