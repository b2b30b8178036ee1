"""Every policy that can be replayed, by name: ours, those it is measured against, and the optimum."""

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.api.problems import Problem, SpecError, did_you_mean
from controlplane.model.offering import Capacity
from controlplane.model.service import ServiceSpec
from controlplane.simulate.baselines import spothedge
from controlplane.simulate.baselines.even_spread import EvenSpread
from controlplane.simulate.baselines.on_demand import OnDemand
from controlplane.simulate.baselines.round_robin import RoundRobin
from controlplane.simulate.hunter import Hunter
from controlplane.simulate.hunter.places import matching
from controlplane.simulate.market import Scoring
from controlplane.simulate.optimum import omniscient
from controlplane.simulate.policy import Policy
from controlplane.simulate.replay import History, Progress, replay
from controlplane.simulate.score import Result
from controlplane.simulate.trace import Trace

HUNTER, SPOTHEDGE, OMNISCIENT = "hunter", "spothedge", "omniscient"


@dataclass(frozen=True, slots=True)
class Known:
    """A policy: what it is in a line, the capacity type it cannot do without, how it is made (the optimum is not)."""

    about: str
    needs: Capacity | None
    make: Callable[[ServiceSpec, Trace, Scoring], Policy] | None


def _hedge(make: Callable[..., spothedge.SpotHedge]) -> Callable[[ServiceSpec, Trace, Scoring], Policy]:
    def made(spec: ServiceSpec, trace: Trace, scoring: Scoring) -> Policy:
        del scoring
        return make(on_demand=Capacity.ON_DEMAND in spec.capacity_types, accelerator=_one_type(spec, trace))

    return made


def _one_type(spec: ServiceSpec, trace: Trace) -> str:
    """Give what the trace calls the first of the service's GPU types that it has."""

    def rank(name: str) -> int:
        found = matching(spec.accelerators, name)
        return len(spec.accelerators) if found is None else spec.accelerators.index(found)

    return min((zone.accelerator for zone in trace.zones), key=rank)


KNOWN: dict[str, Known] = {
    HUNTER: Known("this project's own decision, the code that runs in production", None, Hunter),
    SPOTHEDGE: Known("SkyServe's policy with one spare", Capacity.SPOT, _hedge(spothedge.SpotHedge)),
    "spothedge_paper": Known(
        "the same, as its paper has it: fewest placements first", Capacity.SPOT, _hedge(spothedge.paper)
    ),
    "spothedge_shipped": Known(
        "the same, with the shipped launch loop: three tries in a zone", Capacity.SPOT, _hedge(spothedge.shipped)
    ),
    "round_robin": Known("each launch in the next zone", Capacity.SPOT, lambda *_: RoundRobin()),
    "even_spread": Known("as many in every zone, come what may", Capacity.SPOT, lambda *_: EvenSpread()),
    "on_demand": Known("on-demand throughout", Capacity.ON_DEMAND, lambda *_: OnDemand()),
    OMNISCIENT: Known("the least cost, with the future known", Capacity.SPOT, None),
}


def chosen(names: list[str] | None, spec: ServiceSpec, *, compare: bool) -> list[str]:
    """Give the policies to replay, in the order of tables: those named, all for `compare`, else ours and SpotHedge.

    Raises SpecError for a name that is not known, or that cannot do with the service's capacity types.
    """
    for name in names or ():
        if name not in KNOWN:
            advice = did_you_mean(name, KNOWN, f"use one of {', '.join(KNOWN)}")
            raise SpecError([Problem("--policy", f'there is no policy "{name}"', advice)])
        needs = KNOWN[name].needs
        if needs is not None and needs not in spec.capacity_types:
            what = f"{name} needs {needs.value} capacity, which the service does not use"
            raise SpecError([Problem("--policy", what, "leave it out, or change --capacity-types")])
    wanted = names or (list(KNOWN) if compare else [HUNTER, SPOTHEDGE])
    return [name for name in KNOWN if name in wanted and KNOWN[name].needs in (None, *spec.capacity_types)]


def run(
    name: str, spec: ServiceSpec, trace: Trace, scoring: Scoring, progress: Progress | None = None
) -> tuple[Result, History | None]:
    """Replay one policy; the optimum has no history."""
    make = KNOWN[name].make
    if make is None:
        on_demand = Capacity.ON_DEMAND in spec.capacity_types
        return omniscient(trace, spec.replicas, scoring, on_demand=on_demand), None
    history = replay(trace, make(spec, trace, scoring), spec.replicas, scoring, progress)
    return history.result, history
