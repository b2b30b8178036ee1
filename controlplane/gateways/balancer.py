"""What the load balancer itself says about its backends: the only proof that users are answered from a region.

MultiClusterIngress names its backend services in status.CloudResources. Each has network endpoint groups, whose zone
tells the region, and `getHealth` tells how many endpoints of a group pass the health check.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial

from controlplane.clock import Clock
from controlplane.gateways.compute import ComputeClients
from controlplane.gateways.errors import GatewayError, ListIncomplete
from controlplane.gateways.retrying import Retrying
from controlplane.gateways.together import together
from controlplane.model.growth import EndpointGroup
from controlplane.model.offering import region_of


class LoadBalancerHealth:
    """Reads the health of backend services through the compute API."""

    def __init__(self, clients: ComputeClients, clock: Clock, *, retrying: Retrying, timeout: float) -> None:
        self._clients, self._clock, self._retrying, self._timeout = clients, clock, retrying, timeout

    def healthy(self, backend_services: Iterable[str]) -> dict[str, int]:
        """Give the healthy endpoints by region. Raises when any part could not be asked: half a count misleads."""
        pairs = [(short, group) for short in map(_short, backend_services) for group in self._groups(short)]
        calls = {pair: partial(self._healthy_in, *pair) for pair in pairs}
        found: dict[str, int] = defaultdict(int)
        for (_, group), count in together(calls, seconds=2 * self._timeout, clock=self._clock).items():
            if isinstance(count, GatewayError):
                raise count
            found[_region(group)] += count
        return dict(found)

    def _groups(self, name: str) -> list[str]:
        def get() -> list[str]:
            client = self._clients.get("BackendServicesClient")
            service = client.get(project=self._clients.project, backend_service=name, timeout=self._timeout, retry=None)
            return [backend.group for backend in service.backends]

        return self._retrying.read(get)

    def _healthy_in(self, name: str, group: str) -> int:
        def ask() -> int:
            from google.cloud.compute_v1 import ResourceGroupReference

            answer = self._clients.get("BackendServicesClient").get_health(
                project=self._clients.project,
                backend_service=name,
                resource_group_reference_resource=ResourceGroupReference(group=group),
                timeout=self._timeout,
                retry=None,
            )
            return sum(1 for status in answer.health_status if status.health_state == "HEALTHY")

        return self._retrying.read(ask)


class EndpointGroups:
    """Reads what the load balancer holds of clusters: a cluster that is deleted before it let go of them leaks them."""

    def __init__(self, clients: ComputeClients, *, retrying: Retrying, timeout: float) -> None:
        self._clients, self._retrying, self._timeout = clients, retrying, timeout

    def listing(self) -> tuple[EndpointGroup, ...]:
        """List the network endpoint groups that GKE made, of all zones; each tells the cluster it stands for.

        Raises ListIncomplete when a zone could not be asked: a group that is not seen is not gone.
        """

        def pages() -> tuple[EndpointGroup, ...]:
            client = self._clients.get("NetworkEndpointGroupsClient")
            found: list[EndpointGroup] = []
            pager = client.aggregated_list(project=self._clients.project, timeout=self._timeout, retry=None)
            for page in pager.pages:
                dark = [*page.unreachables, *(s for s, held in page.items.items() if _dark(held.warning.code))]
                if dark:
                    raise ListIncomplete(f"network endpoint groups of {dark[0]} could not be listed")
                for scope, held in page.items.items():
                    place = scope.rpartition("/")[2]
                    found += [
                        EndpointGroup(each.name, place, uid)
                        for each in held.network_endpoint_groups
                        if (uid := _cluster_uid(each.description))
                    ]
            return tuple(found)

        return self._retrying.read(pages)


def _short(name: str) -> str:
    """Give the name alone: the field may hold a URL."""
    return name.rpartition("/")[2]


def _region(group: str) -> str:
    """Give the region of a group's URL: `.../zones/us-central1-a/networkEndpointGroups/x` or `.../regions/...`."""
    parts = group.split("/")
    for kind in ("zones", "regions"):
        if kind in parts[:-1]:
            return region_of(parts[parts.index(kind) + 1])
    return "unknown"


def _dark(code: str) -> bool:
    return code == "UNREACHABLE"


def _cluster_uid(description: str) -> str:
    """Read which cluster a group stands for: GKE writes JSON with `cluster-uid`, the uid of kube-system there."""
    try:
        value = json.loads(description or "null")
    except ValueError:
        return ""
    uid = value.get("cluster-uid") if isinstance(value, Mapping) else None
    return uid if isinstance(uid, str) else ""
