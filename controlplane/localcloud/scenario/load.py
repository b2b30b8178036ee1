"""From a scenario file to a Scenario: the whole file is checked, references between its parts included."""

from collections.abc import Mapping
from pathlib import Path
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
    Region,
    Scenario,
    StockEntry,
    Trace,
    region_of,
)
from controlplane.localcloud.scenario.reader import Place, ScenarioError, Section, read_document
from controlplane.localcloud.scenario.traces import read_trace

SCENARIOS = Path(__file__).parent.parent / "scenarios"

_NAME = r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?"
_REGION = r"[a-z]+-[a-z]+\d+"
_ZONE = r"[a-z]+-[a-z]+\d+-[a-z0-9]+"
_LABEL = r"[a-z0-9_-]{0,63}"
_METRIC = r"[A-Z][A-Z0-9_]+"
_REQUIRED = ("project", "config_cluster", "clusters", "stock")
_OPTIONAL = (
    "name",
    "project_number",
    "regions",
    "prices",
    "quotas",
    "advice",
    "traces",
    "delays",
    "load_balancer",
    "client_region",
    "preempted_stock_returns",
    "ip_space",
    "machine_types",
)


class _World(NamedTuple):
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


def default_scenario() -> Path:
    """Give the scenario that is used when none is named."""
    return SCENARIOS / "default.yaml"


def load_scenario(path: Path | None = None) -> Scenario:
    """Read and check a scenario file. Raises ScenarioError with one line for the user."""
    path = path or default_scenario()
    root = _root(read_document(path))
    project = root["project"].text(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project id (6 to 30 of a-z, 0-9, -)")
    config = _cluster(root["config_cluster"], project)
    clusters = tuple(_cluster(place, project) for place in root["clusters"].some())
    _distinct(root["clusters"], config, clusters)
    world = _world(root, (config, *clusters))
    stock = tuple(_stock(root["stock"], world))
    client = root.get("client_region")
    return Scenario(
        name=root.read("name", lambda place: place.text(_NAME, "a short name"), path.stem),
        path=path,
        project=project,
        project_number=root.read("project_number", lambda place: place.integer(least=1), 100000000001),
        config_cluster=config,
        clusters=clusters,
        regions=tuple(Region(name, zones) for name, zones in world.regions.items()),
        stock=stock,
        prices=root.read("prices", lambda place: tuple(_prices(place, world)), ()),
        quotas=root.read("quotas", lambda place: tuple(_quotas(place, world)), ()),
        advice=root.read("advice", lambda place: tuple(_advice(place, world)), ()),
        traces=root.read("traces", lambda place: tuple(_traces(place, world)), ()),
        delays=root.read("delays", _delays, Delays()),
        load_balancer=root.read("load_balancer", _load_balancer, LoadBalancerSpec()),
        client_region=clusters[0].region if client is None else world.region(client, client.text()),
        preempted_stock_returns=root.read("preempted_stock_returns", Place.flag, default=False),
        ip_space=root.read("ip_space", lambda place: _ip_space(place, clusters), MappingProxyType({})),
        machine_types=root.read("machine_types", _machine_types, MACHINE_TYPES),
    )


def _root(place: Place, *, depth: int = 0) -> Section:
    """Read the outermost keys; those of the file named by `extends` hold where this one has no key of that name."""
    entries = dict(place.entries())
    if (base := entries.pop("extends", None)) is not None:
        if depth >= 5:
            raise base.fault("extends go round in a circle", "end the chain in a file that extends nothing")
        below = _root(read_document(place.path.parent / base.text(what="the path of a scenario file")), depth=depth + 1)
        entries = {**below.entries, **entries}
    if depth:
        return Section(place, entries)
    return place.check(entries, required=_REQUIRED, optional=_OPTIONAL)


def _cluster(place: Place, project: str) -> ClusterSpec:
    section = place.section(required=("name", "location", "zones"), optional=("labels",))
    location = section["location"].text(_REGION, "a region (Autopilot clusters are regional)")
    zones = tuple(zone.text(_ZONE, "a zone") for zone in section["zones"].some())
    for zone, where in zip(zones, section["zones"].items(), strict=True):
        if region_of(zone) != location:
            raise where.fault(f"zone '{zone}' is not in {location}", f"name zones of {location}")
        if zones.count(zone) > 1:
            raise where.fault(f"zone '{zone}' appears twice", "keep one")
    labels = section.read("labels", lambda p: {k: v.text(_LABEL, "a label value") for k, v in p.entries()}, None) or {}
    name = section["name"].text(_NAME, "a cluster name (a-z, 0-9, -, at most 40)")
    return ClusterSpec(name, location, zones, project, MappingProxyType(labels))


def _distinct(place: Place, config: ClusterSpec, clusters: tuple[ClusterSpec, ...]) -> None:
    seen = {config.name}
    for cluster, where in zip(clusters, place.items(), strict=True):
        if cluster.name in seen:
            raise where.fault(f"cluster name '{cluster.name}' appears twice", "give each cluster a name of its own")
        seen.add(cluster.name)


def _world(root: Section, clusters: tuple[ClusterSpec, ...]) -> _World:
    regions: dict[str, list[str]] = {}
    for cluster in clusters:
        known = regions.setdefault(cluster.region, [])
        known.extend(zone for zone in cluster.zones if zone not in known)
    for name, place in root["regions"].entries() if root.get("regions") else ():
        if region_of(name) != name:
            raise place.fault(f"'{name}' is a zone", "name the region, and the zone in its list")
        known = regions.setdefault(name, [])
        for where in place.some():
            zone = where.text(_ZONE, "a zone")
            if region_of(zone) != name:
                raise where.fault(f"zone '{zone}' is not in {name}", f"name zones of {name}")
            if zone not in known:
                known.append(zone)
    return _World({name: tuple(sorted(zones)) for name, zones in regions.items()})


def _accelerator(place: Place, name: str) -> str:
    if name not in ACCELERATORS:
        raise place.fault(f"unknown accelerator '{name}'", f"use one of {', '.join(ACCELERATORS)}")
    return name


def _capacity(place: Place, name: str) -> str:
    if name not in CAPACITIES:
        raise place.fault(f"unknown capacity type '{name}'", f"use one of {', '.join(CAPACITIES)}")
    return name


def _stock(place: Place, world: _World) -> list[StockEntry]:
    entries: list[StockEntry] = []
    for zone, by_accelerator in place.entries():
        world.zone(by_accelerator, zone)
        for name, by_capacity in by_accelerator.entries():
            accelerator = _accelerator(by_capacity, name)
            counts = {_capacity(where, capacity): where.integer() for capacity, where in by_capacity.entries()}
            entries.extend(StockEntry(zone, accelerator, capacity, counts.get(capacity, 0)) for capacity in CAPACITIES)
    return entries


def _prices(place: Place, world: _World) -> list[Price]:
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


def _quotas(place: Place, world: _World) -> list[QuotaLimit]:
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


def _advice(place: Place, world: _World) -> list[Advice]:
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


def _traces(place: Place, world: _World) -> list[Trace]:
    return [_trace(where, world) for where in place.items()]


def _trace(place: Place, world: _World) -> Trace:
    section = place.section(required=("file", "accelerator", "capacity"), optional=("zones", "speed", "preempts"))
    recorded = read_trace(section["file"])
    renamed = section.read("zones", lambda p: {name: where.text(_ZONE, "a zone") for name, where in p.entries()}, {})
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


def _delays(place: Place) -> Delays:
    section = place.section(optional=Delays.__dataclass_fields__)
    delays = Delays(**{name: where.number() for name, where in place.entries()})
    if delays.backoff_max < delays.backoff_initial:
        where = section.get("backoff_max") or section["backoff_initial"]
        raise where.fault("backoff_max is below backoff_initial", "raise backoff_max or lower backoff_initial")
    return delays


def _load_balancer(place: Place) -> LoadBalancerSpec:
    section = place.section(optional=("port",))
    return LoadBalancerSpec(section.read("port", lambda p: p.integer(most=65535), LoadBalancerSpec().port))


def _ip_space(place: Place, clusters: tuple[ClusterSpec, ...]) -> Mapping[str, int]:
    names = {cluster.name for cluster in clusters}
    space = {}
    for name, where in place.entries():
        if name not in names:
            raise where.fault(f"unknown cluster '{name}'", f"use one of {', '.join(sorted(names))}")
        space[name] = where.integer()
    return MappingProxyType(space)


def _machine_types(place: Place) -> tuple[MachineType, ...]:
    own: list[MachineType] = []
    for where in place.items():
        section = where.section(required=("name", "vcpus", "memory_gib"), optional=("accelerator", "gpus"))
        accelerator = section.read("accelerator", lambda p: _accelerator(p, p.text()), None)
        gpus = section.read("gpus", lambda p: p.integer(least=1), 0)
        if (accelerator is None) != (gpus == 0):
            raise where.fault("'accelerator' and 'gpus' belong together", "give both or neither")
        vcpus = section["vcpus"].integer(least=1)
        memory = section["memory_gib"].number(positive=True)
        own.append(MachineType(section["name"].text(_NAME, "a machine type"), vcpus, memory, accelerator, gpus))
    replaced = {machine.name for machine in own}
    kept = [machine for machine in MACHINE_TYPES if machine.name not in replaced]
    return tuple(sorted([*kept, *own], key=lambda m: (m.accelerator or "", m.gpus, m.vcpus)))


__all__ = ["SCENARIOS", "ScenarioError", "default_scenario", "load_scenario"]
