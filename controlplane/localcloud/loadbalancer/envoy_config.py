"""From what is programmed to Envoy's configuration, as plain JSON documents by file name.

Envoy is what Google's own external Application Load Balancers are made of, so priorities, health checks, outlier
ejection and retries map one to one. The settings that look arbitrary are the ones without which requests are lost when
a region dies; each says why.

Files: `lds.json` and `cds.json` list listeners and clusters, `rds-*.json` and `eds-*.json` hold one route table or one
cluster's endpoints each. Routes and endpoints have files of their own, since a change of a listener would drain its
connections.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from controlplane.localcloud.loadbalancer.answers import local_replies
from controlplane.localcloud.loadbalancer.distances import nearest_first, region_of
from controlplane.localcloud.loadbalancer.wanted import Backend, Ingress

Document: TypeAlias = dict[str, Any]

_TYPE = "type.googleapis.com/"
_ENVOY = f"{_TYPE}envoy"
# No limit that one machine reaches: Envoy's default of 3 concurrent retries turns a dying region into 503s.
_UNLIMITED = 100_000
# Shorter than the 5 s for which common Python servers keep an idle connection: the side that closes first is never
# surprised, so a POST does not meet a connection that is being closed.
_UPSTREAM_IDLE = "3s"
# The load balancer's own limit for idle client connections.
_CLIENT_IDLE = "610s"
_SAFE_RETRIES = "connect-failure,refused-stream,reset-before-request"
# A GET may be asked again whatever happened to it, for example when a dying server answers 503.
_READ_RETRIES = f"{_SAFE_RETRIES},reset,gateway-error"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One Pod's address for one backend service."""

    address: str
    port: int
    zone: str
    pod: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Programmed:
    """One ingress with the port that it listens on, and its backend services."""

    ingress: Ingress
    port: int


def bootstrap(directory: Path) -> Document:
    """Give the configuration that Envoy starts with: where the rest is, and an admin page that only shows things."""
    source = {"resource_api_version": "V3"} | _source(directory, "lds.json")
    clusters = {"resource_api_version": "V3"} | _source(directory, "cds.json")
    shown = [
        {"prefix": prefix} for prefix in ("/clusters", "/listeners", "/ready", "/stats", "/reopen_logs", "/runtime")
    ]
    return {
        "node": {"id": "gpu-hunter", "cluster": "local-cloud"},
        "admin": {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "allow_paths": shown,
        },
        "dynamic_resources": {"lds_config": source, "cds_config": clusters},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{_ENVOY}.extensions.resource_monitors.downstream_connections.v3."
                        "DownstreamConnectionsConfig",
                        "max_active_downstream_connections": 10_000,
                    },
                }
            ]
        },
        # Histograms and per-endpoint statistics that nobody reads would cost memory.
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [{"prefix": "listener_manager."}]}}},
    }


def documents(
    programmed: Iterable[Programmed],
    backends: Iterable[Backend],
    endpoints: Mapping[str, Mapping[str, tuple[Endpoint, ...]]],
    *,
    directory: Path,
    access_log: Path,
    client_region: str,
) -> dict[str, Document]:
    """Give all files; `endpoints` holds, by backend service and cluster link, the Pods."""
    files: dict[str, Document] = {}
    clusters, listeners = [], []
    timeouts = {}
    for backend in backends:
        timeouts[backend.name] = backend
        clusters.append(_cluster(backend, directory))
        load = _load_assignment(backend, endpoints.get(backend.name, {}), client_region)
        files[f"eds-{backend.name}.json"] = _response(load)
    for each in programmed:
        table = _route_table(each.ingress, timeouts)
        files[f"rds-{table['name']}.json"] = _response(table)
        listeners.append(_listener(each, table["name"], directory, access_log))
    files["cds.json"] = _response(*clusters)
    files["lds.json"] = _response(*listeners)
    return files


def _response(*resources: Document) -> Document:
    return {"resources": list(resources)}


def _source(directory: Path, name: str) -> Document:
    return {
        "path_config_source": {"path": str(directory / name), "watched_directory": {"path": str(directory)}},
    }


def _cluster(backend: Backend, directory: Path) -> Document:
    check = backend.health
    document: Document = {
        "@type": f"{_ENVOY}.config.cluster.v3.Cluster",
        "name": backend.name,
        "type": "EDS",
        "connect_timeout": "2s",
        "lb_policy": "RING_HASH" if backend.affinity != "NONE" else "LEAST_REQUEST",
        "eds_cluster_config": {"eds_config": _source(directory, f"eds-{backend.name}.json")},
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
                    "request_headers_to_add": [_header("user-agent", "GoogleHC/1.0", "OVERWRITE_IF_EXISTS_OR_ADD")],
                },
            }
        ],
        # A Pod that refuses connections is out at once, long before its health check notices; a passing check brings
        # it back.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 2,
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "enforcing_failure_percentage": 0,
            "consecutive_5xx": 1000,
            "interval": "1s",
            "base_ejection_time": "10s",
            "max_ejection_time": "30s",
            "max_ejection_percent": 100,
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_ENVOY}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": _UPSTREAM_IDLE},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }
    return document


def _load_assignment(backend: Backend, by_link: Mapping[str, tuple[Endpoint, ...]], client_region: str) -> Document:
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
        "@type": f"{_ENVOY}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": backend.name,
        "endpoints": localities,
    }


def _lb_endpoint(backend: Backend, endpoint: Endpoint) -> Document:
    check: Document = {"hostname": endpoint.address}
    if backend.health.port is not None:
        check["port_value"] = backend.health.port
    address = {"socket_address": {"address": endpoint.address, "port_value": endpoint.port}}
    return {"endpoint": {"address": address, "health_check_config": check}}


def _listener(each: Programmed, routes: str, directory: Path, access_log: Path) -> Document:
    manager = {
        "@type": f"{_ENVOY}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": routes,
        "codec_type": "AUTO",
        "use_remote_address": True,
        "via": "1.1 google",
        "server_header_transformation": "PASS_THROUGH",
        "common_http_protocol_options": {"idle_timeout": _CLIENT_IDLE},
        # A render may be silent for longer than Envoy's five minutes; the route's own timeouts decide.
        "stream_idle_timeout": "0s",
        "normalize_path": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "rds": {"route_config_name": routes, "config_source": _source(directory, f"rds-{routes}.json")},
        "http_filters": [_trace_filter(), _router()],
        "access_log": [_access_log(access_log)],
        "local_reply_config": local_replies(),
        # A listener that goes away lets its clients finish.
        "drain_timeout": "5s",
    }
    return {
        "@type": f"{_ENVOY}.config.listener.v3.Listener",
        "name": routes,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": each.port}},
        # Sharing a port with another program would hide that it is taken.
        "enable_reuse_port": False,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _router() -> Document:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_ENVOY}.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True},
    }


def _trace_filter() -> Document:
    """Give every request the trace context that Google's load balancer adds, from Envoy's request id."""
    code = (
        "function envoy_on_request(handle)\n"
        "  local headers = handle:headers()\n"
        '  local id = headers:get("x-request-id")\n'
        '  if id and not headers:get("x-cloud-trace-context") then\n'
        '    headers:add("x-cloud-trace-context", string.gsub(id, "-", "") .. "/1")\n'
        "  end\n"
        "end\n"
    )
    return {
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": f"{_ENVOY}.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": code},
        },
    }


def _access_log(path: Path) -> Document:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{_ENVOY}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {
                "json_format": {
                    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
                    "method": "%REQ(:METHOD)%",
                    # The path without its query, which may hold a key.
                    "path": "%PATH(NQ)%",
                    "status": "%RESPONSE_CODE%",
                    "flags": "%RESPONSE_FLAGS%",
                    "detail": "%RESPONSE_CODE_DETAILS%",
                    "milliseconds": "%DURATION%",
                    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
                    "upstream": "%UPSTREAM_HOST%",
                    "backend_service": "%UPSTREAM_CLUSTER%",
                }
            },
        },
    }


def _route_table(ingress: Ingress, backends: Mapping[str, Backend]) -> Document:
    namespace, name = ingress.key
    hosts: dict[str, list[tuple[str, str]]] = {"*": []}
    for route in ingress.routes:
        hosts.setdefault(route.host, []).append((route.path, route.backend))
    virtual_hosts = []
    for number, (host, paths) in enumerate(hosts.items()):
        # Google's URL maps prefer the longest path, whatever the order.
        ordered = sorted(paths, key=lambda path: (-len(path[0].removesuffix("*")), path[0]))
        if ingress.default:
            ordered.append(("/*", ingress.default))
        virtual_hosts.append(
            {
                "name": f"host-{number}",
                "domains": ["*"] if host == "*" else [host, f"{host}:*"],
                "routes": [entry for path, backend in ordered for entry in _routes(path, backends[backend])],
            }
        )
    return {
        "@type": f"{_ENVOY}.config.route.v3.RouteConfiguration",
        "name": f"{namespace}-{name}",
        "virtual_hosts": virtual_hosts,
        "ignore_port_in_host_matching": True,
        "request_headers_to_add": [
            # Google appends its own address to the client's.
            _header("x-forwarded-for", "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "APPEND_IF_EXISTS_OR_ADD"),
        ],
        "request_headers_to_remove": ["x-envoy-internal", "x-envoy-external-address"],
    }


def _routes(path: str, backend: Backend) -> list[Document]:
    """Give two routes for a path: reads may be retried freely, anything else only when no byte of it was sent."""
    match: Document = {"path": path}
    if path.endswith("/*"):
        # /a/* matches /a/b, and in Google's URL maps not /a; /* matches everything.
        match = {"prefix": path[:-1]}
    elif path.endswith("*"):
        match = {"prefix": path[:-1]}
    reads = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    return [
        {"match": {**match, "headers": [reads]}, **_action(backend, _READ_RETRIES)},
        {"match": match, **_action(backend, _SAFE_RETRIES)},
    ]


def _action(backend: Backend, retry_on: str) -> Document:
    action: Document = {
        "cluster": backend.name,
        "timeout": f"{backend.timeout}s",
        # Also what bounds a silent websocket, as the backend service's timeout does on Google's load balancer.
        "idle_timeout": f"{backend.timeout + 30}s",
        "retry_policy": {
            "retry_on": retry_on,
            "num_retries": 4,
            "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.100s"},
            "host_selection_retry_max_attempts": 5,
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": f"{_ENVOY}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                    },
                }
            ],
            # A region that fails a request is not asked again for it: the next one is.
            "retry_priority": {
                "name": "envoy.retry_priorities.previous_priorities",
                "typed_config": {
                    "@type": f"{_ENVOY}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                    "update_frequency": 1,
                },
            },
        },
    }
    if backend.affinity == "GENERATED_COOKIE":
        ttl = {"ttl": f"{backend.affinity_seconds}s"}
        action["hash_policy"] = [{"cookie": {"name": "GCLB", "path": "/", **ttl}}]
    elif backend.affinity == "CLIENT_IP":
        action["hash_policy"] = [{"connection_properties": {"source_ip": True}}]
    document: Document = {"route": action}
    for field, headers in (
        ("request_headers_to_add", backend.request_headers),
        ("response_headers_to_add", backend.response_headers),
    ):
        pairs = [header.partition(":") for header in headers]
        if pairs:
            document[field] = [
                _header(name.strip(), value.strip(), "OVERWRITE_IF_EXISTS_OR_ADD") for name, _, value in pairs
            ]
    return document


def _header(key: str, value: str, action: str) -> Document:
    return {"header": {"key": key, "value": value}, "append_action": action}
