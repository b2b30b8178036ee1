"""`batch` as a user types it: what is reckoned and refused, and on a local cloud real workers drawing real pictures."""

import json
from contextlib import ExitStack

import pytest
import yaml
from PIL import Image

from controlplane.bench.world import small
from controlplane.cli.app import run
from controlplane.localcloud import control

# The tests with a whole local cloud are pytest.mark.e2e; the file is kept with the others of that kind.
SIX = "name: shapes\ndefaults: {size: 64x64, steps: 2}\nmatrix: {seed: 1..3}\nimages: [a red circle, a blue square]\n"


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Give a parameters file of six pictures, in the folder in which the command runs."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shapes.yaml"
    path.write_text(SIX)
    return path


def test_a_dry_run_reckons_and_writes_nothing(file, capsys):
    """Pictures, shards, GPU hours and what they cost where they are cheapest and dearest; no cloud is started."""
    assert run(["batch", "submit", str(file), "--dry-run", "--shard-size", "4", "--speed", "100", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["name"], data["pictures"], data["shards"]) == ("shapes", 6, 2)
    assert data["gpu_hours"] == pytest.approx(6 * 64 * 64 * 2 / 100 / 3600, abs=1e-4)
    assert 0 < data["usd"]["cheapest"] < data["usd"]["dearest"]
    assert [path.name for path in file.parent.iterdir()] == ["shapes.yaml"]


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        pytest.param("images:\n- {promt: a cat}\n", [], "shapes.yaml:2: images[0].promt", id="unknown key"),
        pytest.param(SIX, ["--accelerator", "nvidia-l5"], '"nvidia-l5" is not a GPU type', id="unknown GPU"),
        pytest.param(SIX, ["--deadline", "soon"], "spec.deadline", id="no duration"),
        pytest.param(SIX, ["--out", "ftp://host/x"], "spec.output", id="no bucket"),
        pytest.param(None, [], "error: shapes.yaml: does not exist", id="no file"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_started(file, capsys, text, options, said):
    """File, line and key, or the field that an option sets; exit code 64."""
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    assert run(["batch", "submit", str(file), *options]) == 64
    told = capsys.readouterr().err
    assert said in told
    assert told.startswith("error: ")


def test_on_google_cloud_image_and_bucket_must_be_named(file, capsys):
    """A path of this machine is nothing that a worker can write to."""
    there = ["--project", "my-project", "--config-cluster", "us-west1/hub"]
    assert run([*there, "batch", "submit", str(file)]) == 64
    assert "gs://my-bucket/pictures" in capsys.readouterr().err
    assert run([*there, "batch", "submit", str(file), "--out", "gs://art/out"]) == 64
    assert "--image: is missing" in capsys.readouterr().err


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_a_file_becomes_pictures_and_again_nothing_is_rendered_twice(file, capsys, monkeypatch):
    """With --wait, no other process: GPUs are hunted and real workers draw; a file in an inbox becomes a batch too."""
    folder = file.parent
    scenario = folder / "scenario.yaml"
    scenario.write_text(yaml.safe_dump(small()))
    monkeypatch.setenv("GPUHUNTER_LOCAL_DIR", str(folder / "cloud"))
    with ExitStack() as ends:
        ends.callback(control.reset, folder / "cloud")
        control.up(folder / "cloud", scenario)
        assert run(["batch", "submit", str(file), "--shard-size", "3", "--wait", "-o", "json"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["phase"], result["done"], result["failed"]) == ("Succeeded", "6/6", 0)
        manifest = json.loads((folder / "pictures" / "shapes" / "manifest.json").read_text())
        assert (manifest["state"], manifest["counts"]["done"]) == ("complete", 6)
        assert {entry["gpu"] for entry in manifest["pictures"]} <= {"nvidia-l4", "nvidia-tesla-t4"}
        with Image.open(folder / "pictures" / "shapes" / manifest["pictures"][0]["file"]) as picture:
            assert picture.size == (64, 64)
        assert run(["batch", "list", "-o", "json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert row["name"] == result["name"]
        assert run(["batch", "submit", str(file), "--shard-size", "3", "--wait"]) == 0
        assert "this file was rendered before" in capsys.readouterr().err
        drop(folder, capsys)


def drop(folder, capsys):
    """Put a file into an inbox, with the same pictures: a pass makes its batch, and an event about it no second one."""
    inbox = folder / "inbox"
    inbox.mkdir()
    (inbox / "again.yaml").write_text(SIX + "# again\n")
    spec = {
        "parameters": f"{inbox.as_uri()}/",
        "output": (folder / "pictures").as_uri(),
        "accelerators": [{"type": "nvidia-l4"}],
        "worker": {"image": "gpu-hunter/sd-webui:1", "resources": {"cpu": "1", "memory": "2Gi"}},
    }
    manifest = {"apiVersion": "gpuhunter.dev/v1alpha1", "kind": "GPUBatch", "metadata": {"name": "drop"}, "spec": spec}
    (folder / "inbox.yaml").write_text(yaml.safe_dump(manifest))
    assert run(["apply", "-f", str(folder / "inbox.yaml")]) == 0
    run(["reconcile"])
    assert run(["batch", "take", f"{inbox.as_uri()}/again.yaml"]) == 0
    capsys.readouterr()
    assert run(["batch", "list", "-o", "json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["drop"]["taken"] == 1
    assert len(rows) == 3
