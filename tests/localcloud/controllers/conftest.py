"""An API server in memory with its controllers, and hands that stand in for the scheduler and the kubelet."""

import asyncio

import pytest

from controlplane.localcloud.apiserver.core import Core
from controlplane.localcloud.apiserver.local import LocalApi
from controlplane.localcloud.clock import VirtualClock, rfc3339, rfc3339_micro, settle
from controlplane.localcloud.controllers import build_controllers

LEASES = "leases.coordination.k8s.io"


class Cluster:
    """A cluster with running controllers, and what a scheduler, a kubelet and a user do to it."""

    def __init__(self, clock, **options):
        core = Core("test", clock, None, lambda _: None)
        self.api = LocalApi("test", core)
        self.clock = clock
        self.hooks = []
        self.writes = 0
        core.admission.add(lambda request: [hook(request) for hook in self.hooks], validating=False)
        self._count_writes(core.store)
        self._options = options
        self.alive = set()
        self._tasks = []

    def _count_writes(self, store):
        put, remove = store.put, store.remove

        def counted_put(resource, obj):
            self.writes += resource != LEASES
            return put(resource, obj)

        def counted_remove(resource, key):
            self.writes += resource != LEASES
            return remove(resource, key)

        store.put, store.remove = counted_put, counted_remove

    def add_node(self, name, **labels):
        conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}]
        meta = {"name": name, "labels": labels}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {}, "status": {"conditions": conditions}}
        self.api.create("nodes", body)
        self.alive.add(name)

    async def _beat(self):
        while True:
            for name in self.alive:
                spec = {"holderIdentity": name, "renewTime": rfc3339_micro(self.clock.now())}
                meta = {"name": name, "namespace": "kube-node-lease"}
                lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
                self.apply(LEASES, lease, "kube-node-lease")
            await self.clock.sleep(10)

    async def start(self):
        self._tasks.append(asyncio.create_task(self._beat()))
        for runner in build_controllers(self.api, self.clock, **self._options):
            self._tasks.append(asyncio.create_task(runner.run()))
        await self.settle()

    async def stop(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def settle(self):
        await settle(400)
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def pass_time(self, seconds):
        await self.clock.advance(seconds)
        await self.settle()

    # --- what a user does

    def apply(self, resource, body, namespace="default"):
        present = self.api.find(resource, body["metadata"]["name"], namespace or None)
        if present is None:
            return self.api.create(resource, body, namespace or None)
        return self.api.patch(resource, body["metadata"]["name"], body, namespace or None)

    def patch(self, resource, name, patch, namespace="default"):
        return self.api.patch(resource, name, patch, namespace)

    # --- what one sees

    def get(self, resource, name, namespace="default"):
        return self.api.find(resource, name, namespace or None)

    def list(self, resource, namespace="default"):
        return self.api.list(resource, namespace)

    def pods(self, namespace="default", *, running=False):
        found = self.api.list("pods", namespace)
        return [p for p in found if not p["metadata"].get("deletionTimestamp")] if running else found

    def events(self, reason=None, namespace="default"):
        return [e for e in self.api.list("events", namespace) if reason in (None, e["reason"])]

    def messages(self, reason):
        return [e["message"] for e in self.events(reason)]

    def condition(self, resource, name, kind, namespace="default"):
        status = self.get(resource, name, namespace).get("status") or {}
        return next((c for c in status.get("conditions", []) if c["type"] == kind), None)

    # --- what the scheduler and the kubelet do

    def bind(self, pod, node="node-1"):
        meta = pod["metadata"]
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]}, "target": target}
        self.api.create("pods/binding", body, meta["namespace"])

    def status(self, pod, status):
        return self.api.patch(
            "pods", pod["metadata"]["name"], {"status": status}, pod["metadata"]["namespace"], subresource="status"
        )

    def ready(self, pod, value="True", ip=None):
        if not pod["spec"].get("nodeName"):
            self.bind(pod)
        conditions = [{"type": "Ready", "status": value, "lastTransitionTime": rfc3339(self.clock.now())}]
        number = int(pod["metadata"]["uid"][:2], 16)
        ip = ip or f"10.8.{number}.{int(pod['metadata']['uid'][2:4], 16)}"
        return self.status(pod, {"phase": "Running", "podIP": ip, "conditions": conditions})

    def finish(self, pod, phase="Succeeded", exit_code=None):
        code = (0 if phase == "Succeeded" else 1) if exit_code is None else exit_code
        stamp = rfc3339(self.clock.now())
        ended = {"terminated": {"exitCode": code, "finishedAt": stamp, "startedAt": stamp}}
        container = {"name": "main", "restartCount": 0, "state": ended, "image": "app:1", "imageID": "", "ready": False}
        self.status(pod, {"phase": phase, "containerStatuses": [container]})

    async def run_pods(self, namespace="default", rounds=12):
        """Start what is pending and end what is terminating, until nothing changes."""
        for _ in range(rounds):
            before = self.writes
            for pod in self.pods(namespace):
                meta = pod["metadata"]
                if meta.get("deletionTimestamp"):
                    if meta.get("deletionGracePeriodSeconds"):
                        self.api.delete("pods", meta["name"], namespace, grace_seconds=0)
                elif pod["status"]["phase"] == "Pending":
                    self.ready(pod)
            await self.settle()
            if self.writes == before:
                return
        raise AssertionError("the cluster did not come to rest")


@pytest.fixture
def scenario():
    """Run a coroutine function with a cluster whose controllers run on virtual time."""

    def run(story, **options):
        async def main():
            clock = VirtualClock()
            cluster = Cluster(clock, **options)
            cluster.add_node("node-1", **{"topology.kubernetes.io/zone": "us-central1-a"})
            await cluster.start()
            try:
                await story(cluster)
            finally:
                await cluster.stop()

        asyncio.run(main())

    return run


@pytest.fixture
def deployment():
    """Build a Deployment."""

    def build(name="web", replicas=3, image="app:1", **spec):
        labels = {"app": name}
        container = {"name": "main", "image": image, "ports": [{"name": "http", "containerPort": 7860}]}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec},
        }

    return build


@pytest.fixture
def idle():
    """Count the writes of a while in which nothing happens."""

    async def measure(cluster, seconds=3600):
        before = cluster.writes
        await cluster.pass_time(seconds)
        return cluster.writes - before

    return measure
