"""One cluster as it runs in the daemon: API server, controllers, Autopilot, kubelet, and the port it is served on.

Down means dark: its port still takes connections, as a router would, and nobody ever answers; its Pods' processes are
gone. That is what clients see of a region that fell, and it needs patience of them rather than an error to read.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from controlplane.localcloud.apiserver.server import ApiServer
from controlplane.localcloud.autopilot import Autopilot
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers import build_controllers
from controlplane.localcloud.controllers.horizontal import AUTOSCALERS, MeasuredCpu, PodMetrics
from controlplane.localcloud.daemon.doors import DNS_NAME, DnsDoor, Refusal
from controlplane.localcloud.daemon.pki import Pki
from controlplane.localcloud.daemon.state import ClusterState
from controlplane.localcloud.daemon.supervisor import Supervisor
from controlplane.localcloud.faults import FaultBook
from controlplane.localcloud.kubelet import ImageMap, Kubelet
from controlplane.localcloud.kubelet.probes import Checker, check
from controlplane.localcloud.kubelet.process import Runtime
from controlplane.localcloud.scenario import ClusterSpec, Delays
from controlplane.localcloud.serving import Server, serve
from controlplane.localcloud.stock.ledger import Stock

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
RESTART_SECONDS = 1.0
STOP_SECONDS = 3.0
Outage: TypeAlias = Literal["hang", "refuse"]


class Runs(Protocol):
    """Something that works until cancelled."""

    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all clusters of one local cloud share.

    metrics: who knows what Pods use; None where it is measured.
    pki: what certifies the DNS endpoint, as a public authority does; cluster_pki: what certifies the IP endpoint.
    environment: what every container is told of this cloud that on Google Cloud it would find by itself.
    """

    clock: Clock
    stock: Stock
    faults: FaultBook
    images: ImageMap
    pki: Pki
    cluster_pki: Pki
    authenticate: Callable[[str], str | None]
    dns_refusal: Refusal
    delays: Callable[[], Delays]
    runtime: Runtime
    checker: Checker = check
    metrics: PodMetrics | None = None
    administers: Callable[[str], bool] = lambda _: True
    environment: Mapping[str, str] = field(default_factory=dict)


class RunningCluster:
    """One cluster."""

    def __init__(
        self, spec: ClusterSpec, state: ClusterState, around: Surroundings, *, database: Path, run_dir: Path
    ) -> None:
        self.spec = spec
        self.state = state
        self.created = state.created
        self._around = around
        self._clock = around.clock
        self.server = ApiServer(
            spec.name,
            clock=around.clock,
            database=database,
            authenticate=around.authenticate,
            faults=around.faults,
            administers=around.administers,
        )
        self.api = self.server.api
        self.autopilot = Autopilot(
            self.api,
            around.clock,
            cluster=spec,
            stock=around.stock,
            delays=around.delays,
        )
        for hook, validating in self.autopilot.admission_hooks:
            self.server.add_admission(hook, validating=validating)
        self.kubelet = Kubelet(
            self.api,
            around.clock,
            cluster=spec.name,
            subnet=state.subnet,
            run_dir=run_dir,
            images=around.images,
            runtime=around.runtime,
            checker=around.checker,
            environment=dict(around.environment),
        )
        self.server.add_pod_log_source(self.kubelet.logs)
        self._app = DnsDoor(self.server.app, spec.link, authenticate=around.authenticate, refusal=around.dns_refusal)
        self._supervisor = Supervisor(self._clock, restart_seconds=RESTART_SECONDS)
        self._serving: Server | None = None
        self._dark: socket.socket | None = None
        self._down = False

    @property
    def down(self) -> bool:
        """Whether nobody can reach it."""
        return self._down

    async def start(self, *, down: bool = False) -> None:
        """Serve the API and run everything beside it."""
        measured = MeasuredCpu(self.kubelet.cpu_seconds, self._clock, wanted=self._scales)
        metrics = self._around.metrics or measured
        runners: Sequence[Runs] = [
            *build_controllers(self.api, self._clock, ca_pem=self._around.cluster_pki.ca_pem, metrics=metrics),
            *([measured] if metrics is measured else []),
            *self.autopilot.runners(),
            self.kubelet,
        ]
        self.kubelet.sweep()
        await self._serve()
        for runner in runners:
            self._supervisor.keep(f"{self.spec.name}: {type(runner).__name__}", runner.run)
        if down:
            await self.go_down("hang")

    def _scales(self) -> bool:
        return bool(self.api.list(AUTOSCALERS))

    async def stop(self) -> None:
        """Stop everything; Pods' processes are gone when this comes back."""
        await self.kubelet.kill_all()
        await self._supervisor.stop()
        await self._unserve()
        self._close_dark()
        self.server.close()

    async def go_down(self, how: Outage) -> None:
        """Fall: Pods die at once, the API stops answering."""
        if not self._down:
            self._down = True
            await self.kubelet.kill_all()
            await self._unserve()
            if how == "hang":
                self._open_dark()

    async def come_up(self) -> None:
        """Be back, with the objects that were there."""
        if self._down:
            self._close_dark()
            await self._serve()
            self.kubelet.restart()
            self._down = False

    async def _serve(self) -> None:
        try:
            self._serving = await self._serve_on(self.state.port)
        except OSError:
            if self.state.port == 0:
                raise
            log.warning("%s: port %d is in use; taking another one", self.spec.name, self.state.port)
            self._serving = await self._serve_on(0)
        self.state.port = self._serving.port
        self.server.announce(HOST, self._serving.port)

    async def _serve_on(self, port: int) -> Server:
        public, own = self._around.pki, self._around.cluster_pki
        return await serve(
            self._app,
            HOST,
            port,
            own.cert_file,
            own.key_file,
            now=self._clock.now,
            by_name={DNS_NAME: (public.cert_file, public.key_file)},
        )

    async def _unserve(self) -> None:
        serving, self._serving = self._serving, None
        if serving is not None:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await serving.stop()
            except TimeoutError:
                log.warning("%s: the API server's connections did not end", self.spec.name)

    def _open_dark(self) -> None:
        dark = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        dark.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            dark.bind((HOST, self.state.port))
            dark.listen(128)
        except OSError as error:
            log.warning("%s: cannot hold port %d: %s", self.spec.name, self.state.port, error)
            dark.close()
            return
        self._dark = dark

    def _close_dark(self) -> None:
        if self._dark is not None:
            self._dark.close()
            self._dark = None
