"""Jobs as a user sees them: complete, fail, be retried, suspended, timed out and cleaned up."""

import pytest

from controlplane.localcloud.controllers.jobrules import format_indexes, parse_indexes


@pytest.fixture
def job():
    """Build a Job."""

    def build(name="render", restart="Never", **spec):
        template = {"spec": {"containers": [{"name": "main", "image": "app:1"}], "restartPolicy": restart}}
        completions = {"completions": 1, "parallelism": 1, "backoffLimit": 6} | spec
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"template": template, **completions},
        }

    return build


def active(cluster):
    return [p for p in cluster.pods(running=True) if p["status"]["phase"] in ("Pending", "Running")]


def condition(cluster, kind):
    return cluster.condition("jobs.batch", "render", kind)


def status(cluster):
    return cluster.get("jobs.batch", "render")["status"]


async def finish_all(cluster, phase="Succeeded", **kwargs):
    for pod in active(cluster):
        cluster.finish(pod, phase, **kwargs)
    await cluster.settle()


def test_a_job_runs_its_completions_in_parallel(scenario, job, idle):
    """No more than parallelism Pods run; the Job is complete after as many successes as asked for."""

    async def story(cluster):
        cluster.apply("jobs.batch", job(completions=3, parallelism=2))
        await cluster.settle()
        assert len(active(cluster)) == 2
        assert status(cluster)["active"] == 2
        await finish_all(cluster)
        assert len(active(cluster)) == 1
        await finish_all(cluster)
        assert condition(cluster, "SuccessCriteriaMet")["reason"] == "CompletionsReached"
        assert condition(cluster, "Complete")["status"] == "True"
        assert status(cluster)["succeeded"] == 3
        assert "active" not in status(cluster)
        assert status(cluster)["completionTime"]
        assert cluster.messages("Completed") == ["Job completed"]
        assert all(not p["metadata"].get("finalizers") for p in cluster.pods())
        assert await idle(cluster, 600) == 0

    scenario(story)


def test_an_indexed_job_gives_each_pod_its_index(scenario, job):
    """Each index succeeds once; a failed one is given out again; the Pod knows its index."""

    async def story(cluster):
        cluster.apply("jobs.batch", job(completions=3, parallelism=3, completionMode="Indexed"))
        await cluster.settle()
        by_index = {
            p["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]: p for p in active(cluster)
        }
        assert set(by_index) == {"0", "1", "2"}
        env = {e["name"] for e in by_index["0"]["spec"]["containers"][0]["env"]}
        assert "JOB_COMPLETION_INDEX" in env
        assert by_index["2"]["spec"]["hostname"] == "render-2"
        cluster.finish(by_index["0"])
        cluster.finish(by_index["1"], "Failed")
        cluster.finish(by_index["2"])
        await cluster.pass_time(11)
        assert status(cluster)["completedIndexes"] == "0,2"
        (again,) = active(cluster)
        assert again["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == "1"
        cluster.finish(again)
        await cluster.settle()
        assert status(cluster)["completedIndexes"] == "0-2"
        assert status(cluster)["failed"] == 1
        assert condition(cluster, "Complete")

    scenario(story)


def test_failures_are_retried_with_growing_delay_up_to_the_limit(scenario, job):
    """10 s, then 20 s, and after backoffLimit failures the Job has failed for good."""

    async def story(cluster):
        cluster.apply("jobs.batch", job(backoffLimit=2))
        await cluster.settle()
        await finish_all(cluster, "Failed")
        assert active(cluster) == []
        await cluster.pass_time(9)
        assert active(cluster) == []
        await cluster.pass_time(2)
        assert len(active(cluster)) == 1
        await finish_all(cluster, "Failed")
        await cluster.pass_time(19)
        assert active(cluster) == []
        await cluster.pass_time(2)
        await finish_all(cluster, "Failed")
        failed = condition(cluster, "Failed")
        assert (failed["reason"], status(cluster)["failed"]) == ("BackoffLimitExceeded", 3)
        assert cluster.messages("BackoffLimitExceeded") == ["Job has reached the specified backoff limit"]
        await cluster.pass_time(600)
        assert active(cluster) == []

    scenario(story)


def test_a_job_past_its_deadline_stops_its_pods_and_fails(scenario, job):
    """ActiveDeadlineSeconds ends the Job while its Pods still run."""

    async def story(cluster):
        cluster.apply("jobs.batch", job(activeDeadlineSeconds=60))
        await cluster.run_pods()
        await cluster.pass_time(61)
        assert condition(cluster, "FailureTarget")["reason"] == "DeadlineExceeded"
        await cluster.run_pods()
        assert condition(cluster, "Failed")["reason"] == "DeadlineExceeded"
        assert active(cluster) == []

    scenario(story)


@pytest.mark.parametrize(
    ("action", "failed", "over"),
    [pytest.param("FailJob", 1, True, id="fail"), pytest.param("Ignore", None, False, id="ignore")],
)
def test_the_failure_policy_decides_what_an_exit_code_means(scenario, job, action, failed, over):
    """FailJob gives the Job up at once; Ignore does not count the failure."""

    async def story(cluster):
        codes = {"containerName": "main", "operator": "In", "values": [42]}
        cluster.apply("jobs.batch", job(podFailurePolicy={"rules": [{"action": action, "onExitCodes": codes}]}))
        await cluster.settle()
        name = active(cluster)[0]["metadata"]["name"]
        await finish_all(cluster, "Failed", exit_code=42)
        assert status(cluster).get("failed") == failed
        if over:
            assert condition(cluster, "Failed")["reason"] == "PodFailurePolicy"
            assert condition(cluster, "Failed")["message"] == (
                f"Container main for pod default/{name} failed with exit code 42 matching FailJob rule at index 0"
            )
        else:
            assert condition(cluster, "Failed") is None
            assert len(active(cluster)) == 1

    scenario(story)


def test_a_suspended_job_has_no_pods_until_it_is_resumed(scenario, job):
    """Suspending stops the Pods without counting failures; resuming starts the clock anew."""

    async def story(cluster):
        cluster.apply("jobs.batch", job(activeDeadlineSeconds=100))
        await cluster.run_pods()
        cluster.patch("jobs.batch", "render", {"spec": {"suspend": True}})
        await cluster.run_pods()
        assert active(cluster) == []
        assert condition(cluster, "Suspended")["reason"] == "JobSuspended"
        assert "failed" not in status(cluster)
        await cluster.pass_time(1000)
        cluster.patch("jobs.batch", "render", {"spec": {"suspend": False}})
        await cluster.settle()
        assert condition(cluster, "Suspended")["status"] == "False"
        assert condition(cluster, "Failed") is None
        assert len(active(cluster)) == 1

    scenario(story)


def test_a_finished_job_goes_after_its_time_to_live(scenario, job):
    """TtlSecondsAfterFinished deletes the Job and, with it, its Pods."""

    async def story(cluster):
        cluster.apply("jobs.batch", job(ttlSecondsAfterFinished=100))
        await cluster.settle()
        await finish_all(cluster)
        await cluster.pass_time(99)
        assert cluster.get("jobs.batch", "render")
        await cluster.pass_time(2)
        assert cluster.get("jobs.batch", "render") is None
        assert cluster.pods() == []

    scenario(story)


def test_a_deleted_job_takes_its_running_pods_along(scenario, job):
    """The tracking finalizer does not hold back the Pods of a Job that is gone."""

    async def story(cluster):
        cluster.apply("jobs.batch", job(parallelism=2, completions=2))
        await cluster.run_pods()
        cluster.api.delete("jobs.batch", "render", "default", propagation="Background")
        await cluster.run_pods()
        assert cluster.pods() == []

    scenario(story)


def test_a_deleted_pod_is_replaced_and_counts_as_failed(scenario, job):
    """A Pod that is deleted under a Job is one failure, counted once."""

    async def story(cluster):
        cluster.apply("jobs.batch", job())
        await cluster.run_pods()
        cluster.api.delete("pods", cluster.pods()[0]["metadata"]["name"], "default")
        await cluster.run_pods()
        await cluster.pass_time(15)
        assert status(cluster)["failed"] == 1
        assert len(active(cluster)) == 1

    scenario(story)


def test_a_crash_between_note_and_count_counts_once(scenario, job):
    """A Pod noted by uid that has lost its finalizer is counted at the next start, and only then."""

    async def story(cluster):
        cluster.apply("jobs.batch", job(completions=2))
        await cluster.settle()
        (pod,) = active(cluster)
        await cluster.stop()
        note = {"uncountedTerminatedPods": {"succeeded": [pod["metadata"]["uid"]]}}
        cluster.api.patch("jobs.batch", "render", {"status": note}, "default", subresource="status")
        cluster.finish(pod)
        cluster.patch("pods", pod["metadata"]["name"], {"metadata": {"finalizers": None}})
        await cluster.start()
        assert status(cluster)["succeeded"] == 1
        await cluster.stop()
        await cluster.start()
        assert status(cluster)["succeeded"] == 1
        assert status(cluster)["uncountedTerminatedPods"] == {}

    scenario(story)


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        pytest.param(set(), "", id="none"),
        pytest.param({3}, "3", id="one"),
        pytest.param({1, 2}, "1,2", id="two-in-a-row"),
        pytest.param({0, 1, 2, 5, 7, 8, 9}, "0-2,5,7-9", id="runs"),
    ],
)
def test_indexes_are_written_as_kubernetes_writes_them(indexes, text):
    """Completed indexes are runs with a dash, and reading gives them back."""
    assert format_indexes(indexes) == text
    assert parse_indexes(text) == indexes
