"""Backend services as Envoy clusters: health checks, outlier ejection, and Pods by priority and zone.

The settings that look arbitrary are the ones without which requests are lost when a region dies; each says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.localcloud.loadbalancer.distances import nearest_first, region_of
from controlplane.localcloud.loadbalancer.envoy_documents import ENVOY, Document, header, source
from controlplane.localcloud.loadbalancer.wanted import Backend

# No limit that one machine reaches: Envoy's default of 3 concurrent retries turns a dying region into 503s.
_UNLIMITED = 100_000
# Shorter than the 5 s for which common Python servers keep an idle connection: the side that closes first is never
# surprised, so a POST does not meet a connection that is being closed.
_UPSTREAM_IDLE = "3s"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One Pod's address for one backend service."""

    address: str
    port: int
    zone: str
    pod: str = ""
    node: str = ""


def cluster(backend: Backend, directory: Path) -> Document:
    """Describe a backend service."""
    check = backend.health
    return {
        "@type": f"{ENVOY}.config.cluster.v3.Cluster",
        "name": backend.name,
        "type": "EDS",
        "connect_timeout": "2s",
        "lb_policy": "RING_HASH" if backend.affinity != "NONE" else "LEAST_REQUEST",
        "eds_cluster_config": {"eds_config": source(directory, f"eds-{backend.name}.json")},
        # Without it a Pod that was taken out keeps its traffic for as long as its health check passes.
        "ignore_health_on_host_removal": True,
        # With none healthy, nobody is asked: traffic to known-bad Pods would only turn one error into another.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {
            "thresholds": [
                {
                    "priority": priority,
                    "max_connections": _UNLIMITED,
                    "max_pending_requests": _UNLIMITED,
                    "max_requests": _UNLIMITED,
                    "max_retries": _UNLIMITED,
                }
                for priority in ("DEFAULT", "HIGH")
            ]
        },
        "health_checks": [
            {
                "interval": f"{check.interval}s",
                "no_traffic_interval": f"{check.interval}s",
                "timeout": f"{check.timeout}s",
                "healthy_threshold": check.healthy,
                "unhealthy_threshold": check.unhealthy,
                "reuse_connection": False,
                "http_health_check": {
                    "path": check.path,
                    "request_headers_to_add": [header("user-agent", "GoogleHC/1.0", "OVERWRITE_IF_EXISTS_OR_ADD")],
                },
            }
        ],
        # A Pod that refuses or breaks connections is out at once, long before its health check notices; a passing
        # check brings it back. What an application answers ejects nobody: an overloaded one saying 503 everywhere
        # must not lose all its Pods.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "enforcing_failure_percentage": 0,
            "interval": "1s",
            "base_ejection_time": "10s",
            "max_ejection_time": "30s",
            "max_ejection_percent": 100,
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{ENVOY}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": _UPSTREAM_IDLE},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def load_assignment(backend: Backend, by_link: Mapping[str, tuple[Endpoint, ...]], client_region: str) -> Document:
    """Spread the Pods over priorities: the nearest region that has any is 0, so that farther ones take its overflow."""
    by_region: dict[str, dict[str, list[Endpoint]]] = {}
    for link, found in by_link.items():
        for endpoint in found:
            zones = by_region.setdefault(region_of(link.split("/")[0]), {})
            zones.setdefault(endpoint.zone, []).append(endpoint)
    localities = []
    for priority, region in enumerate(nearest_first(client_region, by_region)):
        for zone, endpoints in sorted(by_region[region].items()):
            locality: Document = {
                "locality": {"region": region, "zone": zone},
                "priority": priority,
                # Zones share by their number of Pods, as Google's load balancer shares by capacity.
                "load_balancing_weight": len(endpoints),
                "lb_endpoints": [_lb_endpoint(backend, endpoint) for endpoint in endpoints],
            }
            localities.append(locality)
    return {
        "@type": f"{ENVOY}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": backend.name,
        "endpoints": localities,
    }


def _lb_endpoint(backend: Backend, endpoint: Endpoint) -> Document:
    check: Document = {"hostname": endpoint.address}
    if backend.health.port is not None:
        check["port_value"] = backend.health.port
    address = {"socket_address": {"address": endpoint.address, "port_value": endpoint.port}}
    return {"endpoint": {"address": address, "health_check_config": check}}
