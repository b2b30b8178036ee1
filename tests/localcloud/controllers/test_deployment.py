"""Deployments as a user sees them: roll out, scale, pause, undo, fail."""

import pytest


def of_image(cluster, image):
    return [p for p in cluster.pods(running=True) if p["spec"]["containers"][0]["image"] == image]


def set_image(cluster, image, name="web"):
    container = {"name": "main", "image": image, "ports": [{"name": "http", "containerPort": 7860}]}
    cluster.patch("deployments.apps", name, {"spec": {"template": {"spec": {"containers": [container]}}}})


def sizes(cluster):
    return sorted(rs["spec"]["replicas"] for rs in cluster.list("replicasets.apps"))


def test_a_new_deployment_comes_up(scenario, deployment, idle):
    """A Deployment gets a ReplicaSet with the template's hash, its Pods, and reports completion with true reasons."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment())
        await cluster.settle()
        assert cluster.condition("deployments.apps", "web", "Available")["reason"] == "MinimumReplicasUnavailable"
        assert cluster.condition("deployments.apps", "web", "Progressing")["reason"] == "ReplicaSetUpdated"
        await cluster.run_pods()
        status = cluster.get("deployments.apps", "web")["status"]
        assert {k: v for k, v in status.items() if k != "conditions"} == {
            "observedGeneration": 1,
            "replicas": 3,
            "updatedReplicas": 3,
            "readyReplicas": 3,
            "availableReplicas": 3,
        }
        assert cluster.condition("deployments.apps", "web", "Available")["reason"] == "MinimumReplicasAvailable"
        assert cluster.condition("deployments.apps", "web", "Progressing")["reason"] == "NewReplicaSetAvailable"
        (rs,) = cluster.list("replicasets.apps")
        digest = rs["metadata"]["labels"]["pod-template-hash"]
        assert rs["metadata"]["name"] == f"web-{digest}"
        assert all(p["metadata"]["labels"]["pod-template-hash"] == digest for p in cluster.pods())
        assert cluster.messages("ScalingReplicaSet") == [f"Scaled up replica set web-{digest} from 0 to 3"]
        assert len(cluster.events("SuccessfulCreate")) == 3
        annotations = cluster.get("deployments.apps", "web")["metadata"]["annotations"]
        assert annotations == {"deployment.kubernetes.io/revision": "1"}
        assert await idle(cluster, 600) == 0

    scenario(story)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable"),
    [
        pytest.param(4, "25%", "25%", id="defaults"),
        pytest.param(3, 1, 0, id="make-before-break"),
        pytest.param(3, 0, 1, id="break-before-make"),
        pytest.param(10, "30%", "15%", id="odd-percentages"),
        pytest.param(1, 0, "25%", id="rounds-to-nothing"),
    ],
)
def test_a_rolling_update_stays_within_its_bounds(scenario, deployment, replicas, surge, unavailable):
    """At no moment are there more Pods than surge allows or fewer available ones than unavailability allows."""
    import math

    up = surge if isinstance(surge, int) else math.ceil(replicas * int(surge[:-1]) / 100)
    down = unavailable if isinstance(unavailable, int) else replicas * int(unavailable[:-1]) // 100
    down = 1 if up == 0 and down == 0 else down

    async def story(cluster):
        rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
        cluster.apply(
            "deployments.apps",
            deployment(replicas=replicas, strategy={"type": "RollingUpdate", "rollingUpdate": rolling}),
        )
        await cluster.run_pods()
        set_image(cluster, "app:2")
        for _ in range(80):
            await cluster.settle()
            pods = cluster.pods(running=True)
            available = [p for p in pods if p["status"].get("phase") == "Running"]
            assert len(pods) <= replicas + up
            assert len(available) >= replicas - down
            waiting = [p for p in cluster.pods() if p["metadata"].get("deletionTimestamp")]
            pending = [p for p in pods if p["status"]["phase"] == "Pending"]
            if waiting:
                cluster.api.delete("pods", waiting[0]["metadata"]["name"], "default", grace_seconds=0)
            elif pending:
                cluster.ready(pending[0])
            else:
                break
        assert len(of_image(cluster, "app:2")) == replicas
        assert of_image(cluster, "app:1") == []
        assert sizes(cluster) == [0, replicas]
        assert cluster.condition("deployments.apps", "web", "Progressing")["reason"] == "NewReplicaSetAvailable"

    scenario(story)


def test_recreate_stops_all_before_it_starts_any(scenario, deployment):
    """With Recreate no new Pod exists while an old one does."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=2, strategy={"type": "Recreate"}))
        await cluster.run_pods()
        set_image(cluster, "app:2")
        await cluster.settle()
        assert of_image(cluster, "app:2") == []
        assert len(cluster.pods()) == 2  # both still terminating
        await cluster.run_pods()
        assert len(of_image(cluster, "app:2")) == 2

    scenario(story)


def test_undo_brings_the_old_replica_set_back_as_the_newest_revision(scenario, deployment):
    """Writing the old template back, as kubectl rollout undo does, revives its ReplicaSet under a new revision."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=1))
        await cluster.run_pods()
        first = cluster.list("replicasets.apps")[0]["metadata"]["name"]
        set_image(cluster, "app:2")
        await cluster.run_pods()
        set_image(cluster, "app:1")
        await cluster.run_pods()
        annotations = cluster.get("replicasets.apps", first)["metadata"]["annotations"]
        assert annotations["deployment.kubernetes.io/revision"] == "3"
        assert annotations["deployment.kubernetes.io/revision-history"] == "1"
        assert (
            cluster.get("deployments.apps", "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            == "3"
        )
        assert len(cluster.list("replicasets.apps")) == 2
        assert len(of_image(cluster, "app:1")) == 1

    scenario(story)


def test_old_revisions_go_beyond_the_history_limit(scenario, deployment):
    """Only revisionHistoryLimit old ReplicaSets are kept, the newest of them."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=1, revisionHistoryLimit=2))
        for number in range(1, 6):
            set_image(cluster, f"app:{number}")
            await cluster.run_pods()
        revisions = {
            rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            for rs in cluster.list("replicasets.apps")
        }
        assert revisions == {"3", "4", "5"}

    scenario(story)


def test_a_paused_deployment_scales_but_does_not_roll(scenario, deployment):
    """Paused: a new template waits, a new size does not; resuming rolls on."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=2))
        await cluster.run_pods()
        cluster.patch("deployments.apps", "web", {"spec": {"paused": True}})
        await cluster.settle()
        set_image(cluster, "app:2")
        cluster.patch("deployments.apps", "web", {"spec": {"replicas": 3}})
        await cluster.run_pods()
        assert len(of_image(cluster, "app:1")) == 3
        assert of_image(cluster, "app:2") == []
        assert cluster.condition("deployments.apps", "web", "Progressing")["reason"] == "DeploymentPaused"
        cluster.patch("deployments.apps", "web", {"spec": {"paused": False}})
        await cluster.run_pods()
        assert len(of_image(cluster, "app:2")) == 3
        assert cluster.condition("deployments.apps", "web", "Progressing")["reason"] == "NewReplicaSetAvailable"

    scenario(story)


def test_a_rollout_that_does_not_move_exceeds_its_deadline(scenario, deployment):
    """Without progress the Progressing condition turns False after the deadline, and True again with success."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=1, progressDeadlineSeconds=60))
        await cluster.pass_time(59)
        assert cluster.condition("deployments.apps", "web", "Progressing")["status"] == "True"
        await cluster.pass_time(3)
        stuck = cluster.condition("deployments.apps", "web", "Progressing")
        assert (stuck["status"], stuck["reason"]) == ("False", "ProgressDeadlineExceeded")
        await cluster.run_pods()
        assert cluster.condition("deployments.apps", "web", "Progressing")["reason"] == "NewReplicaSetAvailable"

    scenario(story)


def test_a_pod_lost_after_the_rollout_is_not_a_rollout(scenario, deployment):
    """A complete Deployment that loses a Pod keeps NewReplicaSetAvailable, and gets its Pod back."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=1))
        await cluster.run_pods()
        cluster.ready(cluster.pods()[0], "False")
        await cluster.settle()
        assert cluster.condition("deployments.apps", "web", "Available")["status"] == "False"
        assert cluster.condition("deployments.apps", "web", "Progressing")["reason"] == "NewReplicaSetAvailable"
        cluster.api.delete("pods", cluster.pods()[0]["metadata"]["name"], "default", grace_seconds=0)
        await cluster.run_pods()
        assert cluster.get("deployments.apps", "web")["status"]["availableReplicas"] == 1

    scenario(story)


def test_refused_pods_show_in_conditions_and_events(scenario, deployment):
    """A refusal by admission is told with its own text, on the ReplicaSet's Events and as ReplicaFailure on both."""
    from controlplane.localcloud.apiserver.api import ApiError

    async def story(cluster):
        def refuse(request):
            if request.resource == "pods" and request.operation == "CREATE":
                raise ApiError(403, "Forbidden", 'pods "x" is forbidden: GPU class not allowed')

        cluster.hooks.append(refuse)
        cluster.apply("deployments.apps", deployment())
        await cluster.settle()
        (rs,) = cluster.list("replicasets.apps")
        assert cluster.messages("FailedCreate") == ['Error creating: pods "x" is forbidden: GPU class not allowed']
        for resource, name in (("replicasets.apps", rs["metadata"]["name"]), ("deployments.apps", "web")):
            failure = cluster.condition(resource, name, "ReplicaFailure")
            assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
            assert "GPU class not allowed" in failure["message"]
        cluster.hooks.clear()
        await cluster.pass_time(60)
        await cluster.run_pods()
        assert cluster.condition("deployments.apps", "web", "ReplicaFailure") is None
        assert len(cluster.pods()) == 3

    scenario(story)


def test_scaling_in_the_middle_of_a_rollout_is_proportional(scenario, deployment):
    """Both ReplicaSets grow in proportion to their size, so a broken new version does not get all of the growth."""

    async def story(cluster):
        rolling = {"maxSurge": 3, "maxUnavailable": 2}
        cluster.apply(
            "deployments.apps",
            deployment(replicas=10, strategy={"type": "RollingUpdate", "rollingUpdate": rolling}),
        )
        await cluster.run_pods()
        set_image(cluster, "app:2")
        await cluster.settle()
        assert sizes(cluster) == [5, 8]  # 13 with surge
        cluster.patch("deployments.apps", "web", {"spec": {"replicas": 15}})
        await cluster.settle()
        assert sizes(cluster) == [7, 11]  # 18 with surge, shared 5:8

    scenario(story)


def test_min_ready_seconds_delay_availability(scenario, deployment):
    """A ready Pod counts as available only after minReadySeconds."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=1, minReadySeconds=30))
        await cluster.run_pods()
        assert "availableReplicas" not in cluster.get("deployments.apps", "web")["status"]
        await cluster.pass_time(31)
        assert cluster.get("deployments.apps", "web")["status"]["availableReplicas"] == 1

    scenario(story)


def test_controllers_that_start_in_a_populated_store_change_nothing(scenario, deployment):
    """A restart of the controllers neither creates nor deletes a Pod."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=5))
        await cluster.run_pods()
        before = {p["metadata"]["uid"] for p in cluster.pods()}
        writes = cluster.writes
        await cluster.stop()
        await cluster.start()
        assert {p["metadata"]["uid"] for p in cluster.pods()} == before
        assert cluster.writes == writes

    scenario(story)


def test_progress_moves_the_deadline_but_not_the_transition(scenario, deployment):
    """While Pods come up one by one, Progressing keeps its transition time and gets a new update time."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=3, progressDeadlineSeconds=60))
        await cluster.settle()
        before = cluster.condition("deployments.apps", "web", "Progressing")
        for pod in cluster.pods()[:2]:
            await cluster.pass_time(40)
            cluster.ready(pod)
            await cluster.settle()
        after = cluster.condition("deployments.apps", "web", "Progressing")
        assert after["reason"] == "ReplicaSetUpdated"
        assert after["lastTransitionTime"] == before["lastTransitionTime"]
        assert after["lastUpdateTime"] > before["lastUpdateTime"]

    scenario(story)
