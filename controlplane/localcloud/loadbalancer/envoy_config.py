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
from types import MappingProxyType

from controlplane.localcloud.loadbalancer.answers import local_replies
from controlplane.localcloud.loadbalancer.edge import Certificate
from controlplane.localcloud.loadbalancer.envoy_backends import Endpoint, cluster, load_assignment
from controlplane.localcloud.loadbalancer.envoy_documents import ENVOY, Document, source
from controlplane.localcloud.loadbalancer.envoy_routes import GUARD, plain_table, route_table
from controlplane.localcloud.loadbalancer.wanted import Backend, Ingress

# The load balancer's own limit for idle client connections.
_CLIENT_IDLE = "610s"


@dataclass(frozen=True, slots=True)
class Tls:
    """The port for HTTPS, the certificates, the default one first, and the least version of TLS as Compute names it."""

    port: int
    certificates: tuple[Certificate, ...]
    least: str = "TLS_1_0"


@dataclass(frozen=True, slots=True)
class Programmed:
    """One ingress with the port that it listens on, and what it needs to speak HTTPS."""

    ingress: Ingress
    port: int
    tls: Tls | None = None


def bootstrap(directory: Path) -> Document:
    """Give the configuration that Envoy starts with: where the rest is, and an admin page that only shows things."""
    listeners = {"resource_api_version": "V3"} | source(directory, "lds.json")
    clusters = {"resource_api_version": "V3"} | source(directory, "cds.json")
    shown = [{"prefix": prefix} for prefix in ("/clusters", "/listeners", "/ready", "/stats", "/reopen_logs")]
    return {
        "node": {"id": "gpu-hunter", "cluster": "local-cloud"},
        "admin": {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "allow_paths": shown,
        },
        "dynamic_resources": {"lds_config": listeners, "cds_config": clusters},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{ENVOY}.extensions.resource_monitors.downstream_connections.v3."
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
    guards: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Document]:
    """Give all files; `endpoints` holds, by backend service and cluster link, the Pods, `guards` the scripts."""
    files: dict[str, Document] = {}
    clusters, listeners = [], []
    timeouts = {}
    for backend in backends:
        timeouts[backend.name] = backend
        clusters.append(cluster(backend, directory))
        load = load_assignment(backend, endpoints.get(backend.name, {}), client_region)
        files[f"eds-{backend.name}.json"] = _response(load)
    for each in programmed:
        table = route_table(each.ingress, timeouts, guards)
        files[f"rds-{table['name']}.json"] = _response(table)
        plain, tls = table, each.tls
        if tls is not None:
            listeners.append(_secured(_listener(table["name"], tls.port, directory, access_log), tls))
            if each.ingress.frontend is not None and each.ingress.frontend.plain != "app":
                plain = plain_table(each.ingress, tls.port)
                files[f"rds-{plain['name']}.json"] = _response(plain)
        listeners.append(_listener(plain["name"], each.port, directory, access_log))
    files["cds.json"] = _response(*clusters)
    files["lds.json"] = _response(*listeners)
    return files


def _response(*resources: Document) -> Document:
    return {"resources": list(resources)}


def _secured(listener: Document, tls: Tls) -> Document:
    """Have a listener speak TLS; Envoy picks the certificate by the name that the client asks for."""
    common = {
        "tls_certificates": [
            {"certificate_chain": {"filename": str(each.chain)}, "private_key": {"filename": str(each.key)}}
            for each in tls.certificates
        ],
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": tls.least.replace("TLS_", "TLSv")},
    }
    context = {
        "@type": f"{ENVOY}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": common,
    }
    (chain,) = listener["filter_chains"]
    secured = {**chain, "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context}}
    return {**listener, "name": f"{listener['name']}-https", "filter_chains": [secured]}


def _listener(routes: str, port: int, directory: Path, access_log: Path) -> Document:
    manager = {
        "@type": f"{ENVOY}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": routes,
        "codec_type": "AUTO",
        "use_remote_address": True,
        # Envoy would put the machine's own address in place of a loopback client's; the route adds the true one.
        "skip_xff_append": True,
        "via": "1.1 google",
        "server_header_transformation": "PASS_THROUGH",
        "common_http_protocol_options": {"idle_timeout": _CLIENT_IDLE},
        # A render may be silent for longer than Envoy's five minutes; the route's own timeouts decide.
        "stream_idle_timeout": "0s",
        "normalize_path": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "rds": {"route_config_name": routes, "config_source": source(directory, f"rds-{routes}.json")},
        "http_filters": [_trace_filter(), _guard_filter(), _router()],
        "access_log": [_access_log(access_log)],
        "local_reply_config": local_replies(),
        # A listener that goes away lets its clients finish.
        "drain_timeout": "5s",
    }
    return {
        "@type": f"{ENVOY}.config.listener.v3.Listener",
        "name": routes,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        # Sharing a port with another program would hide that it is taken.
        "enable_reuse_port": False,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _router() -> Document:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{ENVOY}.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True},
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
            "@type": f"{ENVOY}.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": code},
        },
    }


def _guard_filter() -> Document:
    """Give the filter for Cloud Armor and IAP; each route that is guarded brings its own script."""
    return {"name": GUARD, "typed_config": {"@type": f"{ENVOY}.extensions.filters.http.lua.v3.Lua"}}


def _access_log(path: Path) -> Document:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{ENVOY}.extensions.access_loggers.file.v3.FileAccessLog",
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
