"""Which clusters there are, from the GKE API.

A listing says of itself when it is not complete (`missing_zones`), and clusters that it leaves out then are not gone.
A member is an Autopilot cluster that is registered in the project's fleet, without which Multi Cluster Ingress cannot
lead to it. The label `gpu-hunter: ignore` keeps a cluster out, labels that are asked for narrow the choice further, and
the config cluster is never a member.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import ConfigurationProblem, Gone
from controlplane.gateways.kubeapi import Endpoint
from controlplane.gateways.retrying import Retrying
from controlplane.model.observation import ClusterInfo
from controlplane.model.offering import ClusterRef

LABEL = "gpu-hunter"
IGNORE = "ignore"
_USABLE = frozenset({"RUNNING", "RECONCILING"})


@dataclass(frozen=True, slots=True)
class Listing:
    """The fleet as the GKE API told it. unlisted: locations that could not be asked."""

    clusters: tuple[ClusterInfo, ...]
    endpoints: Mapping[ClusterRef, Endpoint]
    unlisted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Membership:
    """Which clusters belong. `labels`: what a member must carry besides; empty means nothing more."""

    config: ClusterRef
    labels: Mapping[str, str] = field(default_factory=dict)

    def takes(self, ref: ClusterRef, labels: Mapping[str, str], *, autopilot: bool, in_fleet: bool) -> bool:
        """Say whether a cluster is a member."""
        wanted = all(labels.get(key) == value for key, value in self.labels.items())
        return ref != self.config and autopilot and in_fleet and wanted and labels.get(LABEL) != IGNORE


class Fleet:
    """The project's clusters through the container API."""

    def __init__(self, access: GoogleAccess, membership: Membership, *, retrying: Retrying, timeout: float) -> None:
        self._access, self._membership, self._retrying, self._timeout = access, membership, retrying, timeout
        self._client: Any = None

    def listing(self) -> Listing:
        """List all clusters of the project, in every location."""
        parent = f"projects/{self._access.project.name}/locations/-"
        answer = self._retrying.read(lambda: self._call("list_clusters", parent=parent))
        found: dict[ClusterRef, tuple[ClusterInfo, Endpoint | None]] = {}
        for cluster in answer.clusters:
            ref = ClusterRef(cluster.location, cluster.name)
            labels = dict(cluster.resource_labels)
            in_fleet = bool(cluster.fleet.membership or cluster.fleet.project)
            if self._membership.takes(ref, labels, autopilot=bool(cluster.autopilot.enabled), in_fleet=in_fleet):
                found[ref] = (_info(ref, cluster), _endpoint(cluster))
        return Listing(
            clusters=tuple(found[ref][0] for ref in sorted(found)),
            endpoints={ref: endpoint for ref, (_, endpoint) in found.items() if endpoint is not None},
            unlisted=tuple(sorted(str(zone) for zone in answer.missing_zones)),
        )

    def config_endpoint(self) -> Endpoint:
        """Find the config cluster."""
        ref = self._membership.config
        if not ref.name:
            raise ConfigurationProblem(
                f"project {self._access.project.name} has no config cluster: no multiclusteringress feature names one;"
                " enable it with a cluster's membership, or name a cluster as LOCATION/NAME"
            )
        name = f"projects/{self._access.project.name}/locations/{ref.location}/clusters/{ref.name}"
        try:
            cluster = self._retrying.read(lambda: self._call("get_cluster", name=name))
        except Gone as error:
            raise ConfigurationProblem(
                f"config cluster {ref.link} is not in project {self._access.project.name};"
                " name an existing one as LOCATION/NAME"
            ) from error
        endpoint = _endpoint(cluster)
        if endpoint is None:
            raise ConfigurationProblem(
                f"config cluster {ref.link} has no endpoint yet ({cluster.status.name}); wait for it"
            )
        return endpoint

    def _call(self, method: str, **arguments: Any) -> Any:
        self._access.token()
        if self._client is None:
            from google.cloud.container_v1 import ClusterManagerClient

            self._client = self._access.client("container", ClusterManagerClient)
        return getattr(self._client, method)(**arguments, timeout=self._timeout, retry=None)


def _info(ref: ClusterRef, cluster: Any) -> ClusterInfo:
    status = cluster.status.name
    return ClusterInfo(ref, usable=status in _USABLE and _endpoint(cluster) is not None, status=status)


def _endpoint(cluster: Any) -> Endpoint | None:
    """Prefer the DNS endpoint: it has a public certificate and needs no authorised networks."""
    dns = cluster.control_plane_endpoints_config.dns_endpoint_config
    if dns.endpoint and dns.allow_external_traffic:
        return Endpoint(f"https://{dns.endpoint}")
    if not cluster.endpoint:
        return None
    encoded = cluster.master_auth.cluster_ca_certificate
    return Endpoint(f"https://{cluster.endpoint}", base64.b64decode(encoded).decode("ascii") if encoded else None)
