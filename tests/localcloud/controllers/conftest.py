"""A cluster in memory with its controllers, and hands that stand in for the scheduler and the kubelet."""

import asyncio
import copy
import json

import pytest

from controlplane.localcloud.apiserver.api import ApiError, Change
from controlplane.localcloud.clock import VirtualClock, new_suffix, new_uid, rfc3339, settle
from controlplane.localcloud.controllers import build_controllers


class MemoryApi:
    """The rules of the API that controllers rely on: versions, conflicts, generation, finalizers, watches."""

    cluster = "test"

    def __init__(self, clock):
        self.clock = clock
        self.objects = {}
        self.version = 0
        self.watchers = []
        self.hooks = []
        self.writes = 0

    def find(self, resource, name, namespace=None):
        return self.objects.get((resource, namespace or "", name))

    def get(self, resource, name, namespace=None):
        found = self.find(resource, name, namespace)
        if found is None:
            raise ApiError(404, "NotFound", f'{resource} "{name}" not found')
        return found

    def list(self, resource, namespace=None, *, label_selector="", field_selector=""):
        assert not label_selector
        assert not field_selector
        keys = sorted(k for k in self.objects if k[0] == resource and (namespace is None or k[1] == namespace))
        return [self.objects[k] for k in keys]

    def create(self, resource, body, namespace=None, *, user="system:controller"):
        body = copy.deepcopy(body)
        meta = body["metadata"]
        if namespace:
            meta["namespace"] = namespace
            holder = self.find("namespaces", namespace)
            if holder is not None and holder["metadata"].get("deletionTimestamp"):
                cause = {"reason": "NamespaceTerminating"}
                raise ApiError(403, "Forbidden", "being terminated", details={"causes": [cause]})
        if "name" not in meta:
            meta["name"] = meta["generateName"] + new_suffix()
        for hook in self.hooks:
            hook(resource, body)
        key = (resource, meta.get("namespace", ""), meta["name"])
        if key in self.objects:
            raise ApiError(409, "AlreadyExists", f'{resource} "{meta["name"]}" already exists')
        meta.update(uid=new_uid(), creationTimestamp=rfc3339(self.clock.now()), generation=1)
        self._default(resource, body)
        return self._store(key, body, "ADDED")

    def _default(self, resource, body):
        if resource == "namespaces":
            body["spec"] = {"finalizers": ["kubernetes"]}
            body["status"] = {"phase": "Active"}
        if resource == "pods":
            body.setdefault("status", {"phase": "Pending"})
        if resource == "deployments.apps":
            spec = body["spec"]
            spec.setdefault("replicas", 1)
            spec.setdefault("revisionHistoryLimit", 10)
            spec.setdefault("progressDeadlineSeconds", 600)
            rolling = {"maxSurge": "25%", "maxUnavailable": "25%"}
            spec.setdefault("strategy", {"type": "RollingUpdate", "rollingUpdate": rolling})

    def _store(self, key, body, kind):
        self.version += 1
        self.writes += key[0] != "leases.coordination.k8s.io"
        body["metadata"]["resourceVersion"] = str(self.version)
        if kind == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = body
        for resources, queue in self.watchers:
            if key[0] in resources:
                queue.put_nowait(Change(kind, key[0], body))
        return body

    def update(self, resource, body, *, subresource="", user="system:controller"):
        meta = body["metadata"]
        key = (resource, meta.get("namespace", ""), meta["name"])
        old = self.get(resource, meta["name"], meta.get("namespace"))
        if meta.get("resourceVersion") not in (None, old["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", "the object has been modified")
        if meta.get("uid") not in (None, old["metadata"]["uid"]):
            raise ApiError(409, "Conflict", "the UID in the precondition does not match")
        new = copy.deepcopy(body)
        if subresource == "status":
            new = {**copy.deepcopy(old), "status": new.get("status", {})}
        elif "status" in old:
            new["status"] = copy.deepcopy(old["status"])
        for name in ("uid", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp"):
            if name in old["metadata"]:
                new["metadata"][name] = old["metadata"][name]
        if new == old:
            return old
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] += 1
        gone = new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers")
        if resource == "namespaces":
            gone = gone and not new["spec"].get("finalizers")
        if gone and not (resource == "pods" and new["metadata"].get("deletionGracePeriodSeconds")):
            return self._store(key, new, "DELETED")
        return self._store(key, new, "MODIFIED")

    def patch(self, resource, name, patch, namespace=None, *, kind="merge", subresource="", **_):
        assert kind == "merge"
        body = _merge(self.get(resource, name, namespace), patch)
        return self.update(resource, body, subresource=subresource)

    def delete(
        self,
        resource,
        name,
        namespace=None,
        *,
        propagation=None,
        grace_seconds=None,
        uid=None,
        resource_version=None,
        user="",
    ):
        old = self.get(resource, name, namespace)
        if uid not in (None, old["metadata"]["uid"]):
            raise ApiError(409, "Conflict", "the UID in the precondition does not match")
        new = copy.deepcopy(old)
        meta = new["metadata"]
        finalizers = list(meta.get("finalizers") or [])
        for wanted, finalizer in (("Foreground", "foregroundDeletion"), ("Orphan", "orphan")):
            if propagation == wanted and finalizer not in finalizers:
                finalizers.append(finalizer)
        meta["finalizers"] = finalizers
        grace = grace_seconds
        if grace is None:
            bound = resource == "pods" and old["spec"].get("nodeName")
            grace = old["spec"].get("terminationGracePeriodSeconds", 30) if bound else 0
        if resource == "pods" and old["status"].get("phase") in ("Succeeded", "Failed"):
            grace = 0
        key = (resource, namespace or "", name)
        held = finalizers or (resource == "namespaces" and new["spec"].get("finalizers"))
        if not held and not grace:
            return self._store(key, new, "DELETED")
        if meta.get("deletionTimestamp") and meta.get("deletionGracePeriodSeconds") == grace and new == old:
            return old
        meta.setdefault("deletionTimestamp", rfc3339(self.clock.now()))
        meta["deletionGracePeriodSeconds"] = grace
        return self._store(key, new, "MODIFIED")

    async def watch(self, *resources):
        queue = asyncio.Queue()
        for key, obj in self.objects.items():
            if key[0] in resources:
                queue.put_nowait(Change("ADDED", key[0], obj))
        self.watchers.append((frozenset(resources), queue))
        while True:
            yield await queue.get()


def _merge(old, patch):
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), value)
    return result


class Cluster:
    """A cluster with running controllers, and what a scheduler, a kubelet and a user do to it."""

    def __init__(self, api, clock, **options):
        self.api = api
        self.clock = clock
        self._options = options
        self.alive = set()
        self._tasks = []

    def add_node(self, name, **labels):
        conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}]
        meta = {"name": name, "labels": labels}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {}, "status": {"conditions": conditions}}
        self.api.create("nodes", body)
        self.alive.add(name)

    async def _beat(self):
        while True:
            for name in self.alive:
                spec = {"holderIdentity": name, "renewTime": str(self.clock.now())}
                meta = {"name": name, "namespace": "kube-node-lease"}
                lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
                self.apply("leases.coordination.k8s.io", lease, "kube-node-lease")
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
        self.api.patch("pods", pod["metadata"]["name"], {"spec": {"nodeName": node}}, pod["metadata"]["namespace"])

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
        self.status(pod, {"phase": phase, "containerStatuses": [{"name": "main", "restartCount": 0, "state": ended}]})

    async def run_pods(self, namespace="default", rounds=12):
        """Start what is pending and end what is terminating, until nothing changes."""
        for _ in range(rounds):
            before = self.api.writes
            for pod in self.pods(namespace):
                meta = pod["metadata"]
                if meta.get("deletionTimestamp"):
                    if meta.get("deletionGracePeriodSeconds"):
                        self.api.delete("pods", meta["name"], namespace, grace_seconds=0)
                elif pod["status"]["phase"] == "Pending":
                    self.ready(pod)
            await self.settle()
            if self.api.writes == before:
                return
        raise AssertionError("the cluster did not come to rest")


@pytest.fixture
def scenario():
    """Run a coroutine function with a cluster whose controllers run on virtual time."""

    def run(story, **options):
        async def main():
            clock = VirtualClock()
            cluster = Cluster(MemoryApi(clock), clock, **options)
            for name in ("default", "kube-system", "kube-node-lease"):
                body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                cluster.api.create("namespaces", body)
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
        before = cluster.api.writes
        await cluster.pass_time(seconds)
        return cluster.api.writes - before

    return measure


def dump(obj):
    return json.dumps(obj, indent=1, sort_keys=True)
