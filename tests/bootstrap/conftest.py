"""Two worlds for bootstrap: parts in memory that misbehave on request, and an empty project of the local cloud."""

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

import controlplane.localcloud
from controlplane.api.fleet import parse_fleet
from controlplane.bootstrap import assembly
from controlplane.bootstrap.run import Patience, Run
from controlplane.bootstrap.values import Address, Operation, Part, Seen, State
from controlplane.gateways import access
from controlplane.gateways.errors import AlreadyExists
from controlplane.gateways.kubeapi import Endpoint, KubernetesApi
from controlplane.localcloud.apiserver.server import ApiServer
from controlplane.localcloud.clock import SystemClock as CloudClock
from controlplane.localcloud.faults import FaultBook
from controlplane.localcloud.gcp import GoogleCloud, HostedCluster, TokenIssuer, new_credentials
from controlplane.localcloud.scenario import load_scenario
from controlplane.localcloud.serving import serve
from controlplane.localcloud.stock.ledger import Stock
from controlplane.model.growth import OperationSeen, Progress

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self):
        self.elapsed = 0.0

    def now(self):
        return START + timedelta(seconds=self.elapsed)

    def monotonic(self):
        return self.elapsed

    def sleep(self, seconds):
        self.elapsed += seconds


class World:
    """Handler and operations in one. `slow`: seconds that a part takes; `plagues`: what is called at every step."""

    def __init__(self, clock):
        self.clock = clock
        self.ready, self.gone, self.journal = {}, {}, []
        self.slow, self.foreign, self.unknown, self.failing = {}, set(), {}, {}
        self.plague = lambda _moment, _name: None

    def look(self, part):
        name, now = part.name, self.clock.elapsed
        self.plague("look", name)
        if name in self.unknown:
            raise self.unknown[name]
        if name in self.foreign:
            return Seen(State.TAKEN, "somebody else's", remedy="take another name")
        if name in self.gone:
            if now >= self.gone[name]:
                self.ready.pop(name, None)
                del self.gone[name]
            else:
                return Seen(State.GOING, "stopping")
        if name not in self.ready:
            return Seen(State.ABSENT)
        return Seen(State.PRESENT if now >= self.ready[name] else State.GOING, "provisioning")

    def make(self, part, seen):
        self.plague("before making", part.name)
        if part.name in self.ready:
            raise AlreadyExists(part.name)
        self.ready[part.name] = self.clock.elapsed + self.slow.get(part.name, 0.0)
        self.journal.append(("make", part.name, self.clock.elapsed))
        self.plague("after making", part.name)
        return Operation("compute", part.name) if part.name in self.slow else None

    def remove(self, part, seen):
        self.plague("before removing", part.name)
        self.journal.append(("remove", part.name, self.clock.elapsed))
        if part.name in self.slow:
            self.gone[part.name] = self.clock.elapsed + self.slow[part.name]
            self.plague("after removing", part.name)
            return Operation("compute", part.name)
        self.ready.pop(part.name, None)
        self.plague("after removing", part.name)
        return None

    def operation(self, api, path):
        if path in self.failing:
            self.ready.pop(path, None)
            return OperationSeen(Progress.FAILED, self.failing[path])
        at = self.gone.get(path, self.ready.get(path, 0.0))
        return OperationSeen(Progress.DONE if self.clock.elapsed >= at else Progress.RUNNING)


def part(name, *needs, kept=""):
    return Part(name, Address("p", name), needs, kept=kept)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world(clock):
    return World(clock)


@pytest.fixture
def make_part():
    return part


@pytest.fixture
def runs(world, clock):
    """Begin a run over parts, as a new process would; `told` collects what it says."""

    def begin(parts, told=None):
        said = [] if told is None else told
        return Run(
            parts, {Address: world}, world, clock, lambda name, what: said.append((name, what)), project="my-project"
        )

    return begin


EMPTY = Path(controlplane.localcloud.__file__).parent / "scenarios" / "empty-project.yaml"
KEY = new_credentials("gpu-hunter-local", "http://127.0.0.1:1/token")


class QuickClock(Clock):
    """Waits are short, and count as long as they were meant to be."""

    def sleep(self, seconds):
        super().sleep(seconds)
        time.sleep(0.01)


class Host:
    """Clusters with real API servers, in the loop of the servers. refuses: why the next cluster cannot be made."""

    def __init__(self):
        self.clusters, self.servers, self.refuses = {}, {}, ""

    def list(self):
        return list(self.clusters.values())

    async def create(self, name, location, labels):
        if self.refuses:
            raise RuntimeError(self.refuses)
        users = {"token": "admin"}
        server = ApiServer(name, clock=CloudClock(), database=None, authenticate=users.get, faults=FaultBook())
        self.servers[location, name] = server, await serve(server.app, "127.0.0.1", 0, None, None)
        self.clusters[location, name] = HostedCluster(name, location, "127.0.0.1:1", "pem", labels=labels)

    async def delete(self, name, location):
        del self.clusters[location, name]
        await self.servers.pop((location, name))[1].stop()


class Balancer:
    """A load balancer that nothing is behind."""

    def health(self):
        return {}

    def forwarding_rules(self):
        return []

    def leaked_groups(self):
        return []

    def remove_leaked(self, zone, name):
        raise KeyError(name)


class Project:
    """An empty project in this process, and what bootstrap does with it."""

    def __init__(self, loop, folder):
        self.loop, self.host, self.folder, self.told = loop, Host(), folder, []
        self.clock, self.gateways = QuickClock(), None
        scenario = load_scenario(EMPTY)
        scenario = replace(scenario, delays=replace(scenario.delays, cluster_create=0.1))
        self.faults = FaultBook()
        self.name = scenario.project

        async def start():
            clock = CloudClock()
            google = GoogleCloud(
                scenario, Stock(scenario), clock, clusters=self.host, backends=Balancer(), faults=self.faults,
                tokens=TokenIssuer(clock, KEY),
            )  # fmt: skip
            return google, await serve(google.app, "127.0.0.1", 0, None, None)

        self.google, self.http = self.run(start())
        self.url = f"http://127.0.0.1:{self.http.port}"
        self.credentials = folder / "key.json"
        self.credentials.write_text(json.dumps({**KEY, "token_uri": f"{self.url}/token"}))

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def fleet(self, *regions):
        members = {"members": {"regions": list(regions or ("us-central1",))}}
        spec = {"project": self.name, "configCluster": "us-west2/hunt-config", **members}
        return {"apiVersion": "gpuhunter.dev/v1alpha1", "kind": "Fleet", "metadata": {"name": "default"}, "spec": spec}

    def bootstrap(self, fleet=None, tag="v1"):
        """Give a Bootstrap as a new process would build it."""
        fleet = fleet or self.fleet()
        where = access.Project(self.name, _Everywhere(self.url), self.credentials)
        made = assembly.bootstrap(
            where, parse_fleet(fleet), fleet, clock=self.clock, say=lambda *said: self.told.append(said),
            patience=Patience(first=0.01, longest=0.05, settle=1.0, whole=60.0), tag=tag,
        )  # fmt: skip
        # They remember nothing that matters, and clients take longer to build than all their calls.
        self.gateways = self.gateways or replace(made.gateways, connect=self.connect)
        made.gateways = self.gateways
        return made

    def connect(self, ref):
        http = self.host.servers[ref.location, ref.name][1]
        return KubernetesApi(Endpoint(f"http://127.0.0.1:{http.port}"), lambda: "token")

    def call(self, method, path, body=None):
        """Call an API as the owner."""
        token = self.google.tokens.issue(self.google.tokens.service_account)
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=60)

    def close(self):
        async def stop():
            await self.google.close()
            await self.http.stop()
            for location, name in list(self.host.servers):
                await self.host.delete(name, location)

        self.run(stop())


class _Everywhere(dict):
    """Every API answers at one place."""

    def __init__(self, url):
        super().__init__(dict.fromkeys(APIS, url))


APIS = ("artifactregistry", "cloudbuild", "cloudresourcemanager", "cloudscheduler", "compute", "container", "gkehub",
        "iam", "run", "serviceusage", "storage")  # fmt: skip


@pytest.fixture
def project(loop, tmp_path):
    made = Project(loop, tmp_path)
    yield made
    made.close()
