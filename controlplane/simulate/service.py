"""The service that a replay serves: the user's own GPUService, or one made for the trace, and whether it can be had.

What can never be served is refused before the replay: hours of "0 % available" would look like a bad policy.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from controlplane.api.loading import load_documents
from controlplane.api.parse import parse_service
from controlplane.api.problems import Problem, SpecError
from controlplane.model.offering import Capacity
from controlplane.model.service import Policy, Preset, ServiceSpec, Timing
from controlplane.simulate.hunter import service_for
from controlplane.simulate.hunter.places import matching
from controlplane.simulate.trace import Trace, Zone

REPLAYED = (Capacity.SPOT, Capacity.ON_DEMAND)
REPLICAS, PRESET = 4, Preset.BALANCED
"""What a service that is made for a trace wants."""

# A replay answers within a minute and knows no slow provisioning, so the hunt need not be as patient as with GKE.
TIMING = Timing(
    backoff_initial=timedelta(seconds=60),
    backoff_max=timedelta(minutes=10),
    stabilisation_window=timedelta(minutes=5),
    min_dwell=timedelta(minutes=5),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says of the service; None leaves it to the service file, or to REPLICAS and so on."""

    replicas: int | None = None
    capacity_types: tuple[Capacity, ...] | None = None
    policy: Policy | None = None
    file: Path | None = None


def service_of(wish: Wish, trace: Trace) -> ServiceSpec:
    """Give the service to be replayed on a trace. Raises SpecError for a file that is wrong.

    A trace knows no load, so placements have a fixed number of replicas in a replay.
    """
    spec = _made_for(trace) if wish.file is None else read_service(wish.file)
    return replace(
        spec,
        replicas=spec.replicas if wish.replicas is None else wish.replicas,
        capacity_types=spec.capacity_types if wish.capacity_types is None else wish.capacity_types,
        policy=_overlaid(spec.policy, wish.policy),
        autoscaling=None,
    )


def _made_for(trace: Trace) -> ServiceSpec:
    spec = service_for(trace, REPLICAS, REPLAYED)
    ingress = replace(spec.ingress, draining_seconds=0)
    return replace(spec, timing=TIMING, policy=Policy(preset=PRESET), ingress=ingress)


def _overlaid(own: Policy, said: Policy | None) -> Policy:
    if said is None:
        return own
    if said.preset is not None:
        own = replace(own, preset=said.preset, missing_replica_cost=None)
    return own if said.missing_replica_cost is None else replace(own, missing_replica_cost=said.missing_replica_cost)


def read_service(file: Path) -> ServiceSpec:
    """Read the one GPUService of a file. Raises SpecError for what is wrong with it, or cannot be replayed."""
    documents = load_documents(file)
    if len(documents) > 1:
        place = f"{file}:{documents[1].line}"
        raise SpecError([Problem("", "a second service", "one is replayed at a time: keep one in the file", place)])
    document = documents[0]
    try:
        spec = parse_service(document.object)
    except SpecError as error:
        raise SpecError([replace(one, source=document.place(one.path)) for one in error.problems]) from error
    if spec.replicas < 1:
        place = document.place("spec.replicas")
        raise SpecError([Problem("spec.replicas", "is 0", "write at least 1, or use --replicas", place)])
    strange = [one for one in spec.capacity_types if one not in REPLAYED]
    if strange:
        what = f"{', '.join(strange)} is not in any trace"
        place = document.place("spec.capacityTypes")
        raise SpecError([Problem("spec.capacityTypes", what, "use --capacity-types spot,on-demand", place)])
    return spec


def only(trace: Trace, pattern: str) -> Trace:
    """Give the trace with the zones whose names match a pattern (`us-*`). Raises SpecError when none does."""
    zones = tuple(zone for zone in trace.zones if fnmatchcase(zone.name, pattern))
    if not zones:
        what = f'no zone matches "{pattern}"'
        raise SpecError([Problem("--only", what, f"its zones are {_listed(trace.zones)}")])
    return replace(trace, zones=zones)


def fitted(trace: Trace, spec: ServiceSpec) -> Trace:
    """Give the trace with the zones that the service may use. Raises SpecError when it can never be served there."""
    alike = [zone for zone in trace.zones if matching(spec.accelerators, zone.accelerator) is not None]
    if not alike:
        wanted = ", ".join(str(one) for one in spec.accelerators)
        sold = ", ".join(dict.fromkeys(zone.accelerator for zone in trace.zones))
        raise _never(trace, f"it wants {wanted}, the trace has {sold}", "name the trace's GPU type")
    zones = tuple(zone for zone in alike if spec.regions.permits(zone.region))
    if not zones:
        there = ", ".join(dict.fromkeys(zone.region for zone in alike))
        raise _never(trace, "it may be in none of its regions", f"allow one of {there}")
    found = replace(trace, zones=zones)
    _check_amount(found, spec)
    _check_money(found, spec)
    return found


def _check_amount(trace: Trace, spec: ServiceSpec) -> None:
    if Capacity.ON_DEMAND in spec.capacity_types:
        return
    regions = len({zone.region for zone in trace.zones})
    if regions < spec.spread.min_regions:
        what = f"it wants {spec.spread.min_regions} regions, the trace has {regions}"
        raise _never(trace, what, "lower spec.spread.minRegions, or allow on-demand")
    most = most_at_once(trace, spec.spread.max_replicas_per_region)
    if most < spec.replicas:
        what = f"{spec.replicas} replicas are wanted, at most {most} could be had on Spot at any instant"
        raise _never(trace, what, "ask for fewer, or allow on-demand")


def _check_money(trace: Trace, spec: ServiceSpec) -> None:
    prices = [zone.spot_price for zone in trace.zones] if Capacity.SPOT in spec.capacity_types else []
    prices += [trace.on_demand_price] if Capacity.ON_DEMAND in spec.capacity_types else []
    if spec.max_hourly_cost is not None and spec.max_hourly_cost < min(prices):
        what = f"at most {spec.max_hourly_cost:g} USD an hour may be spent, one replica costs {min(prices):g} or more"
        raise _never(trace, what, "raise spec.maxHourlyCost")


def most_at_once(trace: Trace, per_region: int | None = None) -> int:
    """Give the most spot replicas that existed at any instant, at most `per_region` of them counted in a region."""
    regions: dict[str, list[tuple[int, ...]]] = {}
    for zone in trace.zones:
        regions.setdefault(zone.region, []).append(zone.capacity)
    sums: list[list[int]] = [[sum(column) for column in zip(*zones, strict=True)] for zones in regions.values()]
    if per_region is not None:
        sums = [[min(per_region, amount) for amount in column] for column in sums]
    return max(map(sum, zip(*sums, strict=True)))


def _never(trace: Trace, what: str, remedy: str) -> SpecError:
    return SpecError([Problem("", f"the service can never be served there: {what}", remedy, trace.name)])


def _listed(zones: tuple[Zone, ...], most: int = 12) -> str:
    names = [zone.name for zone in zones]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
