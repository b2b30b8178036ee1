"""What a Pod is given by the node it runs on: the API, time, a runtime, images, a folder, an address."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from controlplane.localcloud.apiserver.api import Api, Object
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.kubelet.images import ImageMap
from controlplane.localcloud.kubelet.probes import Checker
from controlplane.localcloud.kubelet.process import Runtime

EventType: TypeAlias = Literal["Normal", "Warning"]


class Recorder(Protocol):
    """What the kubelet reports Events through."""

    def record(self, involved: Object, type: EventType, reason: str, message: str) -> None:  # noqa: A002 - its name
        """Report one Event, or count it onto the same one."""
        ...


@dataclass(frozen=True, slots=True)
class Machine:
    """What all nodes of a cluster have in common."""

    api: Api
    clock: Clock
    runtime: Runtime
    checker: Checker
    images: ImageMap
    recorder: Recorder
    run_dir: Path
    base_env: dict[str, str]

    def read(self, namespace: str, resource: str, name: str) -> Object | None:
        """Give a ConfigMap or Secret."""
        return self.api.find(resource, name, namespace)


@dataclass(slots=True)
class NodeState:
    """One node: its address, the images it holds, and whether it is going down."""

    name: str
    ip: str
    images: set[str] = field(default_factory=set)
    shutting_down: bool = False
    pulls: dict[str, asyncio.Lock] = field(default_factory=dict)
