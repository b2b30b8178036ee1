"""A placement that grows and shrinks by its load, on a whole local cloud in virtual time, with real field ownership."""

import asyncio
import logging

import pytest
import structlog
import uvloop
from google.oauth2 import service_account

from controlplane.localcloud.controllers.horizontal import Sample
from controlplane.model import naming
from controlplane.model.decision import StartAutoscaling

# A whole local cloud, though nothing waits on the wall clock: it must not take the processor from those that do.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

HERE, L4, HPAS = "us-central1", "nvidia-l4", "horizontalpodautoscalers.autoscaling"
MINUTE = 60
IDLE, BUSY = 50, 3500
SERVICE = {
    "apiVersion": "gpuhunter.dev/v1alpha1",
    "kind": "GPUService",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 1,
        "accelerators": [{"type": L4}],
        "capacityTypes": ["spot"],
        "maxHourlyCost": 1.0,
        "autoscaling": {"maxReplicas": 3},
        "timing": {"attemptDeadline": "3m", "stabilisationWindow": "1m", "minDwell": "1m"},
        "pod": {"image": "gpu-hunter/demo-app:1"},
    },
}
SCENARIO = {
    "name": "load",
    "project": "gpu-hunter-local",
    "client_region": HERE,
    "config_cluster": {"name": "hunt-config", "location": "us-west2", "zones": ["us-west2-a"]},
    "clusters": [{"name": "gpu-1", "location": HERE, "zones": [f"{HERE}-a"]}],
    "stock": {f"{HERE}-a": {L4: {"on-demand": 0, "spot": 2}}},
    "prices": {HERE: {L4: {"on-demand": 0.7, "spot": 0.25}}},
    "delays": {"provisioning": 30, "boot": 5, "refusal": 20, "image_pull": 0, "load_balancer": 1, "scale_down": 60},
    "load_balancer": {"port": 0},
}


def is_ready(pod):
    found = pod["status"].get("conditions") or []
    return any((c["type"], c["status"]) == ("Ready", "True") for c in found)


class Load:
    """How much CPU every Pod uses."""

    def __init__(self):
        self.milli, self._clock = IDLE, None

    def on(self, clock):
        self._clock = clock
        return self

    def cpu(self, _namespace, _pod):
        return Sample(self.milli, self._clock.now())


class Story:
    """One cloud, and passes over it."""

    def __init__(self, cloud, load):
        self.cloud, self.load, self.plans, self.report = cloud, load, [], None

    @property
    def member(self):
        return self.cloud.local.clusters.members()[f"{HERE}/gpu-1"]

    def one(self, resource):
        return next(iter(self.member.list(resource, "default")), None)

    @property
    def replicas(self):
        return self.one("deployments.apps")["spec"]["replicas"]

    def ready(self):
        """Give the uids of the Pods that are ready."""
        pods = self.member.list("pods", "default")
        return {p["metadata"]["uid"] for p in pods if is_ready(p)}

    @property
    def decision(self):
        return self.report.services[0].decision

    async def passes(self, count, *, every=MINUTE):
        for _ in range(count):
            await self.cloud.advance(self.cloud.now + every)
            self.report = await self.cloud.run_pass()
            self.plans += self.decision.plan

    async def plan_until(self, kind):
        """Plan before each pass until an action of a kind is planned; a plan writes nothing."""
        for _ in range(40):
            await self.cloud.advance(self.cloud.now + MINUTE)
            before = self.one("deployments.apps")
            planned = (await self.cloud.run_pass(dry_run=True)).services[0].decision.plan
            assert self.one("deployments.apps") == before
            found = [action for action in planned if isinstance(action, kind)]
            if found:
                assert self.one(HPAS) is None
                return found[0]
            self.report = await self.cloud.run_pass()
        raise AssertionError(self.decision)

    def owner_of_replicas(self):
        fields = self.one("deployments.apps")["metadata"]["managedFields"]
        return {f["manager"] for f in fields if "f:replicas" in f["fieldsV1"].get("f:spec", {})}


async def tell(cloud, load):
    """Grow from one to three of which two find a GPU, and come back to one."""
    story = Story(cloud, load)
    await cloud.apply(SERVICE)
    planned = await story.plan_until(StartAutoscaling)
    assert (planned.replicas, planned.autoscaled.maximum) == (1, 3)
    assert story.owner_of_replicas() == {naming.FIELD_MANAGER}

    await story.passes(1)
    scaler = story.one(HPAS)
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (1, 3)
    assert story.owner_of_replicas() == {naming.HANDOVER_MANAGER}
    assert story.replicas == 1
    first = story.ready()

    load.milli = BUSY
    await story.passes(2, every=2 * MINUTE)
    assert story.replicas == 3
    assert first < story.ready()
    assert len(story.ready()) == 2
    assert story.owner_of_replicas() == {"horizontal-pod-autoscaler"}

    # What found no GPU is asked for by the load alone, and refused again and again.
    del story.plans[:]
    learnt = story.decision.memory.offerings
    await story.passes(2, every=4 * MINUTE)
    assert story.plans == []
    assert story.decision.memory.offerings == learnt
    assert [a for a in story.decision.memory.attempts if a.outcome == "Open"] == []
    told = {c.type: (c.status, c.reason, c.message) for c in story.decision.conditions}
    assert told["Available"][:2] == ("True", "AllReplicasServing")
    assert told["Autoscaling"][1] == "ScaledByLoad"
    assert "1 more than wanted by load, 1 wait for a GPU" in told["Autoscaling"][2]
    assert first < story.ready()

    both = story.ready()
    fixed = {key: value for key, value in SERVICE["spec"].items() if key != "autoscaling"}
    await cloud.apply({**SERVICE, "spec": fixed})
    await story.passes(1)
    assert story.one(HPAS) is None
    assert story.ready() == both, "what serves stays"
    await story.passes(4, every=MINUTE)
    assert story.replicas == 1
    assert story.ready() < both
    assert story.owner_of_replicas() == {naming.FIELD_MANAGER}
    assert naming.ANNOTATION_AUTOSCALED not in story.one("deployments.apps")["metadata"]["annotations"]
    (pod,) = [p for p in story.member.list("pods", "default") if p["metadata"]["uid"] in story.ready()]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert all(c.type != "Autoscaling" for c in story.decision.conditions)


def test_a_placement_grows_by_its_load_and_is_ours_again_without_the_section(virtual_cloud, tmp_path, monkeypatch):
    """Load adds Pods within the bounds, those without a GPU harm nothing, and in the end what served first may stay."""
    # The library would ask Google's own servers whether the account is bound to some regions.
    needless = "_is_regional_access_boundary_lookup_required"
    monkeypatch.setattr(service_account.Credentials, needless, lambda _: False, raising=False)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    load = Load()

    async def run():
        async with virtual_cloud(tmp_path / "cloud", SCENARIO, starting=1, metrics=load.on) as cloud:
            await tell(cloud, load)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
