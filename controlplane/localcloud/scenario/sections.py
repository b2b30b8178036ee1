"""The sections of a scenario file besides its clusters: stock, prices, quotas, advice, traces, delays and the rest."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from controlplane.localcloud.scenario.catalog import ACCELERATORS, MACHINE_TYPES, MachineType
from controlplane.localcloud.scenario.model import (
    CAPACITIES,
    ON_DEMAND,
    SPOT,
    Advice,
    ClusterSpec,
    Delays,
    LoadBalancerSpec,
    Price,
    QuotaLimit,
    StockEntry,
    Trace,
)
from controlplane.localcloud.scenario.reader import Place
from controlplane.localcloud.scenario.traces import read_trace

NAME = r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?"
ZONE = r"[a-z]+-[a-z]+\d+-[a-z0-9]+"
# With a family behind it where only Cloud Quotas shows the limit: GPUS_PER_GPU_FAMILY/NVIDIA_H100.
_METRIC = r"[A-Z][A-Z0-9_]+(/[A-Z][A-Z0-9_]+)?"


class World(NamedTuple):
    """The regions and zones that the rest of the file may speak of."""

    regions: Mapping[str, tuple[str, ...]]

    @property
    def zones(self) -> frozenset[str]:
        return frozenset(zone for zones in self.regions.values() for zone in zones)

    def region(self, place: Place, name: str) -> str:
        if name not in self.regions:
            raise place.fault(
                f"unknown region '{name}'", f"use one of {', '.join(self.regions)} or add it to 'regions'"
            )
        return name

    def zone(self, place: Place, name: str) -> str:
        if name not in self.zones:
            raise place.fault(f"unknown zone '{name}'", "list it in a cluster's 'zones' or under 'regions'")
        return name


def _accelerator(place: Place, name: str) -> str:
    if name not in ACCELERATORS:
        raise place.fault(f"unknown accelerator '{name}'", f"use one of {', '.join(ACCELERATORS)}")
    return name


def _capacity(place: Place, name: str) -> str:
    if name not in CAPACITIES:
        raise place.fault(f"unknown capacity type '{name}'", f"use one of {', '.join(CAPACITIES)}")
    return name


def read_stock(place: Place, world: World) -> list[StockEntry]:
    entries: list[StockEntry] = []
    for zone, by_accelerator in place.entries():
        world.zone(by_accelerator, zone)
        for name, by_capacity in by_accelerator.entries():
            accelerator = _accelerator(by_capacity, name)
            counts = {_capacity(where, capacity): where.integer() for capacity, where in by_capacity.entries()}
            entries.extend(StockEntry(zone, accelerator, capacity, counts.get(capacity, 0)) for capacity in CAPACITIES)
    return entries


def read_prices(place: Place, world: World) -> list[Price]:
    prices: list[Price] = []
    for region, by_accelerator in place.entries():
        world.region(by_accelerator, region)
        for name, by_capacity in by_accelerator.entries():
            accelerator = _accelerator(by_capacity, name)
            usd = {_capacity(where, capacity): where.number(positive=True) for capacity, where in by_capacity.entries()}
            if SPOT in usd and ON_DEMAND in usd and usd[SPOT] > usd[ON_DEMAND]:
                raise by_capacity.fault("spot costs more than on-demand", "correct the two prices")
            prices.extend(Price(accelerator, region, capacity, price) for capacity, price in usd.items())
    return prices


def read_quotas(place: Place, world: World) -> list[QuotaLimit]:
    section = place.section(optional=("project", "every_region", "regions"))
    quotas = section.read("project", lambda p: [QuotaLimit(metric, limit) for metric, limit in _limits(p)], None) or []
    every = section.read("every_region", lambda p: dict(_limits(p)), None) or {}
    own: dict[str, dict[str, float]] = {}
    for region, limits in section["regions"].entries() if section.get("regions") else ():
        own[world.region(limits, region)] = dict(_limits(limits))
    for region in world.regions:
        quotas.extend(QuotaLimit(m, limit, region) for m, limit in {**every, **own.get(region, {})}.items())
    return quotas


def _limits(place: Place) -> list[tuple[str, float]]:
    limits = []
    for metric, where in place.entries():
        Place(where.path, where.key, metric).text(_METRIC, "a quota metric such as NVIDIA_L4_GPUS")
        limits.append((metric, where.number()))
    return limits


def read_advice(place: Place, world: World) -> list[Advice]:
    advice: list[Advice] = []
    for region, by_accelerator in place.entries():
        world.region(by_accelerator, region)
        for name, where in by_accelerator.entries():
            section = where.section(optional=("obtainability", "uptime_seconds", "preemption_rate"))
            advice.append(
                Advice(
                    region,
                    _accelerator(where, name),
                    obtainability=section.read("obtainability", lambda p: p.number(most=1), None),
                    uptime_seconds=section.read("uptime_seconds", Place.number, None),
                    preemption_rate=section.read("preemption_rate", lambda p: p.number(most=1), None),
                )
            )
    return advice


def read_traces(place: Place, world: World) -> list[Trace]:
    return [_trace(where, world) for where in place.items()]


def _trace(place: Place, world: World) -> Trace:
    section = place.section(required=("file", "accelerator", "capacity"), optional=("zones", "speed", "preempts"))
    recorded = read_trace(section["file"])
    renamed = section.read("zones", lambda p: {name: where.text(ZONE, "a zone") for name, where in p.entries()}, {})
    for name in renamed:
        if name not in recorded.counts:
            raise section["zones"].fault(f"the trace has no zone '{name}'", f"it has {', '.join(recorded.counts)}")
    wanted = renamed or {zone: zone for zone in recorded.counts}
    for zone in wanted.values():
        world.zone(section.get("zones") or section["file"], zone)
    capacity = section["capacity"].choice(CAPACITIES, "capacity type")
    return Trace(
        accelerator=_accelerator(section["accelerator"], section["accelerator"].text()),
        capacity=capacity,
        interval=recorded.interval,
        counts=MappingProxyType({zone: recorded.counts[name] for name, zone in wanted.items()}),
        speed=section.read("speed", lambda p: p.number(positive=True), 1.0),
        preempts=section.read("preempts", Place.flag, capacity == SPOT),
    )


def read_delays(place: Place) -> Delays:
    section = place.section(optional=Delays.__dataclass_fields__)
    delays = Delays(**{name: where.number() for name, where in place.entries()})
    if delays.backoff_max < delays.backoff_initial:
        where = section.get("backoff_max") or section["backoff_initial"]
        raise where.fault("backoff_max is below backoff_initial", "raise backoff_max or lower backoff_initial")
    return delays


def read_load_balancer(place: Place) -> LoadBalancerSpec:
    section = place.section(optional=("port",))
    return LoadBalancerSpec(section.read("port", lambda p: p.integer(most=65535), LoadBalancerSpec().port))


def read_ip_space(place: Place, clusters: tuple[ClusterSpec, ...]) -> Mapping[str, int]:
    names = {cluster.name for cluster in clusters}
    space = {}
    for name, where in place.entries():
        if name not in names:
            raise where.fault(f"unknown cluster '{name}'", f"use one of {', '.join(sorted(names))}")
        space[name] = where.integer()
    return MappingProxyType(space)


def read_machine_types(place: Place) -> tuple[MachineType, ...]:
    own: list[MachineType] = []
    for where in place.items():
        section = where.section(required=("name", "vcpus", "memory_gib"), optional=("accelerator", "gpus"))
        accelerator = section.read("accelerator", lambda p: _accelerator(p, p.text()), None)
        gpus = section.read("gpus", lambda p: p.integer(least=1), 0)
        if (accelerator is None) != (gpus == 0):
            raise where.fault("'accelerator' and 'gpus' belong together", "give both or neither")
        vcpus = section["vcpus"].integer(least=1)
        memory = section["memory_gib"].number(positive=True)
        own.append(MachineType(section["name"].text(NAME, "a machine type"), vcpus, memory, accelerator, gpus))
    replaced = {machine.name for machine in own}
    kept = [machine for machine in MACHINE_TYPES if machine.name not in replaced]
    return tuple(sorted([*kept, *own], key=lambda m: (m.accelerator or "", m.gpus, m.vcpus)))
