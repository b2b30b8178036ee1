"""A config cluster and members as real API servers in memory, and a proxy that only remembers what it was told."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controlplane.localcloud.apiserver.server import ApiServer
from controlplane.localcloud.clock import VirtualClock, settle
from controlplane.localcloud.faults import FaultBook
from controlplane.localcloud.loadbalancer import LoadBalancer

CENTRAL, EUROPE = "us-central1/gpu-a", "europe-west4/gpu-b"


class FakeProxy:
    """Keeps the documents, and answers the admin page as told."""

    def __init__(self, run_dir: Path) -> None:
        self.config_dir = run_dir / "xds"
        self.access_log = run_dir / "access.log"
        self.documents: dict[str, Any] = {}
        self.clusters_page: bytes | None = None
        self.stopped = False

    def prepare(self) -> None:
        self.documents = {}

    def write(self, documents):
        self.documents.update(json.loads(json.dumps(documents)))
        return True

    def sweep(self, keep):
        self.documents = {name: self.documents[name] for name in keep}

    async def run(self):
        await asyncio.Event().wait()

    async def stop(self):
        self.stopped = True

    async def admin(self, path, *, method="GET"):
        if self.clusters_page is None:
            raise OSError("not there")
        return self.clusters_page

    async def rotate_access_log(self):
        pass

    # What tests ask of it.

    def addresses(self, backend_port: int = 80) -> list[tuple[int, str, str]]:
        """Give (priority, region, address) of every endpoint."""
        found = []
        for name, document in self.documents.items():
            if name.startswith("eds-") and f"-{backend_port}-" in name:
                for locality in document["resources"][0]["endpoints"]:
                    for endpoint in locality["lb_endpoints"]:
                        address = endpoint["endpoint"]["address"]["socket_address"]["address"]
                        found.append((locality["priority"], locality["locality"]["region"], address))
        return sorted(found)

    def ports(self) -> dict[str, int]:
        listeners = self.documents["lds.json"]["resources"]
        return {each["name"]: each["address"]["socket_address"]["port_value"] for each in listeners}


@dataclass
class World:
    """Everything one test looks at."""

    clock: Any
    config: Any
    members: dict[str, Any]
    proxy: FakeProxy
    balancer: LoadBalancer
    run_dir: Path
    down: set[str] = field(default_factory=set)

    async def settle(self) -> None:
        """Let everything that is ready happen, without time passing."""
        for _ in range(6):
            await settle()

    async def converge(self) -> None:
        await self.settle()
        await self.clock.advance(11)
        await self.settle()

    def mcs(self, name="web", links=(CENTRAL, EUROPE), port=80, **metadata):
        """Create a MultiClusterService."""
        template = {
            "spec": {"selector": {"app": name}, "ports": [{"name": "web", "port": port, "targetPort": 7860}]},
        }
        spec: dict[str, Any] = {"template": template}
        if links is not None:
            spec["clusters"] = [{"link": link} for link in links]
        return self.config.create(
            "multiclusterservices.networking.gke.io",
            {
                "apiVersion": "networking.gke.io/v1",
                "kind": "MultiClusterService",
                "metadata": {"name": name, "namespace": "sd", **metadata},
                "spec": spec,
            },
            "sd",
        )

    def mci(self, name="web", service="web", port=80, rules=None):
        """Create a MultiClusterIngress."""
        spec: dict[str, Any] = {"backend": {"serviceName": service, "servicePort": port}}
        if rules is not None:
            spec["rules"] = rules
        return self.config.create(
            "multiclusteringresses.networking.gke.io",
            {
                "apiVersion": "networking.gke.io/v1",
                "kind": "MultiClusterIngress",
                "metadata": {"name": name, "namespace": "sd"},
                "spec": {"template": {"spec": spec}},
            },
            "sd",
        )

    def backend_config(self, name="bc", **spec):
        return self.config.create(
            "backendconfigs.cloud.google.com",
            {
                "apiVersion": "cloud.google.com/v1",
                "kind": "BackendConfig",
                "metadata": {"name": name, "namespace": "sd"},
                "spec": spec,
            },
            "sd",
        )

    def relink(self, *links, name="web"):
        self.config.patch(
            "multiclusterservices.networking.gke.io", name, {"spec": {"clusters": [{"link": x} for x in links]}}, "sd"
        )

    def get_mci(self, name="web"):
        return self.config.get("multiclusteringresses.networking.gke.io", name, "sd")

    def derived(self, link, name="web"):
        """Give the derived Service in a member, or None."""
        found = [
            s for s in self.members[link].list("services", "sd") if s["metadata"]["name"].startswith(f"mci-{name}-svc-")
        ]
        return found[0] if found else None

    def pods(self, link, *addresses, ready=(), terminating=(), port=7860, zone="us-central1-a", name="web"):
        """Write the EndpointSlice of the derived Service, as the endpoints controller would."""
        api = self.members[link]
        service = self.derived(link, name)["metadata"]["name"]
        endpoints = [
            {
                "addresses": [address],
                "zone": zone,
                "conditions": {
                    "ready": address not in terminating and (not ready or address in ready),
                    "terminating": address in terminating,
                },
                "targetRef": {"kind": "Pod", "name": f"pod-{address}", "namespace": "sd"},
            }
            for address in addresses
        ]
        body = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "addressType": "IPv4",
            "metadata": {
                "name": f"{service}-x",
                "namespace": "sd",
                "labels": {"kubernetes.io/service-name": service},
            },
            "ports": [{"name": "web", "port": port, "protocol": "TCP"}],
            "endpoints": endpoints,
        }
        old = api.find("endpointslices.discovery.k8s.io", f"{service}-x", "sd")
        if old is None:
            api.create("endpointslices.discovery.k8s.io", body, "sd")
        else:
            body["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
            api.update("endpointslices.discovery.k8s.io", body)

    def events(self, reason=None):
        events = self.config.list("events", "sd")
        return [e["message"] for e in events if reason in (None, e["reason"])]


def namespaced(api: Any) -> Any:
    api.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sd"}})
    return api


def new_server(name: str, clock: Any) -> ApiServer:
    return ApiServer(name, clock=clock, database=None, authenticate=lambda _: "admin", faults=FaultBook())


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., None]:
    """Run a coroutine function with a World in which the load balancer is running."""

    def runner(body, *, port: int = 0, client_region: str = "us-east4", before=None, **more: Any) -> None:
        async def main() -> None:
            clock = VirtualClock()
            config = namespaced(new_server("hunt-config", clock).api)
            members = {link: namespaced(new_server(link.split("/")[1], clock).api) for link in (CENTRAL, EUROPE)}
            proxy = FakeProxy(tmp_path)
            down: set[str] = set()
            arguments = {
                "run_dir": tmp_path,
                "port": port,
                "client_region": client_region,
                "convergence_seconds": 10,
                "reachable": lambda link: link not in down,
                "config_link": "us-west2/hunt-config",
                "proxy": proxy,
                **more,
            }
            balancer = LoadBalancer(config, lambda: members, clock, **arguments)
            world = World(clock, config, members, proxy, balancer, tmp_path, down)
            world.restart = lambda **changes: LoadBalancer(config, lambda: members, clock, **arguments | changes)
            task = asyncio.create_task(balancer.run())
            try:
                await world.settle()
                await body(world)
            finally:
                await balancer.stop()
                await asyncio.gather(task, return_exceptions=True)
            assert proxy.stopped

        asyncio.run(main())

    return runner
