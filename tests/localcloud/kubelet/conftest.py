"""Doubles for the kubelet's tests: an API of plain dicts, containers that live in the test, and probes that obey it."""

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from controlplane.localcloud.apiserver.api import ApiError, Change
from controlplane.localcloud.clock import VirtualClock, rfc3339, settle
from controlplane.localcloud.kubelet import ImageMap, Kubelet
from controlplane.localcloud.kubelet.images import Image
from controlplane.localcloud.kubelet.probes import Outcome
from controlplane.localcloud.kubelet.process import StartError


class FakeApi:
    """One cluster's objects; deletion with a grace works as for Pods."""

    cluster = "test"

    def __init__(self, clock):
        self.clock = clock
        self.objects = {}
        self.watchers = []
        self.writes = 0
        self.sequence = 0

    def _key(self, resource, name, namespace):
        return (resource, namespace or "", name)

    def _store(self, type_, resource, body):
        self.sequence += 1
        self.writes += 1
        body["metadata"]["resourceVersion"] = str(self.sequence)
        meta = body["metadata"]
        key = self._key(resource, meta["name"], meta.get("namespace"))
        if type_ == "DELETED":
            self.objects.pop(key)
        else:
            self.objects[key] = body
        for resources, queue in self.watchers:
            if resource in resources:
                queue.put_nowait(Change(type_, resource, body))
        return body

    def find(self, resource, name, namespace=None):
        return self.objects.get(self._key(resource, name, namespace))

    def get(self, resource, name, namespace=None):
        found = self.find(resource, name, namespace)
        if found is None:
            raise ApiError(404, "NotFound", f"{resource} {name} not found")
        return found

    def list(self, resource, namespace=None, **_):
        return [o for (r, n, _), o in sorted(self.objects.items()) if r == resource and namespace in {None, n}]

    def create(self, resource, body, namespace=None, *, user=""):
        body = copy.deepcopy(body)
        if namespace:
            body["metadata"]["namespace"] = namespace
        body["metadata"].setdefault("uid", f"uid-{self.sequence + 1}")
        body["metadata"].setdefault("generation", 1)
        body["metadata"].setdefault("creationTimestamp", rfc3339(self.clock.now()))
        return self._store("ADDED", resource, body)

    def update(self, resource, body, *, subresource="", user=""):
        meta = body["metadata"]
        present = self.get(resource, meta["name"], meta.get("namespace"))
        if meta.get("resourceVersion") not in {None, present["metadata"]["resourceVersion"]}:
            raise ApiError(409, "Conflict", "the object has been modified")
        return self._store("MODIFIED", resource, copy.deepcopy(body))

    def patch(self, resource, name, patch, namespace=None, **_):
        body = copy.deepcopy(self.get(resource, name, namespace))

        def merge(into, values):
            for key, value in values.items():
                if isinstance(value, dict) and isinstance(into.get(key), dict):
                    merge(into[key], value)
                else:
                    into[key] = value

        merge(body, patch)
        return self._store("MODIFIED", resource, body)

    def delete(self, resource, name, namespace=None, *, grace_seconds=None, uid=None, **_):
        body = copy.deepcopy(self.get(resource, name, namespace))
        if uid and body["metadata"]["uid"] != uid:
            raise ApiError(409, "Conflict", "uid")
        grace = grace_seconds
        if resource == "pods" and grace is None:
            grace = body["spec"].get("terminationGracePeriodSeconds", 30)
        if resource == "pods" and grace:
            body["metadata"]["deletionTimestamp"] = rfc3339(self.clock.now())
            body["metadata"]["deletionGracePeriodSeconds"] = grace
            return self._store("MODIFIED", resource, body)
        return self._store("DELETED", resource, body)

    async def watch(self, *resources) -> AsyncIterator[Change]:
        queue = asyncio.Queue()
        for (resource, _, _), body in list(self.objects.items()):
            if resource in resources:
                queue.put_nowait(Change("ADDED", resource, body))
        self.watchers.append((resources, queue))
        while True:
            yield await queue.get()


class FakeProcess:
    """A container that ends when the test, or a signal, says so."""

    def __init__(self, command, clock):
        self.command = command
        self.pid = 1
        self.signals = []
        self.obeys_sigterm = True
        self._clock = clock
        self._exit = asyncio.get_running_loop().create_future()

    @property
    def alive(self):
        return not self._exit.done()

    def exit(self, code):
        if self.alive:
            self._exit.set_result(code)

    async def wait(self):
        return await asyncio.shield(self._exit)

    def stop(self, grace):
        self.signals.append(("TERM", grace))
        if self.obeys_sigterm:
            self.exit(0)
        else:
            self._killer = asyncio.get_running_loop().create_task(self._kill_after(grace))

    async def _kill_after(self, grace):
        await self._clock.sleep(grace)
        self.exit(137)

    def kill(self):
        self.signals.append(("KILL", 0))
        self.exit(137)


class FakeRuntime:
    """Starts what the test can see and end."""

    def __init__(self, clock):
        self.clock = clock
        self.processes = []
        self.behave: Callable[[FakeProcess], None] = lambda _: None
        self.broken = ""

    @property
    def alive(self):
        return [process for process in self.processes if process.alive]

    async def start(self, command):
        if self.broken:
            raise StartError(self.broken)
        process = FakeProcess(command, self.clock)
        self.processes.append(process)
        self.behave(process)
        return process


class FakeRecorder:
    """Remembers Events as (reason, message)."""

    def __init__(self):
        self.events = []

    def record(self, involved, type, reason, message):  # noqa: A002 - the recorder calls it so
        self.events.append((reason, message))

    def reasons(self):
        return [reason for reason, _ in self.events]


class World:
    """A cluster with one node, a kubelet, and everything a test may look at or change."""

    def __init__(self, folder: Path):
        self.clock = VirtualClock()
        self.api = FakeApi(self.clock)
        self.recorder = FakeRecorder()
        self.images = ImageMap({"app": Image(entrypoint=("app",)), "slow": Image(entrypoint=("app",), pull_seconds=20)})
        self.runtime = FakeRuntime(self.clock)
        self.answers = {}
        self.probes = []
        self.kubelet = self.new_kubelet(folder)
        self.folder = folder

    def new_kubelet(self, folder):
        return Kubelet(
            self.api,
            self.clock,
            cluster="test",
            subnet=9,
            run_dir=folder,
            images=self.images,
            runtime=self.runtime,
            checker=self.check,
            recorder=self.recorder,
        )

    async def check(self, probe, target):
        kind = probe.get("httpGet", {}).get("path", "")
        self.probes.append(kind)
        return self.answers.get(kind, Outcome(True))

    def node(self, name="node-1", **spec):
        return self.api.create("nodes", {"kind": "Node", "metadata": {"name": name}, "spec": spec, "status": {}})

    def pod(self, name="web", *, node="node-1", container=None, **spec):
        first = {"name": "web", "image": "app:1", "imagePullPolicy": "IfNotPresent", **(container or {})}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"nodeName": node, "containers": [first], "terminationGracePeriodSeconds": 30, **spec},
            "status": {"phase": "Pending"},
        }
        self.api.create("pods", body, "default")
        return name

    def see(self, name="web"):
        return self.api.find("pods", name, "default")

    def phase(self, name="web"):
        return self.see(name)["status"]["phase"]

    def container(self, name="web", index=0):
        return self.see(name)["status"]["containerStatuses"][index]

    def condition(self, type_, name="web"):
        return next(c for c in self.see(name)["status"]["conditions"] if c["type"] == type_)

    def run(self, story):
        async def play():
            task = asyncio.create_task(self.kubelet.run())
            await settle()
            try:
                await story(self)
                assert not task.done()
            finally:
                task.cancel()
                await asyncio.wait([task])

        asyncio.run(play())


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def failed():
    return Outcome(False, "HTTP probe failed with statuscode: 503")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def gone_within():
    """Give what tells whether processes are no more, or will not be before so many seconds."""

    def gone(pids, seconds):
        deadline = time.monotonic() + seconds
        while any(alive(pid) for pid in pids):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True

    return gone
