"""The Google Cloud endpoints of the local cloud, reached by the published client libraries unchanged.

One port serves REST for container, compute and gkehub and the OAuth token endpoint; another serves gRPC for container
and gkehub. What they say of clusters, stock and load balancing is what the rest of the local cloud really has.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.faults import AsgiApp, FaultBook
from controlplane.localcloud.gcp.errors import GoogleError
from controlplane.localcloud.gcp.hosts import BackendHealth, ClusterHost, HostedCluster
from controlplane.localcloud.gcp.tokens import TokenError, TokenIssuer, new_credentials
from controlplane.localcloud.scenario import Delays, Scenario
from controlplane.localcloud.stock.ledger import Stock

if TYPE_CHECKING:
    from controlplane.localcloud.gcp.admin.workshop import Workshop
    from controlplane.localcloud.gcp.compute.edge import Issuer
    from controlplane.localcloud.gcp.project import Use
    from controlplane.localcloud.loadbalancer.edge import EdgeStore

__all__ = [
    "BackendHealth",
    "ClusterHost",
    "GoogleCloud",
    "HostedCluster",
    "TokenError",
    "TokenIssuer",
    "new_credentials",
]


class GoogleCloud:
    """All endpoints. `app` is the REST application; `start_grpc` serves the rest."""

    def __init__(
        self,
        scenario: Scenario,
        stock: Stock,
        clock: Clock,
        *,
        clusters: ClusterHost,
        backends: BackendHealth,
        faults: FaultBook,
        tokens: TokenIssuer,
        delays: Callable[[], Delays] | None = None,
        changed: Callable[[], None] = lambda: None,
        save: Callable[[], None] = lambda: None,
        edge: "EdgeStore | None" = None,
        issue: "Issuer | None" = None,
        servers: Callable[[str], AsgiApp | None] = lambda _: None,
        buckets: Path | None = None,
    ) -> None:
        # The message classes take half a second to import, so nobody who only issues tokens pays for them.
        from controlplane.localcloud.gcp.admin.api import Administration
        from controlplane.localcloud.gcp.admin.serviceusage import APIS
        from controlplane.localcloud.gcp.app import build_app, build_storage_app
        from controlplane.localcloud.gcp.compute import ComputeApi
        from controlplane.localcloud.gcp.connectgateway import ConnectGateway
        from controlplane.localcloud.gcp.container import ContainerApi
        from controlplane.localcloud.gcp.disturbances import disturbed
        from controlplane.localcloud.gcp.fleet import Fleet
        from controlplane.localcloud.gcp.gkehub import GkeHubApi
        from controlplane.localcloud.gcp.project import Project
        from controlplane.localcloud.gcp.rpc import Rpc

        project = self._project = Project(scenario, stock)
        if scenario.apis is not None:
            project.disabled = set(APIS) - scenario.apis
        self.tokens = tokens
        self._fleet = Fleet(clusters)
        now = delays or (lambda: scenario.delays)
        self._container = ContainerApi(
            project,
            clock,
            clusters,
            self._fleet,
            faults=faults,
            creation_seconds=lambda: now().cluster_create,
            changed=changed,
        )
        self._hub = GkeHubApi(project, clock, self._fleet, seconds=lambda: now().fleet_change)
        # A cluster that was promised must not be forgotten, so these are on disk before they are answered.
        self._rpc = Rpc(self._container, self._hub, save)
        held = (edge, issue) if edge is not None and issue is not None else None
        self._compute = ComputeApi(project, clock, backends, held)
        self._clock = clock
        self._faults = faults
        self._grpc: Any = None
        self._admin = Administration(project, clock, tokens, changed, buckets)
        gateway = ConnectGateway(project, self._fleet, tokens, servers)
        app = build_app(tokens, self._rpc.rest, self._compute.rest, self._admin, gateway=gateway, changed=changed)
        self.app: AsgiApp = disturbed(app, faults, clock)
        self.storage_app: AsgiApp = disturbed(build_storage_app(tokens, self._admin, changed), faults, clock)

    async def start_grpc(self, host: str, port: int, certificate: Path | None, key: Path | None) -> int:
        """Serve gRPC; gives the port."""
        # The daemon starts processes all the time; gRPC's fork handlers would stop its threads for each.
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        from controlplane.localcloud.gcp.disturbances import before_call
        from controlplane.localcloud.gcp.rpc import start_grpc

        async def disturb(path: str) -> GoogleError | None:
            return await before_call(self._faults, self._clock, path)

        self._grpc, bound = await start_grpc(
            self._rpc,
            self.tokens.authenticate,
            disturb,
            host=host,
            port=port,
            certificate=_read(certificate),
            key=_read(key),
        )
        return bound

    def start_jobs(self, workshop: "Workshop | None" = None) -> None:
        """Begin to fire scheduled jobs; a Cloud Run job's containers run in this place."""
        self._admin.start(workshop)

    def notify(self, url: str, bucket: str) -> None:
        """Have this address called for every object that is put into a bucket from now on; ValueError for no bucket."""
        self._admin.notices.add(url, bucket)

    def notices(self) -> list[dict[str, Any]]:
        """Give who is told of which bucket, how often that went well, and what went wrong last."""
        return self._admin.notices.described()

    def fail_build(self, why: str) -> None:
        """Have the next build fail, for this reason."""
        self._admin.builds.failures.append(why)

    def executions(self) -> list[dict[str, Any]]:
        """Give the executions of Cloud Run jobs, oldest first, each with the logs of its containers."""
        return self._admin.executions()

    @property
    def uses(self) -> Mapping["Use", int]:
        """Which permissions were needed by whom, granted or not, and how often, since this daemon started."""
        return self._project.uses

    def may(self, account: str, permission: str) -> bool:
        """Say whether an account has a permission of the project's, and note that it needed it."""
        return self._project.allows(account, permission)

    def administers(self, account: str) -> bool:
        """Say whether an account administers every cluster by IAM, so that RBAC need not be asked."""
        return self._admin.policies.allows(account, "container.clusterRoles.bind")

    def has_account(self, email: str) -> bool:
        """Say whether there is such a service account."""
        return self._admin.accounts.exists(email)

    def deny(self, permissions: Iterable[str]) -> None:
        """Deny these permissions of the project's, and grant all others again."""
        self._project.denied = set(permissions)

    async def close(self) -> None:
        """Stop what is under way."""
        await self._container.close()
        await self._admin.close()
        if self._grpc is not None:
            await self._grpc.stop(0)

    def clusters(self) -> Sequence[Any]:
        """Give all clusters as container describes them, those that come, go or failed included."""
        return self._container.clusters()

    def members(self) -> Collection[str]:
        """Give the links of the clusters that are in the fleet."""
        return self._fleet.links()

    def config_cluster(self) -> str | None:
        """Give the link of the cluster whose ingress objects count; None while nobody's do."""
        return self._hub.features.config_cluster()

    def dns_refusal(self, link: str, user: str) -> str:
        """Say why a user may not come in by a cluster's DNS endpoint; empty when they may.

        Only accounts are asked for a permission: the administrator of the kubeconfig is none of the project's.
        """
        if not self._container.access(link).dns:
            return "the cluster's DNS endpoint takes no traffic from outside: allow_external_traffic is false"
        needed = "container.clusters.connect"
        if "@" in user and not self._project.allows(user, needed):
            return f'Permission "{needed}" denied on "projects/{self._project.name}" for {user}'
        return ""

    def exports_services(self) -> bool:
        """Say whether Services are exported between clusters."""
        return self._hub.features.enabled("multiclusterservicediscovery")

    def to_state(self) -> dict[str, Any]:
        """Give what must outlive the daemon: clusters under way, the fleet, operations, addresses, disabled APIs."""
        return {
            "fleet": self._fleet.to_state(),
            "container": self._container.to_state(),
            "hub": self._hub.to_state(),
            "addresses": self._compute.to_state(),
            "disabled": sorted(self._project.disabled),
            "admin": self._admin.to_state(),
        }

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        self._fleet.from_state(state.get("fleet", {}))
        self._container.from_state(state.get("container", {}))
        self._hub.from_state(state.get("hub", {}))
        self._compute.from_state(state.get("addresses", []))
        self._project.disabled = set(state.get("disabled", ()))
        self._admin.from_state(state.get("admin", {}))


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
