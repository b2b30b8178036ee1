"""Carrying out the wiring of one kind: what adds, then the list as a whole, then what takes away.

Where a cluster is wired by an object of its own, the list that the config cluster holds is only a record, so both are
written, in the order in which a stop in between does no harm. A member that does not answer while the others are wired
delays none of them: the record leaves it out, and nothing is taken away in that pass.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from controlplane.clock import Clock
from controlplane.engine.fanout import Fanout
from controlplane.engine.fence import Fence
from controlplane.engine.ports import ConfigCluster, Manifest, MemberCluster
from controlplane.gateways import errors
from controlplane.gateways.errors import GatewayError, MemberFailed
from controlplane.model import naming
from controlplane.model.decision import WireIngress
from controlplane.model.service import ServiceSpec
from ingress.wiring import TrafficWiring

SECONDS_PER_MEMBER = 15.0


class Rewiring:
    """Writes the wiring of one service. `members`: those that answered in this pass, by link."""

    def __init__(
        self,
        config: ConfigCluster,
        wiring: TrafficWiring,
        fence: Fence,
        clock: Clock,
        members: Mapping[str, MemberCluster],
    ) -> None:
        self._config, self._wiring, self._fence, self._clock = config, wiring, fence, clock
        self._members = members

    def wire(self, spec: ServiceSpec, action: WireIngress, version: str) -> str:
        """Bring the list into the wiring, onto the version that was decided on; give what is in the way and not ours.

        Raises MemberFailed when a member did not take its part, after all others have theirs.
        """
        manifests = self._manifests(spec, action, action.clusters)
        versions = {}
        for manifest in manifests:
            found = self._config.get(manifest)
            if found is not None and not is_ours(found, manifest):
                return f"{manifest['kind']}/{manifest['metadata']['name']} in the config cluster is not ours"
            versions[_place(manifest)] = found["metadata"]["resourceVersion"] if found else None
        listed = self._wiring.listing_kind().name, spec.name
        if versions[listed] is not None and not version:
            raise errors.AlreadyExists(f"the {listed[0]} appeared since it was observed")
        export = self._wiring.member_manifest(spec)
        foreign, failed = self._enter(export, action.clusters) if export else ("", {})
        if foreign:
            return foreign
        if export and not version:
            # What an earlier wiring left in a member that was dark then must not come back with this one.
            failed |= self._leave(export, [link for link in self._members if link not in action.clusters])
        # The list is written onto what was decided on, not onto what another may have made of it since.
        versions[listed] = version or None
        # A removal that does not come about is not recorded as one.
        record = {link for link in action.clusters if link not in failed} | (set(action.removes) if failed else set())
        if not record:
            raise _summed(failed)
        *first, last = self._manifests(spec, action, sorted(record))
        for manifest in first:
            self._fence.check()
            self._config.apply(manifest, resource_version=versions[_place(manifest)])
        if version and not action.list_only:
            # Before the last one is stamped with the spec: what a stop leaves here is taken up by the next pass.
            for kind, name in self._wiring.obsolete(spec):
                self._fence.check(destructive=True)
                self._config.delete_owned(kind, spec.namespace, name, naming.service_labels(spec.name))
        self._fence.check()
        self._config.apply(last, resource_version=versions[_place(last)])
        if export and not failed:
            failed = self._leave(export, [link for link in action.removes if link in self._members])
        if failed:
            raise _summed(failed)
        return ""

    def unwire(self, spec: ServiceSpec) -> None:
        """Take the wiring down: the address first, what holds the list last. Raises MemberFailed."""
        labels, listed = naming.service_labels(spec.name), self._wiring.listing_kind()
        export = self._wiring.member_manifest(spec)
        for kind, name in self._wiring.release_order(spec):
            if export and kind == listed and (failed := self._leave(export, list(self._members))):
                raise _summed(failed)
            self._fence.check(destructive=True)
            self._config.delete_owned(kind, spec.namespace, name, labels)

    def _manifests(self, spec: ServiceSpec, action: WireIngress, clusters: Iterable[str]) -> list[Manifest]:
        made = self._wiring.manifests(spec, tuple(clusters), fence=self._fence.number)
        listed = self._wiring.listing_kind().name, spec.name
        return [m for m in made if _place(m) == listed or not action.list_only]

    def _enter(self, export: Manifest, clusters: Iterable[str]) -> tuple[str, dict[str, GatewayError]]:
        """Put the object into each of the members that answer; give what is in the way, and what failed."""
        here = [link for link in clusters if link in self._members]
        done, failed = self._at_once(here, lambda member: self._put(member, export))
        taken = [link for link, foreign in done.items() if foreign]
        return (f"{export['kind']}/{export['metadata']['name']} in {taken[0]} is not ours" if taken else "", failed)

    def _put(self, member: MemberCluster, export: Manifest) -> bool:
        found = member.get(export)
        if found is not None:
            return not is_ours(found, export)
        self._fence.check()
        member.apply(export)
        return False

    def _leave(self, export: Manifest, links: Collection[str]) -> dict[str, GatewayError]:
        def take(member: MemberCluster) -> bool:
            self._fence.check(destructive=True)
            return member.delete_owned(export)  # what bears our name and is not ours stays

        return self._at_once(links, take)[1]

    def _at_once(
        self, links: Collection[str], work: Callable[[MemberCluster], bool]
    ) -> tuple[dict[str, bool], dict[str, GatewayError]]:
        fanout: Fanout[str] = Fanout(self._clock)
        for link in links:
            fanout.start(link, partial(work, self._members[link]), seconds=min(SECONDS_PER_MEMBER, self._fence.left))
        fanout.wait(links)
        failed = {link: error for link in links if (error := fanout.error(link)) is not None}
        return {link: bool(fanout.result(link)) for link in links if link not in failed}, failed


def _place(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def is_ours(found: Manifest, wanted: Manifest) -> bool:
    """Say whether an object carries the labels that we would give it (S7)."""
    return naming.is_ours(found, wanted["metadata"]["labels"][naming.LABEL_SERVICE])


def _summed(failed: Mapping[str, GatewayError]) -> MemberFailed:
    return MemberFailed("; ".join(f"{link}: {error.message}" for link, error in sorted(failed.items())))
