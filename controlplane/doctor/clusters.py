"""Checks of the fleet and of each cluster: is it there, does it answer, has it the kinds, may we do what we do."""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from controlplane.api.crd import definitions
from controlplane.api.parse import KIND as SERVICE_KIND
from controlplane.clock import Clock
from controlplane.doctor.finding import Asker, Finding, State, command, well
from controlplane.doctor.fleet import nothing_selected, outside
from controlplane.engine.fleet import FleetRead
from controlplane.gateways import errors
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.fleet import Fleet, Listing
from controlplane.gateways.kubeapi import CONNECTIONS, Endpoint, KubernetesApi
from controlplane.gateways.resources import CUSTOM_RESOURCE_DEFINITIONS
from controlplane.gateways.together import together
from controlplane.model.fleet import EndpointChoice, FleetSpec
from controlplane.model.offering import ClusterRef
from controlplane.model.service import IngressKind
from ingress.gateway import BACKEND_POLICY, GATEWAY, HEALTH_CHECK_POLICY, HTTP_ROUTE, SERVICE_EXPORT
from regional_deploy.runner import rights

SLOW = 1.0
"""Seconds that an API server may take for its version until that is worth knowing."""
_UNTOLD = "which clusters belong is not what the file says"
_API = "container.googleapis.com"
_INGRESS_KINDS = (
    ("networking.gke.io", "v1", ("multiclusteringresses", "multiclusterservices")),
    ("cloud.google.com", "v1", ("backendconfigs",)),
)
_GATEWAY_KINDS = (
    (GATEWAY.group, GATEWAY.version, (GATEWAY.plural, HTTP_ROUTE.plural)),
    (BACKEND_POLICY.group, BACKEND_POLICY.version, (BACKEND_POLICY.plural, HEALTH_CHECK_POLICY.plural)),
)


@dataclass(slots=True)
class Clusters:
    """What was found of the fleet. `offsets`: how far each server's clock is ahead of ours.

    wanted: the Fleet that the project goes by; None while it has not been read.
    """

    config: ClusterRef
    wanted: FleetSpec | None = None
    config_endpoint: Endpoint | None = None
    listing: Listing | None = None
    offsets: dict[str, timedelta] = field(default_factory=dict)

    @property
    def regions(self) -> list[str]:
        """Give the regions with a member cluster."""
        return sorted({info.ref.region for info in self.listing.clusters}) if self.listing else []

    @property
    def by_connect_gateway(self) -> bool:
        """Whether clusters are called through the Connect gateway: the Fleet says so, or one has no other endpoint."""
        chosen = EndpointChoice.CONNECT_GATEWAY
        endpoints = self.listing.endpoints.values() if self.listing else ()
        asked = self.wanted is not None and self.wanted.endpoint is chosen
        return asked or any(each.kind == chosen.value for each in endpoints)


@dataclass(frozen=True, slots=True)
class ClusterChecks:
    """The checks, with what they need. `connect` opens an API server, `wanted` reads the Fleet."""

    fleet: Fleet
    asker: Asker
    connect: Callable[[Endpoint], KubernetesApi]
    wanted: Callable[[], FleetRead]
    clock: Clock
    seconds: float

    def config_cluster(self, found: Clusters) -> list[Finding]:
        """Find the config cluster."""
        breaks = "there is nowhere to keep GPUServices, so no pass can be made"
        try:
            found.config_endpoint = self.fleet.config_endpoint()
        except errors.ConfigurationProblem as error:
            ref = found.config
            mend = command(
                "gcloud", "container", "clusters", "create-auto", ref.name, f"--location={ref.location}",
                f"--project={self.asker.project}", f"--fleet-project={self.asker.project}",
            )  # fmt: skip
            return [Finding("config cluster", ref.link, State.FAIL, error.message, breaks, mend)]
        except GatewayError as error:
            return [self.asker.refused("config cluster", found.config.link, error, api=_API, breaks=breaks)]
        return [well("config cluster", found.config.link, "is there")]

    def members(self, found: Clusters) -> list[Finding]:
        """List the members."""
        breaks = "there is no cluster in which GPUs could be asked for"
        try:
            read = self.wanted()
            if read.spec is None:
                return [Finding("fleet", "default", State.FAIL, read.problem, breaks, self._edited())]
            found.wanted = read.spec
            listing = found.listing = self.fleet.listing(read.spec)
        except GatewayError as error:
            return [self.asker.refused("fleet", self.asker.project, error, api=_API, breaks=breaks)]
        findings = [Finding("fleet", "default", State.WARN, each, _UNTOLD, self._edited()) for each in read.warnings]
        if listing.unlisted:
            what = f"the listing leaves out {', '.join(listing.unlisted)}"
            listed = command("gcloud", "container", "clusters", "list", f"--project={self.asker.project}")
            findings.append(
                Finding("fleet", self.asker.project, State.WARN, what, "clusters there are unknown for now", listed)
            )
        standings = listing.seen.standings if listing.seen else ()
        findings += [outside(each, read.spec, self.asker) for each in standings if not each.usable]
        if not listing.clusters and (nothing := nothing_selected(standings, read.spec, self.asker)):
            return [*findings, nothing]
        if not listing.clusters:
            mend = command(
                "gcloud", "container", "clusters", "create-auto", "gpu-us-central1", "--location=us-central1",
                f"--project={self.asker.project}", f"--fleet-project={self.asker.project}",
            )  # fmt: skip
            what = "no Autopilot cluster belongs to the fleet, besides the config cluster"
            return [*findings, Finding("fleet", self.asker.project, State.FAIL, what, breaks, mend)]
        names = ", ".join(info.ref.link for info in listing.clusters)
        return [*findings, well("fleet", self.asker.project, f"{len(listing.clusters)} members: {names}")]

    def cluster(
        self, ref: ClusterRef, endpoint: Endpoint, found: Clusters, kinds: frozenset[IngressKind]
    ) -> list[Finding]:
        """Look at one cluster: does it answer, and then the rest. `kinds`: of ingress, which services ask for."""
        api, is_config = self.connect(endpoint), ref == found.config
        breaks = "no pass can be made" if is_config else f"nothing is placed in or taken from {ref.region}"
        try:
            pong = api.ping()
        except GatewayError as error:
            return [
                Finding("reachable", ref.link, State.FAIL, error.message, breaks, self._reach(ref, endpoint, error))
            ]
        if pong.ahead is not None:
            found.offsets[ref.link] = pong.ahead
        what = f"{pong.version} answers in {pong.seconds * 1000:.0f} ms"
        slow = Finding("reachable", ref.link, State.WARN, what, "each pass takes longer", self._describe(ref))
        findings = [slow if pong.seconds > SLOW else well("reachable", ref.link, what)]
        try:
            if is_config:
                findings += self._kinds(ref, api)
            if IngressKind.MULTI_CLUSTER_GATEWAY in kinds:
                findings += self._gateway_kinds(ref, api, is_config=is_config)
            findings.append(self._rights(ref, api, "config-cluster" if is_config else "member"))
        except GatewayError as error:
            what = f"cannot be told: {error.message}"
            findings.append(Finding("rbac", ref.link, State.WARN, what, breaks, self._reach(ref, endpoint, error)))
        return findings

    def _kinds(self, ref: ClusterRef, api: KubernetesApi) -> Iterator[Finding]:
        for definition in definitions():
            yield self._definition(ref, api, definition)
        membership = f"projects/{self.asker.project}/locations/{ref.region}/memberships/{ref.name}"
        mend = command(
            "gcloud", "container", "fleet", "ingress", "enable",
            f"--config-membership={membership}", f"--project={self.asker.project}",
        )  # fmt: skip
        for wanted in _INGRESS_KINDS:
            yield _served(ref, api, *wanted, mend=mend)

    def _gateway_kinds(self, ref: ClusterRef, api: KubernetesApi, *, is_config: bool) -> Iterator[Finding]:
        """Look for what a multi-cluster Gateway needs; only where a service asks for one."""
        if is_config:
            mend = command(
                "gcloud", "container", "clusters", "update", ref.name, f"--location={ref.location}",
                f"--project={self.asker.project}", "--gateway-api=standard",
            )  # fmt: skip
            for wanted in _GATEWAY_KINDS:
                yield _served(ref, api, *wanted, mend=mend)
        else:
            mend = command(
                "gcloud", "container", "fleet", "multi-cluster-services", "enable", f"--project={self.asker.project}"
            )
            yield _served(ref, api, SERVICE_EXPORT.group, SERVICE_EXPORT.version, (SERVICE_EXPORT.plural,), mend=mend)

    def _definition(self, ref: ClusterRef, api: KubernetesApi, definition: Mapping[str, Any]) -> Finding:
        """Compare the definition that is stored with this version's, as far as that may be read."""
        mend = self.asker.applied(ref, "gpuhunter crd")
        kind, plural = (definition["spec"]["names"][each] for each in ("kind", "plural"))
        wanted = definition["spec"]["versions"]
        names = [version["name"] for version in wanted]
        try:
            stored = api.get(CUSTOM_RESOURCE_DEFINITIONS, definition["metadata"]["name"])
        except errors.Forbidden as error:
            if any(plural in api.served(definition["spec"]["group"], name) for name in names):
                what = f"{kind} is served; whether it is this version's cannot be read: {error.message}"
                breaks = "a field that the stored definition lacks is dropped"
                return Finding("kinds", ref.link, State.WARN, what, breaks, mend)
            stored = None
        if stored is None:
            what = f"the definition of {kind} is not installed"
            needed = kind == SERVICE_KIND
            breaks = f"no {kind} can be stored or read" + ("" if needed else ", so no cluster is made on demand")
            return Finding("kinds", ref.link, State.FAIL if needed else State.WARN, what, breaks, mend)
        there = {version["name"]: version for version in stored.get("spec", {}).get("versions", ())}
        if differing := [each["name"] for each in wanted if not _same(each, there.get(each["name"]))]:
            what = f"the definition of {kind} {', '.join(differing)} is another version's"
            breaks = "fields that only one of the two knows are dropped or refused"
            return Finding("kinds", ref.link, State.FAIL, what, breaks, mend)
        return well("kinds", ref.link, f"{kind} {', '.join(names)} as this version defines it")

    def _rights(self, ref: ClusterRef, api: KubernetesApi, role: str) -> Finding:
        wanted = [
            (verb, group, resource)
            for rule in rights(role, "")[0]["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        ]
        calls = {each: _asked(api, *each) for each in wanted}
        answers = together(calls, seconds=self.seconds, clock=self.clock, at_once=CONNECTIONS)
        for answer in answers.values():
            if isinstance(answer, GatewayError):
                raise answer
        if missing := [each for each in wanted if answers[each] is not True]:
            listed = ", ".join(f"{verb} {resource}{'.' if group else ''}{group}" for verb, group, resource in missing)
            # Who mends it is an administrator of the cluster, and not the account that lacks the rights.
            rendered = command("gpuhunter", f"--project={self.asker.project}", "runner", "rights", role)
            account = command(f"--service-account={self.asker.email or 'EMAIL'}")
            mend = self.asker.applied(ref, f"{rendered} {account}")
            state, breaks = what_breaks({group for _, group, _ in missing})
            return Finding("rbac", ref.link, state, f"not allowed: {listed}", breaks, mend)
        return well("rbac", ref.link, f"all {len(wanted)} kinds of calls of a pass are allowed")

    def _reach(self, ref: ClusterRef, endpoint: Endpoint, error: GatewayError) -> str:
        if endpoint.kind == EndpointChoice.CONNECT_GATEWAY.value:
            return self.asker.grant("roles/gkehub.gatewayEditor")
        if isinstance(error, errors.AuthExpired | errors.Forbidden):
            return self.asker.grant()
        return command(
            "gcloud", "container", "clusters", "update", ref.name, f"--location={ref.location}",
            f"--project={self.asker.project}", "--enable-dns-access",
        )  # fmt: skip

    def _edited(self) -> str:
        return self.asker.gpuhunter("apply", "-f", "FLEET.yaml")

    def _describe(self, ref: ClusterRef) -> str:
        place = f"--location={ref.location}"
        return command(
            "gcloud", "container", "clusters", "describe", ref.name, place, f"--project={self.asker.project}"
        )


def what_breaks(groups: AbstractSet[str]) -> tuple[State, str]:
    """Tell how grave it is to lack rights of these API groups, and what comes of it."""
    if groups == {"autoscaling"}:
        return State.WARN, "with spec.autoscaling, placements there keep a fixed number of replicas"
    return State.FAIL, "passes end at the first call that is refused"


def _served(
    ref: ClusterRef, api: KubernetesApi, group: str, version: str, plurals: tuple[str, ...], *, mend: str
) -> Finding:
    served = api.served(group, version)
    if missing := [plural for plural in plurals if plural not in served]:
        what = f"{', '.join(missing)} of {group}/{version} are not installed"
        return Finding("kinds", ref.link, State.FAIL, what, "no global address is wired", mend)
    return well("kinds", ref.link, f"{', '.join(plurals)} of {group}/{version}")


def _asked(api: KubernetesApi, verb: str, group: str, resource: str) -> Callable[[], bool]:
    plural, _, subresource = resource.partition("/")
    return lambda: api.may(verb, group, plural, subresource)


def _same(wanted: object, stored: object) -> bool:
    """Say whether what is stored is what is wanted; the API server adds defaults, which do not count."""
    if isinstance(wanted, dict):
        return isinstance(stored, dict) and all(_same(value, stored.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(stored, list) and len(stored) == len(wanted) and all(map(_same, wanted, stored))
    return wanted == stored
