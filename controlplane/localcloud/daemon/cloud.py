"""The whole local cloud in one process: clusters, Google Cloud endpoints, load balancer, and the stock below them all.

It composes; each part knows its own business, and a part that fails is started again (`supervisor.py`). What must
outlive the process is in `CloudState`, saved soon after every change.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from controlplane.localcloud.apiserver.api import Api
from controlplane.localcloud.clock import SystemClock
from controlplane.localcloud.control.errors import LocalCloudError
from controlplane.localcloud.daemon.cluster import HOST, Outage, Surroundings
from controlplane.localcloud.daemon.clusters import Clusters
from controlplane.localcloud.daemon.credentials import ensure_credentials, write_storage_credentials
from controlplane.localcloud.daemon.delays import checked_delays
from controlplane.localcloud.daemon.endpoints import Endpoints
from controlplane.localcloud.daemon.kubeconfig import kubeconfig
from controlplane.localcloud.daemon.machine import Machine
from controlplane.localcloud.daemon.pki import ensure_pki, issue, write_private
from controlplane.localcloud.daemon.prices import price_table
from controlplane.localcloud.daemon.state import CloudState, StateDir, load_state, save_state
from controlplane.localcloud.daemon.supervisor import Supervisor
from controlplane.localcloud.faults import FaultBook
from controlplane.localcloud.gcp import GoogleCloud
from controlplane.localcloud.gcp.admin.workshop import Workshop
from controlplane.localcloud.gcp.tokens import TokenIssuer
from controlplane.localcloud.kubelet import ImageMap
from controlplane.localcloud.loadbalancer import LoadBalancer, LoadBalancerError
from controlplane.localcloud.loadbalancer.edge import EdgeStore
from controlplane.localcloud.loadbalancer.resources import GroupHealth
from controlplane.localcloud.scenario import Delays, Scenario
from controlplane.localcloud.serving import Server, serve
from controlplane.localcloud.stock.ledger import Stock
from controlplane.localcloud.stock.replay import TraceReplay

SAVE_AFTER_SECONDS = 0.2
ADMIN_USER = "kubernetes-admin"
ADMIN_TOKEN_SECONDS = 10 * 365 * 86400.0
FAILURE_RESTART_SECONDS = 2.0


class LocalCloud:
    """Everything that runs, and the ways to change it."""

    def __init__(
        self,
        directory: StateDir,
        scenario: Scenario,
        *,
        progress: Callable[[str], None],
        machine: Machine | None = None,
    ) -> None:
        self.directory = directory
        self.scenario = scenario
        self._machine = machine or Machine()
        self.clock = self._machine.clock
        self._progress = progress
        self.state = load_state(directory) or CloudState()
        self._complete = False
        self.clock.offset = timedelta(seconds=self.state.clock_offset_seconds)
        self.delays = replace(scenario.delays, **self.state.delays)
        self.stock = Stock(scenario)
        if self.state.stock:
            self.stock.from_state(self.state.stock)
        self.faults = FaultBook()
        # Google's certificates come from public authorities, a cluster's from its own: who mixes them up is refused.
        self.pki = ensure_pki(directory.pki_folder, SystemClock().now())
        self._edge = EdgeStore(directory.folder / "edge", scenario.project)
        self._cluster_pki = ensure_pki(directory.pki_folder / "clusters", SystemClock().now(), name="clusters")
        self.images = ImageMap.load(pull_seconds=self.delays.image_pull)
        self.clusters: Clusters
        self.endpoints = Endpoints(self.state, directory, project=scenario.project, ca_file=self.pki.ca_file)
        self._supervisor = Supervisor(self.clock, restart_seconds=FAILURE_RESTART_SECONDS)
        self._saving: asyncio.TimerHandle | None = None
        self._servers: list[Server] = []
        self._google: GoogleCloud | None = None
        self._balancer: LoadBalancer | None = None
        self.tokens: TokenIssuer
        self.started_at = self.clock.monotonic()

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring everything up; LocalCloudError says in one line what is in the way."""
        self.endpoints.claim_ports()
        project, files = self.scenario.project, self.directory
        credentials = ensure_credentials(files.credentials_file, project, f"{self.endpoints.rest}/token")
        files.buckets_folder.mkdir(mode=0o700, exist_ok=True)
        write_storage_credentials(files.storage_credentials_file, credentials, f"{self.endpoints.storage}/token")
        # Clients date what they sign by the machine's clock, whatever time it is in the cloud.
        self.tokens = TokenIssuer(SystemClock(), credentials)
        around = Surroundings(
            clock=self.clock,
            stock=self.stock,
            faults=self.faults,
            images=self.images,
            pki=self.pki,
            cluster_pki=self._cluster_pki,
            dns_refusal=self._dns_refusal,
            authenticate=self.tokens.authenticate,
            delays=lambda: self.delays,
            runtime=self._machine.runtime,
            checker=self._machine.checker,
            metrics=self._machine.metrics,
            administers=self._administers,
            environment=self.endpoints.storage_environment(),
        )
        self.clusters = Clusters(self.directory, self.scenario, self.state, around, changed=self._clusters_changed)
        await self.clusters.start(self._progress)
        self._progress("starting the load balancer and the Google Cloud endpoints")
        balancer = self._prepare_balancer()
        await self._start_google(balancer)
        self._supervisor.keep("load balancer", balancer.run)
        if self.scenario.traces:
            self._supervisor.keep("trace replay", TraceReplay(self.scenario.traces, self.stock, self.clock).run)
        self.stock.subscribe(self.save_soon)
        self._write_files()
        # A start that failed leaves no state behind: the next one may be with another scenario.
        self._complete = True
        self.save()

    async def stop(self) -> None:
        """Take everything down; no process of ours is left when this comes back."""
        if self._complete:
            self.save()
        if self._balancer is not None:
            await self._balancer.stop()
        self._supervisor.cancel()
        # First those who make and delete clusters, then the clusters.
        for server in self._servers:
            await server.stop()
        if self._google is not None:
            await self._google.close()
        if hasattr(self, "clusters"):
            await self.clusters.stop()

    # -- what others ask -------------------------------------------------------------------------------------------

    def addresses(self) -> Sequence[str]:
        """Give where the load balancer answers."""
        if self._balancer is None:
            return []
        rules = self._balancer.forwarding_rules()
        return [f"{'https' if rule.tls else 'http'}://{rule.address}:{rule.port}" for rule in rules]

    def described(self) -> Sequence[Any]:
        """Give all clusters as container describes them, those that come, go or failed included."""
        return [] if self._google is None else self._google.clusters()

    def config_cluster(self) -> str | None:
        """Give the link of the cluster whose ingress objects count; None while nobody's do."""
        return None if self._google is None else self._google.config_cluster()

    def leaked_groups(self) -> Sequence[GroupHealth]:
        """Give the network endpoint groups that deleted clusters left behind."""
        return [] if self._balancer is None else self._balancer.leaked_groups()

    # -- changes ---------------------------------------------------------------------------------------------------

    async def region_down(self, region: str, how: Outage = "hang") -> Sequence[str]:
        """Let a whole region fall at once: APIs, nodes, Pods and capacity."""
        fallen = await self.clusters.go_down(region, how)
        self.stock.region_down(region)
        return fallen

    async def region_up(self, region: str) -> Sequence[str]:
        """Bring a region back."""
        self.stock.region_up(region)
        return await self.clusters.come_up(region)

    def set_delays(self, changes: Mapping[str, Any]) -> Delays:
        """Change how long things take, from now on."""
        self.state.delays.update(checked_delays(changes))
        self.delays = replace(self.scenario.delays, **self.state.delays)
        self.images.pull_seconds = self.delays.image_pull
        if self._balancer is not None:
            self._balancer.convergence_seconds = self.delays.load_balancer
        for cluster in self.clusters.running.values():
            cluster.autopilot.set_delays(self.delays)
        self.save_soon()
        return self.delays

    def google(self) -> GoogleCloud:
        """Give the Google Cloud endpoints; LocalCloudError while they are not up."""
        if self._google is None:
            raise LocalCloudError("the Google Cloud endpoints are not up yet; try again")
        return self._google

    def set_clock_offset(self, seconds: float) -> None:
        """Shift the time that all clusters write."""
        self.clock.offset = timedelta(seconds=seconds)
        self.state.clock_offset_seconds = seconds
        self.save_soon()

    # -- keeping ---------------------------------------------------------------------------------------------------

    def save_soon(self) -> None:
        """Save the state in a moment, once for many changes."""
        if self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(SAVE_AFTER_SECONDS, self.save)

    def save(self) -> None:
        """Save the state now."""
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        self.state.stock = self.stock.to_state()
        if self._google is not None:
            self.state.google = self._google.to_state()
        save_state(self.directory, self.state)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _administers(self, user: str) -> bool:
        return self._google is None or self._google.administers(user)

    async def _start_google(self, balancer: LoadBalancer) -> None:
        google = GoogleCloud(
            self.scenario,
            self.stock,
            self.clock,
            clusters=self.clusters,
            backends=balancer,
            tokens=self.tokens,
            faults=self.faults,
            delays=lambda: self.delays,
            changed=self.save_soon,
            save=self.save,
            edge=self._edge,
            issue=lambda names: issue(self.pki, names, SystemClock().now()),
            servers=self.clusters.server,
            buckets=self.directory.buckets_folder,
        )
        if self.state.google:
            google.from_state(self.state.google)
        self._google = google
        cert, key = self.pki.cert_file, self.pki.key_file
        self._servers.append(await serve(google.app, HOST, self.state.gcp_port, cert, key, now=self.clock.now))
        # Clients of Cloud Storage know emulators, and those speak plain HTTP.
        self._servers.append(await serve(google.storage_app, HOST, self.state.storage_port, None, None))
        self.state.gcp_grpc_port = await google.start_grpc(HOST, self.state.gcp_grpc_port, cert, key)
        folder = self.directory.run_folder / "cloudrun"
        google.start_jobs(Workshop(folder, self._machine.runtime, self.images, self.endpoints.environment))

    def _prepare_balancer(self) -> LoadBalancer:
        run_dir, make_proxy = self.directory.folder / "loadbalancer", self._machine.proxy
        balancer = LoadBalancer(
            None,
            self._balanced,
            self.clock,
            run_dir=run_dir,
            port=self.scenario.load_balancer.port,
            client_region=self.scenario.client_region,
            convergence_seconds=self.delays.load_balancer,
            reachable=self.clusters.reachable,
            project=self.scenario.project,
            proxy=make_proxy(run_dir) if make_proxy else None,
            edge=self._edge,
            leads=self._leads,
            discovers=lambda: self._google is not None and self._google.exports_services(),
        )
        try:
            balancer.preflight()
        except LoadBalancerError as error:
            raise LocalCloudError(str(error)) from error
        self._balancer = balancer
        return balancer

    def _dns_refusal(self, link: str, user: str) -> str:
        return "" if self._google is None else self._google.dns_refusal(link, user)

    def _balanced(self) -> Mapping[str, Api]:
        """Give the API of every cluster that the load balancer may lead to: those in the fleet."""
        members = () if self._google is None else self._google.members()
        return {link: api for link, api in self.clusters.members().items() if link in members}

    def _leads(self) -> tuple[str, Api] | None:
        """Give the config cluster, as the fleet's ingress feature names it, while it is there."""
        link = self.config_cluster()
        api = None if link is None else self.clusters.members().get(link)
        return None if link is None or api is None else (link, api)

    def _clusters_changed(self) -> None:
        self._write_files()
        self.save()

    def _write_files(self) -> None:
        """Write what clients read: kubeconfig and prices."""
        token = self.tokens.issue(ADMIN_USER, ADMIN_TOKEN_SECONDS)
        config = self.config_cluster()
        current = "" if config is None else config.partition("/")[2]
        write_private(self.directory.kubeconfig_file, kubeconfig(self.clusters.list(), token, current=current))
        self.directory.prices_file.write_text(price_table(self.scenario))
