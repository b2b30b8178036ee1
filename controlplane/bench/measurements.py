"""What is measured. Each function starts what it needs, measures, and takes it away."""

import asyncio
import base64
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from controlplane.bench.figures import Figure, Measurement
from controlplane.bench.job import job
from controlplane.bench.load import get, patch, requests_per_second
from controlplane.bench.synthetic import decide_seconds
from controlplane.bench.world import KEY, World, answers, large, service, small, world
from controlplane.clock import SystemClock
from controlplane.demo.stage import local_target
from controlplane.demo.traffic import Traffic
from controlplane.gateways.kubeapi import Endpoint, KubernetesApi
from controlplane.gateways.meter import FIXED, PER_REGION
from controlplane.gateways.resources import PODS
from controlplane.localcloud import control
from controlplane.model.service import Policy, Preset
from controlplane.wiring import build

CLOCK = SystemClock()


def help_time() -> list[Figure]:
    """Time `--help` as a whole process, median of five."""
    seconds = []
    for _ in range(5):
        begun = CLOCK.monotonic()
        subprocess.run([sys.executable, "-m", "controlplane", "--help"], check=True, capture_output=True)
        seconds.append(CLOCK.monotonic() - begun)
    return [Figure("help", statistics.median(seconds), 0.4, "s")]


def start() -> list[Figure]:
    """Start five clusters and take their memory, then bring a service to three regions."""
    begun = CLOCK.monotonic()
    with world(CLOCK, small()) as cloud:
        ready = CLOCK.monotonic() - begun
        cloud.app.apply([service(3, 1)])
        address = cloud.until_serving(3)
        while not answers(address):
            CLOCK.sleep(0.05)
        serving = CLOCK.monotonic() - begun
        status = control.status(cloud.state_dir)
        memory = resident_mb(status.pid) if status else float("inf")
    return [
        Figure("local up, 5 clusters", ready, 8, "s"),
        Figure("memory of the local cloud, 5 clusters", memory, 300, "MB", detail="daemon and Envoy, resident"),
        Figure("from nothing to answering from 3 regions", serving, 20, "s"),
    ]


def demonstration() -> list[Figure]:
    """Play the five acts."""
    run = subprocess.run(
        [sys.executable, "-m", "controlplane", "demo", "--output", "json"], check=False, capture_output=True, text=True
    )
    played = json.loads(run.stdout)
    pages, pictures = played["requests"], played["pictures"]
    answered = f"{pages['ok']} pages read, {pictures['ok']} pictures drawn"
    return [
        Figure("demo, five acts", played["seconds"], 180, "s"),
        Figure("requests failed during the demo", pages["failed"] + pictures["failed"], 0, "", detail=answered),
    ]


def region_killed() -> list[Figure]:
    """SIGKILL everything of the region that answers, under load."""
    with world(CLOCK, small()) as cloud:
        cloud.app.apply([service(3, 1)])
        address = cloud.until_serving(3)
        while not answers(address):
            CLOCK.sleep(0.05)
        traffic = Traffic(address, CLOCK, workers=8, pause=0.005)
        traffic.start()
        CLOCK.sleep(2)
        nearest = max(traffic.tally().regions.items(), key=lambda item: item[1])[0].split()[0]
        control.call(cloud.state_dir, "region-down", region=nearest, how="refuse")
        CLOCK.sleep(4)
        tally = traffic.stop()
    detail = f"{tally.ok} answered, {nearest} killed, longest {tally.longest * 1000:.0f} ms"
    return [Figure("requests failed when a region is killed", tally.failed, 0, "", detail=detail)]


def quiet_pass() -> list[Figure]:
    """Time a pass in which nothing is to be done, over four regions."""
    with world(CLOCK, small()) as cloud:
        cloud.app.apply([service(3, 1)])
        cloud.until_serving(3)
        cloud.until_quiet()
        reports = [cloud.app.run_pass(keep_lease=True) for _ in range(7)]
        writes = sum(len(s.results) + s.status_written for report in reports for s in report.services)
        regions = len(reports[0].calls) - 1
        first = build(local_target(cloud.state_dir), clock=CLOCK).run_pass(dry_run=True).google_calls
    calls = max(max(report.calls.values()) for report in reports)
    seconds = statistics.median(report.seconds for report in reports)
    most, watched = FIXED + PER_REGION * regions, max(report.google_calls for report in reports)
    return [
        Figure("quiet pass, 4 regions", seconds, 0.5, "s"),
        Figure("writes of a quiet pass", writes, 0, "", detail="besides its lease"),
        Figure("API calls of a quiet pass per cluster", calls, 6, ""),
        Figure("calls to Google Cloud APIs, scheduled pass, 4 regions", first, most, "", detail="a new process"),
        Figure("the same in a process that watches", watched, most, "", detail="the catalogue is kept"),
    ]


def forty_clusters() -> list[Figure]:
    """Time a quiet pass over forty clusters 100 ms away, and again with one that hangs."""
    with world(CLOCK, large(40)) as cloud:
        cloud.app.apply([service(4, 1)])
        cloud.until_serving(4)
        cloud.until_quiet()
        control.call(cloud.state_dir, "fault-add", endpoint="*", kind="latency", seconds=0.1)
        cloud.app.run_pass(keep_lease=True)
        far = statistics.median(cloud.app.run_pass(keep_lease=True).seconds for _ in range(5))
        return [Figure("quiet pass, 40 clusters at 100 ms", far, 1.5, "s"), *_one_hangs(cloud)]


def _one_hangs(cloud: World) -> list[Figure]:
    status = control.status(cloud.state_dir)
    members = [c for c in status.clusters if c.role == "member"] if status else []
    held = str(cloud.app.services(*KEY)[0]["status"]["regions"]).split(",")
    idle = next(c for c in members if c.location not in held)
    control.call(cloud.state_dir, "fault-add", endpoint=idle.name, kind="hang")
    report = cloud.app.run_pass(keep_lease=True)
    seen = len(report.calls) - 1
    detail = f"{idle.name} hangs; {seen} of {len(members)} members answered, {len(report.unknown)} unknown"
    missing = len(members) - seen - 1
    return [
        Figure("the same with one that hangs", report.seconds, 12, "s", detail=detail),
        Figure("other members not seen because one hangs", max(0, missing), 0, ""),
    ]


def decision() -> list[Figure]:
    """Decide for 40 regions, 6 GPU types and 2 capacity types."""
    plain = decide_seconds(CLOCK, regions=40, accelerators=6)
    valued = decide_seconds(CLOCK, regions=40, accelerators=6, policy=Policy(Preset.BALANCED))
    return [
        Figure("decide, 40 regions x 6 GPU types x 2 capacity types", plain * 1000, 10, "ms"),
        Figure("the same under a policy", valued * 1000, 15, "ms"),
    ]


def api_server() -> list[Figure]:
    """Load one API server over TLS: GET, LIST of 100 Pods, PATCH."""
    with world(CLOCK, small()) as cloud:
        status = control.status(cloud.state_dir)
        endpoint = next(c.endpoint for c in status.clusters if c.role == "config") if status else ""
        host, port = endpoint.removeprefix("https://").split(":")
        authority, token = _credentials(cloud.state_dir)
        _hundred_pods(KubernetesApi(Endpoint(endpoint, authority), lambda: token))
        pods = "/api/v1/namespaces/default/pods"
        body = json.dumps({"metadata": {"annotations": {"n": "%d"}}})
        kinds = {
            "GET": (lambda _: get(f"{pods}/pod-1", token), 1000.0),
            "LIST of 100 Pods": (lambda _: get(pods, token), 400.0),
            "PATCH": (
                lambda n: patch(f"{pods}/pod-{n % 100}", token, (body % n).encode(), "application/merge-patch+json"),
                200.0,
            ),
        }
        figures = []
        for name, (request, promise) in kinds.items():
            rate = asyncio.run(requests_per_second(host, int(port), authority, request, clock=CLOCK))
            figures.append(Figure(f"API server: {name}", rate, promise, "/s", at_least=True))
    return figures


def _credentials(state_dir: Path) -> tuple[str, str]:
    """Give the clusters' certificate authority and a token for them."""
    import yaml

    config = yaml.safe_load(control.kubeconfig(state_dir).read_text(encoding="utf-8"))
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode("ascii")
    return authority, str(config["users"][0]["user"]["token"])


def _hundred_pods(api: KubernetesApi) -> None:
    """Create Pods that no scheduler touches, so that only the API server works."""
    containers = [{"name": "app", "image": "registry.k8s.io/pause:3.10"}]
    for number in range(100):
        metadata = {"name": f"pod-{number}", "namespace": "default"}
        spec = {"schedulerName": "nobody", "containers": containers}
        api.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    api.close()


def resident_mb(pid: int) -> float:
    """Give the resident memory of the daemon and its Envoy, in MB; Pods and their shims are the user's own."""
    command = [shutil.which("ps") or "ps", "-e", "-o", "pid=,ppid=,rss=,comm="]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - fixed words
    rows = [(int(child), int(parent), int(rss), name) for child, parent, rss, name in map(_columns, table.splitlines())]
    family = {pid}
    while found := {child for child, parent, _, _ in rows if parent in family} - family:
        family |= found
    return sum(rss for child, _, rss, name in rows if child == pid or (child in family and "envoy" in name)) / 1024


def _columns(line: str) -> list[str]:
    return line.split(maxsplit=3)


MEASUREMENTS = (
    Measurement("help", "`--help` as a whole process", help_time),
    Measurement("job", "the Cloud Run job's packages and start", job),
    Measurement("start", "start, memory, first service", start),
    Measurement("quiet-pass", "a pass with nothing to do", quiet_pass),
    Measurement("decide", "the decision alone", decision),
    Measurement("api-server", "GET, LIST, PATCH under load", api_server),
    Measurement("forty-clusters", "a large fleet, far away; one hangs", forty_clusters),
    Measurement("region-killed", "SIGKILL of a region under load", region_killed),
    Measurement("demo", "the demonstration", demonstration),
)


def machine() -> str:
    """Say what this was measured on."""
    return f"{os.cpu_count()} cores, {sys.platform}, Python {sys.version.split()[0]}"
