"""`python -m tests.soak --seed N --minutes M`: random harm to a local cloud, and the invariants looked at meanwhile.

Rounds of harm (some steps, a few seconds each) alternate with peace: everything is mended, and the service must come to
what is wanted and then write nothing over ten passes. Exit code 1 when anything was found.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from controlplane.clock import SystemClock
from controlplane.demo.play import LIGHT_SERVICE
from controlplane.demo.scenario import DEFAULT
from controlplane.demo.traffic import Traffic
from controlplane.localcloud import control
from tests.soak.chaos import Chaos
from tests.soak.outside import CONFIG, MCS, MEMBERS, OURS, SERVICES, Hunter, Outside
from tests.soak.watchman import Watchman

TO_CONVERGE = 100.0
QUIET_PASSES = 10


def main() -> int:
    """Run it."""
    options = _options()
    folder = Path(options.dir or tempfile.mkdtemp(prefix="gpu-hunter-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / f"cloud-{options.seed}"
    print(f"seed {options.seed}, {options.minutes:g} minutes, in {folder}", flush=True)
    control.up(state, _scenario(folder))
    hunters = [Hunter(state, folder / f"hunter-{options.seed}-{n}.log") for n in (0, 1)]
    try:
        return _soak(options, state, hunters)
    finally:
        for hunter in hunters:
            hunter.kill()
        control.down(state)


def _soak(options: argparse.Namespace, state: Path, hunters: list[Hunter]) -> int:
    outside = Outside(state)
    names = [f"soak{n}" for n in range(options.services)]
    _apply(state, names, options.replicas)
    prices = yaml.safe_load((state / "prices.yaml").read_text())
    table = {(gpu, region, c): p for gpu, rs in prices.items() for region, cs in rs.items() for c, p in cs.items()}
    watchman = Watchman(outside, table)
    _foreign(outside, watchman)
    chaos = Chaos(outside, watchman, hunters, names, options.seed, options.regions_down)
    watchman.cap = dict.fromkeys(names, (4.0, time.monotonic()))
    watchman.start()
    hunters[0].start()
    traffic: Traffic | None = None
    end, rounds, steps = time.monotonic() + options.minutes * 60, 0, 0
    while time.monotonic() < end:
        _peace(outside, watchman, hunters[0], names)
        if traffic is None:
            address = outside.call(CONFIG, "GET", f"{SERVICES}/{names[0]}")["status"]["address"]
            traffic = Traffic(address, SystemClock(), workers=2, pause=0.1)
            traffic.start()
        elif watchman.address_gone:
            done = traffic.stop()
            print(f"  (the address is another one; {done.ok} requests before)", flush=True)
            address = outside.call(CONFIG, "GET", f"{SERVICES}/{names[0]}")["status"]["address"]
            traffic = Traffic(address, SystemClock(), workers=2, pause=0.1)
            traffic.start()
        watchman.address_gone = False
        rounds += 1
        for _ in range(options.steps):
            if time.monotonic() >= end:
                break
            steps += 1
            _one_step(chaos, watchman, traffic, names[0])
        chaos.mend()
    _peace(outside, watchman, hunters[0], names)
    tally = traffic.stop() if traffic else None
    watchman.stop()
    watchman.check_foreign()
    texts = {hunter.log.name: hunter.log.read_text(errors="replace") for hunter in hunters if hunter.log.exists()}
    watchman.check_secrets({**texts, **watchman.told(), "plan": _plan(state)})
    for name, text in texts.items():
        if "a fault of the program" in text or "Traceback" in text:
            watchman.complain(f"a fault of the program in {name}")
    summary = {
        "seed": options.seed, "rounds": rounds, "steps": steps, "looks": watchman.looks,
        "passes": sum(hunter.passes() for hunter in hunters),
        "requests": tally.as_dict() if tally else None, "found": watchman.found,
    }  # fmt: skip
    print(json.dumps(summary, indent=1), flush=True)
    return 1 if watchman.found else 0


def _one_step(chaos: Chaos, watchman: Watchman, traffic: Traffic, service: str) -> None:
    failed, began = traffic.tally().failed, time.monotonic()
    said = chaos.step()
    print(f"{time.strftime('%H:%M:%S')} {said}", flush=True)
    time.sleep(chaos.random.uniform(0.3, 4.0))
    more = traffic.tally().failed - failed
    if not more:
        return
    told = f"{more} requests failed after: {said}: {traffic.tally().errors[-1:]}"
    if watchman.healthy_throughout(service, began - 3):
        watchman.complain(told)
    else:
        print(f"  ({told}; nothing healthy was wired for a while)", flush=True)


def _peace(outside: Outside, watchman: Watchman, hunter: Hunter, names: list[str]) -> None:
    """Wait until all is as wanted, then until nothing is written for ten passes."""
    hunter.start()
    began, since, before = time.monotonic(), hunter.passes(), None
    while True:
        time.sleep(0.3)
        statuses = [outside.call(CONFIG, "GET", f"{SERVICES}/{name}") for name in names]
        done = all(
            s.get("status", {}).get("ready") == f"{s['spec']['replicas']}/{s['spec']['replicas']}" for s in statuses
        )
        now = _versions(outside)
        if not done or now != before:
            changed = sorted(k for k in now if before and before.get(k) != now[k])
            before, since = now, hunter.passes()
        elif hunter.passes() - since >= QUIET_PASSES:
            print(f"{time.strftime('%H:%M:%S')} peace after {time.monotonic() - began:.0f} s", flush=True)
            return
        if time.monotonic() - began > TO_CONVERGE:
            standing = [(s["metadata"]["name"], s.get("status", {}).get("ready")) for s in statuses]
            watchman.complain(f"no peace within {TO_CONVERGE:.0f} s: {standing}, still changing: {changed}")
            for service in statuses:
                print(yaml.safe_dump({k: v for k, v in service.get("status", {}).items() if k != "memory"}), flush=True)
            return


def _versions(outside: Outside) -> dict[str, str]:
    """Give the resourceVersions of all that the reconciler writes, the lease excepted, and how many Events it told."""
    found = {}
    ingress, backends = (
        MCS.replace("services", "ingresses"),
        "/apis/cloud.google.com/v1/namespaces/default/backendconfigs",
    )
    for path in (SERVICES, MCS, ingress, backends):
        for item in outside.items(CONFIG, path):
            found[f"{path.rpartition('/')[2]}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
    for cluster in MEMBERS:
        for path in ("/api/v1/services", "/api/v1/serviceaccounts", "/apis/policy/v1/poddisruptionbudgets"):
            for item in outside.items(cluster, path, OURS):
                written = [m["time"] for m in item["metadata"].get("managedFields", ()) if m["manager"] == "gpu-hunter"]
                found[f"{cluster}/{path.rpartition('/')[2]}/{item['metadata']['name']}"] = str(written)
        for item in outside.items(cluster, "/apis/apps/v1/deployments", OURS):
            found[f"{cluster}/{item['metadata']['name']}"] = str(item["metadata"]["generation"])
    events = outside.items(CONFIG, "/api/v1/namespaces/default/events")
    found["events"] = str(
        sum(e.get("count", 1) for e in events if e.get("source", {}).get("component") == "gpu-hunter")
    )
    return found


def _foreign(outside: Outside, watchman: Watchman) -> None:
    """Put objects of other people's beside ours."""
    path = "/api/v1/namespaces/default/configmaps"
    for cluster in (CONFIG, *MEMBERS):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-others"}, "data": {"a": "b"}}
        if outside.call(cluster, "GET", f"{path}/of-others") is None:
            outside.call(cluster, "POST", path, body)
        watchman.remember_foreign(cluster, f"{path}/of-others")
    container = {"name": "a", "image": "gpu-hunter/demo-app:1"}
    body = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "soak0-l4-on-demand"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [container]}},
        },
    }  # fmt: skip
    path = "/apis/apps/v1/namespaces/default/deployments"
    outside.call("gpu-europe-west4", "POST", path, body)
    watchman.remember_foreign("gpu-europe-west4", f"{path}/soak0-l4-on-demand")


def _apply(state: Path, names: list[str], replicas: int) -> None:
    service: dict[str, Any] = yaml.safe_load(LIGHT_SERVICE.read_text(encoding="utf-8"))
    documents = []
    for name in names:
        spec = {**service["spec"], "replicas": replicas}
        documents.append({**service, "metadata": {"name": name, "namespace": "default"}, "spec": spec})
    file = state / "soak.yaml"
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    _run(state, "apply", "-f", str(file))


def _plan(state: Path) -> str:
    return _run(state, "plan", "--output", "json") + _run(state, "explain", "soak0", "--output", "json")


def _run(state: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "controlplane", "--state-dir", str(state), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode not in (0, 2, 3):
        raise SystemExit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def _scenario(folder: Path) -> Path:
    scenario = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    scenario["load_balancer"]["port"] = 0
    file = folder / "scenario.yaml"
    file.write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
    return file


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--services", type=int, default=1, help="GPUServices that share the fleet")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help="harmful steps between two times of peace")
    parser.add_argument("--regions-down", type=int, default=1, help="regions that may be down at the same time")
    parser.add_argument("--dir", help="folder for state and logs; a temporary one without it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
