"""Scenario files: what is read, and how each fault is told."""

import copy
from pathlib import Path

import pytest
import yaml

from controlplane.cli.connect import LOCAL_PROJECT
from controlplane.localcloud.control import find_scenario
from controlplane.localcloud.scenario import Delays, ScenarioError, load, load_scenario
from controlplane.localcloud.scenario.load import SCENARIOS

SMALL = {
    "project": "test-project",
    "config_cluster": {"name": "config", "location": "us-west2", "zones": ["us-west2-a"]},
    "clusters": [{"name": "gpu-1", "location": "us-central1", "zones": ["us-central1-a", "us-central1-b"]}],
    "stock": {"us-central1-a": {"nvidia-l4": {"on-demand": 1, "spot": 2}}},
}


@pytest.fixture
def write(tmp_path):
    def write(document):
        path = tmp_path / "scenario.yaml"
        path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
        return path

    return write


@pytest.fixture
def changed():
    def changed(**keys):
        document = copy.deepcopy(SMALL)
        for key, value in keys.items():
            place = document
            *path, last = key.split("__")
            for step in path:
                place = place[int(step)] if isinstance(place, list) else place[step]
            if value is None:
                del place[last]
            else:
                place[last] = value
        return document

    return changed


def test_the_default_world_has_a_config_cluster_apart_and_four_member_regions():
    """The default scenario is complete: clusters in five regions, stock and prices for every member."""
    scenario = load_scenario()
    regions = {cluster.region for cluster in scenario.clusters}
    assert len(regions) >= 4
    assert scenario.config_cluster.region not in regions
    assert {entry.zone.rsplit("-", 1)[0] for entry in scenario.stock} == regions
    priced = {(price.region, price.accelerator, price.capacity) for price in scenario.prices}
    stocked = {(e.zone.rsplit("-", 1)[0], e.accelerator, e.capacity) for e in scenario.stock if e.count}
    assert stocked <= priced


def test_every_key_is_explained_in_the_default_scenario():
    """Whoever writes a scenario finds all that can be said in that one file."""
    text = (SCENARIOS / "default.yaml").read_text()
    keys = {*load._REQUIRED, *load._OPTIONAL, *Delays.__dataclass_fields__, "extends", "preempts", "speed"}
    assert {key for key in keys if f"{key}:" not in text} == set()


@pytest.mark.parametrize("name", ["default", "realistic", "trace", "empty-project"])
def test_every_scenario_that_comes_along_is_valid(name):
    """The files in the package load."""
    assert load_scenario(SCENARIOS / f"{name}.yaml").name == name


def test_the_empty_project_differs_from_the_default_in_what_was_made_in_it():
    """Stock, quotas and prices are the default ones; there is no cluster, and few APIs are enabled."""
    default, empty = load_scenario(), load_scenario(SCENARIOS / "empty-project.yaml")
    assert (empty.stock, empty.prices) == (default.stock, default.prices)
    assert set(empty.regions) == set(default.regions)
    assert set(empty.quotas) == set(default.quotas)
    assert empty.all_clusters == ()
    assert "serviceusage.googleapis.com" in empty.apis
    assert "container.googleapis.com" not in empty.apis


def test_a_scenario_that_comes_along_is_found_by_its_name(tmp_path, monkeypatch):
    """Unless a file of that name lies here; anything else is a path."""
    monkeypatch.chdir(tmp_path)
    assert find_scenario(Path("empty-project")) == SCENARIOS / "empty-project.yaml"
    assert find_scenario(Path("no-such-name")) == Path("no-such-name")
    (tmp_path / "trace").touch()
    assert find_scenario(Path("trace")) == Path("trace")


def test_the_realistic_world_differs_from_the_default_in_its_delays_only():
    """`extends` takes everything that the file itself does not say."""
    default, realistic = load_scenario(), load_scenario(SCENARIOS / "realistic.yaml")
    assert realistic.stock == default.stock
    assert realistic.delays.backoff_initial == 300
    assert realistic.delays.provision_timeout == 900


def test_a_small_scenario_gets_defaults_and_zero_for_unnamed_capacity_types(write):
    """Optional parts have defaults; a GPU type that is listed is offered in all capacity types."""
    scenario = load_scenario(write(SMALL))
    assert scenario.client_region == "us-central1"
    assert {(e.capacity, e.count) for e in scenario.stock} == {("on-demand", 1), ("spot", 2), ("flex-start", 0)}
    assert scenario.clusters[0].link == "us-central1/gpu-1"


def test_quotas_of_every_region_are_overridden_by_a_regions_own(write, changed):
    """`every_region` is the base, `regions` wins."""
    quotas = {"every_region": {"NVIDIA_L4_GPUS": 8}, "regions": {"us-central1": {"NVIDIA_L4_GPUS": 2}}}
    scenario = load_scenario(write(changed(quotas=quotas)))
    assert {(q.region, q.limit) for q in scenario.quotas} == {("us-west2", 8.0), ("us-central1", 2.0)}


def test_a_region_without_a_cluster_can_have_stock(write, changed):
    """`regions` adds zones that the project sees."""
    stock = {"us-east1-b": {"nvidia-l4": {"spot": 1}}}
    scenario = load_scenario(write(changed(stock=stock, regions={"us-east1": ["us-east1-b"]})))
    assert scenario.zones_of("us-east1") == ("us-east1-b",)
    assert scenario.accelerators_in("us-east1-b") == ("nvidia-l4",)


def test_zones_for_ai_have_names_of_their_own_form(write, changed):
    """`us-south1-ai1b` is a zone of us-south1."""
    clusters = [{"name": "ai", "location": "us-south1", "zones": ["us-south1-ai1b"]}]
    stock = {"us-south1-ai1b": {"nvidia-b200": {"spot": 8}}}
    assert load_scenario(write(changed(clusters=clusters, stock=stock))).clusters[0].region == "us-south1"


BAD = {
    "unknown key": ({"stok": {}}, "stok: unknown key; did you mean 'stock'?"),
    "missing section": ({"stock": None}, "stock: is missing; add it"),
    "missing name": ({"clusters__0__name": None}, "clusters[0].name: is missing; add it"),
    "no clusters": ({"clusters": []}, "clusters: is an empty list; name at least one"),
    "clusters not a list": ({"clusters": {"a": 1}}, "clusters: must be a list, not a mapping"),
    "zonal location": ({"clusters__0__location": "us-central1-a"}, "is not a region"),
    "zone elsewhere": ({"clusters__0__zones": ["us-east1-b"]}, "clusters[0].zones[0]: zone 'us-east1-b' is not in"),
    "no zones": ({"clusters__0__zones": []}, "clusters[0].zones: is an empty list"),
    "name twice": ({"clusters__0__name": "config"}, "cluster name 'config' appears twice"),
    "negative stock": ({"stock__us-central1-a": {"nvidia-l4": {"spot": -1}}}, "nvidia-l4.spot: -1 must be at least 0"),
    "half a GPU": ({"stock__us-central1-a": {"nvidia-l4": {"spot": 0.5}}}, "0.5 must be a whole number"),
    "true as a count": ({"stock__us-central1-a": {"nvidia-l4": {"spot": True}}}, "must be a number, not true/false"),
    "unknown GPU": (
        {"stock__us-central1-a": {"nvidia-l5": {"spot": 1}}},
        "unknown accelerator 'nvidia-l5'; use one of",
    ),
    "unknown capacity": ({"stock__us-central1-a": {"nvidia-l4": {"cheap": 1}}}, "unknown capacity type 'cheap'"),
    "unknown zone": ({"stock": {"us-east9-a": {}}}, "stock.us-east9-a: unknown zone"),
    "price of 0": ({"prices": {"us-central1": {"nvidia-l4": {"spot": 0}}}}, "0 must be over 0"),
    "price NaN": ({"prices": {"us-central1": {"nvidia-l4": {"spot": float("nan")}}}}, "nan is not a usable number"),
    "spot dearer": (
        {"prices": {"us-central1": {"nvidia-l4": {"spot": 2, "on-demand": 1}}}},
        "spot costs more than on-demand",
    ),
    "unknown region": ({"prices": {"mars1": {}}}, "prices.mars1: unknown region 'mars1'; use one of"),
    "quota metric": ({"quotas": {"project": {"gpus": 1}}}, "'gpus' is not a quota metric"),
    "delay as text": ({"delays": {"boot": "5s"}}, "delays.boot: must be a number, not text"),
    "unknown delay": ({"delays": {"bot": 5}}, "delays.bot: unknown key; did you mean 'boot'?"),
    "backoff order": ({"delays": {"backoff_initial": 9, "backoff_max": 3}}, "backoff_max is below backoff_initial"),
    "port": ({"load_balancer": {"port": 99999}}, "load_balancer.port: 99999 must be at most 65535"),
    "obtainability": ({"advice": {"us-central1": {"nvidia-l4": {"obtainability": 1.5}}}}, "1.5 must be at most 1"),
    "client region": ({"client_region": "us-east9"}, "client_region: unknown region"),
    "project": ({"project": "X"}, "project: 'X' is not a project id"),
    "ip space": ({"ip_space": {"nobody": 3}}, "ip_space.nobody: unknown cluster"),
    "machine half": ({"machine_types": [{"name": "x1", "vcpus": 1, "memory_gib": 1, "gpus": 1}]}, "belong together"),
    "trace file": (
        {"traces": [{"file": "none.json", "accelerator": "nvidia-l4", "capacity": "spot"}]},
        "cannot be read; name a readable .json or .csv file",
    ),
}


@pytest.mark.parametrize(("change", "said"), BAD.values(), ids=BAD.keys())
def test_a_fault_is_one_line_with_file_key_and_remedy(write, changed, change, said):
    """Every wrong value names the file, the key, what is wrong and what to do."""
    path = write(changed(**change))
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert said in text
    assert "; " in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: [", "is not YAML", id="broken"),
        pytest.param("project: a\nproject: b\n", "the key 'project' appears twice", id="key-twice"),
        pytest.param("", "the document: must be a mapping, not empty", id="empty"),
        pytest.param("- a\n", "the document: must be a mapping, not a list", id="list"),
        pytest.param("1: a\n", "the key 1 is not text", id="number-as-key"),
    ],
)
def test_a_document_that_is_no_scenario_says_so(write, text, said):
    """Broken YAML is one line too."""
    with pytest.raises(ScenarioError, match=said) as caught:
        load_scenario(write(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "bytes"])
def test_a_file_that_cannot_be_read_says_so(tmp_path, kind):
    """A missing file, a folder and a binary file are told apart."""
    path = tmp_path / "it"
    if kind == "folder":
        path.mkdir()
    if kind == "bytes":
        path.write_bytes(b"\xff\xfe\x00")
    said = {"missing": "no such file", "folder": "is a folder", "bytes": "cannot be read"}[kind]
    with pytest.raises(ScenarioError, match=said):
        load_scenario(path)


def test_scenarios_that_extend_each_other_are_a_fault(tmp_path):
    """A circle is found."""
    path = tmp_path / "circle.yaml"
    path.write_text("extends: circle.yaml\n")
    with pytest.raises(ScenarioError, match="circle"):
        load_scenario(path)


def test_a_fault_in_the_extended_file_names_that_file(tmp_path):
    """The line says where to look."""
    (tmp_path / "base.yaml").write_text(yaml.safe_dump({**SMALL, "project": 5}))
    path = tmp_path / "own.yaml"
    path.write_text("extends: base.yaml\n")
    with pytest.raises(ScenarioError, match=r"base\.yaml: project: must be"):
        load_scenario(path)


TRACE = {"accelerator": "nvidia-l4", "capacity": "spot"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("t.csv", "seconds,us-central1-a\n0,1\n600,3\n", id="csv"),
        pytest.param("t.json", '{"interval_seconds": 600, "zones": {"us-central1-a": [1, 3]}}', id="json-list"),
        pytest.param(
            "t.json", '{"interval_seconds": 600, "zones": {"us-central1-a": {"capacity": [1, 3]}}}', id="json-object"
        ),
    ],
)
def test_traces_are_read_in_both_forms(write, changed, tmp_path, name, text):
    """CSV and JSON give the same counts and interval."""
    (tmp_path / name).write_text(text)
    (trace,) = load_scenario(write(changed(traces=[{"file": name, **TRACE}]))).traces
    assert dict(trace.counts) == {"us-central1-a": (1, 3)}
    assert trace.interval == 600
    assert trace.preempts


def test_a_trace_recorded_elsewhere_is_mapped_to_zones_of_the_scenario(write, changed, tmp_path):
    """`zones` renames what the recording calls its zones."""
    (tmp_path / "t.csv").write_text("seconds,us-east-2b\n0,16\n300,0\n")
    entry = {"file": "t.csv", **TRACE, "zones": {"us-east-2b": "us-central1-b"}, "speed": 30}
    (trace,) = load_scenario(write(changed(traces=[entry]))).traces
    assert dict(trace.counts) == {"us-central1-b": (16, 0)}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        pytest.param("t.csv", "seconds,z\n0,x\n1,2\n", "every cell is a whole number", id="letters"),
        pytest.param("t.csv", "seconds,us-central1-a\n0,1\n600,1\n700,1\n", "line 4", id="uneven-steps"),
        pytest.param("t.csv", "time,us-central1-a\n0,1\n1,1\n", "needs a header", id="header"),
        pytest.param("t.json", "{", "is not JSON", id="broken-json"),
        pytest.param("t.json", '{"zones": {}}', "interval_seconds: is missing", id="no-interval"),
        pytest.param("t.json", '{"interval_seconds": 1, "zones": {"a": [-1]}}', "must be at least 0", id="negative"),
        pytest.param(
            "t.json", '{"interval_seconds": 1, "zones": {"a": [1], "b": []}}', "different numbers", id="ragged"
        ),
        pytest.param("t.txt", "x", "neither .json nor .csv", id="other-form"),
        pytest.param("t.csv", "seconds,mars-a\n0,1\n1,1\n", "unknown zone 'mars-a'", id="unknown-zone"),
    ],
)
def test_a_trace_with_a_fault_says_where(write, changed, tmp_path, name, text, said):
    """A recording that cannot be replayed is refused when the scenario is loaded."""
    (tmp_path / name).write_text(text)
    with pytest.raises(ScenarioError, match=said):
        load_scenario(write(changed(traces=[{"file": name, **TRACE}])))


def test_paths_in_messages_are_those_the_user_gave():
    """A relative path stays relative."""
    with pytest.raises(ScenarioError, match=r"^nowhere\.yaml: no such file"):
        load_scenario(Path("nowhere.yaml"))


@pytest.mark.parametrize("name", ["default", "realistic", "trace", "empty-project"])
def test_a_fleet_that_names_the_project_of_a_scenario_means_the_local_cloud(name):
    """Else a Fleet for it is either refused by the local cloud, or sent to Google Cloud."""
    assert load_scenario(find_scenario(Path(name))).project == LOCAL_PROJECT
