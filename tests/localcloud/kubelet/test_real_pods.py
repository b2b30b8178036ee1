"""Pods with real processes and sockets: probes of all kinds, logs, volumes, graceful ends."""

import asyncio
import os

import pytest

from controlplane.localcloud.clock import SystemClock
from controlplane.localcloud.kubelet import ImageMap, Kubelet
from controlplane.localcloud.kubelet.images import Image
from controlplane.localcloud.kubelet.probes import Target, check


async def until(condition, seconds=10):
    for _ in range(int(seconds * 50)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came true")


def play(world, folder, story):
    """Run a story over a kubelet that starts real processes."""

    async def run():
        images = ImageMap({"sh": Image(command=("sh",)), **ImageMap.load()._images})
        clock = SystemClock()
        world.kubelet = Kubelet(
            world.api, clock, cluster="t", subnet=253, run_dir=folder, images=images, recorder=world.recorder
        )
        task = asyncio.create_task(world.kubelet.run())
        world.node()
        try:
            await story(world)
        finally:
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0.2)

    asyncio.run(run())


async def read_logs(w, name, **options):
    return b"".join([piece async for piece in w.kubelet.logs("default", name, **options)]).decode()


def test_a_demo_app_becomes_ready_behind_its_http_probe_and_leaves_gracefully(world, tmp_path):
    """The app listens on its Pod's address, turns Ready by its probe, and ends with 0 when deleted."""

    async def story(w):
        w.pod(
            container={
                "image": "gpu-hunter/demo-app:1",
                "ports": [{"name": "http", "containerPort": 7860}],
                "env": [{"name": "DRAIN_SECONDS", "value": "0.1"}],
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
            }
        )
        await until(lambda: "conditions" in w.see()["status"] and w.condition("Ready")["status"] == "True")
        ends = []
        w.api.watchers.append((["pods"], type("Q", (), {"put_nowait": lambda _, change: ends.append(change)})()))
        w.api.delete("pods", "web", "default")
        await until(lambda: w.see() is None)
        last = next(
            c.object for c in reversed(ends) if c.object["status"]["containerStatuses"][0]["state"].get("terminated")
        )
        assert last["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0

    play(world, tmp_path, story)


def test_logs_are_read_back_in_every_way(world, tmp_path):
    """Whole, the tail, with times, followed to the end, and those of the run before."""

    async def story(w):
        script = "echo one; echo two; sleep 0.5; echo three; exit 1"
        w.pod(container={"image": "sh", "command": ["sh", "-c", script]}, restartPolicy="OnFailure")
        await until(lambda: "containerStatuses" in w.see()["status"] and "running" in w.container()["state"])
        assert await read_logs(w, "web", follow=True) == "one\ntwo\nthree\n"
        await until(lambda: w.container()["restartCount"] == 1 and w.container()["lastState"].get("terminated"))
        assert await read_logs(w, "web", previous=True, tail_lines=1) == "three\n"
        await until(lambda: w.container()["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff")
        assert (await read_logs(w, "web", tail_lines=2)) == "two\nthree\n"
        stamped = await read_logs(w, "web", timestamps=True)
        assert [line.split(" ")[1] for line in stamped.splitlines()] == ["one", "two", "three"]
        assert await read_logs(w, "web", since_seconds=3600) == "one\ntwo\nthree\n"

    play(world, tmp_path, story)


def test_volumes_environment_and_arguments_reach_the_process(world, tmp_path):
    """A mounted ConfigMap can be read at its mount path in arguments and through MOUNT_; $(VAR) is expanded."""

    async def story(w):
        w.api.create(
            "configmaps", {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x.txt": "from the map"}}, "default"
        )
        script = 'cat "$0"; echo; cat "$MOUNT_CONF/x.txt"; echo; echo "$1"'
        w.pod(
            container={
                "image": "sh",
                "command": ["sh", "-c", script, "/etc/conf/x.txt", "I am $(ME)"],
                "env": [{"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                "volumeMounts": [{"name": "conf", "mountPath": "/etc/conf"}],
            },
            volumes=[{"name": "conf", "configMap": {"name": "c"}}],
            restartPolicy="Never",
        )
        await until(lambda: w.see()["status"]["phase"] == "Succeeded")
        assert await read_logs(w, "web") == "from the map\nfrom the map\nI am 127.253.1.1\n"

    play(world, tmp_path, story)


def test_a_container_gets_nothing_secret_from_the_daemon(world, tmp_path, monkeypatch):
    """Only a few named variables of the daemon's environment are passed on."""
    monkeypatch.setenv("SOME_TOKEN", "hush")

    async def story(w):
        w.pod(container={"image": "sh", "command": ["env"]}, restartPolicy="Never")
        await until(lambda: w.see()["status"]["phase"] == "Succeeded")
        text = await read_logs(w, "web")
        assert "PATH=" in text
        assert "hush" not in text

    play(world, tmp_path, story)


@pytest.mark.parametrize(
    ("probe", "healthy", "detail"),
    [
        pytest.param({"exec": {"command": ["true"]}}, True, "", id="exec-success"),
        pytest.param({"exec": {"command": ["sh", "-c", "echo sick; exit 2"]}}, False, "sick", id="exec-failure"),
        pytest.param(
            {"exec": {"command": ["sleep", "9"]}, "timeoutSeconds": 0.2}, False, "timed out", id="exec-timeout"
        ),
        pytest.param({"exec": {"command": ["/no/such"]}}, False, "No such file", id="exec-missing"),
        pytest.param({"tcpSocket": {"port": 1}}, False, "connection refused", id="tcp-refused"),
        pytest.param({"httpGet": {"port": 1, "path": "/x"}}, False, 'Get "http://127.0.0.1:1/x"', id="http-refused"),
        pytest.param({"grpc": {"port": 1}}, False, "knows httpGet", id="grpc-is-not-known"),
    ],
)
def test_single_probes(tmp_path, probe, healthy, detail):
    """Each kind of probe says what it found, in the kubelet's words."""
    target = Target(ip="127.0.0.1", ports={}, env={"PATH": os.environ["PATH"]}, directory=str(tmp_path))
    outcome = asyncio.run(check(probe, target))
    assert outcome.healthy is healthy
    assert detail in outcome.detail


@pytest.mark.parametrize(("code", "healthy"), [(200, True), (302, True), (404, False), (503, False)])
def test_an_http_probe_takes_200_to_399_for_healthy(tmp_path, code, healthy):
    """The status code alone decides; headers of the probe are sent."""
    seen = []

    async def serve(reader, writer):
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def story():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        target = Target(ip="127.0.0.1", ports={"http": port}, env={}, directory=str(tmp_path))
        headers = [{"name": "X-Probe", "value": "yes"}]
        outcome = await check({"httpGet": {"port": "http", "path": "/z", "httpHeaders": headers}}, target)
        server.close()
        return outcome

    assert asyncio.run(story()).healthy is healthy
    assert b"GET /z HTTP/1.1" in seen[0]
    assert b"X-Probe: yes" in seen[0]
