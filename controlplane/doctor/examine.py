"""Makes all checks at once, each with its own deadline: a cluster or an API that hangs delays no other.

Some checks need what others find, so they come in rounds: who we are; what the project says, which clusters and which
services there are; then every cluster, and what the services ask for. A check that is out of time becomes a finding.
"""

import os
import socket
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from controlplane.clock import Clock
from controlplane.doctor import google, surroundings
from controlplane.doctor.clusters import ClusterChecks, Clusters
from controlplane.doctor.finding import Asker, Finding, Kubectl, State, well
from controlplane.doctor.fleetrights import chosen
from controlplane.doctor.gateway import gateway
from controlplane.doctor.quotas import quotas
from controlplane.engine.fanout import Fanout
from controlplane.engine.fleet import FleetRead
from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.fleet import Fleet
from controlplane.gateways.inquiry import Inquiry
from controlplane.gateways.kubeapi import Endpoint, KubernetesApi
from controlplane.gateways.signals import ComputeSignals
from controlplane.model.offering import ClusterRef
from controlplane.model.service import IngressKind, ServiceSpec

CHECKS = (
    "egress", "credentials", "apis", "permissions", "config cluster", "fleet", "feature",
    "reachable", "kinds", "rbac", "services", "quotas", "address", "dns", "clock",
)  # fmt: skip
"""The names of all checks, in the order in which they are shown."""
DEADLINE = 15.0
Task = Callable[[], list[Finding]]


@dataclass(frozen=True, slots=True)
class Stored:
    """The GPUServices in the config cluster. unreadable: by namespace/name, what is wrong with them.

    addresses: where those answer that have an address, by namespace/name.
    """

    services: tuple[ServiceSpec, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)


def _resolve(host: str) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where it is asked: the gateways to one project."""

    access: GoogleAccess
    inquiry: Inquiry
    fleet: Fleet
    signals: ComputeSignals
    connect: Callable[[Endpoint], KubernetesApi]
    stored: Callable[[], Stored]
    wanted: Callable[[], FleetRead]


@dataclass(frozen=True, slots=True)
class Doctor:
    """Examines a project. It writes nothing, anywhere."""

    cloud: Cloud
    config: ClusterRef
    clock: Clock
    seconds: float = DEADLINE
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    resolve: surroundings.Resolve = _resolve
    kubectl: Kubectl | None = None

    def examine(self, given: Sequence[ServiceSpec] | None = None) -> list[Finding]:
        """Make all checks, for these services; None means those that are stored in the config cluster."""
        found = surroundings.egress(self.environ)
        account = self._account()
        found += account.findings
        if not account.usable:
            return [_with_what_it_hides(finding) for finding in found]
        asker, clusters, inquiry = account.asker, Clusters(self.config), self.cloud.inquiry
        checks = ClusterChecks(self.cloud.fleet, asker, self.cloud.connect, self.cloud.wanted, self.clock, self.seconds)
        stored: list[Stored] = []
        first: dict[Hashable, Task] = {
            "apis": lambda: google.apis(inquiry, asker),
            "permissions": lambda: google.granted(inquiry, asker),
            "config cluster": lambda: checks.config_cluster(clusters),
            "fleet": lambda: checks.members(clusters),
            "feature": lambda: google.feature(inquiry, asker, self.config),
            "services": lambda: self._stored(asker, given, stored),
        }
        round_one = self._start(first)
        round_one.wait(["config cluster", "fleet", "services"])
        book = stored[0] if stored else Stored()
        services = list(book.services if given is None else given)
        kinds = frozenset(service.ingress.kind for service in services)
        second: dict[Hashable, Task] = {
            **dict(self._cluster_tasks(checks, clusters, kinds)),
            "permissions": lambda: chosen(inquiry, asker, clusters),
            "quotas": lambda: quotas(self.cloud.signals, asker, services, clusters.regions),
            "address": lambda: google.addresses(inquiry, asker, services),
            "dns": lambda: surroundings.names(services, book.addresses, asker, self.resolve),
        }
        if IngressKind.MULTI_CLUSTER_GATEWAY in kinds:
            second["feature"] = lambda: gateway(inquiry, asker)
        round_two = self._start(second)
        for fanout, tasks in ((round_one, first), (round_two, second)):
            found += self._gather(fanout, tasks, asker)
        offsets = dict(clusters.offsets) | ({} if inquiry.ahead is None else {"Google Cloud": inquiry.ahead})
        found += surroundings.clock(offsets)
        return sorted(found, key=lambda finding: CHECKS.index(finding.check))

    def _stored(self, asker: Asker, given: Sequence[ServiceSpec] | None, into: list[Stored]) -> list[Finding]:
        """Read the stored services; what keeps that from being done is another check's finding."""
        try:
            book = self.cloud.stored()
        except GatewayError as error:
            if given is not None:
                return []
            breaks = "quotas, address and names are not checked"
            mend = asker.gpuhunter("doctor", "-f", "SERVICE.yaml")
            return [Finding("services", self.config.link, State.WARN, f"cannot be read: {error.message}", breaks, mend)]
        into.append(book)
        found = [
            Finding("services", key, State.FAIL, what, "nothing is done for it", asker.edited(key))
            for key, what in book.unreadable.items()
        ]
        if given is None and not book.services:
            breaks = "quotas, address and names are not checked"
            what, mend = "no GPUService is stored", asker.gpuhunter("apply", "-f", "SERVICE.yaml")
            return [*found, Finding("services", self.config.link, State.WARN, what, breaks, mend)]
        looked = book.services if given is None else given
        where = "stored" if given is None else "given"
        return [*found, well("services", ", ".join(service.key for service in looked), where)]

    def _account(self) -> google.Account:
        fanout = Fanout[str](self.clock)
        nobody = Asker(self.cloud.access.project.name, self.config, kubectl=self.kubectl)
        fanout.start("credentials", lambda: google.credentials(self.cloud.access, nobody), seconds=self.seconds)
        fanout.wait(["credentials"])
        error = fanout.error("credentials")
        if error is None:
            result = fanout.result("credentials")
            if isinstance(result, google.Account):
                return result
        return google.Account([self._late("credentials", nobody.project, nobody)], nobody, usable=False)

    def _cluster_tasks(
        self, checks: ClusterChecks, clusters: Clusters, kinds: frozenset[IngressKind]
    ) -> Iterator[tuple[ClusterRef, Task]]:
        endpoints: dict[ClusterRef, Endpoint] = dict(clusters.listing.endpoints) if clusters.listing else {}
        if clusters.config_endpoint is not None:
            endpoints[self.config] = clusters.config_endpoint
        for ref, endpoint in sorted(endpoints.items()):
            yield ref, lambda ref=ref, endpoint=endpoint: checks.cluster(ref, endpoint, clusters, kinds)  # type: ignore[misc]

    def _start(self, tasks: Mapping[Hashable, Task]) -> Fanout[Hashable]:
        fanout: Fanout[Hashable] = Fanout(self.clock)
        for key, task in tasks.items():
            fanout.start(key, task, seconds=self.seconds)
        return fanout

    def _gather(self, fanout: Fanout[Hashable], tasks: Mapping[Hashable, Task], asker: Asker) -> list[Finding]:
        fanout.wait(tasks)
        found: list[Finding] = []
        for key in tasks:
            if fanout.error(key) is not None:
                is_cluster = isinstance(key, ClusterRef)
                found.append(self._late("reachable" if is_cluster else str(key), str(key), asker))
            else:
                result = fanout.result(key)
                found += result if isinstance(result, list) else []
        return found

    def _late(self, check: str, subject: str, asker: Asker) -> Finding:
        what = f"no answer within {self.seconds:g} s"
        breaks = "a pass goes on without it, and takes it for unknown"
        mend = asker.gpuhunter("doctor", f"--timeout={2 * self.seconds:g}")
        return Finding(check, subject, State.FAIL, what, breaks, mend)


def _with_what_it_hides(finding: Finding) -> Finding:
    """Let the finding of the credentials, without which nothing else can be asked, say so once for all other checks."""
    if finding.check != "credentials":
        return finding
    hidden = ", ".join(CHECKS[CHECKS.index("credentials") + 1 :])
    return replace(finding, breaks=f"{finding.breaks}; not checked for want of credentials: {hidden}")
