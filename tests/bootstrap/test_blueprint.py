"""Which parts a fleet needs, what they cost, and the script that makes them by hand."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from controlplane.api.fleet import parse_fleet
from controlplane.api.project_prices import load_project_prices
from controlplane.bootstrap.assembly import documents
from controlplane.bootstrap.blueprint import blueprint
from controlplane.bootstrap.costs import costs, gpu_rows, monthly, runs_a_month
from controlplane.bootstrap.names import Names
from controlplane.bootstrap.plan import missing_needs
from controlplane.bootstrap.project import last_unwired
from controlplane.bootstrap.script import gcloud_lines, script
from controlplane.bootstrap.values import Cluster
from controlplane.model.offering import Capacity
from regional_deploy import runner

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "regional_deploy" / "project" / "example"


def parts_of(tag="1.0.0", number="123456789012", **spec):
    fleet = yaml.safe_load((EXAMPLE / "fleet.yaml").read_text())
    fleet["spec"] |= spec
    parsed = parse_fleet(fleet)
    return blueprint(Names(parsed, number, tag), documents(parsed, fleet))


@pytest.fixture(scope="module")
def parts():
    return parts_of()


def test_every_part_comes_after_what_it_needs(parts):
    """The blueprint can be carried out from front to back."""
    assert missing_needs(parts) == ()


def test_names_are_unique(parts):
    """No two parts have one name: what is seen of them is kept by it."""
    assert len({part.name for part in parts}) == len(parts)


def test_there_is_a_cluster_for_the_config_and_each_region(parts):
    """The Fleet says which clusters there are, and what they are called."""
    links = [part.thing.ref.link for part in parts if isinstance(part.thing, Cluster)]
    assert links == ["us-west2/hunt-config", "us-central1/gpu-us-central1", "europe-west4/gpu-europe-west4"]


def test_clusters_carry_the_labels_of_the_fleet_and_ours():
    """So that discovery takes them for members, and destroy for what it may delete."""
    parts = parts_of(members={"regions": ["us-central1"], "labels": {"team": "art"}})
    labels = [part.thing.labels for part in parts if isinstance(part.thing, Cluster)]
    assert labels == [{"team": "art", "gpu-hunter": "bootstrap"}] * 2


def test_the_role_grants_what_the_reconciler_calls_and_nothing_else(parts):
    """The custom role is the file that a test compares with the calls."""
    (role,) = [part.thing.wanted for part in parts if part.name == "role gpuHunter"]
    assert role["includedPermissions"] == list(runner.permissions())


def test_every_part_tells_the_command_that_does_the_same(parts):
    """A person can do each step by hand."""
    assert [part.name for part in parts if not part.commands] == []


def test_what_destroy_leaves_says_why(parts):
    """Nothing stays without a reason, and whatever goes has a command for it."""
    assert [part.name for part in parts if not part.undo and not part.kept] == []


def test_the_address_leads_nowhere_before_the_fleet_is_touched(parts):
    """On the way back, what starts passes goes first; then all must be unwired, before features and clusters go."""
    names = [part.name for part in reversed(parts) if not part.kept]
    at = names.index(last_unwired(parts))
    assert set(names[:at]) == {"trigger gpu-hunter", "role run.invoker of gpu-hunter", "Cloud Run job gpu-hunter"}


def test_the_connect_gateway_brings_its_api_and_roles():
    """Who chose it needs what it needs."""
    names = [part.name for part in parts_of(members={"endpoint": "connectGateway"})]
    assert "role gkehub.gatewayEditor of gpu-hunter" in names
    assert "connectgateway.googleapis.com" in parts_of(members={"endpoint": "connectGateway"})[0].thing.names


def test_costs_are_those_of_the_price_table(parts):
    """The figures that a person would come to: the first cluster free, a job charged by the minute."""
    lines = {line.what.partition(",")[0]: line for line in costs(parts, load_project_prices())}
    assert lines["GKE cluster"].usd == pytest.approx((3 * 730 - 744) * 0.10)
    job = [line for line in costs(parts, load_project_prices()) if line.what.startswith("Cloud Run job")]
    assert [line.usd for line in job] == pytest.approx([(43800 * 60 - 240000) * 0.000018, (43800 * 30 - 450000) * 2e-6])
    assert monthly(lines.values()) == pytest.approx(sum(line.usd for line in lines.values() if line.counted))


def test_a_rarer_schedule_costs_less():
    """The schedule of the Fleet is what the job is charged by."""
    rare = parts_of(reconciler={"schedule": "*/10 * * * *"})
    assert monthly(costs(rare, load_project_prices())) < monthly(costs(parts_of(), load_project_prices()))


@pytest.mark.parametrize(
    ("schedule", "runs"),
    [
        ("* * * * *", 43800),
        ("*/5 * * * *", 8760),
        ("0 * * * *", 730),
        ("0 0 * * *", 730 / 24),
        ("0,30 8-19 * * *", 730),
    ],
    ids=["minutely", "five", "hourly", "daily", "lists"],
)
def test_a_schedule_tells_how_often_it_fires(schedule, runs):
    """Steps, ranges and lists are read as cron reads them."""
    assert runs_a_month(schedule) == pytest.approx(runs)


def test_gpus_are_told_by_the_hour_for_the_regions_of_the_fleet():
    """Other regions cost nothing, as nothing runs there."""
    prices = {("nvidia-l4", "us-east4", Capacity.SPOT): 0.2, ("nvidia-l4", "us-west1", Capacity.SPOT): 0.3}
    assert gpu_rows(prices, ["us-east4"]) == (("nvidia-l4", "us-east4", "spot", 0.2),)


@pytest.mark.parametrize(("file", "undo"), [("make.sh", False), ("take-down.sh", True)], ids=["make", "take down"])
def test_the_committed_script_is_the_printed_one(parts, file, undo):
    """The example in the repository is what --script prints for its Fleet."""
    title = "project my-project"
    assert (EXAMPLE / file).read_text() == script(parts, title=title, undo=undo)


@pytest.mark.parametrize("file", ["make.sh", "take-down.sh"])
def test_the_script_is_bash(file):
    """A shell reads it to its end."""
    done = subprocess.run(["bash", "-n", str(EXAMPLE / file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")
@pytest.mark.timeout(900)
def test_gcloud_knows_every_command_of_the_script(tmp_path):
    """Gcloud's own linter takes each command: group, name, flags, values. One of each shape is enough."""
    lines = gcloud_lines(parts_of(members={"regions": [], "endpoint": "connectGateway"}))
    shapes = {tuple(word.partition("=")[0] for word in shlex.split(line)): line for line in lines}
    file = tmp_path / "commands.json"
    file.write_text(json.dumps([{"command_string": line} for line in shapes.values()]))
    # `run jobs replace -` reads the job from stdin, as it does in the script.
    values = runner.Runner("my-project", "us-west2/c", "image:1", "us-west2", "a@my-project.iam.gserviceaccount.com")
    done = subprocess.run(
        ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={file}"],
        input=yaml.safe_dump(runner.cloud_run_job(values)), capture_output=True, text=True, check=False,
        env={**os.environ, "CLOUDSDK_CONFIG": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found, _ = json.JSONDecoder().raw_decode(done.stdout.strip())
    assert len(found) == len(shapes) > 20
    assert [(each["command_string"], each["error_message"]) for each in found if not each["success"]] == []


def test_clusters_on_demand_bring_their_role_and_the_use_of_the_nodes_account():
    """Only who asked for them lets the reconciler make clusters."""
    grown = parts_of(clustersOnDemand={"regions": ["us-east4"]})
    names = {part.name for part in grown} - {part.name for part in parts_of()}
    assert names == {"role gpuHunterGrowth", "role gpuHunterGrowth of gpu-hunter",
                     "role iam.serviceAccountUser of gpu-hunter"}  # fmt: skip
    assert missing_needs(grown) == ()
