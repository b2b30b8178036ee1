"""From what metrics ask for to what is done: no hasty scaling down, no faster than the rules, never out of the bounds.

Without `behavior` the highest recommendation of five minutes counts and a number at most doubles (or reaches four) at
once; with it, its own windows and policies hold. Source: pkg/controller/podautoscaler/horizontal.go of Kubernetes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controlplane.localcloud.apiserver.api import Object

DOWN_SECONDS = 300
LONGEST_SECONDS = 3600
Verdict = tuple[str, str]

READY = ("ReadyForNewScale", "recommended size matches current size")
DOWN_HELD = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
UP_HELD = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
TOO_FAST = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
TOO_FAST_DOWN = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")


@dataclass(slots=True)
class History:
    """What was recommended, and by how much was scaled when; more is positive."""

    recommended: list[tuple[datetime, int]] = field(default_factory=list)
    changes: list[tuple[datetime, int]] = field(default_factory=list)

    def forget(self, now: datetime) -> None:
        """Drop what no rule looks at any more."""
        oldest = now - timedelta(seconds=LONGEST_SECONDS)
        self.recommended = [item for item in self.recommended if item[0] > oldest]
        self.changes = [item for item in self.changes if item[0] > oldest]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The replicas to set, whether and why the recommendation was held, and by what it was limited."""

    replicas: int
    held: Verdict
    limited: Verdict


def settle(history: History, spec: Object, current: int, wanted: int, now: datetime) -> Outcome:
    """Hold a recommendation to the rules, and take it down."""
    history.forget(now)
    behavior = spec.get("behavior")
    least, most = int(spec.get("minReplicas") or 1), int(spec["maxReplicas"])
    stable, held = _stable(history, behavior, current, wanted, now)
    history.recommended.append((now, wanted))
    if behavior is None:
        replicas, limited = _plain(current, stable, least, most)
    else:
        replicas, limited = _by_rate(history, spec, current, stable, now)
    return Outcome(replicas, held if stable != wanted else READY, limited)


def _stable(history: History, behavior: Object | None, current: int, wanted: int, now: datetime) -> tuple[int, Verdict]:
    if behavior is None:
        return max(wanted, _highest(history, DOWN_SECONDS, now, wanted)), DOWN_HELD
    up = int((behavior.get("scaleUp") or {}).get("stabilizationWindowSeconds") or 0)
    down = (behavior.get("scaleDown") or {}).get("stabilizationWindowSeconds")
    recent = [n for at, n in history.recommended if at > now - timedelta(seconds=up)]
    lowest = min([wanted, *recent])
    highest = _highest(history, DOWN_SECONDS if down is None else int(down), now, wanted)
    return min(max(current, lowest), highest), UP_HELD if wanted >= current else DOWN_HELD


def _highest(history: History, seconds: int, now: datetime, wanted: int) -> int:
    return max([wanted, *(n for at, n in history.recommended if at > now - timedelta(seconds=seconds))])


def _plain(current: int, wanted: int, least: int, most: int) -> tuple[int, Verdict]:
    quickest = max(2 * current, 4)
    if wanted < least:
        return least, TOO_FEW
    if wanted > min(most, quickest):
        return (quickest, TOO_FAST) if most > quickest else (most, TOO_MANY)
    return wanted, WITHIN


def _by_rate(history: History, spec: Object, current: int, wanted: int, now: datetime) -> tuple[int, Verdict]:
    behavior, least, most = spec["behavior"], int(spec.get("minReplicas") or 1), int(spec["maxReplicas"])
    if wanted > current:
        quickest = max(current, _limit(history, behavior.get("scaleUp") or {}, current, now, up=True))
        if wanted > min(most, quickest):
            return (quickest, TOO_FAST) if most > quickest else (most, TOO_MANY)
    elif wanted < current:
        quickest = min(current, _limit(history, behavior.get("scaleDown") or {}, current, now, up=False))
        if wanted < max(least, quickest):
            return (quickest, TOO_FAST_DOWN) if least < quickest else (least, TOO_FEW)
    return wanted, WITHIN


def _limit(history: History, rules: Object, current: int, now: datetime, *, up: bool) -> int:
    """Give how far the policies let it go at once."""
    select = rules.get("selectPolicy", "Max")
    policies: Sequence[Object] = rules.get("policies") or ()
    if select == "Disabled" or not policies:
        return current
    far = []
    for policy in policies:
        since = now - timedelta(seconds=int(policy["periodSeconds"]))
        start = current - sum(change for at, change in history.changes if at > since)
        value = int(policy["value"])
        if policy["type"] == "Pods":
            far.append(start + value if up else start - value)
        else:
            far.append(math.ceil(start * (1 + value / 100)) if up else math.floor(start * (1 - value / 100)))
    return max(far) if up == (select == "Max") else min(far)
