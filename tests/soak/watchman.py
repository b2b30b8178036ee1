"""What must never be seen, looked for from outside a few times a second."""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.soak.outside import CONFIG, MCS, MEMBERS, OURS, REGION_OF, SERVICES, Outside, in_background

PAUSE = 0.25
LATE = 25.0
ALWAYS_DENIED = "asia-southeast1"


@dataclass
class Sight:
    """One look at everything."""

    at: float
    wired: dict[str, frozenset[str]]
    ready: dict[tuple[str, str], int]
    cost: dict[str, float]
    unseen: frozenset[str]


@dataclass
class Watchman:
    """Looks all the time; `found` holds what broke an invariant."""

    outside: Outside
    prices: dict[tuple[str, str, str], float]
    found: list[str] = field(default_factory=list)
    cap: dict[str, tuple[float, float]] = field(default_factory=dict)
    denied: dict[tuple[str, str], float] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    by_hand: dict[str, float] = field(default_factory=dict)
    deleting: set[str] = field(default_factory=set)
    address_gone: bool = False
    last: Sight | None = None
    looks: int = 0
    _known: set[str] = field(default_factory=set)
    _foreign: dict[str, Any] = field(default_factory=dict)
    _healthy_since: dict[str, float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to look."""
        self._thread = in_background(self._watch, "watchman")

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join(10)

    def complain(self, what: str) -> None:
        """Take down a violation."""
        if what not in self.found:
            self.found.append(what)
            print(f"  !! {time.strftime('%H:%M:%S')} {what}", flush=True)

    def healthy_throughout(self, service: str, since: float) -> bool:
        """Say whether at every look since then a wired region had a ready Pod."""
        began = self._healthy_since.get(service)
        return began is not None and began <= since and not self.address_gone

    def _watch(self) -> None:
        while not self._stop.wait(PAUSE):
            try:
                self._look()
            except (httpx.HTTPError, OSError) as error:
                print(f"  (no look: {type(error).__name__})", flush=True)

    def _look(self) -> None:
        now, wired = time.monotonic(), {}
        for mcs in self.outside.items(CONFIG, MCS):
            links = frozenset(c["link"] for c in mcs["spec"].get("clusters") or ())
            name = mcs["metadata"]["name"]
            if not mcs["metadata"]["labels"].get("gpuhunter.dev/service"):
                continue
            if not links:
                self.complain(f"MultiClusterService {name} has no clusters")
            wired[name] = links
        sight = Sight(now, wired, defaultdict(int), defaultdict(float), frozenset())
        unseen = set()
        for cluster in MEMBERS:
            if REGION_OF[cluster] in self.down:
                unseen.add(cluster)
                continue
            self._look_at(cluster, sight, unseen)
        sight.unseen = frozenset(unseen)
        self._judge(sight)
        self.last, self.looks = sight, self.looks + 1

    def _look_at(self, cluster: str, sight: Sight, unseen: set[str]) -> None:
        try:
            deployments = self.outside.items(cluster, "/apis/apps/v1/deployments", OURS)
            pods = self.outside.items(cluster, "/api/v1/pods", OURS)
        except httpx.HTTPError:
            unseen.add(cluster)
            return
        for pod in pods:
            conditions = {c["type"]: c["status"] for c in pod.get("status", {}).get("conditions") or ()}
            if conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]:
                sight.ready[pod["metadata"]["labels"]["gpuhunter.dev/service"], cluster] += 1
        placements = set()
        for deployment in deployments:
            labels, metadata = deployment["metadata"]["labels"], deployment["metadata"]
            service, region = labels.get("gpuhunter.dev/service", "?"), REGION_OF[cluster]
            kind = (service, labels.get("gpuhunter.dev/accelerator", "?"), labels.get("gpuhunter.dev/capacity", "?"))
            if kind in placements:
                self.complain(f"two Deployments of {kind} in {cluster}")
            placements.add(kind)
            if metadata["uid"] not in self._known:
                self._known.add(metadata["uid"])
                since = self.denied.get((service, region))
                if region == ALWAYS_DENIED or (since is not None and sight.at - since > LATE):
                    self.complain(f"created in the denied {region}: {metadata['name']}")
            price = self.prices.get((kind[1], region, kind[2]), 0.0)
            live = [
                p
                for p in pods
                if "deletionTimestamp" not in p["metadata"]
                and p["metadata"]["name"].startswith(f"{metadata['name']}-")
                and p["metadata"]["labels"].get("gpuhunter.dev/capacity") == kind[2]
            ]
            wanted = 0 if "deletionTimestamp" in metadata else deployment["spec"]["replicas"]
            sight.cost[service] += price * max(wanted, sum(1 for p in live if p["spec"].get("nodeName")))

    def _judge(self, sight: Sight) -> None:
        for service in set(self._healthy_since) - set(sight.wired):
            del self._healthy_since[service]
        for service, links in sight.wired.items():
            here = {link for link in links if sight.ready.get((service, link.partition("/")[2]), 0)}
            if here or self.deleting & {service}:
                self._healthy_since.setdefault(service, sight.at)
            else:
                self._healthy_since.pop(service, None)
            before = self.last.wired.get(service) if self.last else None
            if before is None or before == links or service in self.deleting:
                continue
            gone = before - links
            lost = {link for link in gone if self.last.ready.get((service, link.partition("/")[2]), 0)}
            stays = {x for x in links if x.partition("/")[2] in sight.unseen or x in here}
            if lost and not stays:
                self.complain(
                    f"{service}: the last healthy regions {sorted(lost)} were taken out, left {sorted(links)}"
                )
        for service, cost in sight.cost.items():
            cap, since = self.cap.get(service, (float("inf"), 0.0))
            quiet = sight.at - max(since, self.by_hand.get(service, -1e9)) > LATE
            if cost > cap + 1e-6 and quiet and self.last and self.last.cost.get(service, 0) < cost - 1e-6:
                self.complain(f"{service}: {cost:.2f} $/h held and in flight, over the cap of {cap:.2f}")
        vanished = set(self.last.wired) - set(sight.wired) - self.deleting if self.last else set()
        for service in vanished:
            if not self.by_hand.get(service):
                self.complain(f"{service}: its MultiClusterService vanished")

    # --- what is not ours
    def remember_foreign(self, cluster: str, path: str) -> None:
        """Take down an object that nobody of ours may touch."""
        self._foreign[f"{cluster} {path}"] = _core(self.outside.call(cluster, "GET", path))

    def check_foreign(self) -> None:
        """Compare the foreign objects with what they were."""
        for key, before in self._foreign.items():
            cluster, path = key.split(" ")
            if REGION_OF.get(cluster) in self.down:
                continue
            if _core(self.outside.call(cluster, "GET", path)) != before:
                self.complain(f"a foreign object was changed: {key}")

    def check_secrets(self, texts: dict[str, str]) -> None:
        """Look for secrets where people look."""
        for secret in self.outside.secrets():
            for where, text in texts.items():
                if secret in text:
                    self.complain(f"a secret ({secret[:6]}...) stands in {where}")

    def told(self) -> dict[str, str]:
        """Give the statuses and Events, in which no secret may be."""
        return {
            "status": str(self.outside.items(CONFIG, SERVICES)),
            "events": str(self.outside.items(CONFIG, "/api/v1/namespaces/default/events")),
        }


def _core(found: Any) -> Any:
    if found is None:
        return None
    metadata = found["metadata"]
    return {
        "uid": metadata["uid"],
        "labels": metadata.get("labels"),
        "spec": found.get("spec"),
        "data": found.get("data"),
    }
