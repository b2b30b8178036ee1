"""By which of its endpoints a cluster's API server is called.

The DNS endpoint and the Connect gateway have certificates of public authorities and need no authorised networks; the IP
endpoint has the cluster's own authority and is often closed to where the reconciler runs. With `auto` the first that
there is comes first, and the others stand behind it for when it cannot be connected to. Any other choice is taken at
its word: who says that traffic must go through the gateway does not want it anywhere else.
The gateway's address is the one that gcloud writes into a kubeconfig (`fleet memberships get-credentials`, 528).
"""

import base64
from dataclasses import dataclass, replace
from typing import Any

from controlplane.gateways.access import Project
from controlplane.gateways.hub import MembershipName
from controlplane.gateways.kubeapi import Endpoint
from controlplane.model.fleet import EndpointChoice

GATEWAY_API = "connectgateway"


@dataclass(frozen=True, slots=True)
class Route:
    """The endpoint that was chosen; without one, `why` says what keeps it from being called."""

    endpoint: Endpoint | None
    why: str = ""


def route(
    cluster: Any, choice: EndpointChoice, project: Project, membership: MembershipName | None, number: str
) -> Route:
    """Choose for a cluster as the GKE API describes it. number: the project's, empty where nothing told it."""
    if choice is EndpointChoice.DNS:
        return _or_why(_dns(cluster, project), "its DNS endpoint takes no traffic from outside")
    if choice is EndpointChoice.IP:
        return _or_why(_ip(cluster), "it has no IP endpoint")
    gateway = _gateway(project, membership, number)
    if choice is EndpointChoice.CONNECT_GATEWAY:
        return _or_why(gateway, "the Connect gateway leads only to clusters that the fleet registers")
    found = [each for each in (_dns(cluster, project), _ip(cluster), gateway) if each is not None]
    chained: Endpoint | None = None
    for each in reversed(found):
        chained = replace(each, fallback=chained)
    return _or_why(chained, "it has no endpoint yet")


def _or_why(endpoint: Endpoint | None, why: str) -> Route:
    return Route(endpoint, "" if endpoint is not None else why)


def _dns(cluster: Any, project: Project) -> Endpoint | None:
    dns = cluster.control_plane_endpoints_config.dns_endpoint_config
    if not dns.endpoint or not dns.allow_external_traffic:
        return None
    return Endpoint(f"https://{dns.endpoint}", _public(project), EndpointChoice.DNS.value)


def _ip(cluster: Any) -> Endpoint | None:
    config = type(cluster).pb(cluster).control_plane_endpoints_config.ip_endpoints_config
    closed = config.HasField("enabled") and not config.enabled
    if not cluster.endpoint or closed:
        return None
    encoded = cluster.master_auth.cluster_ca_certificate
    authority = base64.b64decode(encoded).decode("ascii") if encoded else None
    return Endpoint(f"https://{cluster.endpoint}", authority, EndpointChoice.IP.value)


def _gateway(project: Project, membership: MembershipName | None, number: str) -> Endpoint | None:
    if membership is None or not number:
        return None
    place = "" if membership.location == "global" else f"{membership.location}-"
    usual = "" if project.endpoints else f"https://{place}{GATEWAY_API}.googleapis.com"
    host = project.endpoints.get(GATEWAY_API, usual)
    if not host:  # the other APIs are elsewhere than Google's, and nothing says where the gateway is
        return None
    path = f"/v1/projects/{number}/locations/{membership.location}/gkeMemberships/{membership.id}"
    return Endpoint(host + path, _public(project), EndpointChoice.CONNECT_GATEWAY.value)


def _public(project: Project) -> str | None:
    """Give None for the public authorities, or the authority that stands in for them."""
    return None if project.ca_file is None else project.ca_file.read_text(encoding="ascii")
