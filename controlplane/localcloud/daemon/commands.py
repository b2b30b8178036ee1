"""What the admin endpoint can do to the running cloud. Each command checks its own arguments and says what it did."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from controlplane.localcloud.control.errors import LocalCloudError
from controlplane.localcloud.daemon.admin import Command
from controlplane.localcloud.daemon.cloud import LocalCloud
from controlplane.localcloud.daemon.cluster import Outage
from controlplane.localcloud.daemon.projectcommands import ProjectCommands
from controlplane.localcloud.faults import Fault, Kind
from controlplane.localcloud.scenario import SPOT
from controlplane.localcloud.stock.ledger import Pool

LONGEST_OFFSET_SECONDS = 100 * 365 * 86400.0


class AdminCommands:
    """All commands over one cloud."""

    def __init__(self, cloud: LocalCloud, *, pid: int) -> None:
        self._cloud = cloud
        self._pid = pid

    def table(self) -> dict[str, Command]:
        """Give the commands by name."""
        return {
            **ProjectCommands(self._cloud).table(),
            "check-scenario": self.check_scenario,
            "clock-offset": self.clock_offset,
            "connection": self.connection,
            "fault-add": self.fault_add,
            "fault-clear": self.fault_clear,
            "faults": self.faults,
            "members": self.members,
            "preempt": self.preempt,
            "region-down": self.region_down,
            "region-up": self.region_up,
            "restock": self.restock,
            "set-delays": self.set_delays,
            "set-quota": self.set_quota,
            "status": self.status,
            "stock": self.stock,
            "stock-out": self.stock_out,
        }

    async def status(self) -> dict[str, Any]:
        """Describe the cloud and its clusters."""
        cloud = self._cloud
        config = cloud.config_cluster()
        running = cloud.clusters.running
        clusters = []
        for each in cloud.described():
            link = f"{each.location}/{each.name}"
            cluster = running.get(link)
            down = cluster is not None and cluster.down
            clusters.append(
                {
                    "name": each.name,
                    "location": each.location,
                    "role": "config" if link == config else "member" if each.fleet.membership else "",
                    "endpoint": "" if cluster is None else f"https://127.0.0.1:{cluster.state.port}",
                    "status": "DOWN" if down else each.status.name,
                    "nodes": 0 if cluster is None else len(cluster.api.list("nodes")),
                    "pods": 0 if cluster is None else cluster.kubelet.processes(),
                    "message": each.status_message,
                }
            )
        return {
            "project": cloud.scenario.project,
            "scenario": cloud.scenario.name,
            "state_dir": str(cloud.directory.folder),
            "buckets": str(cloud.directory.buckets_folder),
            "pid": self._pid,
            "address": ", ".join(cloud.addresses()),
            "kubeconfig": str(cloud.directory.kubeconfig_file),
            "seconds_up": round(cloud.clock.monotonic() - cloud.started_at, 1),
            "clusters": clusters,
            "leaked_groups": [
                {"name": group.name, "zone": group.zone, "cluster": group.cluster} for group in cloud.leaked_groups()
            ],
        }

    async def connection(self) -> dict[str, Any]:
        """Say how clients reach the Google Cloud endpoints."""
        cloud = self._cloud
        return {
            "project": cloud.scenario.project,
            "config_cluster": cloud.config_cluster() or "",
            "endpoints": cloud.endpoints.apis(),
            "ca_file": str(cloud.pki.ca_file),
            "credentials_file": str(cloud.directory.credentials_file),
            "prices_file": str(cloud.directory.prices_file),
            "storage": cloud.endpoints.storage_environment(),
        }

    async def members(self) -> dict[str, Any]:
        """List the clusters by their links."""
        entries = [
            {"link": link, "reachable": self._cloud.clusters.reachable(link), "pods": cluster.kubelet.processes()}
            for link, cluster in self._cloud.clusters.running.items()
        ]
        return {"members": entries}

    async def check_scenario(self, path: str) -> dict[str, Any]:
        """Complain when the running cloud was started from another scenario."""
        if path != self._cloud.state.scenario:
            name = self._cloud.state.scenario
            text = f"the local cloud runs with the scenario {name}; `gpuhunter local reset` it first to use another"
            raise LocalCloudError(text)
        return {}

    async def stock(self) -> dict[str, Any]:
        """List GPUs and quotas."""
        cloud = self._cloud
        pools = [
            {**asdict(state.pool), "free": state.free, "in_use": state.in_use, "sold_out": state.sold_out}
            for state in cloud.stock.pools()
        ]
        places = ["", *(region.name for region in cloud.scenario.regions)]
        quotas = [{"region": place, **asdict(use)} for place in places for use in cloud.stock.quotas(place)]
        return {"stock": pools, "quotas": quotas, "regions_down": list(cloud.stock.regions_down)}

    async def stock_out(
        self, region: str, accelerator: str | None = None, capacity: str | None = None
    ) -> dict[str, Any]:
        """Sell out a region's or zone's GPUs."""
        return {"pools": _pools(self._cloud.stock.stock_out(region, accelerator, capacity))}

    async def restock(
        self,
        region: str | None = None,
        accelerator: str | None = None,
        capacity: str | None = None,
        count: int | None = None,
    ) -> dict[str, Any]:
        """Bring GPUs back."""
        return {"pools": _pools(self._cloud.stock.restock(region, accelerator, capacity, count))}

    async def preempt(
        self,
        region: str,
        accelerator: str | None = None,
        capacity: str | None = SPOT,
        count: int | None = None,
    ) -> dict[str, Any]:
        """Take back nodes of a region's clusters."""
        if count is not None and count < 1:
            raise LocalCloudError(f"count {count} is less than 1; leave it out to take all")
        self._check_region(region)
        nodes: list[str] = []
        for cluster in self._cloud.clusters.running.values():
            if cluster.spec.region == region and not cluster.down and (count is None or len(nodes) < count):
                left = None if count is None else count - len(nodes)
                nodes += cluster.autopilot.preempt(accelerator, capacity, left)
        return {"nodes": nodes}

    async def region_down(self, region: str, how: Outage = "hang") -> dict[str, Any]:
        """Let a region fall."""
        self._check_region(region)
        if how not in {"hang", "refuse"}:
            raise LocalCloudError(f"how {how!r} is unknown; use hang or refuse")
        return {"region": region, "clusters": list(await self._cloud.region_down(region, how))}

    async def region_up(self, region: str) -> dict[str, Any]:
        """Bring a region back."""
        self._check_region(region)
        return {"region": region, "clusters": list(await self._cloud.region_up(region))}

    async def set_quota(self, metric: str, limit: float, region: str = "") -> dict[str, Any]:
        """Change a quota limit; without a region, the project's."""
        self._cloud.stock.set_quota(metric, limit, region)
        return {"region": region, "metric": metric, "limit": limit}

    async def fault_add(
        self,
        *,
        endpoint: str,
        kind: Kind,
        methods: Iterable[str] = (),
        path: str = "",
        probability: float = 1.0,
        times: int | None = None,
        seconds: float | None = None,
        retry_after: int | None = None,
    ) -> dict[str, Any]:
        """Put a fault in force."""
        self._known_endpoint(endpoint)
        upper = tuple(method.upper() for method in methods)
        fault = Fault(endpoint, kind, upper, path, probability, times, seconds, retry_after)
        return {"id": self._cloud.faults.add(fault)}

    async def fault_clear(self, endpoint: str | None = None, id: str | None = None) -> dict[str, Any]:  # noqa: A002 - as listed
        """End faults: one, those of an endpoint, or all."""
        if id is not None:
            return {"cleared": int(self._cloud.faults.remove(id))}
        if endpoint is not None:
            self._known_endpoint(endpoint)
        return {"cleared": self._cloud.faults.clear(endpoint)}

    def _known_endpoint(self, endpoint: str) -> None:
        names = {cluster.spec.name for cluster in self._cloud.clusters.running.values()}
        if endpoint not in {*names, "gcp", "*"}:
            raise LocalCloudError(f"unknown endpoint {endpoint!r}; use gcp, * or one of {', '.join(sorted(names))}")

    async def faults(self) -> dict[str, Any]:
        """List the faults in force."""
        return {"faults": [{"id": key, **asdict(fault)} for key, fault in self._cloud.faults.list().items()]}

    async def clock_offset(self, seconds: float) -> dict[str, Any]:
        """Shift the time that clusters write."""
        if not abs(seconds) <= LONGEST_OFFSET_SECONDS:
            raise LocalCloudError(f"seconds {seconds} is not a usable offset; give at most a hundred years")
        self._cloud.set_clock_offset(seconds)
        return {"seconds": seconds}

    async def set_delays(self, **changes: Any) -> dict[str, Any]:
        """Change how long things take."""
        return {"delays": asdict(self._cloud.set_delays(changes))}

    def _check_region(self, region: str) -> None:
        known = [entry.name for entry in self._cloud.scenario.regions]
        if region not in known:
            raise LocalCloudError(f"unknown region {region!r}; use one of {', '.join(known)}")


def _pools(pools: Iterable[Pool]) -> list[dict[str, Any]]:
    return [asdict(pool) for pool in pools]
