"""The function on AWS: files become jobs, each once, whatever happens on the way, and what is wrong is put aside."""

import json

import pytest

from controlplane.engine.intake import name_of
from controlplane.gateways.parameters import ParametersReader
from regional_deploy.aws.events import EVERYTHING, UnknownEventError, notices
from regional_deploy.aws.handler import Wired, answer
from regional_deploy.aws.jobs import BatchJobs, Target, request
from webui_image.batch.places import LocalPlace
from webui_image.values.errors import NotReady

GOOD = "name: cats\nimages:\n- {prompt: a cat, count: 5}\n"
TARGET = Target("jobs", "worker", "s3://art/pictures", 2)


class Crash(BaseException):
    """The function is gone."""


class Steps:
    """Counts what is written, and crashes before or after the one that is named."""

    def __init__(self):
        self.count, self.crash_at, self.after = 0, None, False

    def do(self, write):
        self.count += 1
        crash = self.count == self.crash_at
        if crash and not self.after:
            raise Crash
        result = write()
        if crash:
            raise Crash
        return result


class Tray(LocalPlace):
    """A folder that counts what is written."""

    def __init__(self, folder, steps):
        super().__init__(folder)
        self.steps = steps

    def publish(self, name, content):
        self.steps.do(lambda: super(Tray, self).publish(name, content))

    def remove(self, name, version):
        return self.steps.do(lambda: super(Tray, self).remove(name, version))


class Jobs:
    """A queue of jobs."""

    def __init__(self, steps):
        self.submitted, self.steps = [], steps

    def find(self, queue, name):
        return next((f"job-{n}" for n, job in enumerate(self.submitted) if job["jobName"] == name), "")

    def submit(self, job):
        self.steps.do(lambda: self.submitted.append(job))
        return f"job-{len(self.submitted) - 1}"


class Bucket:
    """An inbox, and what S3, SQS and the timetable tell of it."""

    def __init__(self, folder):
        self.folder = folder / "inbox"
        self.folder.mkdir()
        self.steps = Steps()
        self.jobs = Jobs(self.steps)
        self.tray = Tray(self.folder, self.steps)

    def put(self, name, text=GOOD):
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text)

    def tell(self, event):
        return answer(event, Wired("s3://art/inbox", self.tray, self.jobs, TARGET))

    def names(self, folder=""):
        place = self.folder / folder
        return sorted(path.name for path in place.iterdir() if path.is_file()) if place.exists() else []


def uploaded(*keys, bucket="art"):
    """Give S3's event, as it comes directly."""
    records = [{"eventSource": "aws:s3", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}} for key in keys]
    return {"Records": records}


def queued(*events):
    """Give the same through SQS: each event a message."""
    bodies = [event if isinstance(event, str) else json.dumps(event) for event in events]
    records = [{"messageId": f"m{n}", "eventSource": "aws:sqs", "body": body} for n, body in enumerate(bodies)]
    return {"Records": records}


TIMETABLE = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


@pytest.fixture
def bucket(tmp_path):
    return Bucket(tmp_path)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(uploaded("inbox/cats.yaml"), id="directly"),
        pytest.param(queued(uploaded("inbox/cats.yaml")), id="through a queue"),
        pytest.param(TIMETABLE, id="timetable"),
    ],
)
def test_a_file_becomes_an_array_job_of_a_copy(bucket, event):
    """An index for each shard; the copy is what is rendered; the file stays and is marked."""
    bucket.put("cats.yaml")
    assert bucket.tell(event) == {"batchItemFailures": []}
    (job,) = bucket.jobs.submitted
    batch = job["jobName"]
    assert job == {
        "jobName": batch,
        "jobQueue": "jobs",
        "jobDefinition": "worker",
        "parameters": {
            "parameters": f"s3://art/inbox/batches/{batch}/cats.yaml",
            "out": "s3://art/pictures",
            "shard_size": "2",
        },
        "arrayProperties": {"size": 3},
    }
    assert (bucket.folder / "batches" / batch / "cats.yaml").read_text() == GOOD
    assert json.loads((bucket.folder / "jobs" / f"{batch}.json").read_text()) == job
    (mark,) = bucket.names("taken")
    assert mark.startswith("cats.yaml@")
    assert bucket.names() == ["cats.yaml"]


def test_the_reconciler_gives_a_batch_the_same_name(bucket):
    """So that both may look into one inbox."""
    bucket.put("My Cats & Dogs, in a very long name indeed.yaml", GOOD.replace("name: cats\n", ""))
    bucket.tell(TIMETABLE)
    read = ParametersReader.read(bucket.tray, "My Cats & Dogs, in a very long name indeed.yaml")
    assert bucket.jobs.submitted[0]["jobName"] == name_of(read, TARGET.output)


@pytest.mark.parametrize(
    ("pictures", "size", "shards"),
    [
        pytest.param(1, "2", None, id="one picture"),
        pytest.param(2, "2", None, id="one shard is no array"),
        pytest.param(3, "2", 2, id="two shards"),
        pytest.param(100_000, "10", 10_000, id="the largest array"),
        pytest.param(20_001, "3", 6667, id="larger shards where there would be too many"),
    ],
)
def test_an_array_has_two_to_ten_thousand_indexes(pictures, size, shards):
    """What Batch takes."""
    asked = request(TARGET, "cats-1", "s3://art/inbox/cats.yaml", pictures)
    assert asked["parameters"]["shard_size"] == size
    assert asked.get("arrayProperties", {}).get("size") == shards


def test_events_twice_late_and_out_of_order_are_one_job(bucket):
    """What lies there decides: the newest of a file, once, under however many names."""
    bucket.put("cats.yaml")
    bucket.put("copy.yaml")
    events = uploaded("inbox/copy.yaml", "inbox/cats.yaml"), uploaded("inbox/cats.yaml"), uploaded("inbox/gone.yaml")
    bucket.tell(queued(*events, *reversed(events)))
    bucket.tell(queued(*events))
    bucket.tell(TIMETABLE)
    assert len(bucket.jobs.submitted) == 1
    assert len(bucket.names("taken")) == 2
    bucket.put("cats.yaml", GOOD.replace("5", "6"))
    bucket.tell(queued(events[1]))
    assert len(bucket.jobs.submitted) == 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, 7))
def test_killed_at_any_step_it_is_one_job_in_the_end(bucket, step, after):
    """The same event again goes on where it ended, and nothing is doubled or lost."""
    bucket.put("prompts.list", "a red circle\n")
    bucket.put("cats.yaml", "images:\n- prompts_file: prompts.list\n")
    bucket.steps.crash_at, bucket.steps.after = step, after
    with pytest.raises(Crash):
        bucket.tell(uploaded("inbox/cats.yaml"))
    bucket.tell(uploaded("inbox/cats.yaml"))
    written = bucket.steps.count
    bucket.tell(TIMETABLE)
    assert bucket.steps.count == written
    (job,) = bucket.jobs.submitted
    assert bucket.names(f"batches/{job['jobName']}") == ["cats.yaml", "prompts.list"]
    assert (bucket.folder / "jobs" / f"{job['jobName']}.id").read_text() == "job-0\n"
    assert len(bucket.names("taken")) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("images:\n- {promt: a cat}\n", "cats.yaml:2: images[0].promt", id="unknown key"),
        pytest.param("images:\n- {prompt: a cat, width: 10000, height: 10000}\n", "width", id="too many pixels"),
        pytest.param("images:\n- prompts_file: s3://other/secret.txt\n", "no local path", id="another's file"),
        pytest.param("", "is empty", id="empty"),
    ],
)
def test_what_is_wrong_is_put_aside_with_a_report(bucket, text, said):
    """File, line, key and remedy beside it; nothing is submitted, nothing lost, and nothing comes again."""
    bucket.put("cats.yaml", text)
    assert bucket.tell(queued(uploaded("inbox/cats.yaml"))) == {"batchItemFailures": []}
    assert bucket.names() == []
    assert (bucket.folder / "rejected" / "cats.yaml").read_text() == text
    report = (bucket.folder / "rejected" / "cats.yaml.txt").read_text()
    assert said in report
    assert "; " in report
    assert bucket.jobs.submitted == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_killed_while_it_is_put_aside_it_is_put_aside_in_the_end(bucket, step, after):
    """Whether the copy was there already or not."""
    bucket.put("cats.yaml", "nothing: here\n")
    bucket.steps.crash_at, bucket.steps.after = step, after
    with pytest.raises(Crash):
        bucket.tell(uploaded("inbox/cats.yaml"))
    bucket.tell(uploaded("inbox/cats.yaml"))
    assert (bucket.names(), bucket.names("rejected")) == ([], ["cats.yaml", "cats.yaml.txt"])


def test_a_file_that_changes_while_it_is_read_waits_for_its_own_event(bucket, monkeypatch):
    """Half an upload makes no job and is not rejected."""
    bucket.put("cats.yaml", "images:\n- {pro")
    read = Tray.read

    def slowly(self, name, limit=None):
        found = read(self, name, limit)
        if name == "cats.yaml":
            bucket.put("cats.yaml")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Tray, "read", slowly)
        bucket.tell(uploaded("inbox/cats.yaml"))
    assert (bucket.jobs.submitted, bucket.names("rejected"), bucket.names()) == ([], [], ["cats.yaml"])
    bucket.tell(uploaded("inbox/cats.yaml"))
    assert len(bucket.jobs.submitted) == 1


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("inbox/batches/cats-1/cats.yaml", id="a copy"),
        pytest.param("inbox/jobs/cats-1.json", id="a request"),
        pytest.param("inbox/lists/prompts.txt", id="below"),
        pytest.param("inbox/prompts.list", id="an ending that is no format"),
        pytest.param("inbox/.cats.yaml", id="hidden"),
        pytest.param("pictures/cats/0-1.png", id="a result"),
        pytest.param("inboxes/cats.yaml", id="another folder"),
    ],
)
def test_what_is_no_upload_is_nothing(bucket, key):
    """What the function and the workers write is told of as well, and starts nothing."""
    bucket.put("cats.yaml")
    bucket.tell(uploaded(key))
    bucket.tell(uploaded("inbox/cats.yaml", bucket="another"))
    assert (bucket.jobs.submitted, bucket.names("rejected")) == ([], [])


def test_a_name_comes_as_it_is_written_in_a_form():
    """S3 writes spaces as plus signs, and the rest by numbers."""
    (notice,) = notices(uploaded("inbox/my+cats+%26+d%C3%B6gs.yaml"))
    assert notice.keys("art") == ("inbox/my cats & dögs.yaml",)


def test_a_message_that_fails_comes_again_and_keeps_no_other(bucket, monkeypatch, caplog):
    """Whether Batch or the bucket cannot be reached, or nobody knows what it is; what S3 says first is nothing."""
    bucket.put("cats.yaml")
    bucket.put("dogs.yaml", GOOD.replace("cat", "dog"))
    submit = bucket.jobs.submit

    def busy(job):
        if job["jobName"].startswith("cats"):
            raise NotReady("Batch: too many requests", 1.0)
        return submit(job)

    monkeypatch.setattr(bucket.jobs, "submit", busy)
    unknown, test = {"hello": 1}, {"Service": "Amazon S3", "Event": "s3:TestEvent"}
    told = bucket.tell(queued(uploaded("inbox/cats.yaml"), unknown, "{", test, uploaded("inbox/dogs.yaml")))
    assert told == {"batchItemFailures": [{"itemIdentifier": f"m{n}"} for n in (0, 1, 2)]}
    assert [job["jobName"][:4] for job in bucket.jobs.submitted] == ["dogs"]
    assert "cats.yaml: Batch: too many requests; it is tried again" in caplog.messages
    with pytest.raises(NotReady):
        bucket.tell(uploaded("inbox/cats.yaml"))
    with pytest.raises(NotReady):
        bucket.tell(TIMETABLE)
    with pytest.raises(UnknownEventError, match="'hello'"):
        bucket.tell(unknown)
    assert notices(TIMETABLE)[0].keys("art") is EVERYTHING


def test_a_job_is_found_by_its_own_name(mocker):
    """Batch compares without case and tells of jobs on many pages; the oldest is the one."""
    client = mocker.Mock()
    client.get_paginator.return_value.paginate.return_value = [
        {"jobSummaryList": [{"jobId": "a", "jobName": "Cats-1", "createdAt": 1}]},
        {"jobSummaryList": [{"jobId": str(n), "jobName": "cats-1", "createdAt": n} for n in (3, 2)]},
    ]
    jobs = BatchJobs(client)
    assert (jobs.find("q", "cats-1"), jobs.find("q", "cats")) == ("2", "")
