"""All clusters of the local cloud: started from what is remembered, created and deleted while it runs.

This is the container API's ClusterHost, and the load balancer's view of the fleet.
"""

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from controlplane.localcloud.apiserver.api import Api
from controlplane.localcloud.clock import rfc3339
from controlplane.localcloud.daemon.cluster import HOST, Outage, RunningCluster, Surroundings
from controlplane.localcloud.daemon.state import CloudState, ClusterState, StateDir
from controlplane.localcloud.daemon.subnets import Subnets
from controlplane.localcloud.faults import AsgiApp
from controlplane.localcloud.gcp.hosts import HostedCluster
from controlplane.localcloud.scenario import ClusterSpec, Scenario, region_of


class Clusters:
    """The clusters by their links, `us-central1/name`."""

    def __init__(
        self,
        directory: StateDir,
        scenario: Scenario,
        state: CloudState,
        around: Surroundings,
        *,
        changed: Callable[[], None],
    ) -> None:
        self.running: dict[str, RunningCluster] = {}
        self._directory = directory
        self._scenario = scenario
        self._scenario_links = {spec.link for spec in scenario.all_clusters}
        self._state = state
        self._around = around
        self._clock = around.clock
        self._changed = changed
        self._subnets = Subnets()
        self._ca_pem = around.cluster_pki.ca_pem
        self._passing: dict[str, tuple[ClusterState, str]] = {}

    async def start(self, progress: Callable[[str], None]) -> None:
        """Start the scenario's clusters in a new cloud, afterwards those that are remembered."""
        known = {(spec.name, spec.location): spec for spec in self._scenario.all_clusters}
        if self._state.new:
            self._state.new = False
            self._state.clusters = [self._new(spec) for spec in known.values()]
        for state in self._state.clusters:
            progress(f"starting cluster {state.name} in {state.location}")
            await self._start(known.get((state.name, state.location)) or self._spec(state), state)

    async def stop(self) -> None:
        """Stop all of them."""
        await asyncio.gather(*(cluster.stop() for cluster in self.running.values()), return_exceptions=True)
        self._subnets.release_all()

    def list(self) -> Sequence[HostedCluster]:
        """Give all clusters, those being created or deleted included."""
        hosted = [self._hosted(cluster.state, "RUNNING") for cluster in self.running.values()]
        return [*hosted, *(self._hosted(state, status) for state, status in self._passing.values())]

    async def create(self, name: str, location: str, labels: Mapping[str, str]) -> None:
        """Start a new cluster; comes back when its API answers."""
        state = ClusterState(name, location, 0, 0, rfc3339(self._clock.now()), dict(labels))
        spec = self._spec(state)
        self._passing[spec.link] = (state, "PROVISIONING")
        try:
            await self._clock.sleep(self._around.delays().cluster_create)
            try:
                await self._start(spec, state)
            except BaseException:
                self._remove_files(state)
                raise
            self._state.clusters.append(state)
        finally:
            self._passing.pop(spec.link, None)
        self._changed()

    async def delete(self, name: str, location: str) -> None:
        """Stop a cluster and forget its objects."""
        link = f"{location}/{name}"
        cluster = self.running.pop(link)
        self._passing[link] = (cluster.state, "STOPPING")
        try:
            cluster.autopilot.release()
            await _to_the_end(cluster.stop())
            await self._clock.sleep(self._around.delays().cluster_create)
            self._remove_files(cluster.state)
            self._subnets.release(cluster.state.subnet)
            self._state.clusters = [entry for entry in self._state.clusters if entry is not cluster.state]
        finally:
            self._passing.pop(link, None)
        self._changed()

    def members(self) -> Mapping[str, Api]:
        """Give the API of every cluster by its link."""
        return {link: cluster.api for link, cluster in self.running.items()}

    def server(self, link: str) -> AsgiApp | None:
        """Give a cluster's API server while it answers."""
        cluster = self.running.get(link)
        return None if cluster is None or cluster.down else cluster.server.app

    def reachable(self, link: str) -> bool:
        """Say whether a cluster answers."""
        cluster = self.running.get(link)
        return cluster is not None and not cluster.down

    async def go_down(self, region: str, how: Outage) -> Sequence[str]:
        """Let the clusters of a region fall; gives their names."""
        fallen = self._in(region)
        await asyncio.gather(*(cluster.go_down(how) for cluster in fallen))
        return [cluster.spec.name for cluster in fallen]

    async def come_up(self, region: str) -> Sequence[str]:
        """Bring the clusters of a region back; gives their names."""
        back = self._in(region)
        await asyncio.gather(*(cluster.come_up() for cluster in back))
        return [cluster.spec.name for cluster in back]

    def _in(self, region: str) -> Sequence[RunningCluster]:
        return [cluster for cluster in self.running.values() if cluster.spec.region == region]

    async def _start(self, spec: ClusterSpec, state: ClusterState) -> None:
        taken = {other.subnet for other in self._state.clusters if other is not state}
        state.subnet = self._subnets.claim(state.subnet, taken)
        database = self._database(state)
        database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        run_dir = self._directory.run_folder / database.stem
        cluster = RunningCluster(spec, state, self._around, database=database, run_dir=run_dir)
        self.running[spec.link] = cluster
        try:
            await cluster.start(down=self._around.stock.is_down(spec.region))
        except BaseException:
            del self.running[spec.link]
            self._subnets.release(state.subnet)
            await cluster.stop()
            raise

    def _remove_files(self, state: ClusterState) -> None:
        """Leave nothing of a cluster behind: its objects, and its Pods' folders and logs."""
        database = self._database(state)
        for path in database.parent.glob(f"{database.name}*"):
            path.unlink(missing_ok=True)
        shutil.rmtree(self._directory.run_folder / database.stem, ignore_errors=True)

    def _new(self, spec: ClusterSpec) -> ClusterState:
        return ClusterState(spec.name, spec.location, 0, 0, rfc3339(self._clock.now()), dict(spec.labels))

    def _spec(self, state: ClusterState) -> ClusterSpec:
        zones = self._scenario.zones_of(region_of(state.location))
        return ClusterSpec(state.name, state.location, zones, self._scenario.project, state.labels)

    def _database(self, state: ClusterState) -> Path:
        return self._directory.database(f"{state.location}_{state.name}")

    def _hosted(self, state: ClusterState, status: str) -> HostedCluster:
        return HostedCluster(
            name=state.name,
            location=state.location,
            endpoint=f"{HOST}:{state.port}",
            ca_pem=self._ca_pem,
            status=status,
            labels=state.labels,
            created=state.created,
            # Whoever makes a cluster says whether it is to be in the fleet; the scenario's are from the start.
            fleet=f"{state.location}/{state.name}" in self._scenario_links,
        )


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do it all even when the daemon ends meanwhile: half a stop would leave Pods' processes behind."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
