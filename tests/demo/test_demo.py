"""The main job, as a user runs it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
@pytest.mark.timeout(1200)
def test_five_acts_are_played_and_no_request_fails(tmp_path: Path) -> None:
    """On a machine where nothing runs, one command plays five acts, draws all the time and leaves nothing behind."""
    state = tmp_path / "state" / "cloud"
    environment = {**os.environ, "GPUHUNTER_LOCAL_DIR": str(state), "HOME": str(tmp_path)}
    sheet = tmp_path / "sheet.png"
    command = [sys.executable, "-m", "controlplane", "demo", "--output", "json", "--pictures", str(sheet)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1100, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    played = json.loads(done.stdout)
    assert [act["name"] for act in played["acts"]] == ["one-address", "expand", "wiring", "failure", "recovery"]
    assert all(act["seconds"] >= 0 and act["shown"]["text"] for act in played["acts"])
    requests = played["requests"]
    assert requests["failed"] == 0, requests["errors"]
    assert requests["ok"] > 300
    assert 0 < requests["latency_ms"]["p50"] <= requests["latency_ms"]["p99"]
    pictures = played["pictures"]
    assert pictures["failed"] == 0, pictures["errors"]
    assert pictures["ok"] >= 30
    assert sum(pictures["regions"].values()) == pictures["ok"]
    assert len({place.split()[0] for place in pictures["regions"]}) >= 2, "more than one region drew"
    with Image.open(played["sheet"]) as drawn:
        assert Path(played["sheet"]) == sheet
        assert drawn.height > 128 * len(pictures["regions"])
    failure, recovery = played["acts"][3]["shown"], played["acts"][4]["shown"]
    assert {held["accelerator"] for held in failure["after_stock_out"]} == {"nvidia-l4", "nvidia-tesla-t4"}
    assert failure["region_down"] not in {held["region"] for held in failure["after_region_down"]}
    assert {held["accelerator"] for held in recovery["held"]} == {"nvidia-l4"}
    assert recovery["actions_after"] == 0
    assert not list((tmp_path / "state").glob("*")), "nothing is left behind"


@pytest.mark.e2e
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_demonstration_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C in the first act stops the local cloud, removes its folder and is told by exit code 130."""
    state = tmp_path / "state" / "cloud"
    environment = {**os.environ, "GPUHUNTER_LOCAL_DIR": str(state), "HOME": str(tmp_path)}
    # a job that a shell starts in the background ignores SIGINT, and the demonstration would inherit that
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    run = f"{heed}; from controlplane.cli import main; main()"
    command = [sys.executable, "-c", run, "demo"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("Act 1") for line in process.stdout)
        process.send_signal(number)
        assert process.wait(timeout=200) == 130
    assert not list((tmp_path / "state").glob("*"))
    left = [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path) in _read(entry)]
    assert left == []


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
