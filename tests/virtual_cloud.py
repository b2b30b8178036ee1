"""The whole local cloud in this process, in virtual time, and the engine on it over its real gateways and sockets.

What cannot be in virtual time is replaced at the seams that `LocalCloud` has for it: containers are no processes but
take a set time to start and all their grace to end, and the load balancer's proxy finds every endpoint healthy. Time
stands still during a pass; between passes it goes on, and everything in the cloud (autoscaler, kubelets, controllers,
load balancer, recorded stock) has its turn at its own instant.
"""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import yaml

from controlplane.localcloud.clock import VirtualClock
from controlplane.localcloud.daemon.cloud import LocalCloud
from controlplane.localcloud.daemon.commands import AdminCommands
from controlplane.localcloud.daemon.machine import Machine
from controlplane.localcloud.daemon.state import StateDir
from controlplane.localcloud.kubelet.probes import Outcome
from controlplane.localcloud.scenario import load_scenario
from controlplane.simulate.hunter.deployments import EPOCH
from controlplane.wiring import Target, build


class Process:
    """A container that takes all the grace that it gets to end."""

    pid = 1

    def __init__(self, clock):
        self._clock = clock
        self._exit = asyncio.get_running_loop().create_future()
        self._ending = None

    async def wait(self):
        return await asyncio.shield(self._exit)

    def stop(self, grace):
        self._ending = asyncio.get_running_loop().create_task(self._end_after(grace))

    async def _end_after(self, seconds):
        await self._clock.sleep(seconds)
        self._end(0)

    def kill(self):
        self._end(137)

    def _end(self, code):
        if not self._exit.done():
            self._exit.set_result(code)


class Containers:
    """Starts them. `ending` may give another process for a command, one that ends by itself."""

    def __init__(self, clock, ending=None):
        self._clock, self._ending = clock, ending

    async def start(self, command):
        process = self._ending(command, self._clock) if self._ending else None
        return process or Process(self._clock)


class App:
    """Answers the probes: a Pod's app is well from so many seconds after it was first asked."""

    def __init__(self, clock, seconds):
        self._clock, self._seconds = clock, seconds
        self._asked = {}

    async def __call__(self, probe, target):
        began = self._asked.setdefault(target.env["HOSTNAME"], self._clock.monotonic())
        return Outcome(self._clock.monotonic() - began >= self._seconds, "starting")


class Proxy:
    """Finds healthy whatever endpoint it is told of."""

    def __init__(self, run_dir):
        self.config_dir, self.access_log = run_dir / "xds", run_dir / "access.log"
        self._documents = {}

    def prepare(self):
        self._documents.clear()

    def write(self, documents):
        self._documents.update(json.loads(json.dumps(documents)))
        return True

    def sweep(self, keep):
        self._documents = {name: self._documents[name] for name in keep}

    async def run(self):
        await asyncio.Event().wait()

    async def stop(self):
        pass

    async def rotate_access_log(self):
        pass

    async def admin(self, path, *, method="GET"):
        found = [
            {
                "name": resource["cluster_name"],
                "host_statuses": [
                    {"address": endpoint["endpoint"]["address"], "health_status": {}}
                    for locality in resource["endpoints"]
                    for endpoint in locality["lb_endpoints"]
                ],
            }
            for name, document in self._documents.items()
            if name.startswith("eds-")
            for resource in document["resources"]
        ]
        return json.dumps({"cluster_statuses": found}).encode()


class EngineClock:
    """The cloud's time as the engine's threads see it, except that the patience for answers is counted in real time."""

    def __init__(self, clock):
        self.now, self._clock = clock.now, clock

    def monotonic(self):
        return self._clock.monotonic() + time.monotonic()

    def sleep(self, seconds):
        time.sleep(seconds)


class VirtualCloud:
    """A running local cloud (`local`) and the engine for it. `now` is in seconds since the start."""

    def __init__(self, clock, app, local, target):
        self._clock, self._app, self.local, self._target = clock, app, local, target
        self._commands = AdminCommands(local, pid=0).table()

    @property
    def now(self):
        return self._clock.monotonic()

    async def advance(self, to):
        """Let time pass up to this instant, with all that happens on the way."""
        await self._clock.advance(to - self.now)

    async def call(self, command, **arguments):
        """Change the cloud as `local` and `fail` do."""
        return await self._commands[command](**arguments)

    async def objects(self, call):
        """Give what a call of the config cluster's API gives."""
        return await asyncio.to_thread(lambda: call(self._app._config.api()))

    async def apply(self, *services):
        await asyncio.to_thread(self._app.apply, list(services))

    async def run_pass(self, *, dry_run=False):
        """Make one pass of the engine while time stands still; give its report."""
        report = await asyncio.to_thread(self._app.run_pass, dry_run=dry_run, keep_lease=True)
        await self._clock.advance(0)
        return report

    async def release(self):
        """Give the lease back."""
        await asyncio.to_thread(self._app.reconciler.release)

    def another_process(self):
        """Go on with an engine that knows nothing but what stands in the cloud."""
        self._app = build(self._target, clock=EngineClock(self._clock))


@asynccontextmanager
async def virtual_cloud(folder, scenario, *, starting, ending=None, metrics=None):
    """Run a local cloud with this scenario, in which apps take so many seconds to start.

    metrics: gives, for the cloud's clock, who knows what Pods use.
    """
    folder.mkdir()
    file = folder / "scenario.yaml"
    file.write_text(yaml.safe_dump(scenario, sort_keys=False))
    directory, clock = StateDir(folder / "cloud"), VirtualClock(EPOCH)
    measured = metrics(clock) if metrics else None
    machine = Machine(clock, Containers(clock, ending), App(clock, starting), Proxy, measured)
    directory.folder.mkdir()
    cloud = LocalCloud(directory, load_scenario(file), progress=lambda _: None, machine=machine)
    try:
        await cloud.start()
        await clock.advance(0)
        found = cloud.scenario
        target = Target(
            project=found.project,
            config_cluster=found.config_cluster.link,
            endpoints=cloud.endpoints.apis(),
            ca_file=cloud.pki.ca_file,
            credentials_file=directory.credentials_file,
            prices_file=directory.prices_file,
        )
        app = build(target, clock=EngineClock(clock))
        running = VirtualCloud(clock, app, cloud, target)
        yield running
        await running.release()
    finally:
        await cloud.stop()
