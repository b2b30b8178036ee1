"""From a build to a container that runs by the clock: Artifact Registry, Cloud Build, Cloud Run, Cloud Scheduler."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controlplane.localcloud.clock import VirtualClock
from controlplane.localcloud.gcp.admin.api import Administration
from controlplane.localcloud.gcp.admin.calls import Call
from controlplane.localcloud.gcp.admin.workshop import Workshop
from controlplane.localcloud.gcp.callers import caller
from controlplane.localcloud.gcp.errors import GoogleError
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.kubelet import ImageMap
from controlplane.localcloud.kubelet.process import ShimRuntime, StartError
from controlplane.localcloud.scenario import load_scenario
from controlplane.localcloud.stock.ledger import Stock

REGION = "projects/gpu-hunter-local/locations/us-west2"
REPOSITORY = f"{REGION}/repositories/gpu-hunter"
IMAGE = "us-west2-docker.pkg.dev/gpu-hunter-local/gpu-hunter/reconciler:v1"
HUNTER = "gpu-hunter@gpu-hunter-local.iam.gserviceaccount.com"
JOB = f"{REGION}/jobs/gpu-hunter"


class Process:
    """A container that ends when the test says so."""

    pid = 1

    def __init__(self, command):
        self.command = command
        self.exit = asyncio.get_running_loop().create_future()

    async def wait(self):
        return await asyncio.shield(self.exit)

    def stop(self, grace):
        if not self.exit.done():
            self.exit.set_result(143)

    def kill(self):
        self.stop(0)


class Runtime:
    """Starts such containers; with `codes` they end at once, one code each."""

    def __init__(self):
        self.started = []
        self.codes = []

    async def start(self, command):
        if command.argv[0] == "no-such-program":
            raise StartError("no-such-program: No such file or directory")
        process = Process(command)
        self.started.append(process)
        if self.codes:
            process.exit.set_result(self.codes.pop(0))
        return process


class Tokens:
    service_account = "operator@gpu-hunter-local.iam.gserviceaccount.com"

    def issue(self, user, seconds=0):
        return f"token of {user}"


class Cloud:
    """The administration APIs on a clock that stands still until it is moved."""

    def __init__(self, folder):
        self.clock = VirtualClock(datetime(2026, 11, 25, 12, 0, 30, tzinfo=UTC))
        self.runtime = Runtime()
        self.folder = folder
        self.admin = self.new()
        self.admin.start(self.workshop())

    def workshop(self, runtime=None):
        return Workshop(self.folder, runtime or self.runtime, ImageMap.load(), lambda: {"WHERE": "here"})

    def new(self):
        scenario = load_scenario(None)
        return Administration(Project(scenario, Stock(scenario)), self.clock, Tokens(), lambda: None)

    def ask(self, verb, path, body=None, account=Tokens.service_account):
        path, _, query = path.partition("?")
        parameters = dict(each.split("=") for each in query.split("&")) if query else {}
        before = caller.set(account)
        try:
            return self.admin.answer(Call(verb, path, {}, parameters, body or {}))
        finally:
            caller.reset(before)

    def refused(self, *args, **kwargs):
        with pytest.raises(GoogleError) as caught:
            self.ask(*args, **kwargs)
        return caught.value.status, caught.value.message

    async def done(self, operation, version="v1"):
        """Let what is under way happen, and give the operation as it is then."""
        await self.clock.advance(0.001)
        return self.ask("GET", f"/{version}/{operation['name']}")

    async def prepare(self):
        """Make what comes before a job: an account, a repository, and the image in it."""
        self.ask("POST", "/v1/projects/gpu-hunter-local/serviceAccounts", {"accountId": "gpu-hunter"})
        operation = self.ask("POST", f"/v1/{REGION}/repositories?repositoryId=gpu-hunter", {"format": "DOCKER"})
        assert (await self.done(operation))["done"]
        return await self.build()

    async def build(self, **more):
        body = {"steps": [{"name": "gcr.io/cloud-builders/docker"}], "images": [IMAGE], **more}
        return await self.done(self.ask("POST", "/v1/projects/gpu-hunter-local/builds", body))

    async def make_job(self, **task):
        container = {"image": IMAGE, "command": ["python", "-m", "controlplane"], "args": ["reconcile"]}
        container["env"] = [{"name": "GPUHUNTER_PROJECT", "value": "gpu-hunter-local"}]
        template = {"containers": [container], "serviceAccount": HUNTER, "maxRetries": 0, "timeout": "120s", **task}
        operation = self.ask("POST", f"/v2/{REGION}/jobs?jobId=gpu-hunter", {"template": {"template": template}})
        return await self.done(operation, "v2")

    async def run(self, **kwargs):
        operation = self.ask("POST", f"/v2/{JOB}:run", **kwargs)
        await self.clock.advance(0.001)
        return operation

    def schedule(self, **more):
        target = {"uri": f"https://run.googleapis.com/v2/{JOB}:run", "oauthToken": {"serviceAccountEmail": HUNTER}}
        body = {"name": JOB, "schedule": "* * * * *", "timeZone": "Etc/UTC", "httpTarget": target, **more}
        return self.ask("POST", f"/v1/{REGION}/jobs", body)

    def grant(self, role="roles/run.invoker"):
        policy = {"bindings": [{"role": role, "members": [f"serviceAccount:{HUNTER}"]}]}
        self.ask("POST", f"/v2/{JOB}:setIamPolicy", {"policy": policy})

    def trigger(self):
        return self.ask("GET", f"/v1/{JOB}")


def scenario(test):
    """Run a test in a loop with a cloud of its own."""

    def run(tmp_path):
        async def body():
            cloud = Cloud(tmp_path)
            try:
                await test(cloud)
            finally:
                await cloud.admin.close()

        asyncio.run(body())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


# -- Artifact Registry and Cloud Build -----------------------------------------------------------------------------


@scenario
async def test_a_repository_is_made_and_deleted_through_operations(cloud):
    """Not done when they are given; a name is taken once; what is gone is not found."""
    path = f"/v1/{REGION}/repositories?repositoryId=gpu-hunter"
    operation = cloud.ask("POST", path, {"format": "DOCKER", "labels": {"a": "b"}})
    assert "done" not in operation
    made = (await cloud.done(operation))["response"]
    assert made["registryUri"] == IMAGE.rpartition("/")[0]
    assert cloud.ask("GET", f"/v1/{REPOSITORY}")["labels"] == {"a": "b"}
    assert cloud.refused("POST", path, {"format": "DOCKER"}) == ("ALREADY_EXISTS", "the repository already exists")
    assert (await cloud.done(cloud.ask("DELETE", f"/v1/{REPOSITORY}")))["done"]
    assert cloud.refused("GET", f"/v1/{REPOSITORY}")[0] == "NOT_FOUND"


@scenario
async def test_a_builds_image_is_in_the_repository_under_its_tag(cloud):
    """SUCCESS with the image's digest; a build of something else takes the tag over."""
    done = await cloud.prepare()
    build = done["response"]
    assert (build["status"], done["metadata"]["build"]["status"]) == ("SUCCESS", "SUCCESS")
    (pushed,) = build["results"]["images"]
    (image,) = cloud.ask("GET", f"/v1/{REPOSITORY}/dockerImages")["dockerImages"]
    assert image["uri"] == f"{IMAGE.removesuffix(':v1')}@{pushed['digest']}"
    assert image["tags"] == ["v1"]
    await cloud.build(source={"gitSource": {"revision": "newer"}})
    images = cloud.ask("GET", f"/v1/{REPOSITORY}/dockerImages")["dockerImages"]
    assert sorted(len(each["tags"]) for each in images) == [0, 1]


@scenario
async def test_a_build_fails_for_want_of_a_repository_or_a_right_or_when_it_is_told_to(cloud):
    """FAILURE says why, in the build and in the operation's error; nothing is pushed."""
    done = await cloud.build()
    assert done["error"]["message"].endswith('name unknown: Repository "gpu-hunter" not found')
    await cloud.prepare()
    options = {"logging": "CLOUD_LOGGING_ONLY"}
    named = f"projects/gpu-hunter-local/serviceAccounts/{HUNTER}"
    done = await cloud.build(serviceAccount=named, options=options)
    assert "artifactregistry.repositories.uploadArtifacts" in done["error"]["message"]
    source = {"storageSource": {"bucket": "sources", "object": "source.tgz"}}
    done = await cloud.build(serviceAccount=named, options=options, source=source)
    assert "storage.objects.get access to bucket sources" in done["error"]["message"]
    cloud.admin.builds.failures.append("no space left on device")
    build = (await cloud.build())["metadata"]["build"]
    assert (build["status"], build["failureInfo"]["detail"]) == ("FAILURE", "no space left on device")
    assert (await cloud.build())["response"]["status"] == "SUCCESS"


@scenario
async def test_a_builds_variables_are_put_in(cloud):
    """Cloud Build's own and the build's, in images and steps; what is no variable stays, and `$$` is a dollar sign."""
    await cloud.prepare()
    image = "us-west2-docker.pkg.dev/$PROJECT_ID/gpu-hunter/${_NAME}:v2"
    steps = [{"name": "x", "args": ["$$HOME", "$_UNKNOWN", "$LOCATION"]}]
    done = await cloud.build(images=[image], steps=steps, substitutions={"_NAME": "reconciler"})
    build = done["response"]
    assert build["images"] == [IMAGE.replace(":v1", ":v2")]
    assert build["steps"][0]["args"] == ["$HOME", "$_UNKNOWN", "global"]


@scenario
async def test_a_build_as_another_account_needs_that_account_and_a_place_for_its_logs(cloud):
    """As Cloud Build asks for both."""
    path, steps = "/v1/projects/gpu-hunter-local/builds", [{"name": "x"}]
    named = {"steps": steps, "serviceAccount": f"projects/gpu-hunter-local/serviceAccounts/{HUNTER}"}
    assert "CLOUD_LOGGING_ONLY" in cloud.refused("POST", path, named)[1]
    logged = {**named, "options": {"logging": "CLOUD_LOGGING_ONLY"}}
    assert cloud.refused("POST", path, logged) == ("NOT_FOUND", f"Service account {HUNTER} does not exist.")


# -- Cloud Run -----------------------------------------------------------------------------------------------------


@scenario
async def test_a_run_starts_the_jobs_command_in_cloud_runs_environment(cloud):
    """The program, its arguments, its variables, Cloud Run's, and the metadata server of its account."""
    await cloud.prepare()
    assert (await cloud.make_job())["response"]["terminalCondition"]["state"] == "CONDITION_SUCCEEDED"
    operation = await cloud.run()
    (process,) = cloud.runtime.started
    assert list(process.command.argv) == [sys.executable, "-m", "controlplane", "reconcile"]
    env = process.command.env
    name = operation["metadata"]["name"]
    assert (env["CLOUD_RUN_JOB"], env["CLOUD_RUN_EXECUTION"]) == ("gpu-hunter", name.rpartition("/")[2])
    assert (env["CLOUD_RUN_TASK_INDEX"], env["CLOUD_RUN_TASK_ATTEMPT"]) == ("0", "0")
    assert (env["GPUHUNTER_PROJECT"], env["WHERE"]) == ("gpu-hunter-local", "here")
    assert env["GCE_METADATA_HOST"].startswith("127.0.0.1:")
    assert cloud.ask("GET", f"/v2/{JOB}")["latestCreatedExecution"]["completionStatus"] == "EXECUTION_RUNNING"
    assert "response" not in cloud.ask("GET", f"/v2/{operation['name']}")
    process.exit.set_result(0)
    done = await cloud.done(operation, "v2")
    assert (done["response"]["succeededCount"], done["response"]["failedCount"]) == (1, 0)
    assert cloud.ask("GET", f"/v2/{JOB}")["latestCreatedExecution"]["completionStatus"] == "EXECUTION_SUCCEEDED"


@scenario
async def test_a_container_that_fails_is_tried_again_as_often_as_the_job_says(cloud):
    """Then the execution has failed, with the exit code; a later attempt that ends well saves it."""
    await cloud.prepare()
    await cloud.make_job(maxRetries=1)
    cloud.runtime.codes = [4, 4, 4, 0]
    done = await cloud.done(await cloud.run(), "v2")
    assert "exit(4)" in done["error"]["message"]
    assert [each.command.env["CLOUD_RUN_TASK_ATTEMPT"] for each in cloud.runtime.started] == ["0", "1"]
    assert (await cloud.done(await cloud.run(), "v2"))["response"]["succeededCount"] == 1


@scenario
async def test_a_container_is_ended_at_the_jobs_time_limit(cloud):
    """It is asked to end, and the execution says that this was why."""
    await cloud.prepare()
    await cloud.make_job()
    operation = await cloud.run()
    await cloud.clock.advance(119)
    assert not cloud.runtime.started[0].exit.done()
    await cloud.clock.advance(2)
    assert "timeout was reached" in (await cloud.done(operation, "v2"))["error"]["message"]


@scenario
async def test_an_execution_can_be_cancelled(cloud):
    """Its processes end, no attempt follows, and it is counted as cancelled."""
    await cloud.prepare()
    await cloud.make_job(maxRetries=3)
    name = (await cloud.run())["metadata"]["name"]
    cloud.ask("POST", f"/v2/{name}:cancel")
    await cloud.clock.advance(1)
    execution = cloud.ask("GET", f"/v2/{name}")
    assert (execution["cancelledCount"], execution["failedCount"]) == (1, 0)
    assert len(cloud.runtime.started) == 1


@scenario
async def test_a_jobs_image_must_be_there(cloud):
    """The job stands, not ready, and says so; it cannot run until there is an image."""
    cloud.ask("POST", "/v1/projects/gpu-hunter-local/serviceAccounts", {"accountId": "gpu-hunter"})
    assert (await cloud.make_job())["error"]["message"] == f"Image '{IMAGE}' not found."
    assert cloud.ask("GET", f"/v2/{JOB}")["terminalCondition"]["reason"] == "CONTAINER_MISSING"
    assert cloud.refused("POST", f"/v2/{JOB}:run")[0] == "FAILED_PRECONDITION"


@scenario
async def test_a_job_is_changed_under_its_etag_and_its_name_is_taken_once(cloud):
    """409 for both; each change is a generation."""
    await cloud.prepare()
    old = (await cloud.make_job())["response"]
    status, text = cloud.refused("POST", f"/v2/{REGION}/jobs?jobId=gpu-hunter", {"template": old["template"]})
    assert (status, text) == ("ALREADY_EXISTS", "Resource 'gpu-hunter' already exists.")
    changed = {"template": old["template"], "labels": {"a": "b"}, "etag": old["etag"]}
    await cloud.clock.advance(1)
    new = (await cloud.done(cloud.ask("PATCH", f"/v2/{JOB}", changed), "v2"))["response"]
    assert (new["generation"], new["labels"], new["uid"]) == ("2", {"a": "b"}, old["uid"])
    assert cloud.refused("PATCH", f"/v2/{JOB}", changed)[0] == "ABORTED"
    await cloud.done(cloud.ask("DELETE", f"/v2/{JOB}"), "v2")
    assert "does not exist" in cloud.refused("GET", f"/v2/{JOB}")[1]


@scenario
async def test_who_runs_a_job_needs_the_right_on_it(cloud):
    """403 in Cloud Run's words until the job's own policy gives it."""
    await cloud.prepare()
    await cloud.make_job()
    wanted = f"Permission 'run.jobs.run' denied on resource '{JOB}' (or resource may not exist)."
    assert cloud.refused("POST", f"/v2/{JOB}:run", account=HUNTER) == ("PERMISSION_DENIED", wanted)
    cloud.grant()
    assert (await cloud.run(account=HUNTER))["metadata"]["creator"] == HUNTER


@scenario
async def test_a_real_process_gets_its_accounts_token_from_the_metadata_server(cloud):
    """What google-auth asks there is answered with the job's account and a token of it."""
    cloud.admin.start(cloud.workshop(ShimRuntime()))
    await cloud.prepare()
    program = (
        "import json, os, urllib.request as u;"
        "b = 'http://' + os.environ['GCE_METADATA_HOST'] + '/computeMetadata/v1/instance/service-accounts/default/';"
        "g = lambda p: u.urlopen(u.Request(b + p, headers={'Metadata-Flavor': 'Google'})).read().decode();"
        "print(g('email'), json.loads(g('token'))['access_token'])"
    )
    container = {"image": IMAGE, "command": ["python", "-I", "-c", program]}
    await cloud.make_job(containers=[container])
    operation = cloud.ask("POST", f"/v2/{JOB}:run")
    async with asyncio.timeout(200):
        await asyncio.gather(*cloud.admin.operations.under_way())
    assert cloud.ask("GET", f"/v2/{operation['name']}")["response"]["succeededCount"] == 1
    (log,) = cloud.admin.executions()[0]["logs"]
    assert f"{HUNTER} token of {HUNTER}" in await asyncio.to_thread(Path(log).read_text)


# -- Cloud Scheduler -----------------------------------------------------------------------------------------------


@scenario
async def test_a_job_fires_at_every_minute_of_its_schedule(cloud):
    """As the account that it names, once a minute of the cloud's time, until it is paused."""
    await cloud.prepare()
    await cloud.make_job()
    cloud.grant()
    cloud.runtime.codes = [0] * 10
    assert cloud.schedule()["state"] == "ENABLED"
    await cloud.clock.advance(29)
    assert cloud.trigger()["scheduleTime"] == "2026-11-25T12:01:00Z"
    assert not cloud.admin.executions()
    await cloud.clock.advance(180)
    assert [each["creator"] for each in cloud.admin.executions()] == [HUNTER] * 3
    assert [each["createTime"][11:16] for each in cloud.admin.executions()] == ["12:01", "12:02", "12:03"]
    assert cloud.trigger()["status"] == {}
    cloud.ask("POST", f"/v1/{JOB}:pause")
    await cloud.clock.advance(600)
    assert len(cloud.admin.executions()) == 3
    cloud.ask("POST", f"/v1/{JOB}:resume")
    await cloud.clock.advance(60)
    assert len(cloud.admin.executions()) == 4


@scenario
async def test_a_firing_that_is_refused_is_in_the_jobs_status(cloud):
    """Without the right on the Cloud Run job nothing runs, and the trigger says why."""
    await cloud.prepare()
    await cloud.make_job()
    cloud.schedule()
    await cloud.clock.advance(60)
    status = cloud.trigger()["status"]
    assert (status["code"], "run.jobs.run" in status["message"]) == (7, True)
    assert not cloud.admin.executions()
    cloud.grant()
    await cloud.clock.advance(60)
    assert (cloud.trigger()["status"], len(cloud.admin.executions())) == ({}, 1)


@scenario
async def test_a_failed_firing_is_retried_with_growing_pauses(cloud):
    """As often as retryConfig says, five seconds and ten after it."""
    await cloud.prepare()
    await cloud.make_job()
    cloud.schedule(retryConfig={"retryCount": 2})
    await cloud.clock.advance(30.1)
    first = cloud.trigger()["lastAttemptTime"]
    await cloud.clock.advance(4)
    assert cloud.trigger()["lastAttemptTime"] == first
    await cloud.clock.advance(2)
    second = cloud.trigger()["lastAttemptTime"]
    assert second > first
    await cloud.clock.advance(10)
    assert cloud.trigger()["lastAttemptTime"] > second


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"schedule": "every minute"}, id="no-schedule"),
        pytest.param({"timeZone": "Mars/Olympus"}, id="no-time-zone"),
        pytest.param({"httpTarget": {}}, id="no-target"),
        pytest.param({"name": f"{REGION}/jobs/a b"}, id="no-name"),
    ],
)
def test_a_trigger_that_cannot_be_is_refused(tmp_path, more):
    """400, and nothing is kept."""

    @scenario
    async def refused(cloud):
        await cloud.prepare()
        with pytest.raises(GoogleError) as caught:
            cloud.schedule(**more)
        assert caught.value.status == "INVALID_ARGUMENT"
        assert cloud.ask("GET", f"/v1/{REGION}/jobs") == {}

    refused(tmp_path)


@scenario
async def test_all_of_it_outlives_the_daemon(cloud):
    """Jobs, images and executions are there, the trigger fires on, and what ran when the daemon died has failed."""
    await cloud.prepare()
    await cloud.make_job()
    cloud.grant()
    cloud.schedule()
    await cloud.clock.advance(31)
    state = json.loads(json.dumps(cloud.admin.to_state()))
    await cloud.admin.close()
    cloud.admin = cloud.new()
    cloud.admin.from_state(state)
    cloud.admin.start(cloud.workshop())
    (execution,) = cloud.admin.executions()
    assert (execution["failedCount"], "killed" in execution["conditions"][0]["message"]) == (1, True)
    assert cloud.ask("GET", f"/v1/{REPOSITORY}/dockerImages")["dockerImages"]
    await cloud.clock.advance(60)
    assert len(cloud.admin.executions()) == 2


# -- Cloud Quotas --------------------------------------------------------------------------------------------------


@scenario
async def test_quotas_by_family_are_shown_where_no_regional_metric_is(cloud):
    """H100 on demand by family and region; L4 by region; all regions' GPUs for the project."""
    path = "/v1/projects/gpu-hunter-local/locations/global/services/compute.googleapis.com/quotaInfos"
    found = {each["quotaId"]: each for each in cloud.ask("GET", path)["quotaInfos"]}
    family = found["GPUS-PER-GPU-FAMILY-per-project-region"]
    assert family["metric"] == "compute.googleapis.com/gpus_per_gpu_family"
    assert {
        "dimensions": {"gpu_family": "NVIDIA_H100", "region": "us-central1"},
        "details": {"value": "8"},
        "applicableLocations": ["us-central1"],
    } in family["dimensionsInfos"]
    l4 = cloud.ask("GET", f"{path}/NVIDIA-L4-GPUS-per-project-region")
    assert {each["details"]["value"] for each in l4["dimensionsInfos"]} == {"16"}
    assert found["GPUS-ALL-REGIONS-per-project"]["dimensionsInfos"][0]["dimensions"] == {}
