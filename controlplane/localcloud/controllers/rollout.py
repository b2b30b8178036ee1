"""The arithmetic of a rollout: how many Pods each ReplicaSet of a Deployment may have next.

Pure functions over the objects, after the rules of Kubernetes: surge rounds up, unavailability rounds down, never both
nothing; a Deployment that is scaled in the middle of a rollout shares the change out in proportion.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.controllers.objects import age_order, annotations_of

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


@dataclass(frozen=True, slots=True)
class Resize:
    """A ReplicaSet and the size it gets."""

    replica_set: Object
    replicas: int


def replicas_of(obj: Object) -> int:
    wanted = obj["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def available_of(rs: Object) -> int:
    """Give the available Pods; a status older than the last scale-down cannot count more than are left."""
    return min(int((rs.get("status") or {}).get("availableReplicas") or 0), replicas_of(rs))


def total(sets: Sequence[Object]) -> int:
    return sum(replicas_of(rs) for rs in sets)


def is_rolling(deployment: Object) -> bool:
    return bool((deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") == "RollingUpdate")


def fenceposts(deployment: Object) -> tuple[int, int]:
    """Give (surge, unavailable) in Pods."""
    if not is_rolling(deployment):
        return 0, 0
    wanted = replicas_of(deployment)
    rules = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = resolve(rules.get("maxSurge", "25%"), wanted, round_up=True)
    unavailable = resolve(rules.get("maxUnavailable", "25%"), wanted, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1  # a percentage may round to nothing, and the rollout would stand still
    return surge, unavailable


def resolve(value: int | str, of: int, *, round_up: bool) -> int:
    """Turn an int-or-percentage into a number."""
    if isinstance(value, int):
        return value
    share = of * int(value.rstrip("%")) / 100
    return math.ceil(share) if round_up else math.floor(share)


def max_surge(deployment: Object) -> int:
    return fenceposts(deployment)[0]


def max_unavailable(deployment: Object) -> int:
    wanted = replicas_of(deployment)
    if wanted == 0:
        return 0
    return min(fenceposts(deployment)[1], wanted)


def size_of_new(deployment: Object, sets: Sequence[Object], present: int) -> int:
    """Give the size the newest ReplicaSet may grow to, given all ReplicaSets and its present size."""
    wanted = replicas_of(deployment)
    if not is_rolling(deployment):
        return wanted
    room = wanted + max_surge(deployment) - total(sets)
    if room <= 0:
        return present
    return present + min(room, wanted - present)


def shrink_old(deployment: Object, new: Object | None, old: Sequence[Object]) -> list[Resize]:
    """Scale old ReplicaSets down: first what is not healthy anyway, then as far as availability allows."""
    sets = [*old, *([new] if new else [])]
    if total(old) == 0:
        return []
    floor = replicas_of(deployment) - max_unavailable(deployment)
    new_unavailable = replicas_of(new) - available_of(new) if new else 0
    budget = total(sets) - floor - new_unavailable
    if budget <= 0:
        return []
    sizes = {id(rs): replicas_of(rs) for rs in old}
    eldest_first = sorted(old, key=age_order)
    for rs in eldest_first:
        gone = min(budget, sizes[id(rs)] - available_of(rs))
        sizes[id(rs)] -= gone
        budget -= gone
    spare = sum(available_of(rs) for rs in sets) - floor
    for rs in eldest_first:
        gone = max(0, min(spare, sizes[id(rs)]))
        sizes[id(rs)] -= gone
        spare -= gone
    return [Resize(rs, sizes[id(rs)]) for rs in eldest_first if sizes[id(rs)] != replicas_of(rs)]


def is_saturated(deployment: Object, new: Object | None) -> bool:
    """Say whether the newest ReplicaSet carries the whole Deployment."""
    if new is None:
        return False
    wanted = replicas_of(deployment)
    return (
        _annotated(new, DESIRED) == wanted == replicas_of(new)
        and int((new.get("status") or {}).get("availableReplicas") or 0) == wanted
    )


def rescale(deployment: Object, new: Object | None, old: Sequence[Object]) -> list[Resize]:
    """Share a change of spec.replicas out, without rolling on."""
    wanted = replicas_of(deployment)
    sets = [*old, *([new] if new else [])]
    active = [rs for rs in sets if replicas_of(rs) > 0]
    only = _only(new, old, active)
    if only is not None:
        return [Resize(only, wanted)]
    if is_saturated(deployment, new):
        return [Resize(rs, 0) for rs in old if replicas_of(rs) > 0]
    if not is_rolling(deployment):
        return []
    return _proportional(deployment, active)


def _only(new: Object | None, old: Sequence[Object], active: Sequence[Object]) -> Object | None:
    """Give the one ReplicaSet that has Pods, or the newest when none has."""
    if len(active) == 1:
        return active[0]
    if active:
        return None
    return new or max(old, key=age_order, default=None)


def _proportional(deployment: Object, active: Sequence[Object]) -> list[Resize]:
    wanted = replicas_of(deployment)
    allowed = wanted + max_surge(deployment) if wanted > 0 else 0
    to_add = allowed - total(active)
    # The biggest gain and lose most; among equals the newest gains and the oldest loses.
    by_age = sorted(active, key=age_order, reverse=to_add > 0)
    ordered = sorted(by_age, key=replicas_of, reverse=True)
    added = 0
    sizes: list[int] = []
    for rs in ordered:
        share = _share(deployment, rs, to_add - added, growing=to_add > 0) if to_add else 0
        added += share
        sizes.append(replicas_of(rs) + share)
    if sizes:
        sizes[0] = max(0, sizes[0] + to_add - added)
    return [Resize(rs, size) for rs, size in zip(ordered, sizes, strict=True)]


def _share(deployment: Object, rs: Object, left: int, *, growing: bool) -> int:
    present = replicas_of(rs)
    if present == 0 or left == 0:
        return 0
    wanted = replicas_of(deployment)
    if wanted == 0:
        return -present
    before = _annotated(rs, MAXIMUM) or int((deployment.get("status") or {}).get("replicas") or 0) or present
    fraction = math.floor(present * (wanted + max_surge(deployment)) / before + 0.5) - present
    return min(fraction, left) if growing else max(fraction, left)


def _annotated(rs: Object, name: str) -> int | None:
    try:
        return int(annotations_of(rs)[name])
    except (KeyError, ValueError):
        return None


def scaled_elsewhere(deployment: Object, sets: Sequence[Object]) -> bool:
    """Say whether spec.replicas changed since the ReplicaSets were last sized."""
    wanted = replicas_of(deployment)
    active = [rs for rs in sets if replicas_of(rs) > 0]
    return any((known := _annotated(rs, DESIRED)) is not None and known != wanted for rs in active)


def size_annotations(deployment: Object) -> dict[str, str]:
    """Give the annotations that remember what the ReplicaSets were sized for."""
    wanted = replicas_of(deployment)
    return {DESIRED: str(wanted), MAXIMUM: str(wanted + max_surge(deployment))}
