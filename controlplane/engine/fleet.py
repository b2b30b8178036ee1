"""The Fleet in a pass: read from the config cluster, compared with the file, and its status written when it changed.

The object in the config cluster rules, since it is what every run sees, whoever starts it. A file stands in for it
where there is none. One that cannot be read makes the fleet unknown: discovery by defaults would take clusters for
members that the user keeps out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import structlog

from controlplane.clock import Clock
from controlplane.engine.fence import Fence
from controlplane.engine.lease import FenceLost
from controlplane.engine.ports import FleetBook, Json
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.fleet import Listing
from controlplane.gateways.sanitise import scrub
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.fleet import FleetSeen, FleetSpec
from controlplane.model.offering import ClusterRef

NO_MEMORY = (
    "spec.clustersOnDemand has no effect: what was created is remembered in the Fleet in the config cluster;"
    " `gpuhunter apply -f` the Fleet file"
)


@dataclass(frozen=True, slots=True)
class FleetRead:
    """What the pass goes by. `spec` None: it cannot be read, and `problem` says why.

    foreign: it is for another project or config cluster, so nothing may be done by it.
    stored: the object as it stands in the config cluster. warnings: what a person should know, one line each.
    """

    spec: FleetSpec | None
    stored: Json | None = None
    problem: str = ""
    warnings: tuple[str, ...] = ()
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class FleetDesk:
    """Reads the Fleet. connected: project and config cluster that this run talks to. file: what a file says."""

    connected: FleetSpec
    file: FleetSpec | None = None

    def read(self, config: FleetBook) -> FleetRead:
        """Read the object, else the file, else the defaults."""
        from controlplane import api

        stored = config.fleet()
        if stored is None:
            alone = self.file is not None and self.file.on_demand is not None
            return FleetRead(self.file or self.connected, warnings=(NO_MEMORY,) if alone else ())
        try:
            spec = api.parse_fleet(stored)
        except api.SpecError as error:
            return FleetRead(None, stored, scrub(f"Fleet default: {error.problems[0]}"))
        here = self.connected
        if (spec.project, spec.config) != (here.project, here.config):
            what = f"the Fleet in {here.config.link} of {here.project} is for config cluster {spec.config.link} of"
            return FleetRead(None, stored, f"{what} {spec.project}; connect there, or correct the Fleet", foreign=True)
        differing = [] if self.file is None else differences(self.file, spec)
        said = f"the Fleet file and the Fleet in the config cluster differ in {', '.join(differing)}; the latter rules"
        warning = f"{said}, `gpuhunter apply -f` the file to change it"
        return FleetRead(spec, stored, warnings=(warning,) if differing else ())


def differences(one: FleetSpec, other: FleetSpec) -> list[str]:
    """Give the names of the fields in which two fleets differ, as users write them."""
    names = {"labels": "members.labels", "endpoint": "members.endpoint", "regions": "members.regions",
             "name_rule": "members.name", "on_demand": "clustersOnDemand", "config": "configCluster"}  # fmt: skip
    return [names.get(f.name, f.name) for f in fields(one) if getattr(one, f.name) != getattr(other, f.name)]


def held_clusters(services: Iterable[Mapping[str, Any]]) -> frozenset[ClusterRef]:
    """Give the clusters in which placements are remembered; what cannot be read there is another's to tell."""
    found: set[ClusterRef] = set()
    for service in services:
        memory = _inner(service.get("status"), "memory")
        placements = [memory.get("placements"), _inner(memory, "hunt").get("placements")]  # of a service, of a batch
        for placement in (each for known in placements if isinstance(known, list) for each in known):
            cluster = _inner(placement, "offering", "cluster")
            location, name = cluster.get("location"), cluster.get("name")
            if isinstance(location, str) and isinstance(name, str):
                found.add(ClusterRef(location, name))
    return frozenset(found)


class FleetStatus:
    """Writes the Fleet's status, only when what users read there changed."""

    def __init__(self, config: FleetBook, fence: Fence, clock: Clock) -> None:
        self._config, self._fence, self._clock = config, fence, clock
        self._log = structlog.get_logger("fleet")

    def write(self, read: FleetRead, listing: Known[Listing] | Unknown, more: Mapping[str, Any] | None = None) -> bool:
        """Write it when it changed; say whether that was done. A write that fails is the next pass's to make again.

        more: what others tell there, such as `memory`; it takes the place of what stood under the same key.
        """
        from controlplane.api.fleetstatus import fleet_status

        if read.stored is None:
            return False
        seen = seen_of(listing, self._clock.now())
        status = fleet_status(read.stored, read.spec, seen, self._clock.now(), problem=read.problem) | dict(more or {})
        if status == (read.stored.get("status") or {}):
            return False
        try:
            self._fence.check()
            self._config.write_fleet_status(read.stored, status)
        except (GatewayError, FenceLost) as error:
            self._log.warning("fleet status not written", detail=str(error))
            return False
        return True


def seen_of(listing: Known[Listing] | Unknown, at: datetime) -> Known[FleetSeen] | Unknown:
    """Give what a listing tells of all clusters; Unknown where it tells of members alone."""
    if isinstance(listing, Unknown):
        return listing
    seen = listing.value.seen
    return Unknown(UnknownReason.NOT_ASKED, at) if seen is None else Known(seen, listing.at)


def _inner(value: object, *path: str) -> Mapping[str, Any]:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
