"""Seeded random harm: each step is one thing that goes wrong, is edited, or is mended."""

import contextlib
import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.soak.outside import CONFIG, MCS, MEMBERS, NOT_OURS, OURS, REGION_OF, SERVICES, Hunter, Outside
from tests.soak.watchman import Watchman

KINDS = (
    "latency", "403", "429", "500", "503", "hang", "cut", "lost-answer", "stale-read", "partial-list",
    "expired-credential",
)  # fmt: skip
PATHS = {
    "hunt-config": ("", "", "/leases", "gpuservices", "gpuservices/.*/status", "multicluster", "/events"),
    "gcp": ("", "", "/clusters", "/token", "getHealth", "/quotas|/regions", "advice", "acceleratorTypes"),
    "member": ("", "", "/events", "/pods", "/deployments", "/nodes", "/services"),
}
METRICS = ("NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS", "NVIDIA_T4_GPUS", "PREEMPTIBLE_NVIDIA_T4_GPUS")
REGIONS = ("us-central1", "us-east4", "europe-west4")
CAPS = (0.7, 1.0, 4.0)


@dataclass
class Chaos:
    """Does harm, and can undo all of it."""

    outside: Outside
    watchman: Watchman
    hunters: list[Hunter]
    names: list[str]
    seed: int
    most_down: int = 1
    history: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.steps = {
            self.storm: 6, self.fault: 6, self.stock_out: 3, self.restock: 2, self.preempt: 2, self.region_down: 2,
            self.region_up: 2, self.quota: 1, self.clock: 1, self.edit: 4, self.delete_by_hand: 2, self.kill: 3,
            self.second: 1, self.freeze: 1, self.clear: 2, self.mangle: 1, self.scale_by_hand: 1,
        }  # fmt: skip

    def step(self) -> str:
        """Do one thing."""
        chosen = self.random.choices(list(self.steps), list(self.steps.values()))[0]
        try:
            said = chosen()
        except (httpx.HTTPError, OSError, RuntimeError) as error:
            said = f"{chosen.__name__}: {type(error).__name__}: {error}"[:160]
        self.history.append(said)
        return said

    def fault(self) -> str:
        pick = self.random.choice
        kind, endpoint = pick(KINDS), pick(("hunt-config", "hunt-config", "gcp", *MEMBERS[:3]))
        path = pick(PATHS.get(endpoint, PATHS["member"]))
        write_only = kind == "lost-answer" or self.random.random() < 0.2
        fault: dict[str, Any] = {
            "endpoint": endpoint, "kind": kind, "path": f"{NOT_OURS}.*({path})",
            "methods": ["PUT", "POST", "PATCH", "DELETE"] if write_only else [],
            "probability": pick((0.5, 1.0, 1.0)), "times": pick((1, 3, 20, 100)),
        }  # fmt: skip
        if kind == "latency":
            fault["seconds"] = pick((0.3, 2.0, 7.0))
        if kind == "429":
            fault["retry_after"] = pick((1, 3, 30))
        self.outside.admin("fault-add", **fault)
        return f"fault {kind} at {endpoint} {path} {'writes' if write_only else ''} x{fault['times']}"

    def storm(self) -> str:
        """Several faults at once, which is how they come, and something to do meanwhile."""
        return "; ".join([*(self.fault() for _ in range(3)), self.edit()])

    def clear(self) -> str:
        return f"faults cleared: {self.outside.admin('fault-clear')['cleared']}"

    def stock_out(self) -> str:
        region, kind = self.random.choice(REGIONS), self.random.choice(("nvidia-l4", "nvidia-tesla-t4", None))
        with contextlib.suppress(RuntimeError):
            self.outside.admin("stock-out", region=region, accelerator=kind)
        return f"stock-out {region} {kind}"

    def restock(self) -> str:
        region = self.random.choice((*REGIONS, None))
        self.outside.admin("restock", region=region)
        return f"restock {region}"

    def preempt(self) -> str:
        region = self.random.choice(REGIONS)
        nodes = self.outside.admin("preempt", region=region, count=self.random.choice((1, None)))["nodes"]
        return f"preempt {region}: {len(nodes)} nodes"

    def region_down(self) -> str:
        region, how = self.random.choice(REGIONS), self.random.choice(("hang", "refuse"))
        if len(self.watchman.down) >= self.most_down:
            return self.region_up()
        self.watchman.down.add(region)
        self.outside.admin("region-down", region=region, how=how)
        return f"region-down {region} {how}"

    def region_up(self) -> str:
        for region in sorted(self.watchman.down):
            self.outside.admin("region-up", region=region)
            self.watchman.down.discard(region)
            return f"region-up {region}"
        return "region-up: none is down"

    def quota(self) -> str:
        region, metric, limit = self.random.choice(REGIONS), self.random.choice(METRICS), self.random.choice((0, 1, 16))
        self.outside.admin("set-quota", metric=metric, limit=limit, region=region)
        return f"quota {metric} {limit} in {region}"

    def clock(self) -> str:
        seconds = self.random.choice((0, 30, -30, 600, -600))
        self.outside.admin("clock-offset", seconds=seconds)
        return f"clock-offset {seconds}"

    def edit(self) -> str:
        name, now = self.random.choice(self.names), time.monotonic()
        what = self.random.choice(("replicas", "accelerators", "denied", "cap", "replicas", "denied", "paused"))
        if what == "replicas":
            spec: dict[str, Any] = {"replicas": self.random.choice((1, 2, 3, 4))}
        elif what == "accelerators":
            kinds = [{"type": "nvidia-l4"}, {"type": "nvidia-tesla-t4"}]
            spec = {"accelerators": self.random.sample(kinds, 2)}
        elif what == "denied":
            more = self.random.sample(REGIONS, self.random.choice((0, 1)))
            spec = {"regions": {"denied": ["asia-southeast1", *more]}}
            for region in REGIONS:
                self.watchman.denied.pop((name, region), None)
            self.watchman.denied.update({(name, region): now for region in more})
        elif what == "cap":
            spec = {"maxHourlyCost": self.random.choice(CAPS)}
            self.watchman.cap[name] = (spec["maxHourlyCost"], now)
        else:
            spec = {"paused": self.random.random() < 0.3}
        self.outside.edit(name, spec)
        return f"edit {name} {spec}"

    def delete_by_hand(self) -> str:
        name, now = self.random.choice(self.names), time.monotonic()
        self.watchman.by_hand[name] = now
        if self.random.random() < 0.3:
            kind = self.random.choice((MCS, MCS.replace("services", "ingresses"), "backendconfigs"))
            path = kind if "/" in kind else "/apis/cloud.google.com/v1/namespaces/default/backendconfigs"
            self.watchman.address_gone |= "ingresses" in path  # another service may get the address that was given up
            self.outside.call(CONFIG, "DELETE", f"{path}/{name}")
            return f"deleted {path.rpartition('/')[2]} {name} by hand"
        cluster = self._up()
        path = self.random.choice(
            (
                "/apis/apps/v1/namespaces/default/deployments",
                "/api/v1/namespaces/default/pods",
                "/api/v1/namespaces/default/services",
                "/api/v1/namespaces/default/serviceaccounts",
            )
        )
        found = self.outside.items(cluster, path, OURS)
        if not found:
            return f"nothing to delete in {cluster}"
        victim = self.random.choice(found)["metadata"]["name"]
        self.outside.call(cluster, "DELETE", f"{path}/{victim}")
        return f"deleted {path.rpartition('/')[2]} {victim} in {cluster} by hand"

    def scale_by_hand(self) -> str:
        cluster, path = self._up(), "/apis/apps/v1/namespaces/default/deployments"
        found = self.outside.items(cluster, path, OURS)
        if not found:
            return f"nothing to scale in {cluster}"
        chosen, replicas = self.random.choice(found)["metadata"], self.random.choice((0, 1, 3))
        self.watchman.by_hand[chosen["labels"]["gpuhunter.dev/service"]] = time.monotonic()
        self.outside.merge(cluster, f"{path}/{chosen['name']}", {"spec": {"replicas": replicas}})
        return f"scaled {chosen['name']} in {cluster} to {replicas} by hand"

    def mangle(self) -> str:
        """Write nonsense into the memory, as a bad restore does."""
        name = self.random.choice(self.names)
        self.watchman.by_hand[name] = time.monotonic()
        patch = self.random.choice(
            (
                {"memory": None},
                {"memory": {"version": 99}},
                {"memory": {"fence": 4_000_000_000}},
                {"memory": {"attempts": "garbage"}},
                {"memory": {"placements": None}},
                {"memory": {"offerings": {"x" * 50 + str(i): {"lastMessage": "y" * 500} for i in range(180)}}},
                {"conditions": None, "placements": None},
            )
        )
        self.outside.merge(CONFIG, f"{SERVICES}/{name}/status", {"status": patch})
        return f"memory of {name} mangled: {str(patch)[:60]}"

    def kill(self) -> str:
        hunter = self.random.choice(self.hunters)
        hunter.kill()
        time.sleep(self.random.random())
        self.hunters[0].start()
        return "hunter killed"

    def second(self) -> str:
        self.hunters[1].start()
        return "two hunters at once"

    def freeze(self) -> str:
        """Pause the holder for longer than its lease, while another takes over, and let it wake."""
        self.hunters[1].start()
        self.hunters[0].freeze()
        time.sleep(24)
        self.hunters[0].thaw()
        return "hunter paused for 24 s and woken"

    def mend(self) -> None:
        """Undo all harm."""
        self.outside.admin("fault-clear")
        while self.watchman.down:
            self.region_up()
        self.outside.admin("clock-offset", seconds=0)
        for region in REGIONS:
            for metric in METRICS:
                self.outside.admin("set-quota", metric=metric, limit=16, region=region)
        self.outside.admin("restock")
        self.watchman.denied.clear()
        for name in self.names:
            self.watchman.cap[name] = (4.0, time.monotonic())
            spec = {"paused": False, "maxHourlyCost": 4.0, "regions": {"denied": ["asia-southeast1"]}}
            self.outside.edit(name, spec)
        for hunter in self.hunters:
            hunter.signal(signal.SIGCONT)
        self.hunters[1].kill()
        self.hunters[0].start()

    def _up(self) -> str:
        return self.random.choice([c for c in MEMBERS[:3] if REGION_OF[c] not in self.watchman.down])
