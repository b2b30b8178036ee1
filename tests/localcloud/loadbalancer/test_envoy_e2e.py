"""Real Envoy in front of real processes: what a client sees when Pods die, move and fail.

Two members with one small HTTP server each; the load is bounded (8 connections, about three seconds).
"""

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from controlplane.localcloud.apiserver.server import ApiServer
from controlplane.localcloud.clock import SystemClock
from controlplane.localcloud.faults import FaultBook
from controlplane.localcloud.loadbalancer import LoadBalancer
from controlplane.localcloud.loadbalancer.envoy import any_free_port

pytestmark = pytest.mark.e2e

CENTRAL, EUROPE = "us-central1/gpu-a", "europe-west4/gpu-b"

# /crash takes a POST, notes it, and dies without an answer; /503 is what a dying server says.
BACKEND = textwrap.dedent(
    """
    import asyncio, os, sys
    name, port, notes = sys.argv[1], int(sys.argv[2]), sys.argv[3]

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\\r\\n\\r\\n")
                method, path, _ = head.split(b"\\r\\n", 1)[0].decode().split(" ")
                lower = head.lower()
                if b"content-length:" in lower:
                    length = int(lower.split(b"content-length:")[1].split(b"\\r\\n")[0])
                    await reader.readexactly(length)
                if path != "/":
                    with open(notes, "a") as file:
                        file.write(f"{name} {method} {path}\\n")
                if path == "/break":
                    writer.transport.abort()
                    return
                if path == "/slow":
                    await asyncio.sleep(0.6)
                if path == "/ws":
                    upgrade = "connection: Upgrade\\r\\nupgrade: websocket\\r\\n\\r\\n"
                    writer.write(f"HTTP/1.1 101 Switching Protocols\\r\\n{upgrade}".encode())
                    while data := await reader.read(100):
                        writer.write(data.upper())
                    return
                status = "503 Service Unavailable" if path == "/503" and name == "near" else "200 OK"
                if path == "/headers":
                    body = head
                else:
                    body = name.encode()
                writer.write(f"HTTP/1.1 {status}\\r\\ncontent-length: {len(body)}\\r\\n\\r\\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(main())
    """
)


async def until(holds) -> None:
    """Wait for what others do."""
    for _ in range(5000):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to hold")


@dataclass
class Load:
    """What clients saw."""

    answers: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    stopped: bool = False

    async def run(self, url: str, connections: int = 8) -> None:
        """Ask until told to stop."""
        limits = httpx.Limits(max_connections=connections)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:
            await asyncio.gather(*(self._client(client, url) for _ in range(connections)))

    async def answered(self, name: str, more: int = 50) -> None:
        """Wait until this backend has given so many more answers."""
        before = self.answers.get(name, 0)
        await until(lambda: self.answers.get(name, 0) >= before + more)

    async def _client(self, client: httpx.AsyncClient, url: str) -> None:
        while not self.stopped:
            try:
                answer = await client.get(url)
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
                continue
            if answer.status_code == 200:
                self.answers[answer.text] = self.answers.get(answer.text, 0) + 1
            else:
                self.failures.append(f"{answer.status_code} {answer.text[:80]}")


class Site:
    """The load balancer, its clusters and its two backends."""

    def __init__(self, path) -> None:
        self.path = path
        self.notes = path / "notes"
        self.down: set[str] = set()
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.ports = {"near": any_free_port(), "far": any_free_port()}
        clock = SystemClock()
        self.config = self._server("hunt-config", clock)
        self.members = {link: self._server(link.split("/")[1], clock) for link in (CENTRAL, EUROPE)}
        self.balancer = self._balancer(clock)

    def _server(self, name, clock):
        server = ApiServer(name, clock=clock, database=None, authenticate=lambda _: "a", faults=FaultBook())
        server.api.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sd"}})
        return server.api

    def _balancer(self, clock):
        return LoadBalancer(
            self.config,
            lambda: self.members,
            clock,
            run_dir=self.path / "lb",
            port=0,
            client_region="us-east4",
            convergence_seconds=0.2,
            reachable=lambda link: link not in self.down,
        )

    async def start(self, name) -> None:
        arguments = [sys.executable, "-c", BACKEND, name, str(self.ports[name]), str(self.notes)]
        self.processes[name] = await asyncio.create_subprocess_exec(*arguments)
        for _ in range(1200):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.ports[name])
                writer.close()
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the backend did not start")

    def objects(self) -> None:
        spec = {"healthCheck": {"requestPath": "/", "checkIntervalSec": 1, "timeoutSec": 1}, "timeoutSec": 10}
        self.config.create(
            "backendconfigs.cloud.google.com",
            {"apiVersion": "cloud.google.com/v1", "kind": "BackendConfig", "metadata": {"name": "bc"}, "spec": spec},
            "sd",
        )
        template = {"spec": {"selector": {"app": "web"}, "ports": [{"name": "web", "port": 80, "targetPort": 7860}]}}
        self.config.create(
            "multiclusterservices.networking.gke.io",
            {
                "apiVersion": "networking.gke.io/v1",
                "kind": "MultiClusterService",
                "metadata": {
                    "name": "web",
                    "annotations": {"cloud.google.com/backend-config": '{"default":"bc"}'},
                },
                "spec": {"template": template, "clusters": [{"link": CENTRAL}, {"link": EUROPE}]},
            },
            "sd",
        )
        self.config.create(
            "multiclusteringresses.networking.gke.io",
            {
                "apiVersion": "networking.gke.io/v1",
                "kind": "MultiClusterIngress",
                "metadata": {"name": "web"},
                "spec": {"template": {"spec": {"backend": {"serviceName": "web", "servicePort": 80}}}},
            },
            "sd",
        )

    def endpoints(self, link, name) -> None:
        api = self.members[link]
        [service] = [s["metadata"]["name"] for s in api.list("services", "sd") if "svc" in s["metadata"]["name"]]
        body = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "addressType": "IPv4",
            "metadata": {"name": f"{service}-x", "labels": {"kubernetes.io/service-name": service}},
            "ports": [{"name": "web", "port": self.ports[name], "protocol": "TCP"}],
            "endpoints": [
                {"addresses": ["127.0.0.1"], "conditions": {"ready": True}, "zone": f"{link.split('/')[0]}-a"}
            ],
        }
        api.create("endpointslices.discovery.k8s.io", body, "sd")

    def relink(self, *links) -> None:
        self.config.patch(
            "multiclusterservices.networking.gke.io", "web", {"spec": {"clusters": [{"link": x} for x in links]}}, "sd"
        )

    @property
    def url(self) -> str:
        vip = self.config.get("multiclusteringresses.networking.gke.io", "web", "sd")["status"]["VIP"]
        return f"http://{vip}"

    async def answers(self, wanted: str, path: str = "/", seconds: float = 100) -> None:
        """Wait until the address answers with this backend's name."""
        async with httpx.AsyncClient(timeout=60) as client:
            for _ in range(int(seconds / 0.05)):
                with contextlib.suppress(httpx.HTTPError, KeyError):
                    if (await client.get(self.url + path)).text == wanted:
                        return
                await asyncio.sleep(0.05)
        log = (self.path / "lb" / "envoy.log").read_text()
        raise AssertionError(f"{wanted} did not answer; envoy says: {log[-1500:]}")

    async def healthy(self, count: int) -> None:
        """Wait until this many endpoints are healthy."""
        for _ in range(2000):
            states = [e.healthy for s in self.balancer.health().values() for g in s.groups for e in g.endpoints]
            if states.count(True) == count:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"not {count} healthy endpoints")

    def written(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []


@pytest.fixture
def site(tmp_path):
    """Run a coroutine function with a Site that serves from both members."""

    def runner(body) -> None:
        async def main() -> None:
            site = Site(tmp_path)
            task = asyncio.create_task(site.balancer.run())
            try:
                await asyncio.gather(site.start("near"), site.start("far"))
                site.objects()
                for _ in range(3000):
                    if all(api.list("services", "sd") for api in site.members.values()):
                        break
                    await asyncio.sleep(0.02)
                site.endpoints(CENTRAL, "near")
                site.endpoints(EUROPE, "far")
                await site.answers("near")
                await site.healthy(2)
                await body(site)
            finally:
                await site.balancer.stop()
                await asyncio.gather(task, return_exceptions=True)
                for process in site.processes.values():
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()

        asyncio.run(main())

    return runner


def test_no_get_fails_when_a_region_is_killed_under_load(site):
    """SIGKILL of the near backend under load: every GET is answered, then by the far one."""

    async def body(site):
        load = Load()
        running = asyncio.create_task(load.run(site.url))
        await load.answered("near")
        site.processes["near"].send_signal(signal.SIGKILL)
        await load.answered("far")
        load.stopped = True
        await running
        assert load.failures == []

    site(body)


def test_no_get_fails_when_the_list_is_edited_under_load(site):
    """Taking the near cluster off the list and putting it back moves traffic without a failure."""

    async def body(site):
        load = Load()
        running = asyncio.create_task(load.run(site.url))
        await load.answered("near")
        site.relink(EUROPE)
        await load.answered("far")
        site.relink(CENTRAL, EUROPE)
        await load.answered("near")
        load.stopped = True
        await running
        assert load.failures == []

    site(body)


def test_a_post_is_sent_once_and_a_get_as_often_as_needed(site):
    """A POST that was cut after it was sent is not sent again, whatever the client asks for; a GET is."""

    async def body(site):
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.post(
                site.url + "/break", content=b"x" * 10, headers={"x-envoy-retry-on": "5xx,reset"}
            )
            assert answer.status_code == 502
            assert "Error: Server Error" in answer.text
            assert site.written() == ["near POST /break"]
            answer = await client.get(site.url + "/503")
            assert (answer.status_code, answer.text) == (200, "far")
            answer = await client.post(site.url + "/503", content=b"x")
            assert answer.status_code == 503
            assert site.written()[1:] == ["near GET /503", "far GET /503", "near POST /503"]

    site(body)


def test_an_answer_in_flight_survives_the_removal_of_its_cluster(site):
    """What was begun is finished after the endpoint has left."""

    async def body(site):
        async with httpx.AsyncClient(timeout=60) as client:
            running = asyncio.create_task(client.get(site.url + "/slow"))
            await until(lambda: "near GET /slow" in site.written())
            site.relink(EUROPE)
            answer = await running
            assert (answer.status_code, answer.text) == (200, "near")
            await site.answers("far")

    site(body)


def test_requests_carry_the_load_balancers_headers(site):
    """Via, X-Forwarded-For and -Proto and the trace context arrive; Envoy's own headers do not."""

    async def body(site):
        async with httpx.AsyncClient(timeout=60) as client:
            text = (await client.get(site.url + "/headers", headers={"X-Forwarded-For": "9.9.9.9"})).text.lower()
        headers = dict(line.split(": ", 1) for line in text.strip().splitlines()[1:])
        assert headers["via"] == "1.1 google"
        assert headers["x-forwarded-proto"] == "http"
        assert headers["x-forwarded-for"].replace(" ", "") == "9.9.9.9,127.0.0.1,127.0.0.1"
        assert headers["x-cloud-trace-context"].endswith("/1")
        assert not [name for name in headers if name.startswith("x-envoy")]

    site(body)


def test_websockets_pass(site):
    """An upgraded connection carries bytes both ways."""

    async def body(site):
        host, port = site.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        writer.write(upgrade.encode())
        assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 60) == b"HELLO"
        writer.close()

    site(body)


def test_with_nobody_left_the_answer_is_googles_502(site):
    """No healthy Pod anywhere is an error page, at once."""

    async def body(site):
        for process in site.processes.values():
            process.kill()
        async with httpx.AsyncClient(timeout=60) as client:
            for _ in range(5):
                answer = await client.get(site.url)
                assert answer.status_code == 502
                assert "Please try again in 30 seconds" in answer.text

    site(body)


def test_envoy_comes_back_when_it_dies_and_goes_when_it_is_stopped(site):
    """A killed Envoy is started again within a second or so, with its configuration."""

    async def body(site):
        first = site.balancer._proxy.pid
        os.kill(first, signal.SIGKILL)
        await site.answers("near")
        assert site.balancer._proxy.pid != first
        second = site.balancer._proxy.pid
        await site.balancer.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(second, 0)

    site(body)


def test_the_last_pods_of_an_unreachable_member_serve_until_they_are_unhealthy(site):
    """A region that cannot be managed still serves; when its Pods die, health says so."""

    async def body(site):
        site.down.add(CENTRAL)
        await site.answers("near")
        site.processes["near"].kill()
        await site.answers("far")
        await site.healthy(1)

    site(body)


def alive(pid: int) -> bool:
    """Say whether a process runs; one that only waits to be reaped does not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_nothing_outlives_an_owner_that_is_killed(tmp_path):
    """Envoy is gone soon after the SIGKILL of the process that started it."""
    code = textwrap.dedent(
        """
        import asyncio, pathlib, sys
        from controlplane.localcloud.clock import SystemClock
        from controlplane.localcloud.loadbalancer.envoy import Envoy
        async def main():
            envoy = Envoy(pathlib.Path(sys.argv[1]), SystemClock())
            envoy.prepare()
            task = asyncio.create_task(envoy.run())
            for _ in range(1200):
                try:
                    await envoy.admin("/ready")
                    break
                except OSError:
                    await asyncio.sleep(0.05)
            print(envoy.pid, flush=True)
            await task
        asyncio.run(main())
        """
    )

    async def main():
        owner = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        try:
            pid = int(await asyncio.wait_for(owner.stdout.readline(), 100))
            os.kill(pid, 0)
        finally:
            owner.kill()
            await owner.wait()
        for _ in range(3000):
            if not alive(pid):
                return
            await asyncio.sleep(0.02)
        raise AssertionError("Envoy outlived its owner")

    asyncio.run(main())
