"""What Pods have used of the CPU, as the kernel tells it: all that a container started, nothing that is gone."""

import os
import subprocess
import sys

from controlplane.localcloud.clock import settle
from controlplane.localcloud.kubelet.usage import cpu_seconds

WORK = "sum(range(5_000_000)); print(flush=True); input()"


def test_the_cpu_time_of_a_process_is_that_of_all_it_started():
    """A child's time is its parent's too, while it runs and after it was waited for; what is gone has none."""
    mine = os.getpid()
    with subprocess.Popen([sys.executable, "-Ic", WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        used = cpu_seconds([mine, child.pid])
        child.communicate(b"\n")
    assert used[mine] > used[child.pid] > 0
    after = cpu_seconds([mine, child.pid])
    assert set(after) == {mine}
    assert after[mine] > used[mine] - 0.001  # sums of ticks, told in seconds


def test_a_pod_has_the_time_of_its_containers_while_they_run(world):
    """Pods are told by namespace and name; one that does not run yet, or no more, is not told."""

    def is_this_process(process):
        process.pid = os.getpid()

    world.runtime.behave = is_this_process

    async def story(world):
        world.node()
        world.pod("slow", container={"image": "slow:1"})
        world.pod("web", restartPolicy="Never")
        await settle()
        found = world.kubelet.cpu_seconds()
        assert set(found) == {("default", "web")}
        assert found["default", "web"] > 0
        world.runtime.processes[0].exit(0)
        await settle()
        assert world.kubelet.cpu_seconds() == {}

    world.run(story)
