"""The load balancer's resources as Compute shows them: backend services, groups, health, addresses."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from controlplane.localcloud.gcp.compute.catalogue import number
from controlplane.localcloud.gcp.compute.lists import ROOT, named
from controlplane.localcloud.gcp.errors import GoogleError, invalid
from controlplane.localcloud.gcp.hosts import BackendHealth
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.loadbalancer.resources import BackendServiceHealth, EndpointHealth, GroupHealth

Document: TypeAlias = dict[str, Any]

_CREATED = "2026-01-01T00:00:00.000-08:00"


class Balancing:
    """Describes what the load balancer has programmed."""

    def __init__(self, project: Project, backends: BackendHealth) -> None:
        self._project = project
        self._backends = backends
        self._base = f"{ROOT}/projects/{project.name}"

    def backend_services(self) -> list[Document]:
        """Describe all backend services."""
        return [self._backend_service(each) for each in self._services()]

    def get_health(self, name: str, body: Mapping[str, Any]) -> Document:
        """Give the health of one group's endpoints, as active health checks see it."""
        path = f"projects/{self._project.name}/global/backendServices/{name}"
        named([{"name": each.name} for each in self._services()], name, path)
        service = self._backends.health()[name]
        wanted = body.get("group") or ""
        for group in service.groups:
            if wanted and self._group_link(group).endswith(_tail(wanted)):
                statuses = [self._health_status(service, each) for each in group.endpoints]
                answer: Document = {"kind": "compute#backendServiceGroupHealth"}
                return answer | ({"healthStatus": statuses} if statuses else {})
        raise invalid(f"Invalid value for field 'resource.group': '{wanted}'. It is no backend of '{name}'.")

    def groups(self, zone: str | None = None) -> list[Document]:
        """Describe the network endpoint groups, of one zone or all, those that nobody owns any more included."""
        found = {(group.zone, group.name): group for group in self._backends.leaked_groups()}
        found |= self._used_groups()
        return [self._group(group) for _, group in sorted(found.items()) if zone in (None, group.zone)]

    def delete_group(self, zone: str, name: str) -> None:
        """Delete a group, unless a backend service still leads to it."""
        path = f"projects/{self._project.name}/zones/{zone}/networkEndpointGroups/{name}"
        named([{"name": group["name"]} for group in self.groups(zone)], name, path)
        if (zone, name) in self._used_groups():
            user = next(s.name for s in self._services() if any((g.zone, g.name) == (zone, name) for g in s.groups))
            used = f"projects/{self._project.name}/global/backendServices/{user}"
            text = f"The network_endpoint_group resource '{path}' is already being used by '{used}'"
            raise GoogleError("INVALID_ARGUMENT", text, "resourceInUseByAnotherResource")
        self._backends.remove_leaked(zone, name)

    def _used_groups(self) -> dict[tuple[str, str], GroupHealth]:
        return {(group.zone, group.name): group for service in self._services() for group in service.groups}

    def list_endpoints(self, zone: str, name: str) -> list[Document]:
        """Give a group's endpoints with their health."""
        path = f"projects/{self._project.name}/zones/{zone}/networkEndpointGroups/{name}"
        named([{"name": group["name"]} for group in self.groups(zone)], name, path)
        return [
            {
                "networkEndpoint": {"ipAddress": each.address, "port": each.port, "instance": each.node},
                "healths": [
                    {
                        "backendService": {"backendService": f"{self._base}/global/backendServices/{service.name}"},
                        "healthState": _state(each),
                    }
                ],
            }
            for service in self._services()
            for group in service.groups
            if (group.zone, group.name) == (zone, name)
            for each in group.endpoints
        ]

    def health_checks(self) -> list[Document]:
        """Describe the health checks."""
        return [
            {
                "kind": "compute#healthCheck",
                "id": number(f"check {each.name}"),
                "creationTimestamp": _CREATED,
                "name": each.health_check,
                "type": "HTTP",
                "checkIntervalSec": each.check_interval_seconds,
                "httpHealthCheck": {"portSpecification": "USE_SERVING_PORT", "requestPath": each.check_path},
                "selfLink": f"{self._base}/global/healthChecks/{each.health_check}",
            }
            for each in self._services()
        ]

    def target_proxies(self) -> list[Document]:
        """Describe what forwarding rules lead to."""
        return [
            {
                "kind": "compute#targetHttpProxy",
                "id": number(f"proxy {rule.target_proxy}"),
                "creationTimestamp": _CREATED,
                "name": rule.target_proxy,
                "urlMap": f"{self._base}/global/urlMaps/{rule.url_map}",
                "selfLink": f"{self._base}/global/targetHttpProxies/{rule.target_proxy}",
            }
            for rule in self._backends.forwarding_rules()
            if not rule.tls
        ]

    def url_maps(self) -> list[Document]:
        """Describe the URL maps by their first backend service; hosts and paths are in the MultiClusterIngress."""
        return [
            {
                "kind": "compute#urlMap",
                "id": number(f"map {rule.url_map}"),
                "creationTimestamp": _CREATED,
                "name": rule.url_map,
                "defaultService": f"{self._base}/global/backendServices/{rule.backend_services[0]}",
                "selfLink": f"{self._base}/global/urlMaps/{rule.url_map}",
            }
            for rule in self._backends.forwarding_rules()
            if not rule.tls
        ]

    def forwarding_rules(self) -> list[Document]:
        """Describe the addresses that the load balancer answers at."""
        return [
            {
                "kind": "compute#forwardingRule",
                "id": number(f"rule {rule.name}"),
                "creationTimestamp": _CREATED,
                "name": rule.name,
                "IPAddress": rule.address,
                "IPProtocol": "TCP",
                "portRange": f"{rule.port}-{rule.port}",
                "target": f"{self._base}/global/targetHttp{'s' if rule.tls else ''}Proxies/{rule.target_proxy}",
                "loadBalancingScheme": rule.scheme,
                "networkTier": "PREMIUM",
                "selfLink": f"{self._base}/global/forwardingRules/{rule.name}",
            }
            for rule in self._backends.forwarding_rules()
        ]

    def _services(self) -> Sequence[BackendServiceHealth]:
        return sorted(self._backends.health().values(), key=lambda each: each.name)

    def _backend_service(self, each: BackendServiceHealth) -> Document:
        return {
            "kind": "compute#backendService",
            "id": number(f"service {each.name}"),
            "creationTimestamp": _CREATED,
            "name": each.name,
            "description": _description(each),
            "backends": [
                {
                    "group": self._group_link(group),
                    "balancingMode": "RATE",
                    "maxRatePerEndpoint": 100_000_000,
                    "capacityScaler": 1,
                }
                for group in each.groups
            ],
            "healthChecks": [f"{self._base}/global/healthChecks/{each.health_check}"],
            "timeoutSec": each.timeout_seconds,
            "port": each.port,
            "portName": f"port{each.port}",
            "protocol": "HTTP",
            "loadBalancingScheme": each.scheme,
            "sessionAffinity": each.affinity,
            "connectionDraining": {"drainingTimeoutSec": each.draining_seconds},
            "selfLink": f"{self._base}/global/backendServices/{each.name}",
        }

    def _health_status(self, service: BackendServiceHealth, each: EndpointHealth) -> Document:
        status: Document = {"ipAddress": each.address, "port": each.port, "healthState": _state(each)}
        if each.node:
            status["instance"] = each.node
        return status

    def _group(self, group: GroupHealth) -> Document:
        return {
            "kind": "compute#networkEndpointGroup",
            "id": number(f"group {group.zone} {group.name}"),
            "creationTimestamp": _CREATED,
            "name": group.name,
            "description": json.dumps({"cluster-uid": group.uid}),
            "networkEndpointType": "GCE_VM_IP_PORT",
            "size": len(group.endpoints),
            "network": f"{self._base}/global/networks/default",
            "zone": f"{self._base}/zones/{group.zone}",
            "selfLink": self._group_link(group),
        }

    def _group_link(self, group: GroupHealth) -> str:
        return f"{self._base}/zones/{group.zone}/networkEndpointGroups/{group.name}"


def _state(endpoint: EndpointHealth) -> str:
    return "HEALTHY" if endpoint.healthy else "UNHEALTHY"


def _tail(link: str) -> str:
    """Give zones/Z/networkEndpointGroups/N of a full or partial link, with the slash before it."""
    return "/" + "/".join(link.split("/")[-4:])


def _description(each: BackendServiceHealth) -> str:
    service = f"{each.namespace}/{each.service}"
    return json.dumps({"kubernetes.io/service-name": service, "kubernetes.io/service-port": str(each.port)})
