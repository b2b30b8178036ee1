"""From a scenario file to a Scenario: the whole file is checked, references between its parts included."""

from pathlib import Path
from types import MappingProxyType

from controlplane.localcloud.scenario.catalog import MACHINE_TYPES
from controlplane.localcloud.scenario.model import (
    ClusterSpec,
    Delays,
    LoadBalancerSpec,
    Region,
    Scenario,
    region_of,
)
from controlplane.localcloud.scenario.reader import Place, ScenarioError, Section, read_document
from controlplane.localcloud.scenario.sections import (
    NAME,
    ZONE,
    World,
    read_advice,
    read_delays,
    read_ip_space,
    read_load_balancer,
    read_machine_types,
    read_prices,
    read_quotas,
    read_stock,
    read_traces,
)

SCENARIOS = Path(__file__).parent.parent / "scenarios"

_REGION = r"[a-z]+-[a-z]+\d+"
_LABEL = r"[a-z0-9_-]{0,63}"
_API = r"[a-z]+\.googleapis\.com"
_REQUIRED = ("project", "config_cluster", "clusters", "stock")
_OPTIONAL = (
    "apis",
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


def default_scenario() -> Path:
    """Give the scenario that is used when none is named."""
    return SCENARIOS / "default.yaml"


def load_scenario(path: Path | None = None) -> Scenario:
    """Read and check a scenario file. Raises ScenarioError with one line for the user."""
    path = path or default_scenario()
    root = _root(read_document(path))
    project = root["project"].text(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project id (6 to 30 of a-z, 0-9, -)")
    config = None if root["config_cluster"].value is None else _cluster(root["config_cluster"], project)
    # A project without a config cluster has none at all: members need one to be led by.
    places = list(root["clusters"].items()) if config is None else root["clusters"].some()
    if config is None and places:
        raise root["config_cluster"].fault(
            "is empty, and there are clusters", "name one, or leave 'clusters' empty too"
        )
    clusters = tuple(_cluster(place, project) for place in places)
    _distinct(root["clusters"], config, clusters)
    world = _world(root, clusters if config is None else (config, *clusters))
    stock = tuple(read_stock(root["stock"], world))
    client = root.get("client_region")
    return Scenario(
        name=root.read("name", lambda place: place.text(NAME, "a short name"), path.stem),
        path=path,
        project=project,
        project_number=root.read("project_number", lambda place: place.integer(least=1), 100000000001),
        config_cluster=config,
        clusters=clusters,
        regions=tuple(Region(name, zones) for name, zones in world.regions.items()),
        stock=stock,
        prices=root.read("prices", lambda place: tuple(read_prices(place, world)), ()),
        quotas=root.read("quotas", lambda place: tuple(read_quotas(place, world)), ()),
        advice=root.read("advice", lambda place: tuple(read_advice(place, world)), ()),
        traces=root.read("traces", lambda place: tuple(read_traces(place, world)), ()),
        delays=root.read("delays", read_delays, Delays()),
        load_balancer=root.read("load_balancer", read_load_balancer, LoadBalancerSpec()),
        client_region=_first_region(clusters, world) if client is None else world.region(client, client.text()),
        preempted_stock_returns=root.read("preempted_stock_returns", Place.flag, default=False),
        ip_space=root.read("ip_space", lambda place: read_ip_space(place, clusters), MappingProxyType({})),
        machine_types=root.read("machine_types", read_machine_types, MACHINE_TYPES),
        apis=root.read("apis", lambda p: frozenset(each.text(_API, "an API") for each in p.items()), None),
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
    zones = tuple(zone.text(ZONE, "a zone") for zone in section["zones"].some())
    for zone, where in zip(zones, section["zones"].items(), strict=True):
        if region_of(zone) != location:
            raise where.fault(f"zone '{zone}' is not in {location}", f"name zones of {location}")
        if zones.count(zone) > 1:
            raise where.fault(f"zone '{zone}' appears twice", "keep one")
    labels = section.read("labels", lambda p: {k: v.text(_LABEL, "a label value") for k, v in p.entries()}, None) or {}
    name = section["name"].text(NAME, "a cluster name (a-z, 0-9, -, at most 40)")
    return ClusterSpec(name, location, zones, project, MappingProxyType(labels))


def _first_region(clusters: tuple[ClusterSpec, ...], world: World) -> str:
    return clusters[0].region if clusters else next(iter(world.regions), "")


def _distinct(place: Place, config: ClusterSpec | None, clusters: tuple[ClusterSpec, ...]) -> None:
    seen = set() if config is None else {config.name}
    for cluster, where in zip(clusters, place.items(), strict=True):
        if cluster.name in seen:
            raise where.fault(f"cluster name '{cluster.name}' appears twice", "give each cluster a name of its own")
        seen.add(cluster.name)


def _world(root: Section, clusters: tuple[ClusterSpec, ...]) -> World:
    regions: dict[str, list[str]] = {}
    for cluster in clusters:
        known = regions.setdefault(cluster.region, [])
        known.extend(zone for zone in cluster.zones if zone not in known)
    for name, place in root["regions"].entries() if root.get("regions") else ():
        if region_of(name) != name:
            raise place.fault(f"'{name}' is a zone", "name the region, and the zone in its list")
        known = regions.setdefault(name, [])
        for where in place.some():
            zone = where.text(ZONE, "a zone")
            if region_of(zone) != name:
                raise where.fault(f"zone '{zone}' is not in {name}", f"name zones of {name}")
            if zone not in known:
                known.append(zone)
    return World({name: tuple(sorted(zones)) for name, zones in regions.items()})


__all__ = ["SCENARIOS", "ScenarioError", "default_scenario", "load_scenario"]
