"""Which taints a Pod bears, and for how long; the tolerations of a new Pod are the API server's to complete."""

from datetime import datetime, timedelta
from math import inf

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.controllers.objects import parse_time


def tolerates(toleration: Object, taint: Object) -> bool:
    """Say whether a toleration covers a taint."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def seconds_to_eviction(pod: Object, taints: list[Object], now: datetime) -> float:
    """Give how long a Pod may stay on a node with these taints; 0 is not at all, infinity is for good."""
    allowed = inf
    for taint in taints:
        if taint["effect"] != "NoExecute":
            continue
        bearing = [t for t in pod["spec"].get("tolerations") or [] if tolerates(t, taint)]
        if not bearing:
            return 0.0
        limits = [int(t["tolerationSeconds"]) for t in bearing if t.get("tolerationSeconds") is not None]
        if limits:
            since = parse_time(taint.get("timeAdded")) or now
            until = since + timedelta(seconds=max(0, min(limits)))
            allowed = min(allowed, max(0.0, (until - now).total_seconds()))
    return allowed
