"""Zones of a trace as member clusters.

Names in traces are anybody's (`us-east-1a`, `us-west-2a/v100_8`), while the decision reads regions out of locations.
So every zone gets a made-up location, numbered in the order of the trace; a policy cannot see the trace's names at all,
and renaming zones changes nothing. What is shown to people is translated back.

A GPU type is offered in a region or it is not; so where a trace's region sells several types, each type has a region
of its own here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from controlplane.api.problems import Problem, SpecError
from controlplane.model.decision import Action, ApplyPlacement, DeletePlacement, ScaleDownPlacement
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering
from controlplane.model.service import PodTemplate, Regions, ServiceSpec
from controlplane.simulate.trace import Trace

CLUSTER = "gpu"
MADE_UP = re.compile(r"region-\d{4}(?:-z\d{4}(?:/gpu)?)?")
FILLERS = frozenset({"nvidia", "tesla", "gpu"})


@dataclass(frozen=True, slots=True)
class Place:
    """A zone of the trace, by its index there, as a member cluster that sells one GPU type."""

    zone: int
    cluster: ClusterRef
    accelerator: Accelerator


class Places:
    """The zones that a service can use, both ways: from the trace's names to made-up ones and back.

    `spec` is the service with its regions as they are called here. Raises SpecError when no zone is left for it.
    """

    def __init__(self, spec: ServiceSpec, trace: Trace) -> None:
        self.trace = trace
        self.all: list[Place] = []
        self._shown: dict[str, str] = {}
        regions: dict[tuple[str, Accelerator], str] = {}
        for index, zone in enumerate(trace.zones):
            accelerator = matching(spec.accelerators, zone.accelerator)
            if accelerator is None:
                continue
            region = regions.setdefault((zone.region, accelerator), f"region-{len(regions):04}")
            cluster = ClusterRef(f"{region}-z{index:04}", CLUSTER)
            self.all.append(Place(index, cluster, accelerator))
            self._shown |= {region: zone.region, cluster.location: zone.name, cluster.link: zone.name}
        self.spec = replace(spec, regions=_translated(spec.regions, regions))
        self.zone_of: Mapping[ClusterRef, int] = {p.cluster: p.zone for p in self.all}
        self._check(spec)

    def _check(self, spec: ServiceSpec) -> None:
        if not self.all:
            sold = ", ".join(dict.fromkeys(z.accelerator for z in self.trace.zones))
            named = ", ".join(a.type for a in spec.accelerators)
            what = f"the trace sells {sold}, the service wants {named}"
            raise SpecError([Problem(self.trace.name, what, "name the trace's GPU type in spec.accelerators")])
        if not any(self.spec.regions.permits(p.cluster.region) for p in self.all):
            there = ", ".join(dict.fromkeys(z.region for z in self.trace.zones))
            what = f"the service may use none of the trace's regions ({there})"
            raise SpecError([Problem(self.trace.name, what, "change spec.regions")])

    def prices(self) -> dict[Offering, float]:
        """Give USD per GPU and hour: spot as each zone sells it, on-demand as the trace does, in every cluster."""
        spot = {
            Offering(p.cluster, p.accelerator, Capacity.SPOT): self.trace.zones[p.zone].spot_price for p in self.all
        }
        dear = {Offering(p.cluster, p.accelerator, Capacity.ON_DEMAND): self.trace.on_demand_price for p in self.all}
        return {offering: price / offering.accelerator.count for offering, price in (spot | dear).items()}

    def told(self, action: Action) -> str:
        """Say what an action does and why, with the trace's own names; a placement is told by its zone."""
        text = str(action)
        if isinstance(action, (ApplyPlacement, ScaleDownPlacement, DeletePlacement)):
            text = text.replace(action.offering.region, action.offering.cluster.link, 1)
        return MADE_UP.sub(lambda found: self._shown.get(found[0], found[0]), text)


def matching(accelerators: tuple[Accelerator, ...], name: str) -> Accelerator | None:
    """Find what a trace calls `V100` or `H100 (a3-highgpu-1g)` among node label values such as `nvidia-tesla-v100`.

    The first word that is no filler must be the same; of several, the one with most words in common is meant.
    """
    words = _words(name)

    def shared(accelerator: Accelerator) -> int:
        own = _words(accelerator.type)
        return len(set(own) & set(words)) - len(set(own) - set(words)) if own[:1] == words[:1] else -100

    best = max(accelerators, key=shared, default=None)
    return best if best is not None and shared(best) > -100 else None


def service_for(
    trace: Trace, replicas: int, capacities: tuple[Capacity, ...] = (Capacity.SPOT, Capacity.ON_DEMAND)
) -> ServiceSpec:
    """Make a service that wants what a trace sells, its GPU types in the order of the trace."""
    kinds = dict.fromkeys("-".join(["nvidia", *_words(z.accelerator)]) for z in trace.zones)
    return ServiceSpec(
        name="simulated",
        namespace="default",
        uid="simulated",
        generation=1,
        replicas=replicas,
        accelerators=tuple(Accelerator(kind) for kind in kinds),
        pod=PodTemplate(image="simulated", port=8080),
        capacity_types=capacities,
    )


def _words(name: str) -> list[str]:
    return [word for word in re.findall(r"[a-z0-9]+", name.lower()) if word not in FILLERS]


def _translated(regions: Regions, known: Mapping[tuple[str, Accelerator], str]) -> Regions:
    """Say in made-up names what the user said in the trace's."""

    def made_up(names: frozenset[str]) -> frozenset[str]:
        return frozenset(region for (name, _), region in known.items() if name in names)

    return Regions(None if regions.allowed is None else made_up(regions.allowed), made_up(regions.denied))
