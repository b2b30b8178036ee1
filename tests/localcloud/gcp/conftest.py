"""The Google Cloud endpoints, served for real on loopback ports, and the published clients pointed at them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from google.oauth2 import service_account

from controlplane.localcloud.clock import SystemClock
from controlplane.localcloud.daemon.pki import Pki, ensure_pki
from controlplane.localcloud.faults import FaultBook
from controlplane.localcloud.gcp import GoogleCloud, HostedCluster, TokenIssuer, new_credentials
from controlplane.localcloud.loadbalancer.resources import (
    BackendServiceHealth,
    EndpointHealth,
    ForwardingRule,
    GroupHealth,
)
from controlplane.localcloud.scenario import Delays, load_scenario
from controlplane.localcloud.serving import serve
from controlplane.localcloud.stock.ledger import Stock

# One key for all tests: making one takes a while.
KEY = new_credentials("gpu-hunter-local", "http://127.0.0.1:1/token")
PROJECT = "projects/gpu-hunter-local"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


class Host:
    """Clusters without API servers."""

    def __init__(self, scenario: Any) -> None:
        self.clusters = [
            HostedCluster(spec.name, spec.location, "127.0.0.1:6443", "-----BEGIN CERTIFICATE-----", labels=spec.labels)
            for spec in scenario.all_clusters
        ]
        self.refuses = ""

    def list(self):
        return list(self.clusters)

    async def create(self, name, location, labels):
        await asyncio.sleep(0.05)
        if self.refuses:
            raise RuntimeError(self.refuses)
        self.clusters.append(HostedCluster(name, location, "127.0.0.1:6444", "pem", labels=labels))

    async def delete(self, name, location):
        self.clusters = [each for each in self.clusters if (each.name, each.location) != (name, location)]


@dataclass
class Balancer:
    """A load balancer with one backend service."""

    services: dict[str, BackendServiceHealth] = field(default_factory=dict)
    leaked: list[GroupHealth] = field(default_factory=list)

    def health(self):
        return self.services

    def leaked_groups(self):
        return self.leaked

    def remove_leaked(self, zone, name):
        self.leaked = [each for each in self.leaked if (each.zone, each.name) != (zone, name)]

    def forwarding_rules(self):
        return [
            ForwardingRule("mci-1-fw-sd-web", "127.0.0.1", 8080, "mci-1-sd-web", "mci-1-sd-web", ("mci-1-80-sd-web",))
        ]


@dataclass
class Endpoints:
    """What a test needs: the parts, the ports, and a way to run a coroutine in the servers' loop."""

    cloud: GoogleCloud
    host: Host
    stock: Stock
    faults: FaultBook
    balancer: Balancer
    credentials_info: dict[str, str]
    rest: str
    grpc_port: int
    project: str
    loop: asyncio.AbstractEventLoop
    delays: Delays = field(default_factory=Delays)

    @property
    def credentials(self):
        return service_account.Credentials.from_service_account_info(self.credentials_info, scopes=SCOPES)

    def client(self, cls, **kwargs):
        """Make a REST client."""
        return cls(credentials=self.credentials, transport="rest", client_options={"api_endpoint": self.rest}, **kwargs)

    def grpc_channel(self):
        """Open a channel that carries a token, as the default transport's does over TLS."""
        import grpc

        token = self.cloud.tokens.issue("tester")

        class Bearer(grpc.UnaryUnaryClientInterceptor):
            def intercept_unary_unary(self, continuation, details, request):
                metadata = [*(details.metadata or ()), ("authorization", f"Bearer {token}")]
                return continuation(details._replace(metadata=metadata), request)

        return grpc.intercept_channel(self.plain_channel(), Bearer())

    def plain_channel(self):
        import grpc

        return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")

    def set_delays(self, **seconds):
        """Have changes take so long from now on."""
        self.delays = replace(self.delays, **seconds)

    async def take_up(self, state):
        """Give a restarted cloud's state to this one."""
        self.cloud.from_state(state)

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)


def group(cluster: str, zone: str, *endpoints: EndpointHealth) -> GroupHealth:
    return GroupHealth(f"k8s1-{zone}", zone, cluster, endpoints)


class Front:
    """One server for all tests, whose application changes: starting and stopping one takes longer than most tests."""

    app: Any = None
    port = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def front(loop: asyncio.AbstractEventLoop) -> Iterator[Front]:
    front = Front()
    server = asyncio.run_coroutine_threadsafe(serve(front, "127.0.0.1", 0, None, None), loop).result(60)
    front.port = server.port
    yield front
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)


@pytest.fixture
def endpoints(loop: asyncio.AbstractEventLoop, front: Front) -> Iterator[Endpoints]:
    yield from serve_endpoints(loop, load_scenario(None), front=front)


@pytest.fixture
def without_preview(loop: asyncio.AbstractEventLoop, front: Front) -> Iterator[Endpoints]:
    yield from serve_endpoints(loop, replace(load_scenario(None), advice=()), front=front)


@pytest.fixture
def over_tls(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> Iterator[tuple[Endpoints, Pki]]:
    pki = ensure_pki(tmp_path, datetime.now(UTC))
    for endpoints in serve_endpoints(loop, load_scenario(None), pki=pki):
        yield endpoints, pki


def serve_endpoints(
    loop: asyncio.AbstractEventLoop, scenario: Any, *, front: Front | None = None, pki: Pki | None = None
) -> Iterator[Endpoints]:
    host, stock, faults, clock = Host(scenario), Stock(scenario), FaultBook(), SystemClock()
    info = KEY
    healthy = EndpointHealth("127.1.0.5", 7860, healthy=True, pod="web-1", node="gk3-a")
    sick = EndpointHealth("127.1.0.6", 7860, healthy=False, pod="web-2", node="gk3-a")
    groups = (
        group("us-central1/gpu-us-central1", "us-central1-a", healthy, sick),
        group("us-east4/gpu-us-east4", "us-east4-a"),
    )
    balancer = Balancer(
        {"mci-1-80-sd-web": BackendServiceHealth("mci-1-80-sd-web", "sd", "web", 80, groups, health_check="hc")}
    )

    async def start():
        cloud = GoogleCloud(
            scenario,
            stock,
            clock,
            clusters=host,
            backends=balancer,
            faults=faults,
            tokens=TokenIssuer(clock, info),
            delays=lambda: made.delays,
        )
        grpc_port = await cloud.start_grpc("127.0.0.1", 0, pki and pki.cert_file, pki and pki.key_file)
        if front is not None:
            front.app = cloud.app
            return cloud, None, grpc_port
        assert pki is not None
        return cloud, await serve(cloud.app, "127.0.0.1", 0, pki.cert_file, pki.key_file), grpc_port

    async def stop():
        if server is not None:
            await server.stop()
        await cloud.close()

    cloud, server, grpc_port = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    rest = f"https://localhost:{server.port}" if server is not None else f"http://127.0.0.1:{front.port}"
    info = {**info, "token_uri": f"{rest}/token"}
    made = Endpoints(cloud, host, stock, faults, balancer, info, rest, grpc_port, scenario.project, loop)
    yield made
    asyncio.run_coroutine_threadsafe(stop(), loop).result(60)


class Caller:
    """REST calls as somebody; by default as the owner, whose key file the local cloud gives."""

    def __init__(self, endpoints):
        self.endpoints = endpoints
        self.owner = endpoints.cloud.tokens.service_account

    def __call__(self, method, path, body=None, *, account=None):
        token = self.endpoints.cloud.tokens.issue(account or self.owner)
        url = f"{self.endpoints.rest}/{path if path[:3] in ('v2/', 'v3/') else 'v1/' + path}"
        return requests.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def well(self, *args, **kwargs):
        answer = self(*args, **kwargs)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, *args, **kwargs):
        answer = self(*args, **kwargs)
        error = answer.json()["error"]
        assert error["code"] == answer.status_code
        return error["status"], error["message"]

    def make_hunter(self):
        return self.well("POST", f"{PROJECT}/serviceAccounts", {"accountId": "gpu-hunter"})

    def bind(self, role, *members, resource=PROJECT):
        """Do what every client does: read, add, write back with the etag."""
        policy = self.well("POST" if resource == PROJECT else "GET", f"{resource}:getIamPolicy")
        policy["bindings"] = [*policy.get("bindings", []), {"role": role, "members": list(members)}]
        return self.well("POST", f"{resource}:setIamPolicy", {"policy": policy})


@pytest.fixture
def call(endpoints):
    return Caller(endpoints)
