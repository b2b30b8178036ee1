"""The ingress controllers: from objects in the config cluster to a programmed load balancer.

One level-triggered step does everything, whatever woke it: read the config cluster, queue what is asked for, program
what is due, look at the members that answer, write Envoy's files, report. Edits take effect after the convergence
delay; the coming and going of Pods does not wait for it, as with network endpoint groups.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from controlplane.localcloud.apiserver.api import Api, ApiError
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.loadbalancer import (
    cloud_resources,
    edge,
    exports,
    gateways,
    guards,
    leaks,
    members,
    objects,
)
from controlplane.localcloud.loadbalancer.edge import EdgeStore
from controlplane.localcloud.loadbalancer.envoy import Envoy, any_free_port, port_is_free
from controlplane.localcloud.loadbalancer.envoy_config import Programmed, Tls, documents
from controlplane.localcloud.loadbalancer.errors import LoadBalancerError
from controlplane.localcloud.loadbalancer.following import Followers
from controlplane.localcloud.loadbalancer.leader import Leader, Leads, Orders
from controlplane.localcloud.loadbalancer.looking import LookUp
from controlplane.localcloud.loadbalancer.proxy import Proxy
from controlplane.localcloud.loadbalancer.resources import BackendServiceHealth, ForwardingRule, GroupHealth
from controlplane.localcloud.loadbalancer.state import State, load, save
from controlplane.localcloud.loadbalancer.wanted import (
    MULTI_CLUSTER_INGRESS,
    MULTI_CLUSTER_SERVICE,
    Asked,
    Backend,
    Ingress,
    Key,
    Service,
    Wanted,
    read,
)

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
RETRY_SECONDS = 1.0
ROTATE_EVERY_POLLS = 60
# A backend service that no route names any more stays in Envoy for this long: route and cluster files are read apart.
LINGER_SECONDS = 2.0


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
        self._discovers = discovers
        self._members = members
        self._clock = clock
        self._run_dir = run_dir
        self._port = port
        self._client_region = client_region
        self.convergence_seconds = convergence_seconds
        self._reachable = reachable
        run_dir.mkdir(parents=True, exist_ok=True)
        self._state_file = run_dir / "programmed.json"
        self._state: State = load(self._state_file)
        if self._state.first_port != port:
            # The scenario names another port now: addresses follow it.
            self._state.first_port = port
            self._state.ports.clear()
        self._proxy: Proxy = proxy or Envoy(run_dir, clock)
        self._edge = edge or EdgeStore(run_dir / "edge", project)
        self._edge.subscribe(self._reread)
        self._edge.in_use = self._uses
        self._routes: dict[Key, gateways.RouteError | None] = {}
        self._refused: dict[Key, str] = {}
        self._exported: dict[str, exports.Exports] = {}
        self._last_read = self._state.wanted
        self._problems: dict[tuple[str, Key], str] = {}
        self._pending: deque[tuple[float, Wanted]] = deque()
        self._lingering: dict[str, tuple[float, Backend]] = {}
        self._health: dict[tuple[str, str, int], bool | None] = {}
        self._changed: set[tuple[str, Key]] = set()
        self._wake = asyncio.Event()
        self._config_dirty = True
        self._dirty: set[str] = set()
        self._followers = Followers(members, reachable, clock, self._touch)
        self._task: asyncio.Task[Any] | None = None
        self._discovering = discovers()
        self._present: frozenset[str] = frozenset()
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
        return not self._pending and not self._config_dirty and not self._dirty

    # -- life ------------------------------------------------------------------------------------------------------

    def preflight(self) -> None:
        """Find out what would keep it from working, before anything is started; raises LoadBalancerError."""
        if self._port and not port_is_free(self._port):
            raise LoadBalancerError(
                f"port {self._port} on 127.0.0.1 is in use, and the load balancer needs it: stop what listens there, "
                "or set load_balancer.port in the scenario to another one (0 takes any that is free)"
            )
        self._proxy.prepare()
        self._state.ports = {key: port for key, port in self._state.ports.items() if port_is_free(port)}
        self._state.tls_ports = {key: port for key, port in self._state.tls_ports.items() if port_is_free(port)}
        self._assign_ports()

    async def run(self) -> None:
        """Balance load until cancelled or stopped."""
        self._task = asyncio.current_task()
        self.preflight()
        self._leader.follow()
        self._render()
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

    def _uses(self, kind: str, name: str) -> bool:
        """Say whether anything that is programmed, or about to be, names a Compute resource."""
        snapshots = self._snapshots()
        frontends = [each.frontend for wanted in snapshots for each in wanted.ingresses if each.frontend]
        used: Mapping[str, set[str]] = {
            edge.CERTIFICATES: {certificate for each in frontends for certificate in each.certificates},
            edge.SSL_POLICIES: {each.ssl_policy for each in frontends},
            edge.SECURITY_POLICIES: {
                backend.security_policy for wanted in snapshots for each in wanted.services for backend in each.backends
            },
        }
        return name in used[kind]

    def _touch(self, link: str) -> None:
        self._dirty.add(link)
        self._wake.set()

    async def _poll(self) -> None:
        polls = 0
        while True:
            self._followers.follow()
            if self._leader.changed() or self._fleet_changed():
                self._wake.set()
            if self._config_dirty and self._leader.answering():
                self._wake.set()
            if self._exports() != self._exported:
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
        self._program_due()
        if self._discovering != self._discovers():
            self._discovering = not self._discovering
            self._dirty |= set(self._members())
        self._look_at_members()
        self._render()
        if self._exports() != self._exported:
            self._config_dirty = True
            self._wake.set()
        if orders is not None:
            described = list(self.health().values())
            orders.objects.report_all(self._state, described, self._changed, pending=self._snapshots())
            orders.gateways.report_all(
                self._state, described, self._routes, pending=self._snapshots(), refused=self._refused
            )
            self._changed.clear()
        save(self._state_file, self._state)
        dues = [due for due, _ in list(self._pending)[:1]] + [until for until, _ in self._lingering.values()]
        return max(min(dues) - self._clock.monotonic(), 0.01) if dues else None

    def _fleet_changed(self) -> bool:
        present, before = frozenset(self._members()), self._present
        self._present = present
        return present != before or self._discovering != self._discovers()

    # -- what it asks ----------------------------------------------------------------------------------------------

    def _read_config(self, orders: Orders) -> None:
        ingresses = orders.api.list(objects.INGRESSES)
        services = orders.api.list(objects.SERVICES)
        for resource, bodies in ((objects.INGRESSES, ingresses), (objects.SERVICES, services)):
            for body in bodies:
                if "deletionTimestamp" not in body["metadata"]:
                    orders.objects.hold(resource, body)
        configs = (orders.api.list(each) for each in (objects.BACKEND_CONFIGS, objects.FRONTEND_CONFIGS))
        look_up = LookUp(orders.api, self._edge)
        reading = read(Asked(ingresses, services, *configs), self._last_read, look_up)
        for (kind, key), problem in reading.problems.items():
            if self._problems.get((kind, key)) != problem:
                bodies = ingresses if kind == "MultiClusterIngress" else services
                body = next(body for body in bodies if objects.key_of(body) == key)
                orders.objects.events.record(body, "Warning", "SYNC", f"error running sync: {problem}")
        self._problems = reading.problems
        self._exported = self._exports()
        asked = gateways.read(orders.gateways.asked(), self._exported, self._last_read, look_up)
        self._routes, self._refused = asked.routes, asked.problems
        wanted = Wanted((*reading.wanted.services, *asked.services), (*reading.wanted.ingresses, *asked.ingresses))
        if wanted != self._last_read:
            self._last_read = wanted
            self._pending.append((self._clock.monotonic() + self.convergence_seconds, wanted))
            # The derived Services come first: their endpoints must be known when the edit takes effect.
            self._dirty |= set(self._members())

    def _exports(self) -> dict[str, exports.Exports]:
        """Give what each cluster of the fleet exports, as it was last seen."""
        present, seen = self._members(), self._state.members
        return {link: dict(seen[link].exports) for link in present if link in seen and seen[link].exports}

    def _program_due(self) -> None:
        now = self._clock.monotonic()
        self._lingering = {name: entry for name, entry in self._lingering.items() if entry[0] > now}
        while self._pending and self._pending[0][0] <= now:
            _, wanted = self._pending.popleft()
            self._program(wanted)

    def _program(self, wanted: Wanted) -> None:
        old = self._state.wanted
        left = {backend.name: backend for backend in old.backends()}
        for backend in wanted.backends():
            left.pop(backend.name, None)
        until = self._clock.monotonic() + LINGER_SECONDS
        self._lingering |= {name: (until, backend) for name, backend in left.items()}
        for backend in wanted.backends():
            self._lingering.pop(backend.name, None)
        ingresses, services = set(wanted.ingresses) - set(old.ingresses), set(wanted.services) - set(old.services)
        self._changed |= {(objects.INGRESSES, each.key) for each in ingresses if each.kind == MULTI_CLUSTER_INGRESS}
        self._changed |= {(objects.SERVICES, each.key) for each in services if each.kind == MULTI_CLUSTER_SERVICE}
        self._state.wanted = wanted
        left_over = {ingress.ident: ingress.frontend for ingress in wanted.ingresses}
        self._state.ports = {ident: port for ident, port in self._state.ports.items() if ident in left_over}
        secure = {ident: port for ident, port in self._state.tls_ports.items() if left_over.get(ident)}
        self._state.tls_ports = secure
        self._assign_ports()
        self._dirty |= set(self._members())

    def _assign_ports(self) -> None:
        for ingress in self._state.wanted.ingresses:
            if ingress.ident not in self._state.ports:
                self._state.ports[ingress.ident] = self._next_port()
            if ingress.frontend is not None and ingress.ident not in self._state.tls_ports:
                self._state.tls_ports[ingress.ident] = self._next_port()

    def _next_port(self) -> int:
        if self._port == 0:
            return any_free_port()
        used = {*self._state.ports.values(), *self._state.tls_ports.values()}
        return next(port for port in range(self._port, 65536) if port not in used and port_is_free(port))

    def _kept(self) -> list[Service]:
        """Give the services that anything, programmed or still to be, needs; the latest version of each last."""
        snapshots = [self._state.wanted, *(wanted for _, wanted in self._pending)]
        return [service for wanted in snapshots for service in wanted.services]

    def _look_at_members(self) -> None:
        present = self._members()
        for link in sorted(self._dirty & set(present)):
            if not self._reachable(link):
                continue
            self._dirty.discard(link)
            state = self._state.members.setdefault(link, members.MemberState())
            wanted = [service for service in self._last_read.services if service.in_cluster(link)]
            kept = [service for service in self._kept() if service.in_cluster(link)]
            try:
                members.sync(present[link], link.split("/")[0], state, present=wanted, kept=kept)
                state.exports = exports.read_exports(present[link], self._clock) if self._discovering else {}
                exports.publish(present[link], self._exports())
            except ApiError as error:
                log.warning("multi cluster ingress: %s: %s", link, error.message)
                self._dirty.add(link)
        self._dirty &= set(present)
        self._forget_members(present)

    def _forget_members(self, present: Iterable[str]) -> None:
        """Forget clusters that are gone; one that a service still names keeps its last Pods, as leaked groups do."""
        leaks.note(self._state, present)
        named = {link for service in self._kept() for link in service.links or ()}
        for link in [link for link in self._state.members if link not in present and link not in named]:
            del self._state.members[link]

    def _render(self) -> None:
        wanted = self._state.wanted
        files = documents(
            [self._programmed(ingress) for ingress in wanted.ingresses],
            [*wanted.backends(), *(backend for _, backend in self._lingering.values())],
            cloud_resources.endpoints_of(wanted, self._state.members),
            directory=self._proxy.config_dir,
            access_log=self._proxy.access_log,
            client_region=self._client_region,
            guards={backend.name: self._guard(backend) for backend in wanted.backends()},
        )
        self._proxy.write(files)
        self._proxy.sweep(files)

    def _programmed(self, ingress: Ingress) -> Programmed:
        port, frontend = self._state.ports[ingress.ident], ingress.frontend
        if frontend is None:
            return Programmed(ingress, port)
        policy = self._edge.get(edge.SSL_POLICIES, frontend.ssl_policy) if frontend.ssl_policy else {}
        certificates = tuple(self._edge.certificate(name) for name in frontend.certificates)
        least = str(policy.get("minTlsVersion", "TLS_1_0"))
        return Programmed(ingress, port, Tls(self._state.tls_ports[ingress.ident], certificates, least))

    def _guard(self, backend: Backend) -> str:
        name = backend.security_policy
        policy = self._edge.get(edge.SECURITY_POLICIES, name) if name else None
        return guards.script(policy, backend.iap_client)

    def _snapshots(self) -> list[Wanted]:
        return [self._state.wanted, *(wanted for _, wanted in self._pending)]
