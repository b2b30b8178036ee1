"""What the load balancer was last told, on disk: a load balancer does not forget when its controller restarts."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from controlplane.localcloud.loadbalancer.envoy_backends import Endpoint
from controlplane.localcloud.loadbalancer.members import MemberState
from controlplane.localcloud.loadbalancer.resources import GroupHealth
from controlplane.localcloud.loadbalancer.wanted import (
    Backend,
    Frontend,
    HealthCheck,
    Ident,
    Ingress,
    Key,
    Route,
    Service,
    Wanted,
)

log = logging.getLogger(__name__)

VERSION = 4


@dataclass
class State:
    """The programmed snapshot, the port of each ingress, what was last seen of each member, the port asked for.

    leaked: groups that no cluster owns any more, by zone and name.
    """

    wanted: Wanted = field(default_factory=Wanted)
    ports: dict[Ident, int] = field(default_factory=dict)
    members: dict[str, MemberState] = field(default_factory=dict)
    first_port: int = 0
    leaked: dict[tuple[str, str], GroupHealth] = field(default_factory=dict)
    tls_ports: dict[Ident, int] = field(default_factory=dict)


def save(path: Path, state: State) -> None:
    """Write the state so that a crash leaves the old or the new one."""
    document = {
        "version": VERSION,
        "wanted": asdict(state.wanted),
        "first_port": state.first_port,
        "leaked": [[group.zone, group.name, group.cluster, group.uid] for group in state.leaked.values()],
        "ports": [[*ident, port] for ident, port in state.ports.items()],
        "tls_ports": [[*ident, port] for ident, port in state.tls_ports.items()],
        "members": {
            link: {
                "uid": member.uid,
                "zones": sorted(member.zones),
                "exports": [[*key, [list(port) for port in ports]] for key, ports in member.exports.items()],
                "endpoints": {name: [asdict(each) for each in found] for name, found in member.endpoints.items()},
            }
            for link, member in state.members.items()
        },
    }
    text = json.dumps(document)
    if not path.exists() or path.read_text() != text:
        temporary = path.with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(path)


def load(path: Path) -> State:
    """Read the state; one that is absent or cannot be read is an empty one, since the objects say it all again."""
    if not path.exists():
        return State()
    try:
        document = json.loads(path.read_text())
        return _state(document) if document["version"] == VERSION else State()
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%r); the load balancer is programmed afresh", path, error)
        return State()


def _state(document: Mapping[str, Any]) -> State:
    return State(
        _wanted(document["wanted"]),
        _ports(document["ports"]),
        {link: _member(member) for link, member in document["members"].items()},
        document["first_port"],
        {(zone, name): GroupHealth(name, zone, cluster, uid=uid) for zone, name, cluster, uid in document["leaked"]},
        _ports(document["tls_ports"]),
    )


def _ports(entries: list[list[Any]]) -> dict[Ident, int]:
    return {(kind, namespace, name): port for kind, namespace, name, port in entries}


def _wanted(document: Mapping[str, Any]) -> Wanted:
    return Wanted(
        tuple(_service(service) for service in document["services"]),
        tuple(
            Ingress(
                _key(each["key"]),
                each["default"],
                tuple(Route(**route) for route in each["routes"]),
                each["kind"],
                _frontend(each["frontend"]),
            )
            for each in document["ingresses"]
        ),
    )


def _frontend(document: Mapping[str, Any] | None) -> Frontend | None:
    if document is None:
        return None
    return Frontend(tuple(document["certificates"]), document["ssl_policy"], document["plain"])


def _service(document: Mapping[str, Any]) -> Service:
    links = document["links"]
    return Service(
        _key(document["key"]),
        None if links is None else tuple(links),
        document["template"],
        tuple(_backend(backend) for backend in document["backends"]),
        document["kind"],
    )


def _backend(document: Mapping[str, Any]) -> Backend:
    values = dict(document)
    values["service"] = _key(values["service"])
    values["health"] = HealthCheck(**values["health"])
    values["request_headers"] = tuple(values["request_headers"])
    values["response_headers"] = tuple(values["response_headers"])
    return Backend(**values)


def _member(document: Mapping[str, Any]) -> MemberState:
    endpoints = {name: tuple(Endpoint(**each) for each in found) for name, found in document["endpoints"].items()}
    exports = {
        (namespace, name): tuple((port_name, port) for port_name, port in ports)
        for namespace, name, ports in document["exports"]
    }
    return MemberState(endpoints, set(document["zones"]), exports, document["uid"])


def _key(pair: list[str]) -> Key:
    return pair[0], pair[1]
