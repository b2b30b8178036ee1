"""The five acts. Each changes one thing in the world, waits until it has been dealt with, and tells what it saw."""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controlplane.demo.stage import NAME, NAMESPACE, DemoError, Stage, held_in, standing, whole
from controlplane.model.decision import Decision

L4 = "nvidia-l4"


@dataclass(frozen=True, slots=True)
class Shown:
    """What an act showed: lines for people, and the same as data."""

    lines: tuple[str, ...]
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Act:
    """An act: its short name, what it is about, and what it does."""

    name: str
    title: str
    play: Callable[[Stage], Shown]


def answers(stage: Stage) -> Shown:
    """Act 1: wait until the service answers at its one address."""
    decision = stage.until("the service to answer at its address", lambda d: whole(d) and answering(stage))
    address = stage.address()
    answer = ask(address)
    line = f"http://{address}/ answers from {answer['region']} on {answer['accelerator']} ({answer['capacity']})"
    open_it = "open it in a browser while this runs: it is a Stable Diffusion web UI with a small model"
    return Shown((line, open_it, standing(decision)), {"url": f"http://{address}/", "answer": answer})


def expands(stage: Stage) -> Shown:
    """Act 2: ask for more replicas than one region may hold."""
    before = regions(stage.step())
    stage.app.scale(NAMESPACE, NAME, 4)
    decision = stage.until("four replicas over more regions", lambda d: whole(d) and len(regions(d)) > len(before))
    after = regions(decision)
    line = f"from {', '.join(before)} to {', '.join(after)}"
    return Shown((line, standing(decision)), {"before": before, "after": after, "replicas": 4})


def wiring(stage: Stage) -> Shown:
    """Act 3: show the objects that wire the regions, as they stand in the config cluster."""
    import yaml

    objects = stage.app.ingress_objects(NAMESPACE, NAME)
    links = [
        cluster["link"] for o in objects if o["kind"] == "MultiClusterService" for cluster in o["spec"]["clusters"]
    ]
    if len(links) < 2:
        raise DemoError(f"the MultiClusterService lists {links or 'no clusters'}, not the two regions that serve")
    text = "---\n".join(yaml.safe_dump(o, sort_keys=False) for o in objects)
    return Shown(tuple(text.splitlines()), {"clusters": links, "objects": objects})


def fails(stage: Stage) -> Shown:
    """Act 4: the GPU type in use sells out and its Spot nodes are taken; then a whole region goes.

    Both strike where the load balancer sends the clients, so that what is being drawn there is lost with it.
    """
    stage.until("nodes without a Pod to be gone", lambda d: whole(d) and not idle(stage, d))
    struck = str(ask(stage.address())["region"])
    everywhere(stage, "stock-out")
    stage.say(f"{L4} is sold out everywhere; the Spot nodes in {struck} are preempted")
    stage.cloud("preempt", region=struck, accelerator=L4)
    type_changed = stage.until("another GPU type", lambda d: whole(d) and types(d) - {L4} != set(), seconds=150)
    others = [region for region, accelerator in sorted(held_in(type_changed)) if accelerator != L4]
    lost = struck if struck in others else others[0]
    stage.say(f"{lost} goes down")
    stage.cloud("region-down", region=lost)
    region_changed = stage.until("another region", lambda d: whole(d) and lost not in regions(d), seconds=150)
    data = {
        "preempted_in": struck,
        "after_stock_out": holdings(type_changed),
        "region_down": lost,
        "after_region_down": holdings(region_changed),
    }
    first = f"{L4} sold out, {struck} preempted: {standing(type_changed)}"
    return Shown((first, f"{lost} lost: {standing(region_changed)}"), data)


def recovers(stage: Stage) -> Shown:
    """Act 5: stock and region return; the service goes back to what it prefers, once, and then rests."""
    for region in stage.cloud("stock")["regions_down"]:
        stage.cloud("region-up", region=region)
    everywhere(stage, "restock")
    begun = stage.clock.monotonic()
    decision = stage.until("the preferred GPU type everywhere", lambda d: whole(d) and types(d) == {L4}, seconds=180)
    waited = stage.clock.monotonic() - begun
    later = stage.rest(10)
    if later:
        raise DemoError(f"{later} more action(s) after the return: {'; '.join(stage.history[-later:])}")
    lines = (f"back on {L4} after {waited:.0f} s, and no action since: {standing(decision)}",)
    return Shown(lines, {"seconds": round(waited, 1), "actions_after": later, "held": holdings(decision)})


ACTS = (
    Act("one-address", "The global service answers at one URL", answers),
    Act("expand", "More replicas: its footprint expands into another region", expands),
    Act("wiring", "MultiClusterIngress and MultiClusterService wire the regions", wiring),
    Act("failure", "A GPU type sells out, Spot is preempted, a region goes down", fails),
    Act("recovery", "Stock returns: back to what is preferred, once", recovers),
)


def answering(stage: Stage) -> bool:
    """Say whether the address is there and the service answers at it: the load balancer takes a while to converge."""
    address = stage.address()
    try:
        return bool(address) and bool(ask(address)["region"])
    except (OSError, ValueError, KeyError):
        return False


def ask(address: str) -> dict[str, Any]:
    """Ask the service where it runs, and give its answer."""
    request = urllib.request.Request(f"http://{address}/about", headers={"Accept": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - the address is our own service's
        answer: dict[str, Any] = json.load(response)
    return answer


def everywhere(stage: Stage, command: str) -> None:
    """Do something to the preferred GPU type's stock in every region."""
    for region in sorted({row["zone"].rsplit("-", 1)[0] for row in stage.cloud("stock")["stock"]}):
        stage.cloud(command, region=region, accelerator=L4)


def idle(stage: Stage, decision: Decision) -> int:
    """Give how many nodes of the preferred GPU type run nothing: until they go, it is not sold out for who asks."""
    rows = stage.cloud("stock")["stock"]
    held: int = sum(row["in_use"] for row in rows if row["accelerator"] == L4)
    return held - sum(held_in(decision).values())


def regions(decision: Decision) -> list[str]:
    """Give the regions that serve."""
    return sorted({region for region, _ in held_in(decision)})


def types(decision: Decision) -> set[str]:
    """Give the GPU types that serve."""
    return {accelerator for _, accelerator in held_in(decision)}


def holdings(decision: Decision) -> list[dict[str, Any]]:
    """Give what serves, as plain data."""
    return [{"region": r, "accelerator": a, "replicas": n} for (r, a), n in sorted(held_in(decision).items())]
