"""The status conditions: True, False or Unknown, each with a reason that says why.

What rests on a region that cannot be read is Unknown, not False: losing sight of a region is not losing the region.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.decide.case import Beside
from controlplane.decide.failback import Return
from controlplane.decide.rollout import Rollout
from controlplane.decide.world import Holding, World
from controlplane.model.decision import Condition, Counts, Suppressed
from controlplane.model.observation import IngressFact
from controlplane.model.reasons import Reason
from controlplane.model.service import ServiceSpec

MESSAGE_LIMIT = 300
SHOWN = 2
ORDINARY_WAITS = frozenset({"", "ContainerCreating", "PodInitializing"})


@dataclass(frozen=True, slots=True)
class Findings:
    """All that conditions are made from."""

    spec: ServiceSpec
    world: World
    counts: Counts
    histogram: Mapping[str, int]
    offerings: int
    feedback: Return
    suppressed: tuple[Suppressed, ...]
    rollout: Rollout
    teardown: str
    unpriced: bool
    beside: Beside | None = None


def conditions(found: Findings) -> tuple[Condition, ...]:
    """Give every condition, on the first visit too."""
    made = [
        _available(found),
        _progressing(found),
        _preferred(found),
        _healthy(found),
        _address(found),
        _fleet(found),
        _cost(found),
        _held_back(found),
    ]
    if found.spec.autoscaling is not None or any(h.ceiling for h in found.world.holdings):
        made.append(_autoscaling(found))
    return tuple(Condition(c.type, c.status, c.reason, c.message[:MESSAGE_LIMIT]) for c in made)


def summary(found: Findings) -> str:
    """Give `2/24 offerings can be tried: 7 CoolingAfterStockOut, ...`."""
    refused = sum(found.histogram.values())
    told = ", ".join(f"{count} {reason}" for reason, count in found.histogram.items())
    head = f"{found.offerings - refused}/{found.offerings} offerings can be tried"
    return f"{head}: {told}" if told else head


def _say(kind: str, status: bool | None, reason: Reason, message: str) -> Condition:
    return Condition(kind, "Unknown" if status is None else str(status), reason.value, message)


def _available(found: Findings) -> Condition:
    serving, wanted = found.counts.serving, found.counts.wanted
    text = f"{serving} of {wanted} replicas serve"
    if found.beside is not None:
        text = f"{min(serving, wanted)} of {wanted} replicas serve{_told_beside(found.beside)}"
    if serving >= wanted:
        return _say("Available", True, Reason.ALL_REPLICAS_SERVING, text)
    if serving > 0:
        return _say("Available", True, Reason.SOME_REPLICAS_SERVING, text)
    if any(h.kept and not h.visible and h.scheduled for h in found.world.holdings):
        return _say("Available", None, Reason.REGIONS_UNKNOWN, f"{text}; {_dark(found.world)}")
    return _say("Available", False, Reason.NO_REPLICA_SERVING, text)


def _progressing(found: Findings) -> Condition:
    counts, spec = found.counts, found.spec
    if spec.deleting:
        waits = found.teardown or "the last objects are being deleted"
        dark = bool(found.world.unknown_links)
        return _say("Progressing", not dark, Reason.REGIONS_UNKNOWN if dark else Reason.SERVICE_DELETING, waits)
    if spec.paused:
        return _say("Progressing", False, Reason.SERVICE_PAUSED, "spec.paused is set")
    if found.rollout.unwell:
        return _say("Progressing", False, Reason.ROLLOUT_STOPPED, _stopped(found))
    if counts.hunting:
        return _say("Progressing", True, Reason.HUNTING_FOR_GPUS, f"{counts.hunting} asked for; {summary(found)}")
    if any(h.impaired for h in found.world.holdings):
        return _say("Progressing", False, Reason.APP_UNHEALTHY, _unwell(found.world))
    if counts.warming:
        return _say(
            "Progressing",
            True,
            Reason.WARMING_UP,
            f"{counts.warming} hold a GPU and do not serve yet{_stuck(found.world)}",
        )
    if counts.serving < counts.wanted:
        why = Reason.SPEC_REJECTED if Reason.SPEC_REJECTED.value in found.histogram else Reason.NOTHING_FEASIBLE
        return _say("Progressing", False, why, summary(found))
    if counts.draining or found.rollout.behind or found.rollout.dark:
        parts = [f"{counts.draining} {'replica drains' if counts.draining == 1 else 'replicas drain'}"]
        if found.rollout.behind:
            parts.append(f"{found.rollout.behind} of the placements have an older template")
        if found.rollout.dark:
            parts.append(f"the new template is not proven in {', '.join(found.rollout.dark)}, which cannot be seen")
        text = ", ".join(parts[0 if counts.draining else 1 :]) + _stuck(found.world)
        return _say("Progressing", True, Reason.MOVING, text)
    beside = found.beside
    if beside is not None and beside.bridging:
        return _say("Progressing", True, Reason.BRIDGE, f"{_bridging(beside)}; {summary(found)}")
    return _say("Progressing", False, Reason.STEADY, "nothing is left to do")


def _stopped(found: Findings) -> str:
    """Tell where the new template is not well, what still has the old one, and how to go on or back."""
    rollout = found.rollout
    where, stuck = ", ".join(rollout.unwell[:SHOWN]), _stuck(found.world)
    where += f" and {len(rollout.unwell) - SHOWN} more" if len(rollout.unwell) > SHOWN else ""
    rest = f"{rollout.behind} placement{' is' if rollout.behind == 1 else 's are'} not begun"
    kept = f"what serves keeps the old one{f', {rest}' if rollout.behind else ''}"
    return f"the new Pod template does not get healthy in {where}; {kept}; correct spec.pod or set it back{stuck}"


def _told_beside(beside: Beside) -> str:
    spares = f"{beside.spares} spare{'' if beside.spares == 1 else 's'} held" if beside.spares else ""
    told = [text for text in (_bridging(beside), spares) if text]
    return f"; {', '.join(told)}" if told else ""


def _bridging(beside: Beside) -> str:
    count = beside.bridging
    return f"on-demand bridges {count} replica{'' if count == 1 else 's'} until Spot serves" if count else ""


def _preferred(found: Findings) -> Condition:
    kept = [h for h in found.world.holdings if h.kept and h.serving and not h.lost]
    if not kept:
        return _say(
            "PreferredHeld", None if found.world.unknown_links else False, Reason.NO_REPLICA_SERVING, "nothing serves"
        )
    lesser, content = _lesser(found, kept)
    if not lesser and found.feedback.obstacle is None:
        return _say("PreferredHeld", True, Reason.PREFERRED_HELD, content)
    held = ", ".join(str(h.offering) for h in lesser) or "a dearer or more crowded region"
    if found.feedback.obstacle is Reason.OVER_COST_CAP:
        text = f"holds {held}; the cap has no room for the old and the new at once: {found.feedback.message}"
        return _say("PreferredHeld", False, Reason.OVER_COST_CAP, text)
    why = f"; {found.feedback.message}" if found.feedback.message else ""
    reason = Reason.LESS_PREFERRED_HELD if lesser else Reason.PREFERRED_HELD
    if found.feedback.obstacle is Reason.MOVE_LIMIT:
        reason = Reason.MOVE_LIMIT
    return _say("PreferredHeld", not lesser, reason, f"holds {held}{why}")


def _lesser(found: Findings, kept: list[Holding]) -> tuple[list[Holding], str]:
    """Give what is held of less than the user's first choice, and what to say where nothing is.

    Where the user values replicas, the capacity type follows from prices: a bridge is less, a spare may be anything.
    """
    accelerator, capacity = found.spec.accelerators[0], found.spec.capacity_types[0]
    if found.beside is None:
        lesser = [h for h in kept if (h.offering.accelerator, h.offering.capacity) != (accelerator, capacity)]
        return lesser, f"all serving replicas are {accelerator} {capacity.value}"
    bridges = found.beside.bridges
    first = [h for h in kept if h.offering.accelerator == accelerator and h.key not in bridges]
    if sum(h.serving for h in first) >= found.spec.replicas:
        return [], f"all replicas that are wanted are {accelerator}"
    return [h for h in kept if h not in first], f"all serving replicas are {accelerator}"


def _healthy(found: Findings) -> Condition:
    if any(h.impaired for h in found.world.holdings):
        return _say("Healthy", False, Reason.APP_UNHEALTHY, _unwell(found.world))
    if found.world.health is None:
        return _say("Healthy", None, Reason.NO_HEALTHY_BACKEND, "the load balancer does not tell the backends' health")
    if found.counts.serving:
        return _say("Healthy", True, Reason.ALL_REPLICAS_SERVING, "every replica past its warm-up serves")
    return _say("Healthy", False, Reason.NO_HEALTHY_BACKEND, "the load balancer sees no healthy backend")


def _address(found: Findings) -> Condition:
    ingress = found.world.ingress
    if ingress is None:
        return _say("AddressReady", None, Reason.ADDRESS_PENDING, "the ingress objects cannot be read")
    if ingress.foreign:
        return _say(
            "AddressReady", False, Reason.FOREIGN_OBJECT, "ingress objects of this name belong to somebody else"
        )
    if found.world.second is not None:
        return _moving(found, ingress, found.world.second)
    if not ingress.address or not ingress.clusters:
        return _say("AddressReady", False, Reason.ADDRESS_PENDING, "the address comes with the first Ready replica")
    if found.world.health is not None and not any(found.world.health.values()):
        return _say("AddressReady", False, Reason.NO_HEALTHY_BACKEND, f"{ingress.address} has no healthy backend")
    return _say(
        "AddressReady", True, Reason.ADDRESS_WIRED, f"{ingress.address} leads to {len(ingress.clusters)} cluster(s)"
    )


def _moving(found: Findings, ingress: IngressFact, second: IngressFact) -> Condition:
    """Tell both addresses while the service moves from one kind of ingress to the other."""
    serves = bool(ingress.address) and any((found.world.health or {}).values())
    here, there = ingress.address or "no address yet", second.address or "no address yet"
    if ingress.kind is found.spec.ingress.kind:
        text = f"the address is {here} now; {there} of the {second.kind.value} answers until it is taken down"
        return _say("AddressReady", serves, Reason.ADDRESS_MOVED, text)
    if second.foreign:
        text = f"{here}; cannot move to {second.kind.value}: objects of this name belong to somebody else"
        return _say("AddressReady", serves, Reason.FOREIGN_OBJECT, text)
    text = f"{here} until the {second.kind.value} is proven to serve ({there}); the address changes then"
    return _say("AddressReady", serves, Reason.ADDRESS_MOVING, text)


def _fleet(found: Findings) -> Condition:
    if not found.world.fleet_known:
        return _say("FleetKnown", False, Reason.FLEET_UNKNOWN, "the fleet's clusters cannot be listed")
    if found.world.unknown_links:
        return _say("FleetKnown", False, Reason.REGIONS_UNKNOWN, _dark(found.world))
    if found.world.unlisted:
        text = f"the fleet listing left out {', '.join(found.world.unlisted)}"
        return _say("FleetKnown", False, Reason.REGIONS_UNKNOWN, text)
    return _say("FleetKnown", True, Reason.FLEET_KNOWN, f"{len(found.world.clusters)} clusters answer")


def _cost(found: Findings) -> Condition:
    cap, cost = found.spec.max_hourly_cost, found.counts.hourly_cost
    if cap is None:
        return _say("WithinCostCap", True, Reason.WITHIN_COST_CAP, f"${cost:.2f}/h, no cap is set")
    if found.unpriced:
        return _say("WithinCostCap", None, Reason.PRICE_UNKNOWN, f"what is held has no known price; cap ${cap:.2f}/h")
    if cost > cap + 1e-6:
        return _say("WithinCostCap", False, Reason.OVER_COST_CAP, f"${cost:.2f}/h is over the cap of ${cap:.2f}/h")
    short = Reason.OVER_COST_CAP.value in found.histogram and found.counts.serving < found.counts.wanted
    note = "; replicas are missing that the cap has no room for" if short else ""
    return _say("WithinCostCap", True, Reason.WITHIN_COST_CAP, f"${cost:.2f}/h of ${cap:.2f}/h{note}")


def _autoscaling(found: Findings) -> Condition:
    """Tell what autoscalers add, and what keeps them from it."""
    scaled = [h for h in found.world.holdings if h.ceiling]
    unwell = [f"{h.offering}: {problem}" for h in scaled if (problem := _problem(h))]
    if unwell:
        return _say("Autoscaling", False, Reason.AUTOSCALER_UNWELL, "; ".join(unwell[:SHOWN]))
    if unmade := [f"{h.offering}: {h.unscaled}" for h in found.world.holdings if h.unscaled]:
        more = f" (and {len(unmade) - 1} more)" if len(unmade) > 1 else ""
        return _say("Autoscaling", False, Reason.AUTOSCALER_NOT_MADE, f"{unmade[0]}{more}")
    if any(h.ceiling > h.target for h in scaled):
        lying = ", ".join(f"{h.offering} {h.target} to {h.ceiling}" for h in scaled)
        waiting = sum(max(0, h.grown - h.scheduled - h.extra - h.hunting) for h in scaled)
        waits = f", {waiting} wait for a GPU" if waiting else ""
        text = f"{sum(h.extra for h in scaled)} more than wanted by load{waits}; {lying}"
        return _say("Autoscaling", True, Reason.SCALED_BY_LOAD, text)
    if not any(h.kept and h.serving for h in found.world.holdings):
        return _say("Autoscaling", False, Reason.NO_REPLICA_SERVING, "begins where replicas serve")
    return _say("Autoscaling", False, Reason.NO_ROOM_TO_GROW, "no placement may grow beyond what is wanted of it now")


def _problem(holding: Holding) -> str:
    scaler = holding.workload.autoscaler if holding.workload else None
    return scaler.problem if scaler else ""


def _held_back(found: Findings) -> Condition:
    if not found.suppressed:
        return _say("NothingHeldBack", True, Reason.STEADY, "no safety guard had to hold anything back")
    told = "; ".join(f"{s.guard} {s.action}: {s.why}" for s in found.suppressed)
    return _say("NothingHeldBack", False, Reason.GUARD_HELD_BACK, told)


def _dark(world: World) -> str:
    told = ", ".join(f"{link} ({world.unknown_why.get(link, 'not seen')})" for link in world.unknown_links)
    return f"cannot be seen: {told}" if told else "regions are unknown"


def _unwell(world: World) -> str:
    where = ", ".join(str(h.offering) for h in world.holdings if h.impaired)
    return f"the app holds GPUs but does not serve in {where}{_stuck(world)}"


def _stuck(world: World) -> str:
    """Tell what Pods wait for, in the kubelet's own words: a wrong image or a crash is the user's to mend."""
    found = {
        f"{holding.offering} {pod.waiting_reason}"
        for holding in world.holdings
        if holding.visible and holding.workload is not None
        for pod in holding.workload.live_pods
        if pod.waiting_reason not in ORDINARY_WAITS
    }
    return f"; Pods wait: {', '.join(sorted(found))}" if found else ""
