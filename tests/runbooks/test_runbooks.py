"""Every runbook is executed as it stands: its bash blocks, in order, in one shell that stops at the first failure."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.decide.valued.worth import PRESETS
from controlplane.demo.scenario import DEFAULT

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRESET = re.compile(r"^\| `\{preset: (\w+)\}` \| ([\d.]+) times", re.MULTILINE)
EXECUTED = ("fail-and-recover.md", "choosing-a-policy.md", "from-empty-project.md")
# The world of the page, sooner: any free port, for other clouds run at the same time, and short delays.
BASES = {"from-empty-project.md": ROOT / "runbooks" / "from-empty-project.scenario.yaml"}
SCENARIO = """
extends: {base}
load_balancer: {port: 0}
delays:
  {provisioning: 0.2, boot: 0.1, refusal: 0.3, image_pull: 0, scale_down: 3, load_balancer: 0.3, cluster_create: 0.2,
    spot_grace: 15, provision_timeout: 30, backoff_initial: 4, backoff_max: 16, backoff_reset: 300}
"""


def test_there_is_no_runbook_that_no_test_executes() -> None:
    """A runbook that nobody runs rots."""
    assert {file.name for file in (ROOT / "runbooks").glob("*.md")} == set(EXECUTED)


@pytest.mark.e2e
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", EXECUTED)
def test_a_runbook_does_what_it_says(name: str, tmp_path: Path) -> None:
    """Each block succeeds on a fresh local cloud, and a client that asks all the while sees no failure."""
    blocks = BLOCK.findall((ROOT / "runbooks" / name).read_text(encoding="utf-8"))
    assert len(blocks) > 5
    state, scenario = tmp_path / "cloud", tmp_path / "scenario.yaml"
    scenario.write_text(SCENARIO.replace("{base}", str(BASES.get(name, DEFAULT))), encoding="utf-8")
    service = tmp_path / "service.yaml"  # a light app: that the web UI serves is the first page's proof
    text = (ROOT / "controlplane" / "demo" / "service.yaml").read_text(encoding="utf-8")
    service.write_text(text.replace("gpu-hunter/sd-webui", "gpu-hunter/demo-app").replace("/startupz", "/healthz")
                       .replace("/livez", "/healthz"), encoding="utf-8")  # fmt: skip
    own = {
        "GPUSERVICE": str(service),
        "GPUHUNTER_LOCAL_DIR": str(state),
        "GPUHUNTER_SCENARIO": str(scenario),
        "HOME": str(tmp_path),
    }
    environment = {**os.environ, **own, "COLUMNS": "150"}
    traps = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\ntrap 'echo \"failed: $BASH_COMMAND\" >&2' ERR\n"
    script = f"set -euo pipefail\n{traps}" + "\n".join(
        f"echo '### block {number}'\n{block}" for number, block in enumerate(blocks, 1)
    )
    try:
        done = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1080, check=False
        )
        if done.returncode:
            told = (done.stdout[-4000:], done.stderr[-2000:], _log(state), _status(environment))
            pytest.fail("\n".join((f"exit code {done.returncode}", *told)), pytrace=False)
    finally:
        subprocess.run(
            [sys.executable, "-m", "controlplane", "local", "reset", "--yes"], cwd=ROOT, env=environment, check=False
        )


def test_the_presets_on_the_page_are_those_of_the_code() -> None:
    """What a preset means in prices on demand, and so in USD, is what decides."""
    page = (ROOT / "runbooks" / "choosing-a-policy.md").read_text(encoding="utf-8")
    told = {name: float(times) for name, times in PRESET.findall(page)}
    assert told == {preset.value: times for preset, times in PRESETS.items()}


def _log(state: Path) -> str:
    file = state / "hunt.log"
    return "\n".join(file.read_text(encoding="utf-8").splitlines()[-30:]) if file.exists() else "no hunt.log"


def _status(environment: dict[str, str]) -> str:
    """Give the service's conditions as they stand, which say what a wait waited for; empty without a cloud."""
    command = [sys.executable, "-m", "controlplane", "status"]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=150, check=False
        )
    except subprocess.TimeoutExpired:
        return "no status within a minute"
    return f"{done.stdout}{done.stderr}"
