"""A cluster in container's words, and the ways that lead to its API server.

There are two endpoints, as on Google Cloud. The IP endpoint is certified by the cluster's own authority. The DNS
endpoint has the certificate of a public authority, which here is the one that the Google Cloud endpoints have; its name
is `localhost` with the cluster's port, since no public name leads to a machine of one's own.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from google.cloud.container_v1.types import cluster_service as k

from controlplane.localcloud.gcp.fleet import Fleet
from controlplane.localcloud.gcp.hosts import HostedCluster
from controlplane.localcloud.gcp.lifecycle import Birth
from controlplane.localcloud.gcp.operations import ROOT
from controlplane.localcloud.gcp.project import Project

NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_DNS_NAME = "localhost"


@dataclass(frozen=True, slots=True)
class Access:
    """Which of a cluster's endpoints answer. GKE's own default: the IP endpoint, and no outside traffic by DNS."""

    dns: bool = False
    ip: bool = True

    @classmethod
    def asked(cls, config: k.ControlPlaneEndpointsConfig) -> "Access":
        """Read what a new cluster is to have."""
        return cls().changed(config)

    def changed(self, config: k.ControlPlaneEndpointsConfig) -> "Access":
        """Read what a cluster is to have from now on; what is not said stays."""
        message = k.ControlPlaneEndpointsConfig.pb(config)
        dns, addresses = message.dns_endpoint_config, message.ip_endpoints_config
        found = self
        if dns.HasField("allow_external_traffic"):
            found = replace(found, dns=dns.allow_external_traffic)
        if addresses.HasField("enabled"):
            found = replace(found, ip=addresses.enabled)
        return found

    def to_state(self) -> dict[str, bool]:
        """Give it as plain data."""
        return asdict(self)


class Describer:
    """Turns what is known of a cluster into a message."""

    def __init__(self, project: Project, fleet: Fleet) -> None:
        self._project = project
        self._fleet = fleet

    def hosted(
        self, link: str, hosted: HostedCluster, status: str, labels: Mapping[str, str], access: Access
    ) -> k.Cluster:
        """Describe a cluster that runs."""
        cluster = self._named(link, labels, hosted.created)
        cluster.status = k.Cluster.Status[status]
        address, _, port = hosted.endpoint.rpartition(":")
        if access.ip:
            cluster.endpoint = hosted.endpoint
        cluster.master_auth = k.MasterAuth(cluster_ca_certificate=base64.b64encode(hosted.ca_pem.encode()).decode())
        cluster.initial_cluster_version = cluster.current_master_version = hosted.version
        cluster.current_node_version = hosted.version
        self._add_endpoints(cluster, access, f"{_DNS_NAME}:{port}", address)
        if (member := self._fleet.of_cluster(link)) is not None:
            path = f"projects/{self._project.number}/locations/{member.location}/memberships/{member.name}"
            cluster.fleet = k.Fleet(
                project=str(self._project.number), membership=f"//gkehub.googleapis.com/{path}", pre_registered=True
            )
        return cluster

    def unborn(self, birth: Birth, access: Access, labels: Mapping[str, str]) -> k.Cluster:
        """Describe a cluster that is being made, or could not be."""
        cluster = self._named(birth.link, labels, birth.created)
        cluster.status = k.Cluster.Status.ERROR if birth.failed else k.Cluster.Status.PROVISIONING
        cluster.status_message = birth.failed
        if "does not have enough resources" in birth.failed:
            code = k.StatusCondition.Code.GCE_STOCKOUT
            cluster.conditions = [k.StatusCondition(code=code, canonical_code=8, message=birth.failed)]
        self._add_endpoints(cluster, access, "", "")
        return cluster

    def _named(self, link: str, labels: Mapping[str, str], created: str) -> k.Cluster:
        location, name = link.split("/", 1)
        return k.Cluster(
            name=name,
            location=location,
            zone=location,
            locations=list(self._zones(link, location)),
            autopilot=k.Autopilot(enabled=True),
            resource_labels=dict(labels),
            label_fingerprint=fingerprint(labels),
            self_link=f"{ROOT}/projects/{self._project.name}/locations/{location}/clusters/{name}",
            create_time=created,
            release_channel=k.ReleaseChannel(channel=k.ReleaseChannel.Channel.REGULAR),
            network="default",
            subnetwork="default",
            # A cluster that is made again under its old name is another one.
            id=fingerprint({"cluster": link, "created": created}) * 8,
            workload_identity_config=k.WorkloadIdentityConfig(workload_pool=f"{self._project.name}.svc.id.goog"),
        )

    def _add_endpoints(self, cluster: k.Cluster, access: Access, name: str, address: str) -> None:
        config = k.ControlPlaneEndpointsConfig
        cluster.control_plane_endpoints_config = config(
            dns_endpoint_config=config.DNSEndpointConfig(endpoint=name, allow_external_traffic=access.dns),
            ip_endpoints_config=config.IPEndpointsConfig(
                enabled=access.ip, public_endpoint=address if access.ip else ""
            ),
        )

    def _zones(self, link: str, location: str) -> tuple[str, ...]:
        known = next((each.zones for each in self._project.scenario.all_clusters if each.link == link), ())
        return known or self._project.scenario.zones_of(location)


def fingerprint(labels: Mapping[str, Any]) -> str:
    """Give what must be sent back when labels are set."""
    return hashlib.sha256(repr(sorted(labels.items())).encode()).hexdigest()[:8]
