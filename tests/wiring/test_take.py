"""`batch take` and events about uploads: a file of an inbox becomes a batch at once."""

import copy
from types import SimpleNamespace

import pytest

from controlplane.clock import SystemClock
from controlplane.wiring import App, Target

PARAMETERS = "images: [{prompt: a cat, seed: 1, count: 3}]"


def batch(name, parameters, output):
    """Give a GPUBatch as it stands in the config cluster."""
    spec = {
        "parameters": parameters,
        "output": output,
        "accelerators": [{"type": "nvidia-l4"}],
        "worker": {"image": "gpu-hunter/sd-webui:1"},
    }
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "gpuhunter.dev/v1alpha1", "kind": "GPUBatch", "metadata": metadata, "spec": spec}


@pytest.fixture
def inbox(tmp_path):
    """Make an inbox with a file, beside a GPUBatch that nobody can read."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cats.yaml").write_text(PARAMETERS)
    folder, made = (tmp_path / "in").as_uri(), []
    stored = [batch("wrong", f"{folder}/", f"{folder}/out"), batch("drop", f"{folder}/", (tmp_path / "out").as_uri())]
    config = SimpleNamespace(batches=lambda: copy.deepcopy(stored), create_batch=made.append)
    cloud = SimpleNamespace(config=SimpleNamespace(open=lambda: config))
    app = App(Target("p", "us-west1/hub"), cloud, None, SystemClock())
    return SimpleNamespace(folder=folder, made=made, take=lambda name: app.take(f"{folder}/{name}"))


def test_a_file_becomes_a_batch_at_once_and_once(inbox):
    """Told of it, and told of it again; a GPUBatch whose spec is wrong keeps no other inbox from being served."""
    (name,) = inbox.take("cats.yaml")
    assert inbox.take("cats.yaml") == ()
    (made,) = inbox.made
    assert (made["kind"], made["metadata"]["name"]) == ("GPUBatch", name)
    assert made["spec"]["pictures"] == 3


def test_a_file_of_no_inbox_is_nobody_s(inbox):
    """An event may be about any file of a bucket: one below the inbox, or one that is not there."""
    assert inbox.take("batches/cats.yaml") == inbox.take("dogs.yaml") == ()
    assert inbox.made == []
