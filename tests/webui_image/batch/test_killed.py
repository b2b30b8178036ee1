"""A run that is killed at any moment loses no picture and makes none twice."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from webui_image.batch.written import facts_of

TEXT = "defaults: {size: 64x64}\nmatrix: {seed: 1..10}\nimages: [a, b, c, d, e, f]\n"


def start(fake, tmp_path):
    command = [sys.executable, str(fake.path), str(tmp_path / "shapes.yaml"), str(tmp_path / "out"), "0.02"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def finished(folder):
    return {path.name for path in folder.glob("0*.png")}


@pytest.mark.timeout(900)  # eleven processes, on a machine that may have better things to do
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_killed_again_and_again_every_picture_is_made_once(how, fake, tmp_path):
    """Ten runs ended at random moments, then one to the end: sixty whole pictures, and none was ever drawn again."""
    (tmp_path / "shapes.yaml").write_text(TEXT)
    folder = tmp_path / "out" / "shapes"
    chance = random.Random(7)
    seen = {}
    codes = set()
    for _ in range(10):
        running = start(fake, tmp_path)
        before, wanted = len(finished(folder)), chance.randrange(0, 9)
        while running.poll() is None and len(finished(folder)) < before + wanted:
            time.sleep(0.005)
        time.sleep(chance.random() * 0.03)
        running.send_signal(how)
        _, errors = running.communicate(timeout=200)
        codes.add(running.returncode)
        assert "Traceback" not in errors
        for name in finished(folder):
            stands = (folder / name).stat().st_mtime_ns
            assert seen.setdefault(name, stands) == stands
            assert facts_of(folder / name) is not None
    last = start(fake, tmp_path)
    assert (last.wait(200), last.stderr.read()) == (0, "")
    last.stderr.close()
    data = json.loads((folder / "manifest.json").read_text())
    assert data["counts"] == {"asked": 60, "done": 60, "failed": 0, "missing": 0}
    assert finished(folder) == {picture["file"] for picture in data["pictures"]}
    assert all((folder / name).stat().st_mtime_ns == stands for name, stands in seen.items())
    assert list(folder.glob(".*.part")) == []
    assert codes <= ({-9, 0} if how is signal.SIGKILL else {75, 0, -15})  # -15: before its handler stood
