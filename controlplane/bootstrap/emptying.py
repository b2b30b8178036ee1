"""Before clusters may go: no service asks for anything, no ingress leads to them, no load balancer holds any of them.

A cluster that is deleted while the load balancer holds endpoint groups of it leaks them, and a fleet whose ingress
feature goes while ingress objects stand leaves a load balancer behind that nobody programs any more. So the order is:
services, ingress objects, endpoint groups; then features, memberships, clusters.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.bootstrap.ports import Gateways
from controlplane.bootstrap.remedies import Halted
from controlplane.bootstrap.run import Patience, Say
from controlplane.clock import Clock
from controlplane.gateways.errors import GatewayError, Gone
from controlplane.gateways.resources import GPU_SERVICES, NAMESPACES, Resource
from controlplane.model.fleet import FleetSpec
from controlplane.model.offering import ClusterRef

WIRED = (
    Resource("networking.gke.io", "v1", "multiclusteringresses"),
    Resource("networking.gke.io", "v1", "multiclusterservices"),
    Resource("gateway.networking.k8s.io", "v1", "gateways"),
)
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Emptying:
    """Looks into the config cluster, and at what the load balancer holds."""

    fleet: FleetSpec
    gateways: Gateways
    clock: Clock
    say: Say
    patience: Patience

    def check(self, *, take: bool) -> None:
        """Raise Halted while GPUServices are there, unless they are to be taken as well, or where that is unknown."""
        services = self._named(GPU_SERVICES)
        if services and not take:
            told = ", ".join(services[:_SHOWN]) + (", ..." if len(services) > _SHOWN else "")
            remedy = "delete them (`gpuhunter delete NAME`, then passes until they are gone), or give --with-services"
            raise Halted("GPUServices", f"{told} would be taken down", remedy)

    def wait(self, clusters: Sequence[ClusterRef]) -> None:
        """Wait until nothing is wired and the load balancer has let go of these clusters. Raises Halted."""
        end, wait = self.clock.monotonic() + self.patience.whole, self.patience.first
        uids = self._uids(clusters)
        told = self.clock.monotonic()
        while held := self._held(uids):
            now = self.clock.monotonic()
            if now >= end:
                remedy = "see what keeps it in the config cluster (`kubectl get multiclusteringress,gateway -A`)"
                raise Halted("load balancer", f"still holds {held}", remedy)
            if now - told >= self.patience.tell:
                told = now
                self.say("load balancer", f"still holds {held}")
            self.clock.sleep(wait)
            wait = min(wait * 1.5, self.patience.longest)

    def _held(self, uids: set[str]) -> str:
        objects = [name for kind in WIRED for name in self._named(kind)]
        if objects:
            return f"the ingress objects {', '.join(objects[:_SHOWN])}"
        try:
            groups = [each for each in self.gateways.groups.listing() if each.cluster_uid in uids]
        except GatewayError as error:
            raise Halted("load balancer", error.message, "run this again once it can be asked") from error
        return f"{len(groups)} network endpoint groups" if groups else ""

    def _named(self, kind: Resource) -> list[str]:
        """List objects of the config cluster; a kind that is not installed has none."""
        try:
            found = self.gateways.connect(self.fleet.config).list(kind)
        except Gone:
            return []
        except GatewayError as error:
            what = f"{kind.plural} cannot be listed: {error.message}"
            raise Halted(f"cluster {self.fleet.config.link}", what, "run this again once it answers") from error
        return [_name(each) for each in found]

    def _uids(self, clusters: Iterable[ClusterRef]) -> set[str]:
        """Give the uids by which endpoint groups name clusters: those of kube-system. One that is gone has none."""
        present = self.gateways.provisioning.clusters().clusters
        uids = set()
        for ref in clusters:
            if ref in present and present[ref].status != "ERROR":
                try:
                    found = self.gateways.connect(ref).get(NAMESPACES, "kube-system") or {}
                except GatewayError as error:
                    raise Halted(f"cluster {ref.link}", error.message, "run this again once it answers") from error
                uids.add(str(found.get("metadata", {}).get("uid", "")))
        return uids


def _name(item: dict[str, Any]) -> str:
    return f"{item['metadata'].get('namespace')}/{item['metadata']['name']}"
