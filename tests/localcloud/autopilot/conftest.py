"""One Autopilot cluster in memory, on virtual time, without a kubelet: what becomes of Pods is told by hand."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from controlplane.localcloud.apiserver.core import Core
from controlplane.localcloud.apiserver.local import LocalApi
from controlplane.localcloud.autopilot import Autopilot
from controlplane.localcloud.clock import VirtualClock
from controlplane.localcloud.scenario import ClusterSpec, Delays, Region, Scenario, StockEntry
from controlplane.localcloud.stock.ledger import Stock

ZONES = ("us-central1-a", "us-central1-b")
DELAYS = Delays(
    provisioning=60,
    boot=30,
    refusal=5,
    scale_down=600,
    spot_grace=15,
    provision_timeout=900,
    backoff_initial=300,
    backoff_max=1800,
    backoff_reset=10800,
)
L4 = {"cpu": "3500m", "memory": "12Gi", "ephemeral-storage": "30Gi"}


def pod_spec(accelerator="nvidia-l4", *, spot=True, gpus="1", selector=None, requests=None, **more):
    chosen = {"cloud.google.com/gke-accelerator": accelerator} if accelerator else {}
    if spot:
        chosen["cloud.google.com/gke-spot"] = "true"
    resources = {"requests": L4 if requests is None else requests, "limits": {"nvidia.com/gpu": gpus} if gpus else {}}
    container = {"name": "app", "image": "demo:1", "resources": resources, **more.pop("container", {})}
    return {"nodeSelector": {**chosen, **(selector or {})}, "containers": [container], **more}


@dataclass
class World:
    """The cluster and its surroundings."""

    scenario: Scenario
    delays: Delays = DELAYS
    database: Path | None = None

    def __post_init__(self):
        self.clock = VirtualClock()
        self.stock = Stock(self.scenario)
        self.core = Core("gpu", self.clock, self.database, lambda _: None)
        self.api = LocalApi("gpu", self.core)
        self.spec = self.scenario.clusters[0]
        self.start()

    def start(self):
        self.autopilot = Autopilot(self.api, self.clock, cluster=self.spec, stock=self.stock, delays=self.delays)
        self.core.admission = type(self.core.admission)(self.core.store)
        self.core.writes._admission = self.core.admission
        for hook, validating in self.autopilot.admission_hooks:
            self.core.admission.add(hook, validating=validating)

    def play(self, script):
        """Run the cluster while the script, a coroutine function without parameters, plays."""

        async def main():
            tasks = [asyncio.create_task(runner.run()) for runner in self.autopilot.runners()]
            await self.clock.advance(0)
            try:
                return await script()
            finally:
                for task in tasks:
                    assert not task.done(), task
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        return asyncio.run(main())

    def pod(self, name="app", *, spec=None, **options):
        spec = spec or pod_spec(**options)
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        return self.api.create("pods", body, "default", user="user@example.com")

    def deployment(self, **options):
        template = {"metadata": {"labels": {"app": "app"}}, "spec": options.pop("spec", None) or pod_spec(**options)}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "app"},
            "spec": {"selector": {"matchLabels": {"app": "app"}}, "template": template},
        }
        return self.api.create("deployments.apps", body, "default", user="user@example.com")

    def node_of(self, name="app"):
        pod = self.api.find("pods", name, "default")
        return pod and pod["spec"].get("nodeName")

    def delete(self, name="app", grace=0):
        self.api.delete("pods", name, "default", grace_seconds=grace)

    def nodes(self):
        return [node["metadata"]["name"] for node in self.api.list("nodes")]

    def events(self, reason, name=None):
        """Give (type, message) of the Events with a reason, in order of time."""
        found = [e for e in self.api.list("events") if e["reason"] == reason]
        found = [e for e in found if name is None or e["involvedObject"]["name"] == name]
        return [
            (e["type"], e["message"]) for e in sorted(found, key=lambda e: (e["firstTimestamp"], e["metadata"]["name"]))
        ]

    def messages(self, reason, name=None):
        return [message for _, message in self.events(reason, name)]


@pytest.fixture
def make_world(tmp_path):
    """Build a world; `stock` is zone letter -> count of Spot L4s, or (zone, accelerator, capacity) -> count."""

    def make(stock=None, *, delays=None, zones=ZONES, scenario=None, database=None):
        entries = []
        for key, count in ({"a": 1, "b": 1} if stock is None else stock).items():
            zone, accelerator, capacity = key if isinstance(key, tuple) else (key, "nvidia-l4", "spot")
            entries.append(StockEntry(f"us-central1-{zone}", accelerator, capacity, count))
        made = Scenario(
            name="test",
            path=tmp_path,
            project="p",
            project_number=1,
            config_cluster=ClusterSpec("config", "us-west2", ("us-west2-a",), "p"),
            clusters=(ClusterSpec("gpu", "us-central1", zones, "p"),),
            regions=(Region("us-west2", ("us-west2-a",)), Region("us-central1", zones)),
            stock=tuple(entries),
            **(scenario or {}),
        )
        return World(made, replace(DELAYS, **(delays or {})), database)

    return make


@pytest.fixture
def spec_of():
    """Build a Pod spec."""
    return pod_spec
