"""The ingress controllers: from objects in the config cluster to a programmed load balancer.

One level-triggered step does everything, whatever woke it: take a snapshot of what is asked for (`config_reader.py`),
let it take effect after the convergence delay (`convergence.py`), look at the members that answer, which no delay holds
up (`endpoint_groups.py`), write Envoy's files (`programming.py`), report.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from controlplane.localcloud.apiserver.api import Api, ApiError
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.loadbalancer import cloud_resources, leaks, looking, objects
from controlplane.localcloud.loadbalancer.config_reader import ConfigReader
from controlplane.localcloud.loadbalancer.convergence import Convergence
from controlplane.localcloud.loadbalancer.edge import EdgeStore
from controlplane.localcloud.loadbalancer.endpoint_groups import EndpointGroups
from controlplane.localcloud.loadbalancer.envoy import Envoy
from controlplane.localcloud.loadbalancer.following import Followers
from controlplane.localcloud.loadbalancer.leader import Leader, Leads, Orders
from controlplane.localcloud.loadbalancer.ports import Ports
from controlplane.localcloud.loadbalancer.programming import Programmer
from controlplane.localcloud.loadbalancer.proxy import Proxy
from controlplane.localcloud.loadbalancer.resources import BackendServiceHealth, ForwardingRule, GroupHealth
from controlplane.localcloud.loadbalancer.state import State, load, save
from controlplane.localcloud.loadbalancer.wanted import (
    MULTI_CLUSTER_INGRESS,
    MULTI_CLUSTER_SERVICE,
    Key,
    Service,
    Wanted,
)

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
RETRY_SECONDS = 1.0
ROTATE_EVERY_POLLS = 60


class LoadBalancer:
    """The global load balancer of the local cloud."""

    def __init__(
        self,
        config_api: Api | None,
        members: Callable[[], Mapping[str, Api]],
        clock: Clock,
        *,
        run_dir: Path,
        port: int,
        client_region: str,
        convergence_seconds: float,
        reachable: Callable[[str], bool],
        config_link: str | None = None,
        proxy: Proxy | None = None,
        project: str = "local",
        edge: EdgeStore | None = None,
        leads: Leads | None = None,
        discovers: Callable[[], bool] = lambda: True,
    ) -> None:
        """Balance load as the config cluster asks.

        leads: the config cluster's link and API while there is one, where that can change; instead of `config_api`.
        discovers: whether Services that clusters export count.
        """
        self._clock = clock
        self.convergence_seconds = convergence_seconds
        run_dir.mkdir(parents=True, exist_ok=True)
        self._state_file = run_dir / "programmed.json"
        self._state: State = load(self._state_file)
        self._ports = Ports(self._state, port)
        self._proxy: Proxy = proxy or Envoy(run_dir, clock)
        store = edge or EdgeStore(run_dir / "edge", project)
        store.subscribe(self._reread)
        store.in_use = lambda kind, name: looking.is_named(self._snapshots(), kind, name)
        self._reader = ConfigReader(store, self._state.wanted)
        self._convergence = Convergence(clock)
        self._groups = EndpointGroups(members, self._state, clock, reachable=reachable, discovers=discovers)
        self._programmer = Programmer(self._proxy, store, client_region=client_region)
        self._health: dict[tuple[str, str, int], bool | None] = {}
        self._changed: set[tuple[str, Key]] = set()
        self._wake = asyncio.Event()
        self._config_dirty = True
        self._followers = Followers(members, reachable, clock, self._touch)
        self._task: asyncio.Task[Any] | None = None
        fixed = None if config_api is None else (config_link, config_api)
        self._leader = Leader(leads or (lambda: fixed), clock, reachable=reachable, project=project, heard=self._reread)

    # -- what others ask -------------------------------------------------------------------------------------------

    def health(self) -> Mapping[str, BackendServiceHealth]:
        """Give the backend services by name, with the health of each endpoint as Envoy's health checks see it."""
        described = cloud_resources.backend_services(self._state.wanted, self._state.members, self._health)
        return {each.name: each for each in described}

    def leaked_groups(self) -> list[GroupHealth]:
        """Give the groups of clusters that were deleted, or left the fleet, while a service still named them."""
        return leaks.left(self._state)

    def remove_leaked(self, zone: str, name: str) -> None:
        """Delete a group that nobody owns."""
        self._state.leaked.pop((zone, name), None)
        save(self._state_file, self._state)

    def forwarding_rules(self) -> list[ForwardingRule]:
        """Give the addresses that the load balancer answers at."""
        ports, secure, ingresses = self._state.ports, self._state.tls_ports, self._state.wanted.ingresses
        plain = [cloud_resources.forwarding_rule(each, ports[each.ident]) for each in ingresses]
        tls = [cloud_resources.https_rule(each, secure[each.ident]) for each in ingresses if each.frontend]
        return plain + tls

    @property
    def settled(self) -> bool:
        """Whether everything that is asked for is programmed."""
        return not self._convergence.pending and not self._config_dirty and self._groups.settled

    # -- life ------------------------------------------------------------------------------------------------------

    def preflight(self) -> None:
        """Find out what would keep it from working, before anything is started; raises LoadBalancerError."""
        self._ports.check()
        self._proxy.prepare()
        self._ports.renew()

    async def run(self) -> None:
        """Balance load until cancelled or stopped."""
        self._task = asyncio.current_task()
        self.preflight()
        self._leader.follow()
        self._programmer.program(self._state, self._convergence.lingering)
        async with self._cleaned_up(), asyncio.TaskGroup() as group:
            group.create_task(self._proxy.run())
            group.create_task(self._leader.watch())
            group.create_task(self._poll())
            group.create_task(self._work())

    async def stop(self) -> None:
        """Stop balancing load; Envoy is gone when this comes back."""
        await self._proxy.stop()
        if self._task is not None and not self._task.done():
            self._task.cancel()

    @asynccontextmanager
    async def _cleaned_up(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self._followers.stop()
            await self._proxy.stop()

    # -- what wakes it ---------------------------------------------------------------------------------------------

    def _reread(self) -> None:
        self._config_dirty = True
        self._wake.set()

    def _touch(self, link: str) -> None:
        self._groups.touch(link)
        self._wake.set()

    async def _poll(self) -> None:
        polls = 0
        while True:
            self._followers.follow()
            if self._leader.changed() or self._groups.fleet_changed():
                self._wake.set()
            if self._config_dirty and self._leader.answering():
                self._wake.set()
            if self._groups.exported() != self._reader.exported:
                self._wake.set()
            await self._read_health()
            polls += 1
            if polls % ROTATE_EVERY_POLLS == 0:
                await self._rotate()
            await self._clock.sleep(POLL_SECONDS)

    async def _read_health(self) -> None:
        if not self._state.wanted.ingresses:
            self._health = {}
            return
        try:
            self._health = cloud_resources.read_health(await self._proxy.admin("/clusters?format=json"))
        except OSError as error:
            # It is being started; what was last seen stands.
            log.debug("%s", error)

    async def _rotate(self) -> None:
        try:
            await self._proxy.rotate_access_log()
        except OSError as error:
            log.debug("%s", error)

    # -- the step --------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                again = self.step()
            except ApiError as error:
                log.warning("multi cluster ingress: %s", error.message)
                self._config_dirty = True
                again = RETRY_SECONDS
            await self._sleep(again)

    async def _sleep(self, seconds: float | None) -> None:
        """Wait for something to happen, or for this long."""
        waiting = asyncio.ensure_future(self._wake.wait())
        tasks: set[asyncio.Future[Any]] = {waiting}
        if seconds is not None:
            tasks.add(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def step(self) -> float | None:
        """Do all there is to do now; give the seconds after which there will be more, if that is known."""
        self._leader.follow()
        # Without the config cluster everything goes on as it was last told.
        orders = self._leader.answering()
        if self._config_dirty and orders is not None:
            self._config_dirty = False
            self._read_config(orders)
        for wanted in self._convergence.due():
            self._take_effect(wanted)
        self._groups.update(self._reader.last.services, self._kept())
        self._programmer.program(self._state, self._convergence.lingering)
        if self._groups.exported() != self._reader.exported:
            self._config_dirty = True
            self._wake.set()
        if orders is not None:
            self._report(orders)
        save(self._state_file, self._state)
        return self._convergence.seconds_left()

    def _read_config(self, orders: Orders) -> None:
        if self._reader.read(orders, self._groups.exported()):
            self._convergence.queue(self._reader.last, self.convergence_seconds)
            # The derived Services come first: their endpoints must be known when the edit takes effect.
            self._groups.touch_all()

    def _take_effect(self, wanted: Wanted) -> None:
        old = self._state.wanted
        self._convergence.replace(old, wanted)
        ingresses, services = set(wanted.ingresses) - set(old.ingresses), set(wanted.services) - set(old.services)
        self._changed |= {(objects.INGRESSES, each.key) for each in ingresses if each.kind == MULTI_CLUSTER_INGRESS}
        self._changed |= {(objects.SERVICES, each.key) for each in services if each.kind == MULTI_CLUSTER_SERVICE}
        self._state.wanted = wanted
        self._ports.follow()
        self._groups.touch_all()

    def _report(self, orders: Orders) -> None:
        described, pending = list(self.health().values()), self._snapshots()
        orders.objects.report_all(self._state, described, self._changed, pending=pending)
        orders.gateways.report_all(
            self._state, described, self._reader.routes, pending=pending, refused=self._reader.refused
        )
        self._changed.clear()

    def _kept(self) -> list[Service]:
        """Give the services that anything, programmed or still to be, needs; the latest version of each last."""
        return [service for wanted in self._snapshots() for service in wanted.services]

    def _snapshots(self) -> list[Wanted]:
        return [self._state.wanted, *self._convergence.pending]
