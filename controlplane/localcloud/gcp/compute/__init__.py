"""Compute Engine's REST API, as far as a fleet of Autopilot clusters and its load balancer are concerned.

Answers are plain dictionaries in the published discovery shapes: the client's message classes would cost 150 MB here.
The tests read every answer with the client's own strict parser instead.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.gcp.compute.addresses import Addresses
from controlplane.localcloud.gcp.compute.advice import AdviceApi
from controlplane.localcloud.gcp.compute.balancing import Balancing
from controlplane.localcloud.gcp.compute.catalogue import Catalogue
from controlplane.localcloud.gcp.compute.edge import Edge, Issuer, is_edge
from controlplane.localcloud.gcp.compute.lists import ListQuery, aggregated, named, plain
from controlplane.localcloud.gcp.compute.operations import Operations
from controlplane.localcloud.gcp.errors import GoogleError, not_found, unavailable
from controlplane.localcloud.gcp.hosts import BackendHealth
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.gcp.rpc import json_response, read_json
from controlplane.localcloud.loadbalancer.edge import EdgeStore

Document: TypeAlias = dict[str, Any]
_Zonal: TypeAlias = Callable[[str], list[Document]]


# How a call is written in the path, and the permission that it needs: the first that fits counts.
_PERMISSIONS = (
    (r"GET (zones|regions)", r"compute.\1.list"),
    (r"GET (zones|regions)/[^/]+", r"compute.\1.get"),
    (r"GET aggregated/(\w+)", r"compute.\1.list"),
    (r"(GET|POST) global/operations/.+", r"compute.globalOperations.get"),
    (r"(GET|POST) regions/[^/]+/operations/.+", r"compute.regionOperations.get"),
    (r"GET global/(sslCertificates|sslPolicies|securityPolicies)", r"compute.\1.list"),
    (r"GET global/(sslCertificates|sslPolicies|securityPolicies)/[^/]+", r"compute.\1.get"),
    (r"POST global/(sslCertificates|sslPolicies|securityPolicies)", r"compute.\1.create"),
    (r"DELETE global/(sslCertificates|sslPolicies|securityPolicies)/[^/]+", r"compute.\1.delete"),
    (r"GET global/addresses", "compute.globalAddresses.list"),
    (r"GET global/addresses/[^/]+", "compute.globalAddresses.get"),
    (r"POST global/addresses", "compute.globalAddresses.create"),
    (r"POST global/addresses/[^/]+/setLabels", "compute.globalAddresses.setLabels"),
    (r"DELETE global/addresses/[^/]+", "compute.globalAddresses.delete"),
    (r"POST regions/[^/]+/addresses", "compute.addresses.create"),
    (r"POST regions/[^/]+/addresses/[^/]+/setLabels", "compute.addresses.setLabels"),
    (r"DELETE regions/[^/]+/addresses/[^/]+", "compute.addresses.delete"),
    (r"POST regions/[^/]+/advice/(\w+)", r"compute.advice.\1"),
    (r"DELETE zones/[^/]+/networkEndpointGroups/[^/]+", "compute.networkEndpointGroups.delete"),
    (r"(GET|POST) zones/[^/]+/operations/.+", "compute.zoneOperations.get"),
    (r"POST global/backendServices/[^/]+/getHealth", "compute.backendServices.get"),
    (r"POST zones/[^/]+/networkEndpointGroups/.+", "compute.networkEndpointGroups.get"),
    (r"GET global/forwardingRules", "compute.globalForwardingRules.list"),
    (r"GET global/forwardingRules/[^/]+", "compute.globalForwardingRules.get"),
    (r"GET (?:global|(?:zones|regions)/[^/]+)/(\w+)", r"compute.\1.list"),
    (r"GET (?:global|(?:zones|regions)/[^/]+)/(\w+)/[^/]+", r"compute.\1.get"),
)


def permission_of(verb: str, path: str) -> str:
    """Give the permission that a call needs; for one that nothing answers, the project's own."""
    for pattern, name in _PERMISSIONS:
        if match := re.fullmatch(pattern, f"{verb} {path}"):
            return match.expand(name)
    return "compute.projects.get"


class ComputeApi:
    """Routes requests below /compute/v1/projects/PROJECT."""

    def __init__(
        self,
        project: Project,
        clock: Clock,
        backends: BackendHealth,
        edge: tuple[EdgeStore, Issuer] | None = None,
    ) -> None:
        """Serve the project. edge: what keeps certificates and policies, and what issues managed certificates."""
        self._project = project
        self._operations = Operations(project, clock)
        self._edge = None if edge is None else Edge(project, clock, self._operations, *edge)
        self._catalogue = Catalogue(project)
        self._advice = AdviceApi(project, clock)
        self._balancing = Balancing(project, backends)
        self._addresses = {"global": Addresses(project, clock, self._operations)}
        for number, region in enumerate(project.scenario.regions):
            scope = f"regions/{region.name}"
            self._addresses[scope] = Addresses(project, clock, self._operations, scope, f"198.51.{100 + number}.")
        self._zonal: Mapping[str, tuple[str, _Zonal]] = {
            "acceleratorTypes": ("acceleratorType", self._catalogue.accelerator_types),
            "machineTypes": ("machineType", self._catalogue.machine_types),
            "networkEndpointGroups": ("networkEndpointGroup", self._balancing.groups),
        }
        self._global: Mapping[str, tuple[str, Callable[[], list[Document]]]] = {
            "backendServices": ("backendService", self._balancing.backend_services),
            "healthChecks": ("healthCheck", self._balancing.health_checks),
            "targetHttpProxies": ("targetHttpProxy", self._balancing.target_proxies),
            "urlMaps": ("urlMap", self._balancing.url_maps),
            "forwardingRules": ("forwardingRule", self._balancing.forwarding_rules),
        }

    def to_state(self) -> list[Document]:
        """Give what must outlive the daemon: the reserved addresses of all scopes."""
        return [document for addresses in self._addresses.values() for document in addresses.to_state()]

    def from_state(self, state: list[Document]) -> None:
        """Take up what an earlier daemon left."""
        for addresses in self._addresses.values():
            addresses.from_state(state)

    async def rest(self, request: Request) -> Response:
        """Answer a call."""
        match = re.fullmatch(r"/compute/v1/projects/([^/]+)(?:/(.*))?", request.url.path)
        if match is None:
            raise not_found("The requested URL was not found on this server.")
        path = match[2] or ""
        self._project.check(match[1], permission_of(request.method, path))
        body = read_json(await request.body()) if request.method == "POST" else None
        answer = self._answer(request.method, path.split("/") if path else [], dict(request.query_params), body or {})
        return json_response(answer)

    def _answer(self, verb: str, parts: list[str], query: Mapping[str, str], body: Mapping[str, Any]) -> Document:
        path = "/".join(["projects", self._project.name, *parts])
        match (verb, *parts):
            case ("GET",):
                return self._catalogue.project()
            case ("GET", "zones" | "regions" as kind, *rest) if len(rest) < 2:
                return self._place(kind, rest, path, query)
            case ("GET", "aggregated", "addresses"):
                scopes = {scope: each.documents() for scope, each in self._addresses.items()}
                return aggregated("addressAggregatedList", path, "addresses", scopes, ListQuery.of(query))
            case (_, "regions", region, "operations", name, *rest) if (verb, *rest) in (("GET",), ("POST", "wait")):
                return self._operations.get(f"regions/{region}", name)
            case (_, "global", "addresses", *_):
                return _reserved(self._addresses["global"], (verb, *parts[1:]), path, query, body)
            case (_, "regions", str(region), "addresses", *_) if f"regions/{region}" in self._addresses:
                return _reserved(self._addresses[f"regions/{region}"], (verb, *parts[2:]), path, query, body)
            case ("GET", "aggregated", str(kind)) if kind in self._zonal:
                return self._aggregated(kind, path, query)
            case (_, "zones", str(zone), *rest):
                return self._zonally((verb, *rest), zone, path, query)
            case ("POST", "regions", str(region), "advice", "capacity"):
                return self._advice.capacity(region, body)
            case ("POST", "regions", str(region), "advice", "capacityHistory"):
                return self._advice.history(region, body)
            case (_, "global", *rest):
                return self._globally(verb, rest, path, query, body)
            case _:
                raise not_found("The requested URL was not found on this server.")

    def _place(self, kind: str, rest: list[str], path: str, query: Mapping[str, str]) -> Document:
        items = self._catalogue.zone_documents() if kind == "zones" else self._catalogue.region_documents()
        if rest:
            return named(items, rest[0], path)
        return plain(f"{kind.removesuffix('s')}List", path, items, ListQuery.of(query))

    def _zonally(self, call: tuple[str, ...], zone: str, path: str, query: Mapping[str, str]) -> Document:
        self._check_zone(zone)
        match call:
            case ("GET", kind, *rest) if kind in self._zonal and len(rest) < 2:
                singular, items = self._zonal[kind]
                if rest:
                    return named(items(zone), rest[0], path)
                return plain(f"{singular}List", path, items(zone), ListQuery.of(query))
            case ("POST", "networkEndpointGroups", name, "listNetworkEndpoints"):
                found = self._balancing.list_endpoints(zone, name)
                answer: Document = {"kind": "compute#networkEndpointGroupsListNetworkEndpoints", "id": path}
                return answer | ({"items": found} if found else {})
            case ("DELETE", "networkEndpointGroups", name):
                self._balancing.delete_group(zone, name)
                return self._operations.done("delete", f"zones/{zone}", f"networkEndpointGroups/{name}")
            case ("GET", "operations", name) | ("POST", "operations", name, "wait"):
                return self._operations.get(f"zones/{zone}", name)
            case _:
                raise not_found("The requested URL was not found on this server.")

    def _aggregated(self, kind: str, path: str, query: Mapping[str, str]) -> Document:
        singular, items = self._zonal[kind]
        down = [zone for zone in self._catalogue.zones if self._project.is_missing(zone)]
        scopes = {f"zones/{zone}": items(zone) for zone in self._catalogue.zones if zone not in down}
        return aggregated(
            f"{singular}AggregatedList",
            path,
            kind,
            scopes,
            ListQuery.of(query),
            unreachable=[f"zones/{zone}" for zone in down],
        )

    def _globally(
        self, verb: str, parts: list[str], path: str, query: Mapping[str, str], body: Mapping[str, Any]
    ) -> Document:
        if self._edge is not None and parts and is_edge(parts[0]):
            return self._edge.answer(verb, parts, path, query, body)
        match (verb, *parts):
            case ("GET", "operations", name) | ("POST", "operations", name, "wait"):
                return self._operations.get("global", name)
            case ("POST", "backendServices", str(name), "getHealth"):
                return self._balancing.get_health(name, body)
            case ("GET", str(kind), *rest) if kind in self._global and len(rest) < 2:
                singular, items = self._global[kind]
                if rest:
                    return named(items(), rest[0], path)
                return plain(f"{singular}List", path, items(), ListQuery.of(query))
            case _:
                raise not_found("The requested URL was not found on this server.")

    def _check_zone(self, zone: str) -> None:
        if zone not in self._catalogue.zones:
            path = f"projects/{self._project.name}/zones/{zone}"
            raise GoogleError("NOT_FOUND", f"The resource '{path}' was not found", "notFound")
        if self._project.is_down(zone):
            raise unavailable(f"The zone 'projects/{self._project.name}/zones/{zone}' is currently unavailable.")


def _reserved(
    addresses: Addresses, call: tuple[str, ...], path: str, query: Mapping[str, str], body: Mapping[str, Any]
) -> Document:
    """Answer what is asked of the addresses of one scope."""
    match call:
        case ("GET", "addresses"):
            return plain("addressList", path, addresses.documents(), ListQuery.of(query))
        case ("GET", "addresses", str(name)):
            return addresses.get(name)
        case ("POST", "addresses"):
            return addresses.insert(body)
        case ("DELETE", "addresses", str(name)):
            return addresses.delete(name)
        case ("POST", "addresses", str(name), "setLabels"):
            return addresses.set_labels(name, body)
        case _:
            raise not_found("The requested URL was not found on this server.")
