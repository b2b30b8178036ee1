"""The network endpoint groups: which Pods of each member stand behind the backend services, and what members export.

As with Google's groups the coming and going of Pods takes effect at once, without the delay of an edit. A member that
does not answer keeps the Pods that were last seen, and is looked at again when it does.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from controlplane.localcloud.apiserver.api import Api, ApiError
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.loadbalancer import exports, leaks, members
from controlplane.localcloud.loadbalancer.state import State
from controlplane.localcloud.loadbalancer.wanted import Service

log = logging.getLogger(__name__)


class EndpointGroups:
    """Keeps what is known of the members up to date. discovers: whether Services that clusters export count."""

    def __init__(
        self,
        fleet: Callable[[], Mapping[str, Api]],
        state: State,
        clock: Clock,
        *,
        reachable: Callable[[str], bool],
        discovers: Callable[[], bool],
    ) -> None:
        self._fleet, self._state, self._clock = fleet, state, clock
        self._reachable, self._discovers = reachable, discovers
        self._dirty: set[str] = set()
        self._discovering = discovers()
        self._present: frozenset[str] = frozenset()

    @property
    def settled(self) -> bool:
        """Whether every member was looked at since it changed."""
        return not self._dirty

    def touch(self, link: str) -> None:
        """Let a member be looked at."""
        self._dirty.add(link)

    def touch_all(self) -> None:
        """Let every member be looked at."""
        self._dirty |= set(self._fleet())

    def fleet_changed(self) -> bool:
        """Say whether members came or went since this was last asked, or whether exports began or ceased to count."""
        present, before = frozenset(self._fleet()), self._present
        self._present = present
        return present != before or self._discovering != self._discovers()

    def exported(self) -> dict[str, exports.Exports]:
        """Give what each cluster of the fleet exports, as it was last seen."""
        present, seen = self._fleet(), self._state.members
        return {link: dict(seen[link].exports) for link in present if link in seen and seen[link].exports}

    def update(self, wanted: Sequence[Service], kept: Sequence[Service]) -> None:
        """Look at the members that are to be looked at and answer.

        wanted: the services of the last snapshot. kept: those that anything, programmed or still to be, needs; the
        latest version of each last.
        """
        if self._discovering != self._discovers():
            self._discovering = not self._discovering
            self.touch_all()
        present = self._fleet()
        for link in sorted(self._dirty & set(present)):
            if self._reachable(link):
                self._dirty.discard(link)
                try:
                    self._look_at(link, present[link], wanted, kept)
                except ApiError as error:
                    log.warning("multi cluster ingress: %s: %s", link, error.message)
                    self._dirty.add(link)
        self._dirty &= set(present)
        self._forget(present, kept)

    def _look_at(self, link: str, api: Api, wanted: Iterable[Service], kept: Iterable[Service]) -> None:
        state = self._state.members.setdefault(link, members.MemberState())
        here = [service for service in wanted if service.in_cluster(link)]
        kept_here = [service for service in kept if service.in_cluster(link)]
        members.sync(api, link.split("/", maxsplit=1)[0], state, present=here, kept=kept_here)
        state.exports = exports.read_exports(api, self._clock) if self._discovering else {}
        exports.publish(api, self.exported())

    def _forget(self, present: Iterable[str], kept: Iterable[Service]) -> None:
        """Forget clusters that are gone; one that a service still names keeps its last Pods, as leaked groups do."""
        leaks.note(self._state, present)
        named = {link for service in kept for link in service.links or ()}
        for link in [link for link in self._state.members if link not in present and link not in named]:
            del self._state.members[link]
