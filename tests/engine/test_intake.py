"""Files in an inbox become batches: each once, whatever happens on the way, and what is wrong is put aside."""

from pathlib import Path

import pytest

from controlplane.api import parse_batch
from controlplane.engine.intake import Intake, name_of
from controlplane.engine.turns import behind
from controlplane.gateways.errors import AlreadyExists
from controlplane.gateways.parameters import Parameters, ParametersReader

GOOD = "name: cats\nimages:\n- {prompt: a cat, count: 3}\n"


class Crash(BaseException):
    """The process is gone."""


class Book:
    """Where GPUBatches are created."""

    def __init__(self):
        self.batches = {}

    def create_batch(self, batch):
        name = batch["metadata"]["name"]
        if name in self.batches:
            raise AlreadyExists(name)
        self.batches[name] = batch
        return batch


class Steps:
    """Counts what is about to be written, and crashes before the one that is named."""

    def __init__(self, crash_at=None):
        self.count, self._crash_at = 0, crash_at

    def check(self, *, destructive=False):
        self.count += 1
        if self.count == self._crash_at:
            raise Crash


class Inbox:
    """A folder, its GPUBatch, and who looks into it."""

    def __init__(self, folder):
        self.folder, self.book = folder / "inbox", Book()
        self.folder.mkdir()
        self.template = {
            "apiVersion": "gpuhunter.dev/v1alpha1",
            "kind": "GPUBatch",
            "metadata": {"name": "drop", "namespace": "art"},
            "spec": {
                "parameters": f"file://{self.folder}/",
                "output": f"file://{folder}/pictures",
                "accelerators": [{"type": "nvidia-l4"}],
                "worker": {"image": "gpu-hunter/sd-webui:1"},
                "parallelism": 4,
            },
        }

    def put(self, name, text=GOOD):
        (self.folder / name).write_text(text)

    def look(self, steps=None, **more):
        intake = Intake(ParametersReader(), self.book, steps or Steps())
        return intake.look(parse_batch(self.template), self.template, **more)

    def names(self, folder=""):
        place = self.folder / folder
        return sorted(path.name for path in place.iterdir() if path.is_file()) if place.exists() else []


@pytest.fixture
def inbox(tmp_path):
    return Inbox(tmp_path)


def test_a_file_becomes_one_batch_of_a_copy(inbox):
    """With what the inbox says of all batches, how many pictures it asks for, and the file's place; the file stays."""
    inbox.put("cats.yaml")
    (name,) = inbox.look().made
    (batch,) = inbox.book.batches.values()
    assert batch["metadata"]["name"] == name
    assert name.startswith("cats-")
    assert batch["metadata"]["namespace"] == "art"
    spec = parse_batch(batch)
    assert (spec.pictures, spec.parallelism, spec.inbox) == (3, 4, False)
    copied = Path(spec.parameters.removeprefix("file://"))
    assert copied.read_text() == GOOD
    assert inbox.names() == ["cats.yaml"]


def test_it_is_looked_at_once(inbox):
    """The second look finds a mark, a changed file is another batch."""
    inbox.put("cats.yaml")
    inbox.look()
    again = inbox.look()
    assert (again.made, again.known) == ((), 1)
    inbox.put("cats.yaml", GOOD.replace("3", "4"))
    assert len(inbox.look().made) == 1
    assert len(inbox.book.batches) == 2


def test_the_same_file_twice_is_one_batch(inbox):
    """Under another name, or uploaded again."""
    inbox.put("cats.yaml")
    inbox.put("copy.yaml")
    inbox.look()
    assert len(inbox.book.batches) == 1
    assert len(inbox.names("taken")) == 2


def test_what_a_file_names_is_copied_with_it(inbox):
    """A prompt list that is changed later changes no batch that was begun, and makes another one."""
    inbox.put("prompts.list", "a red circle\na star\n")
    inbox.put("many.yaml", "images:\n- prompts_file: prompts.list\n")
    inbox.look()
    (first,) = inbox.book.batches.values()
    copied = Path(first["spec"]["parameters"].removeprefix("file://")).parent
    inbox.put("prompts.list", "a hat\n")
    assert (copied / "prompts.list").read_text() == "a red circle\na star\n"
    assert first["spec"]["pictures"] == 2


@pytest.mark.parametrize("step", range(1, 6))
def test_killed_before_any_step_it_is_one_batch_in_the_end(inbox, step):
    """The next look goes on, and nothing is doubled or lost."""
    inbox.put("prompts.list", "a red circle\n")
    inbox.put("cats.yaml", "images:\n- prompts_file: prompts.list\n")
    steps = Steps(crash_at=step)
    with pytest.raises(Crash):
        inbox.look(steps)
    inbox.look()
    inbox.look()
    assert len(inbox.book.batches) == 1
    assert len(inbox.names("taken")) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("images:\n- {promt: a cat}\n", "cats.yaml:2: images[0].promt", id="unknown key"),
        pytest.param("images:\n- {prompt: a cat, steps: many}\n", "images[0].steps", id="wrong type"),
        pytest.param("images:\n- {prompt: a cat, width: 10000, height: 10000}\n", "width", id="too many pixels"),
        pytest.param("", "is empty", id="empty"),
        pytest.param("images:\n- {prompt: '" + "x" * 10_001 + "'}\n", "prompt", id="too long"),
    ],
)
def test_what_is_wrong_is_put_aside_with_a_report(inbox, text, said):
    """File, line, key and remedy beside it; nothing is rendered, nothing lost."""
    inbox.put("cats.yaml", text)
    looked = inbox.look()
    assert (looked.made, looked.rejected) == ((), ("cats.yaml",))
    assert inbox.names() == []
    assert (inbox.folder / "rejected" / "cats.yaml").read_text() == text
    report = (inbox.folder / "rejected" / "cats.yaml.txt").read_text()
    assert said in report
    assert "; " in report
    assert inbox.book.batches == {}


@pytest.mark.parametrize("step", [1, 2])
def test_killed_while_it_is_put_aside_it_is_put_aside_in_the_end(inbox, step):
    """Whether the copy was there already or not."""
    inbox.put("cats.yaml", "nothing: here\n")
    with pytest.raises(Crash):
        inbox.look(Steps(crash_at=step))
    inbox.look()
    assert inbox.names() == []
    assert inbox.names("rejected") == ["cats.yaml", "cats.yaml.txt"]


def test_a_file_that_changes_while_it_is_read_waits(inbox, monkeypatch):
    """An upload that goes on makes no batch of its half, and rejects nothing."""
    inbox.put("cats.yaml", "images:\n- {pro")
    read = ParametersReader.read

    def slowly(self, tray, name):
        found = read(tray, name)
        inbox.put("cats.yaml", GOOD)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(ParametersReader, "read", slowly)
        looked = inbox.look()
    assert (looked.made, looked.rejected, inbox.names()) == ((), (), ["cats.yaml"])
    assert len(inbox.look().made) == 1


def test_a_dry_run_takes_nothing(inbox):
    """It writes neither marks nor batches (S10)."""
    inbox.put("cats.yaml")
    assert inbox.look(write=False).made == ()
    assert (inbox.book.batches, inbox.names("taken")) == ({}, [])


def test_only_what_is_named_is_taken(inbox):
    """An event about one file is about that one."""
    inbox.put("cats.yaml")
    inbox.put("dogs.yaml", GOOD.replace("cat", "dog"))
    assert len(inbox.look(only="dogs.yaml").made) == 1
    assert [name[:4] for name in inbox.book.batches] == ["dogs"]


def test_the_same_file_for_another_output_is_another_batch():
    """Or it would never be rendered there."""
    read = Parameters("cats", "a" * 64, 3, 1, {})
    assert name_of(read, "gs://b/one") == name_of(read, "gs://b/one") != name_of(read, "gs://b/two")


def made(name, at, *, output="gs://b/out", parameters="gs://b/cats.yaml", phase="Running", results=None):
    annotations = {"gpuhunter.dev/results": results} if results else {}
    metadata = {"namespace": "default", "name": name, "creationTimestamp": at, "annotations": annotations}
    return {"metadata": metadata, "spec": {"output": output, "parameters": parameters}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("other", "waits"),
    [
        pytest.param({}, True, id="same folder"),
        pytest.param({"output": "gs://b/out/"}, True, id="same folder, written otherwise"),
        pytest.param({"parameters": "gs://x/y.yaml", "results": "cats"}, True, id="by its name in the file"),
        pytest.param({"results": "dogs"}, False, id="another name in the file"),
        pytest.param({"output": "gs://b/two"}, False, id="another output"),
        pytest.param({"phase": "Succeeded"}, False, id="the later is over"),
        pytest.param({"parameters": "gs://b/cats/"}, False, id="an inbox"),
    ],
)
def test_two_batches_for_one_folder_take_turns(other, waits):
    """The earlier comes first; one that is over holds up nobody."""
    first, later = made("one", "2026-11-01T12:00:00Z"), made("a-later", "2026-11-01T12:00:01Z", **other)
    assert behind([later, first]) == ({"default/a-later": "default/one"} if waits else {})
    assert behind([later, {**first, "status": {"phase": "Failed"}}]) == {}
