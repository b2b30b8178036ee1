"""Nodes: heartbeats, loss, graceful shutdown, power loss and reboot."""

from controlplane.localcloud.clock import rfc3339_micro, settle

TAINT = {"key": "cloud.google.com/impending-node-termination", "effect": "NoSchedule"}


def node_condition(w, type_="Ready"):
    return next(c for c in w.api.find("nodes", "node-1")["status"]["conditions"] if c["type"] == type_)


def test_a_new_node_reports_ready_with_address_and_version(world):
    """The kubelet fills in what only it knows."""

    async def story(w):
        w.node()
        await settle()
        status = w.api.find("nodes", "node-1")["status"]
        assert (node_condition(w)["status"], node_condition(w)["reason"]) == ("True", "KubeletReady")
        assert {entry["type"] for entry in status["addresses"]} == {"InternalIP", "Hostname"}
        assert status["nodeInfo"]["kubeletVersion"].startswith("v1.37")

    world.run(story)


def test_the_lease_is_renewed_every_ten_seconds_and_the_status_seldom(world):
    """An idle node costs one Lease write in ten seconds and one status write in five minutes."""

    async def story(w):
        w.node()
        await settle()
        before = w.api.writes
        await w.clock.advance(300)
        lease = w.api.find("leases.coordination.k8s.io", "node-1", "kube-node-lease")
        assert lease["spec"]["renewTime"] == rfc3339_micro(w.clock.now())
        assert w.api.writes - before == 30 + 1

    world.run(story)


def test_a_node_that_was_called_dead_speaks_up(world):
    """When someone marked the node Unknown although it lives, the next heartbeat sets it right."""

    async def story(w):
        w.node()
        await settle()
        unknown = {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]}
        w.api.patch("nodes", "node-1", {"status": unknown})
        await w.clock.advance(11)
        assert node_condition(w)["status"] == "True"

    world.run(story)


def test_a_node_that_is_gone_takes_its_processes_with_it(world):
    """Deleting a Node kills its Pods' processes at once and leaves the Pod objects to the garbage collector."""

    async def story(w):
        w.node()
        w.pod()
        await w.clock.advance(1)
        w.api.delete("nodes", "node-1")
        await settle()
        assert w.runtime.processes[0].signals == [("KILL", 0)]
        assert w.phase() == "Running"
        assert w.api.find("leases.coordination.k8s.io", "node-1", "kube-node-lease") is None

    world.run(story)


def test_a_spot_notice_ends_pods_gracefully(world):
    """The termination taint gives Pods SIGTERM with at most 15 seconds; they end Failed, Terminated, disrupted."""

    async def story(w):
        w.node()
        w.pod(terminationGracePeriodSeconds=600)
        await w.clock.advance(1)
        w.api.patch("nodes", "node-1", {"spec": {"taints": [TAINT]}})
        await w.clock.advance(1)
        assert w.runtime.processes[0].signals == [("TERM", 15.0)]
        status = w.see()["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
        assert status["message"] == "Pod was terminated in response to imminent node shutdown."
        assert w.condition("DisruptionTarget")["reason"] == "TerminationByKubelet"
        assert node_condition(w)["message"] == "node is shutting down"

    world.run(story)


def test_a_node_that_goes_down_takes_no_more_pods(world):
    """A Pod bound to a node that is shutting down is rejected with NodeShutdown."""

    async def story(w):
        w.node(taints=[TAINT])
        w.pod()
        await w.clock.advance(1)
        assert (w.phase(), w.see()["status"]["reason"]) == ("Failed", "NodeShutdown")
        assert not w.runtime.processes

    world.run(story)


def test_power_loss_kills_at_once_and_changes_no_object(world):
    """kill_all ends every process and writes nothing; heartbeats stop."""

    async def story(w):
        w.node()
        w.pod()
        await w.clock.advance(1)
        before = w.api.writes
        await w.kubelet.kill_all()
        await w.clock.advance(600)
        assert w.runtime.processes[0].signals == [("KILL", 0)]
        assert w.api.writes == before
        assert w.phase() == "Running"

    world.run(story)


def test_pods_run_again_when_the_power_is_back(world):
    """After restart each Pod runs again, with one restart more and its earlier end in lastState."""

    async def story(w):
        w.node()
        w.pod()
        w.pod("once", restartPolicy="Never")
        await w.clock.advance(1)
        await w.kubelet.kill_all()
        await w.clock.advance(60)
        w.kubelet.restart()
        await w.clock.advance(1)
        status = w.container()
        assert status["restartCount"] == 1
        assert "running" in status["state"]
        assert (status["lastState"]["terminated"]["exitCode"], status["lastState"]["terminated"]["reason"]) == (
            255,
            "Unknown",
        )
        assert w.phase("once") == "Failed"
        assert len(w.runtime.alive) == 1
        assert "SandboxChanged" in w.recorder.reasons()

    world.run(story)


def test_a_pod_that_was_being_deleted_is_gone_after_the_reboot(world):
    """A deletion that the power loss interrupted is finished afterwards."""

    async def story(w):
        w.node()
        w.runtime.behave = lambda process: setattr(process, "obeys_sigterm", False)
        w.pod()
        await w.clock.advance(1)
        w.api.delete("pods", "web", "default")
        await w.clock.advance(1)
        await w.kubelet.kill_all()
        w.kubelet.restart()
        await w.clock.advance(1)
        assert w.see() is None

    world.run(story)


def test_a_finished_pod_stays_finished_over_a_restart_of_the_kubelet(world):
    """A new kubelet leaves Pods in a final phase alone."""

    async def story(w):
        w.node()
        w.pod(restartPolicy="Never")
        await w.clock.advance(1)
        w.runtime.processes[0].exit(0)
        await w.clock.advance(1)
        await w.kubelet.kill_all()
        w.kubelet.restart()
        await w.clock.advance(30)
        assert w.phase() == "Succeeded"
        assert len(w.runtime.processes) == 1

    world.run(story)


def test_a_deletion_during_the_shutdown_does_not_cut_the_prestop_hook_short(world):
    """A Pod that is being shut down and is then deleted too still has its preStop hook, within the shorter grace."""

    async def story(w):
        w.node()
        w.pod(container={"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}})
        await w.clock.advance(1)
        w.api.patch("nodes", "node-1", {"spec": {"taints": [TAINT]}})
        await w.clock.advance(1)
        w.api.delete("pods", "web", "default", grace_seconds=10)
        await w.clock.advance(2)
        assert w.runtime.processes[0].signals == []
        await w.clock.advance(3)
        assert w.runtime.processes[0].signals == [("TERM", 10.0)]
        assert w.see() is None

    world.run(story)


def test_a_second_and_shorter_grace_ends_even_a_hook(world):
    """A deletion with one second of grace ends a Pod whose hook would take longer."""

    async def story(w):
        w.node()
        w.pod(container={"lifecycle": {"preStop": {"sleep": {"seconds": 12}}}})
        await w.clock.advance(1)
        w.api.patch("nodes", "node-1", {"spec": {"taints": [TAINT]}})
        await w.clock.advance(1)
        w.api.delete("pods", "web", "default", grace_seconds=1)
        await w.clock.advance(2)
        assert w.see() is None

    world.run(story)


def test_folders_of_pods_that_are_gone_are_swept(world):
    """What an earlier daemon left of Pods that exist no more is removed; the rest stays."""

    async def story(w):
        w.node()
        w.pod()
        await w.clock.advance(1)
        stale = w.folder / "pods" / "gone"
        stale.mkdir(parents=True)
        w.kubelet.sweep()
        assert [path.name for path in (w.folder / "pods").iterdir()] == [w.see()["metadata"]["uid"]]

    world.run(story)


def test_init_containers_run_again_after_a_reboot(world):
    """A new sandbox is prepared anew before the Pod's containers start in it."""

    async def story(w):
        w.node()
        w.pod(initContainers=[{"name": "init", "image": "app:1", "imagePullPolicy": "IfNotPresent"}])
        await w.clock.advance(1)
        w.runtime.processes[0].exit(0)
        await w.clock.advance(1)
        assert w.phase() == "Running"
        await w.kubelet.kill_all()
        w.kubelet.restart()
        await w.clock.advance(1)
        assert len(w.runtime.alive) == 1
        assert w.see()["status"]["initContainerStatuses"][0]["restartCount"] == 1
        w.runtime.alive[0].exit(0)
        await w.clock.advance(1)
        assert len(w.runtime.alive) == 1
        assert (w.phase(), w.container()["restartCount"]) == ("Running", 1)

    world.run(story)


def test_a_pod_that_has_nothing_left_to_run_is_not_prepared_again(world):
    """After a reboot, init containers of a Pod that never restarts stay as they ended."""

    async def story(w):
        w.node()
        init = [{"name": "init", "image": "app:1", "imagePullPolicy": "IfNotPresent"}]
        w.pod(initContainers=init, restartPolicy="Never")
        await w.clock.advance(1)
        w.runtime.processes[0].exit(0)
        await w.clock.advance(1)
        await w.kubelet.kill_all()
        w.kubelet.restart()
        await w.clock.advance(1)
        assert not w.runtime.alive
        assert w.phase() == "Failed"

    world.run(story)
