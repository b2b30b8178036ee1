"""What MultiClusterIngresses, MultiClusterServices and their configs ask for, read into a snapshot.

An object that cannot be taken over keeps what was last read of it, as Google's controller does: a mistake in an edit
takes nothing out of service. The words of its error are the words of the Event that the user gets to read.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.controllers.objects import is_deleting, key_of
from controlplane.localcloud.loadbalancer.wanted import (
    Backend,
    Frontend,
    HealthCheck,
    Ingress,
    Key,
    LookUp,
    Route,
    Service,
    Wanted,
)

_CERTIFICATES = "networking.gke.io/pre-shared-certs"
_FRONTEND_CONFIG = "networking.gke.io/frontend-config"
_STATIC_IP = "networking.gke.io/static-ip"
_BACKEND_CONFIG_ANNOTATIONS = ("cloud.google.com/backend-config", "beta.cloud.google.com/backend-config")


@dataclass
class Reading:
    """A snapshot, and what is wrong with objects that could not be taken into it: message by kind and key."""

    wanted: Wanted = field(default_factory=Wanted)
    problems: dict[tuple[str, Key], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """The objects of the config cluster."""

    ingresses: Iterable[Object]
    services: Iterable[Object]
    backend_configs: Iterable[Object]
    frontend_configs: Iterable[Object] = ()


def read(asked: Asked, last: Wanted, look_up: LookUp) -> Reading:
    """Read the config cluster's objects; one in error keeps what was last read of it, as Google's controller does."""
    reading = Reading()
    by_key = {key_of(config): config.get("spec") or {} for config in asked.backend_configs}
    frontends = {key_of(config): config.get("spec") or {} for config in asked.frontend_configs}
    found_services: dict[Key, Service] = {}
    for body in asked.services:
        key = key_of(body)
        if is_deleting(body):
            continue
        try:
            found_services[key] = _service(body, by_key, look_up)
        except ValueError as error:
            reading.problems["MultiClusterService", key] = str(error)
            if (old := last.service(key)) is not None:
                found_services[key] = old
    found_ingresses = []
    for body in asked.ingresses:
        if is_deleting(body):
            continue
        ingress, problem = _ingress(body, found_services)
        if ingress is not None:
            try:
                ingress = replace(ingress, frontend=_frontend(body, frontends, look_up))
            except ValueError as error:
                problem, ingress = str(error), last.ingress(key_of(body))
        if problem:
            reading.problems["MultiClusterIngress", key_of(body)] = problem
        if ingress is not None:
            found_ingresses.append(ingress)
    reading.wanted = Wanted(tuple(found_services.values()), tuple(found_ingresses))
    return reading


def _service(body: Object, configs: Mapping[Key, Object], look_up: LookUp) -> Service:
    key = key_of(body)
    spec = body["spec"]
    template = (spec.get("template") or {}).get("spec") or {}
    clusters = spec.get("clusters")
    # An empty list reads like an absent one: nobody can tell them apart once a client has left empty fields out.
    links = tuple(dict.fromkeys(cluster["link"] for cluster in clusters)) if clusters else None
    ports = [_port(port, len(template.get("ports") or ())) for port in template.get("ports") or ()]
    if not ports:
        raise ValueError("spec.template.spec.ports must name at least one port")
    chosen = _config_names(body)
    backends = []
    for port in ports:
        name = chosen.get(str(port["port"]), chosen.get(port["name"], chosen.get("", "")))
        if name and (key[0], name) not in configs:
            raise ValueError(f'BackendConfig "{key[0]}/{name}" not found')
        config = configs.get((key[0], name), {})
        policy, client = _guards(key, config, look_up)
        backends.append(replace(_backend(key, port, config), security_policy=policy, iap_client=client))
    derived = {"clusterIP": "None", "selector": template.get("selector") or {}, "ports": ports, "type": "ClusterIP"}
    return Service(key, links, json.dumps(derived, sort_keys=True), tuple(backends))


def _port(port: Mapping[str, Any], count: int) -> dict[str, Any]:
    # Kubernetes wants names when there are several ports; the derived Service gets one where the user gave none.
    name = port.get("name") or (f"port-{port['port']}" if count > 1 else "")
    full = {"protocol": port.get("protocol", "TCP"), "port": port["port"]}
    return {"name": name, **full, "targetPort": port.get("targetPort", port["port"])}


def _config_names(body: Object) -> dict[str, str]:
    """Read the annotation: {"default": name, "ports": {"80": name}}; the key "" is the default."""
    annotations = body["metadata"].get("annotations") or {}
    text = next((annotations[key] for key in _BACKEND_CONFIG_ANNOTATIONS if key in annotations), "{}")
    try:
        value = json.loads(text)
        names = {"": value["default"]} if "default" in value else {}
        return names | {str(port): str(name) for port, name in (value.get("ports") or {}).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"annotation {_BACKEND_CONFIG_ANNOTATIONS[0]} is not the expected JSON object") from error


def _backend(key: Key, port: Mapping[str, Any], config: Mapping[str, Any]) -> Backend:
    check = config.get("healthCheck") or {}
    affinity = config.get("sessionAffinity") or {}
    default = HealthCheck()
    health = HealthCheck(
        path=check.get("requestPath", default.path),
        port=check.get("port"),
        interval=check.get("checkIntervalSec", default.interval),
        timeout=check.get("timeoutSec", default.timeout),
        healthy=check.get("healthyThreshold", default.healthy),
        unhealthy=check.get("unhealthyThreshold", default.unhealthy),
    )
    return Backend(
        service=key,
        port=port["port"],
        port_name=port["name"],
        health=health,
        timeout=config.get("timeoutSec", 30),
        draining=(config.get("connectionDraining") or {}).get("drainingTimeoutSec", 0),
        affinity=affinity.get("affinityType") or "NONE",
        affinity_seconds=affinity.get("affinityCookieTtlSec", 0),
        request_headers=tuple((config.get("customRequestHeaders") or {}).get("headers") or ()),
        response_headers=tuple((config.get("customResponseHeaders") or {}).get("headers") or ()),
    )


def _guards(key: Key, config: Mapping[str, Any], look_up: LookUp) -> tuple[str, str]:
    """Read what a BackendConfig puts in front of a backend service. Raises ValueError."""
    policy, iap = (config.get("securityPolicy") or {}).get("name") or "", config.get("iap") or {}
    if policy:
        look_up.get("securityPolicies", policy)
    client = ""
    if iap.get("enabled"):
        name = (iap.get("oauthclientCredentials") or {}).get("secretName") or ""
        client = look_up.secret(key[0], name, ("client_id", "client_secret"))["client_id"]
    return policy, client


def _ingress(body: Object, services: Mapping[Key, Service]) -> tuple[Ingress | None, str]:
    key = key_of(body)
    spec = (body["spec"].get("template") or {}).get("spec") or {}
    problems: list[str] = []

    def resolve(backend: Mapping[str, Any]) -> str | None:
        service = services.get((key[0], backend["serviceName"]))
        if service is None:
            problems.append(f'MultiClusterService "{key[0]}/{backend["serviceName"]}" not found')
            return None
        for candidate in service.backends:
            if str(backend["servicePort"]) in (str(candidate.port), candidate.port_name):
                return candidate.name
        problems.append(f'MultiClusterService "{key[0]}/{service.key[1]}" has no port {backend["servicePort"]}')
        return None

    default = resolve(spec["backend"]) if spec.get("backend") else None
    routes = tuple(
        Route(rule.get("host") or "*", path.get("path") or "/*", name)
        for rule in spec.get("rules") or ()
        for path in (rule.get("http") or {}).get("paths") or ()
        if (name := resolve(path["backend"])) is not None
    )
    ingress = Ingress(key, default, routes) if default or routes else None
    return ingress, "; ".join(dict.fromkeys(problems))


def _frontend(body: Object, configs: Mapping[Key, Object], look_up: LookUp) -> Frontend | None:
    """Read how an address speaks HTTPS; None where it does not. Raises ValueError."""
    annotations = body["metadata"].get("annotations") or {}
    certificates = tuple(name.strip() for name in annotations.get(_CERTIFICATES, "").split(",") if name.strip())
    name = annotations.get(_FRONTEND_CONFIG, "")
    key = key_of(body)[0], name
    if name and key not in configs:
        raise ValueError(f'FrontendConfig "{key[0]}/{name}" not found')
    if not certificates:
        return None
    if not annotations.get(_STATIC_IP):
        raise ValueError(f"HTTPS needs a static IP: annotation {_STATIC_IP} is missing")
    config = configs.get(key, {})
    policy, redirect = config.get("sslPolicy") or "", (config.get("redirectToHttps") or {}).get("enabled")
    for certificate in certificates:
        look_up.get("sslCertificates", certificate)
    if policy:
        look_up.get("sslPolicies", policy)
    return Frontend(certificates, policy, "redirect" if redirect else "app")
