"""The fleet's features and the global address."""

from typing import TYPE_CHECKING

from controlplane.bootstrap.values import LABEL, MARK, OURS, Address, Feature, Operation, Part, Seen, State, thing

if TYPE_CHECKING:
    from controlplane.gateways.fleetparts import FleetFeatures, GlobalAddresses

_GOING = ("ENABLING", "DISABLING", "UPDATING", "SERVICE_UPDATING")


class Features:
    """Features of the fleet. Those that others enabled serve as well, and stay."""

    def __init__(self, features: "FleetFeatures") -> None:
        self._features = features

    def look(self, part: Part) -> Seen:
        """Look at the feature, and at whose membership it holds the ingress objects."""
        wanted = thing(part, Feature)
        found = self._features.get(wanted.name)
        if found is None:
            return Seen(State.ABSENT)
        ours = found.labels.get(LABEL) == OURS
        if found.state in _GOING:
            return Seen(State.GOING, found.state.lower(), ours=ours)
        if wanted.config is not None and not _same_membership(found.config_membership, wanted):
            what = f"its config membership is {found.config_membership or 'none'}"
            return Seen(State.TAKEN, what, remedy=_moved(wanted), ours=ours)
        return Seen(State.PRESENT, found.description, ours=ours)

    def make(self, part: Part, seen: Seen) -> Operation | None:
        """Enable it."""
        del seen
        wanted = thing(part, Feature)
        name = self._features.create(wanted.name, _membership(wanted), {LABEL: OURS})
        return Operation("gkehub", f"/v1/{name}") if name else None

    def remove(self, part: Part, seen: Seen) -> Operation | None:
        """Disable it."""
        del seen
        name = self._features.delete(thing(part, Feature).name)
        return Operation("gkehub", f"/v1/{name}") if name else None


class Addresses:
    """Global static addresses; a description takes the place of the label."""

    def __init__(self, addresses: "GlobalAddresses") -> None:
        self._addresses = addresses

    def look(self, part: Part) -> Seen:
        """Look whose the address of that name is."""
        wanted = thing(part, Address)
        found = self._addresses.get(wanted.name)
        if found is None:
            return Seen(State.ABSENT)
        if not found.description.startswith(MARK):
            remedy = "release it, or make it anew with the description " + repr(MARK)
            return Seen(State.TAKEN, f"an address of that name is there already: {found.address}", {}, remedy)
        state = State.GOING if found.status == "RESERVING" else State.PRESENT
        return Seen(state, found.address, {"users": list(found.users)})

    def make(self, part: Part, seen: Seen) -> Operation | None:
        """Reserve it."""
        del seen
        wanted = thing(part, Address)
        return _compute(wanted.project, self._addresses.reserve(wanted.name, MARK))

    def remove(self, part: Part, seen: Seen) -> Operation | None:
        """Release it."""
        del seen
        wanted = thing(part, Address)
        name = self._addresses.release(wanted.name)
        return _compute(wanted.project, name) if name else None


def _compute(project: str, name: str) -> Operation:
    return Operation("compute", f"/compute/v1/projects/{project}/global/operations/{name}")


def _membership(wanted: Feature) -> str:
    if wanted.config is None:
        return ""
    return f"projects/{wanted.project}/locations/{wanted.config.region}/memberships/{wanted.config.name}"


def _same_membership(found: str, wanted: Feature) -> bool:
    """Compare by name: the project may be told by its number, and old memberships are in `global`."""
    parts = found.split("/")
    return len(parts) == 6 and wanted.config is not None and parts[5] == wanted.config.name


def _moved(wanted: Feature) -> str:
    command = (
        f"gcloud container fleet ingress update --config-membership={_membership(wanted)} --project={wanted.project}"
    )
    return f"a fleet has one config cluster: name that one in the Fleet, or move it with `{command}`"
