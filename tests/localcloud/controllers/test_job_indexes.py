"""Indexed Jobs whose indexes fail each for itself (`backoffLimitPerIndex`)."""

import pytest

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"


@pytest.fixture
def job():
    """Build a Job of three indexes, each of which may fail once."""

    def build(**spec):
        template = {"spec": {"containers": [{"name": "main", "image": "app:1"}], "restartPolicy": "Never"}}
        usual = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "render", "namespace": "default"},
            "spec": {"template": template, **usual, **spec},
        }

    return build


def running(cluster):
    pods = [p for p in cluster.pods(running=True) if p["status"]["phase"] in ("Pending", "Running")]
    return {int(p["metadata"]["annotations"][INDEX]): p for p in pods}


def status(cluster):
    return cluster.get("jobs.batch", "render")["status"]


def test_an_index_that_fails_for_good_keeps_no_other_from_success(scenario, job):
    """It is tried again after 10 s, given up at its limit, and the Job fails once all the others are done."""

    async def story(cluster):
        cluster.apply("jobs.batch", job())
        await cluster.settle()
        cluster.finish(running(cluster)[1], "Failed")
        await cluster.pass_time(11)
        again = running(cluster)[1]
        assert again["metadata"]["annotations"][FAILURES] == "1"
        assert set(running(cluster)) == {0, 1, 2}
        cluster.finish(again, "Failed")
        await cluster.pass_time(60)
        assert set(running(cluster)) == {0, 2}
        assert status(cluster)["failedIndexes"] == "1"
        for pod in running(cluster).values():
            cluster.finish(pod)
        await cluster.settle()
        assert status(cluster)["completedIndexes"] == "0,2"
        failed = cluster.condition("jobs.batch", "render", "Failed")
        assert (failed["reason"], failed["message"]) == ("FailedIndexes", "Job has failed indexes")

    scenario(story)


def test_no_more_pods_than_indexes_that_are_left(scenario, job):
    """An index that was given up needs no Pod, whatever the parallelism."""

    async def story(cluster):
        cluster.apply("jobs.batch", job(completions=2, parallelism=2, backoffLimitPerIndex=0))
        await cluster.settle()
        cluster.finish(running(cluster)[0], "Failed")
        await cluster.pass_time(120)
        assert set(running(cluster)) == {1}

    scenario(story)


def test_a_rule_fails_an_index_at_once_and_another_lets_it_try_for_nothing(scenario, job):
    """FailIndex uses no retries; Ignore counts none."""
    rules = [
        {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [75]}},
    ]

    async def story(cluster):
        cluster.apply("jobs.batch", job(podFailurePolicy={"rules": rules}))
        await cluster.settle()
        pods = running(cluster)
        cluster.finish(pods[0], "Failed", exit_code=42)
        cluster.finish(pods[1], "Failed", exit_code=75)
        await cluster.pass_time(1)
        assert status(cluster)["failedIndexes"] == "0"
        assert running(cluster)[1]["metadata"]["annotations"][FAILURES] == "0"

    scenario(story)


def test_too_many_failed_indexes_end_the_job(scenario, job):
    """`maxFailedIndexes` is the most that may fail; one more ends what still runs."""

    async def story(cluster):
        cluster.apply("jobs.batch", job(backoffLimitPerIndex=0, maxFailedIndexes=1))
        await cluster.settle()
        pods = running(cluster)
        cluster.finish(pods[0], "Failed")
        await cluster.settle()
        assert cluster.condition("jobs.batch", "render", "Failed") is None
        cluster.finish(pods[2], "Failed")
        await cluster.settle()
        await cluster.pass_time(60)
        assert cluster.condition("jobs.batch", "render", "Failed")["reason"] == "MaxFailedIndexesExceeded"
        assert running(cluster) == {}

    scenario(story)
