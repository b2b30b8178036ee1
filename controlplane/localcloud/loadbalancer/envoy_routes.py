"""URL maps as Envoy route tables: hosts and paths, timeouts, and retries only where they are safe."""

from collections.abc import Mapping

from controlplane.localcloud.loadbalancer.envoy_documents import ENVOY, Document, header
from controlplane.localcloud.loadbalancer.wanted import Backend, Ingress

_CLIENT_ADDRESS = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
_OWN_ADDRESS = "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%"
_SAFE_RETRIES = "connect-failure,refused-stream,reset-before-request"
# A GET may be asked again whatever happened to it, for example when a dying server answers 503.
_READ_RETRIES = f"{_SAFE_RETRIES},reset,gateway-error"


GUARD = "gpu-hunter.guard"


def plain_table(ingress: Ingress, tls_port: int) -> Document:
    """Describe what HTTP gets where it does not get the app: a redirect to HTTPS, or nothing."""
    redirect = {"https_redirect": True, "port_redirect": tls_port, "response_code": "MOVED_PERMANENTLY"}
    everything = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "redirect": redirect}]}
    redirects = ingress.frontend is not None and ingress.frontend.plain == "redirect"
    return {
        "@type": f"{ENVOY}.config.route.v3.RouteConfiguration",
        "name": f"{ingress.slug}-plain",
        "virtual_hosts": [everything] if redirects else [],
    }


def route_table(ingress: Ingress, backends: Mapping[str, Backend], guards: Mapping[str, str]) -> Document:
    """Describe an ingress' hosts and paths; `guards` holds, by backend service, the script in front of it."""
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
                "routes": [
                    entry
                    for path, backend in ordered
                    for entry in _routes(path, backends[backend], guards.get(backend, ""))
                ],
            }
        )
    return {
        "@type": f"{ENVOY}.config.route.v3.RouteConfiguration",
        "name": ingress.slug,
        "virtual_hosts": virtual_hosts,
        "ignore_port_in_host_matching": True,
        "request_headers_to_add": [
            # Google appends the client's address and its own to what the client claimed.
            header("x-forwarded-for", f"{_CLIENT_ADDRESS},{_OWN_ADDRESS}", "APPEND_IF_EXISTS_OR_ADD"),
        ],
        "request_headers_to_remove": ["x-envoy-internal", "x-envoy-external-address"],
    }


def _routes(path: str, backend: Backend, guard: str) -> list[Document]:
    """Give two routes for a path: reads may be retried freely, anything else only when no byte of it was sent."""
    match: Document = {"path": path}
    if path.endswith("/*"):
        # /a/* matches /a/b, and in Google's URL maps not /a; /* matches everything.
        match = {"prefix": path[:-1]}
    elif path.endswith("*"):
        match = {"prefix": path[:-1]}
    reads = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    return [
        {"match": {**match, "headers": [reads]}, **_action(backend, _READ_RETRIES), **_guarded(guard)},
        {"match": match, **_action(backend, _SAFE_RETRIES), **_guarded(guard)},
    ]


def _guarded(guard: str) -> Document:
    if not guard:
        return {}
    own = {"@type": f"{ENVOY}.extensions.filters.http.lua.v3.LuaPerRoute", "source_code": {"inline_string": guard}}
    return {"typed_per_filter_config": {GUARD: own}}


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
                        "@type": f"{ENVOY}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                    },
                }
            ],
            # A region that fails a request is not asked again for it: the next one is.
            "retry_priority": {
                "name": "envoy.retry_priorities.previous_priorities",
                "typed_config": {
                    "@type": f"{ENVOY}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
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
                header(name.strip(), value.strip(), "OVERWRITE_IF_EXISTS_OR_ADD") for name, _, value in pairs
            ]
    return document
