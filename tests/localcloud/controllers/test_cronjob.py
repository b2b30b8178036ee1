"""CronJobs: when they are due, what they start, what they clear away."""

from datetime import UTC, datetime

import pytest

from controlplane.localcloud.controllers.schedule import ScheduleError, parse


@pytest.fixture
def cronjob():
    """Build a CronJob."""

    def build(schedule="*/10 * * * *", **spec):
        pod = {"containers": [{"name": "main", "image": "app:1"}], "restartPolicy": "Never"}
        template = {"metadata": {"labels": {"part": "cron"}}, "spec": {"template": {"spec": pod}}}
        return {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "nightly", "namespace": "default"},
            "spec": {"schedule": schedule, "jobTemplate": template, **spec},
        }

    return build


def names(cluster):
    return [job["metadata"]["name"] for job in cluster.list("jobs.batch")]


async def finish(cluster):
    for pod in cluster.pods():
        if pod["status"]["phase"] == "Pending":
            cluster.finish(pod)
    await cluster.settle()


@pytest.mark.parametrize(
    ("text", "following"),
    [
        pytest.param("*/15 * * * *", "2026-01-01T12:15", id="steps"),
        pytest.param("30 9-17/4 * * *", "2026-01-01T13:30", id="stepped-range"),
        pytest.param("0 0 * * mon", "2026-01-05T00:00", id="day-name"),
        pytest.param("0 0 13 * 5", "2026-01-02T00:00", id="either-day"),
        pytest.param("0 0 29 2 *", "2028-02-29T00:00", id="leap-day"),
        pytest.param("0 0 * * 7", "2026-01-04T00:00", id="sunday-is-seven-too"),
        pytest.param("@monthly", "2026-02-01T00:00", id="macro"),
        pytest.param("0 0 31 2 *", None, id="never"),
    ],
)
def test_the_next_due_time(text, following):
    """After noon of the first of January 2026, a Thursday."""
    found = parse(text).after(datetime(2026, 1, 1, 12, tzinfo=UTC))
    assert (found.strftime("%Y-%m-%dT%H:%M") if found else None) == following


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "* * 0 * *", "*/0 * * * *", "a * * * *", "5-1 * * * *"])
def test_nonsense_is_refused(text):
    """A schedule out of range or of another form is an error."""
    with pytest.raises(ScheduleError):
        parse(text)


def test_a_job_is_started_each_time_and_old_ones_go(scenario, cronjob):
    """One Job per due time, three successes kept."""

    async def story(cluster):
        cluster.apply("cronjobs.batch", cronjob())
        await cluster.pass_time(590)
        assert names(cluster) == []
        for _ in range(5):
            await cluster.pass_time(600)
            await finish(cluster)
        assert len(names(cluster)) == 3
        status = cluster.get("cronjobs.batch", "nightly")["status"]
        assert status["lastScheduleTime"] == "2026-01-01T00:50:00Z"
        assert status["lastSuccessfulTime"]
        assert "active" not in status
        assert len(cluster.events("SuccessfulCreate")) >= 5

    scenario(story)


@pytest.mark.parametrize(
    ("policy", "jobs"), [pytest.param("Allow", 2, id="allow"), pytest.param("Forbid", 1, id="forbid")]
)
def test_overlapping_runs(scenario, cronjob, policy, jobs):
    """A run that still goes on lets the next one start or not."""

    async def story(cluster):
        cluster.apply("cronjobs.batch", cronjob(concurrencyPolicy=policy))
        await cluster.pass_time(1205)
        assert len(names(cluster)) == jobs
        assert len(cluster.get("cronjobs.batch", "nightly")["status"]["active"]) == jobs

    scenario(story)


def test_replacing_the_run_before(scenario, cronjob):
    """With Replace only the latest run goes on."""

    async def story(cluster):
        cluster.apply("cronjobs.batch", cronjob(concurrencyPolicy="Replace"))
        await cluster.pass_time(605)
        before = names(cluster)
        await cluster.pass_time(600)
        assert len(names(cluster)) == 1
        assert names(cluster) != before

    scenario(story)


def test_missed_runs_are_made_up_for_once(scenario, cronjob):
    """After an hour without controllers one Job is started, for the latest due time."""

    async def story(cluster):
        cluster.apply("cronjobs.batch", cronjob())
        await cluster.stop()
        await cluster.pass_time(3700)
        await cluster.start()
        assert len(names(cluster)) == 1
        assert cluster.get("cronjobs.batch", "nightly")["status"]["lastScheduleTime"] == "2026-01-01T01:00:00Z"

    scenario(story)


def test_a_suspended_cronjob_starts_nothing(scenario, cronjob):
    """Suspended: no run, until it is resumed."""

    async def story(cluster):
        cluster.apply("cronjobs.batch", cronjob(suspend=True, startingDeadlineSeconds=60))
        await cluster.pass_time(3700)
        assert names(cluster) == []
        cluster.patch("cronjobs.batch", "nightly", {"spec": {"suspend": False}})
        await cluster.settle()
        assert names(cluster) == []  # the last due time is longer ago than the starting deadline
        await cluster.pass_time(600)
        assert len(names(cluster)) == 1

    scenario(story)
