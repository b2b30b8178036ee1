"""Times one decision for a large fleet: `python tests/decide/timing.py`. A script, not a test: machines differ."""

import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import toyworld as toy

from controlplane.decide import decide
from controlplane.model.facts import Known
from controlplane.model.memory import Memory, OfferingMemory
from controlplane.model.observation import ClusterInfo, Member, RegionSignals
from controlplane.model.offering import Accelerator, Capacity, RefusalClass

REGIONS, TYPES, ROUNDS = 40, 6, 30


def world():
    """Give a settled service in 40 regions with 6 GPU types and 2 capacity types."""
    accelerators = tuple(Accelerator(f"nvidia-x{number}") for number in range(TYPES))
    toy.UNIT_PRICES.update({a.type: 0.5 + rank for rank, a in enumerate(accelerators)})
    spec = toy.make_spec(replicas=4, accelerators=accelerators, max_hourly_cost=500.0)
    t = toy.Toy(tuple(f"us-r{number:02d}1" for number in range(REGIONS)), spec)
    t.stock = {(c.region, a.type, k): 8 for c in t.clusters for a in accelerators for k in Capacity}
    offered = Known(frozenset(a.type for a in accelerators), t.now)
    signals = {c.region: RegionSignals(offered, t.unknown()) for c in t.clusters}
    seen = t.observe
    t.observe = lambda: replace(seen(), signals=signals)
    t.until(lambda w: w.settled())
    return t


def cooling(t) -> Memory:
    """Give a memory in which every other offering cools down."""

    def past(number: int) -> OfferingMemory:
        until = t.now + timedelta(minutes=10) if number % 2 else None
        return OfferingMemory(1, 2, until, RefusalClass.STOCK_OUT, t.now, "GCE out of resources")

    learnt = {o.key: past(number) for number, o in enumerate(t.offerings())}
    return replace(t.memory, offerings={**learnt, **t.memory.offerings})


def main() -> None:
    """Print the median and the best of some rounds."""
    t = world()
    observed = t.observe()
    empty = replace(observed, members={c: Member(ClusterInfo(c), Known((), t.now)) for c in t.clusters})
    cases = {"steady": (observed, t.memory), "half cooling": (observed, cooling(t)), "hunting": (empty, Memory())}
    for name, (seen, memory) in cases.items():
        took = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            decision = decide(t.spec, seen, memory, t.now)
            took.append((time.perf_counter() - began) * 1000)
        took.sort()
        print(f"{name}: {len(decision.verdicts)} offerings, median {took[ROUNDS // 2]:.1f} ms, best {took[0]:.1f} ms")


if __name__ == "__main__":
    main()
