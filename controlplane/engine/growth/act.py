"""Carrying out what was decided about clusters on demand: one write each, every one behind the fence.

Every action may be repeated, and none is waited for: what came of it is seen by the next pass. What was learnt by it
is given back, for the memory.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import regional_deploy
from controlplane.decide.growth.notes import Brought
from controlplane.engine.fence import Fence
from controlplane.engine.growth.ports import Grounds
from controlplane.engine.lease import FenceLost
from controlplane.engine.ports import Json, Manifest, MemberCluster
from controlplane.engine.wirings import Wirings
from controlplane.gateways import errors
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.provisioning import NewCluster
from controlplane.model.growthplan import (
    ClearCluster,
    CreateCluster,
    DeleteCluster,
    GrowthAction,
    PrepareCluster,
    RegisterCluster,
    UnregisterCluster,
    takes_away,
)
from controlplane.model.offering import ClusterRef
from controlplane.model.service import ServiceSpec
from regional_deploy.runner import rights

SYSTEM = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}
_FINAL = (errors.Invalid, errors.QuotaExceeded, errors.StockOut, errors.Forbidden, errors.AlreadyExists)
"""What will not happen however often it is asked for: the region rests, and another may have its turn."""


@dataclass(frozen=True, slots=True)
class Hands:
    """Does it. open_member: gives a cluster that the listing can reach. specs: of all services that can be read."""

    grounds: Grounds
    fence: Fence
    wirings: Wirings
    open_member: Callable[[ClusterRef], MemberCluster | None]
    specs: Sequence[ServiceSpec] = ()

    def run(self, actions: Iterable[GrowthAction]) -> tuple[tuple[GrowthAction, Brought], ...]:
        """Carry them out and tell what became of each."""
        return tuple((action, self._one(action)) for action in actions)

    def _one(self, action: GrowthAction) -> Brought:
        try:
            self.fence.check(destructive=takes_away(action))
            return self._do(action)
        except FenceLost as error:
            return Brought(done=False, message=str(error))
        except GatewayError as error:
            taken = isinstance(error, errors.AlreadyExists)
            refused = isinstance(error, _FINAL)
            return Brought(done=False, refused=refused, taken=taken, message=f"{error.message}; {error.hint}")

    def _do(self, action: GrowthAction) -> Brought:
        grounds = self.grounds
        match action:
            case CreateCluster():
                return Brought(True, operation=grounds.maker.create_cluster(NewCluster(action.ref, action.labels)))
            case RegisterCluster():
                grounds.registry.create(action.ref)
            case PrepareCluster():
                return self._prepare(action.ref)
            case ClearCluster():
                return self._clear(action.ref)
            case UnregisterCluster():
                grounds.registry.delete(action.membership, action.ref)
            case DeleteCluster():
                operation = grounds.maker.delete_cluster(action.ref, uid=action.uid, labels=action.labels)
                return Brought(True, operation=operation)
        return Brought(True)

    def _prepare(self, ref: ClusterRef) -> Brought:
        member = self.open_member(ref)
        if member is None:
            return Brought(done=False, message="its API server cannot be reached yet")
        system = member.get(SYSTEM)
        if system is None:
            return Brought(done=False, message="it has no kube-system yet")
        account = self.grounds.account()
        for manifest in rights("member", account) if account else ():
            if _differs(member.get(manifest), manifest):
                self.fence.check()
                member.apply(manifest)
        return Brought(True, kube_uid=str(system["metadata"]["uid"]))

    def _clear(self, ref: ClusterRef) -> Brought:
        """Delete what puts it behind an address, then all else that every service has there."""
        member = self.open_member(ref)
        if member is None:
            return Brought(done=False, message="its API server cannot be reached")
        for spec in self.specs:
            wired = [m for wiring in self.wirings.values() if (m := wiring.member_manifest(spec)) is not None]
            for manifest in (*wired, *regional_deploy.release_order(spec)):
                self.fence.check(destructive=True)
                member.delete_owned(manifest)
        return Brought(True)


def _differs(found: Json | None, wanted: Manifest) -> bool:
    """Say whether an object has to be written: a right that is there already takes no right to grant rights."""
    parts = ("rules", "roleRef", "subjects")
    return found is None or any(_plain(found.get(part)) != _plain(wanted.get(part)) for part in parts if part in wanted)


def _plain(value: object) -> object:
    """Give a value without what an API server fills in by itself (the group of a subject)."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    return [_plain(each) for each in value] if isinstance(value, list) else value
