"""How GPUService evolves: the CRD only adds, and what earlier releases stored is read."""

import copy
from pathlib import Path

import pytest
import yaml

from controlplane.api import memory_from_status, parse_service
from controlplane.api.checking import VERSION
from controlplane.api.codec import memory_to_status
from controlplane.api.compatibility import incompatible
from controlplane.api.crd import custom_resource_definition, definitions
from controlplane.api.problems import SpecError
from controlplane.model.memory import MEMORY_VERSION, Phase

HERE = Path(__file__).parent
RELEASED = sorted((HERE / "released").glob("*.yaml"))
STORED = sorted((HERE / "stored").glob("*.yaml"))


def present() -> dict:
    """Give the CRDs of this program by name."""
    return {made["metadata"]["name"]: made for made in definitions()}


@pytest.mark.parametrize("file", RELEASED, ids=lambda file: file.stem)
def test_the_crd_only_adds_to_what_was_released(file):
    """Nothing that a user of the last release relies on is gone or narrower."""
    before = yaml.safe_load(file.read_text())
    assert incompatible(before, present()[before["metadata"]["name"]]) == []


def test_one_version_is_stored_and_it_is_the_one_that_is_read():
    """Exactly one version of a CRD is stored, as API servers demand."""
    versions = custom_resource_definition()["spec"]["versions"]
    assert [v["name"] for v in versions if v["storage"]] == [VERSION]


CHANGES = [
    pytest.param(lambda c, s: s["properties"].pop("paused"), "spec.paused: is gone", id="field-gone"),
    pytest.param(lambda c, s: s["properties"]["pod"]["properties"].pop("args"), "spec.pod.args: is gone", id="nested"),
    pytest.param(lambda c, s: s["properties"]["paused"].update(type="string"), "type changed", id="type"),
    pytest.param(lambda c, s: s["required"].append("policy2"), "policy2 is required now", id="required"),
    pytest.param(lambda c, s: s["properties"]["paused"].update(default=True), "the default changed", id="default"),
    pytest.param(lambda c, s: s["properties"]["paused"].pop("default"), "the default changed", id="default-gone"),
    pytest.param(lambda c, s: s["properties"]["replicas"].update(maximum=10), "maximum is 10 now", id="upper-bound"),
    pytest.param(lambda c, s: s["properties"]["replicas"].update(minimum=2), "minimum is 2 now", id="lower-bound"),
    pytest.param(
        lambda c, s: s["properties"]["capacityTypes"]["items"]["enum"].pop(), "not allowed any more", id="enum"
    ),
    pytest.param(lambda c, s: s["properties"]["maxHourlyCost"].pop("nullable"), "null is not allowed", id="nullable"),
    pytest.param(
        lambda c, s: s["properties"]["accelerators"]["items"]["properties"]["type"].update(pattern="^nvidia"),
        "spec.accelerators[].type: the pattern is another",
        id="pattern-in-a-list",
    ),
    pytest.param(lambda c, s: c["spec"]["versions"][0].update(name="v1beta1"), "v1alpha1 is gone", id="version-gone"),
    pytest.param(lambda c, s: c["spec"]["versions"][0].update(served=False), "not served any more", id="not-served"),
    pytest.param(lambda c, s: c["spec"].update(scope="Cluster"), "scope changed", id="scope"),
    pytest.param(lambda c, s: c["spec"]["names"].update(plural="gpus"), "names.plural changed", id="plural"),
]


@pytest.mark.parametrize(("change", "told"), CHANGES)
def test_what_takes_something_away_is_found(change, told):
    """Each kind of incompatible change is told with its place."""
    before = custom_resource_definition()
    after = copy.deepcopy(before)
    change(after, after["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
    found = incompatible(before, after)
    assert [line for line in found if told in line]


def _another_field(crd, spec):
    spec["properties"]["colour"] = {"type": "string"}


def _another_section(crd, spec):
    section = {"type": "object", "default": {}, "properties": {"a": {"type": "string", "default": "b"}}}
    spec["properties"]["section"] = section


def _wider(crd, spec):
    spec["properties"]["replicas"]["maximum"] = 5000
    spec["properties"]["capacityTypes"]["items"]["enum"].append("reserved")


def _another_version(crd, spec):
    crd["spec"]["versions"].append({**copy.deepcopy(crd["spec"]["versions"][0]), "name": "v1beta1", "storage": False})


@pytest.mark.parametrize("change", [_another_field, _another_section, _wider, _another_version])
def test_what_only_adds_is_compatible(change):
    """A new optional field or section, a wider bound and another version break nobody."""
    before = custom_resource_definition()
    after = copy.deepcopy(before)
    change(after, after["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
    assert incompatible(before, after) == []


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
def test_objects_of_earlier_releases_are_read(file):
    """As the API server stored them then: the same wishes, and what was not there yet has its default."""
    stored = yaml.safe_load(file.read_text())
    spec = parse_service(stored)
    assert (spec.replicas, [a.type for a in spec.accelerators]) == (2, ["nvidia-l4", "nvidia-tesla-t4"])
    assert (spec.ingress.static_address, spec.ingress.kind.value) == ("203.0.113.7", "MultiClusterIngress")
    assert spec.policy.valued == ("policy" in stored["spec"])
    assert [dict(variable) for variable in spec.pod.env] == [{"name": "EMPTY", "value": ""}]


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
def test_memories_of_earlier_releases_are_read_and_go_on(file):
    """Attempts, placements and what was learnt are all there, and are written as the present version."""
    stored = yaml.safe_load(file.read_text())["status"]["memory"]
    memory = memory_from_status({"memory": stored})
    assert [p.phase for p in memory.placements] == [Phase.SERVING, Phase.COOLING]
    assert not any(p.rolling for p in memory.placements)
    assert (len(memory.attempts), len(memory.offerings), memory.fence) == (2, 2, 4)
    assert memory_to_status(memory) == {**stored, "version": MEMORY_VERSION}


def test_both_versions_of_the_memory_are_among_what_is_stored():
    """The fixtures hold a memory of every version that is read."""
    versions = {yaml.safe_load(file.read_text())["status"]["memory"]["version"] for file in STORED}
    assert versions == set(range(1, MEMORY_VERSION + 1))


def test_what_a_newer_release_added_to_the_memory_is_passed_over():
    """An optional field of the same version costs no safe mode after going back a release."""
    stored = yaml.safe_load(STORED[-1].read_text())["status"]["memory"]
    newer = {**stored, "version": MEMORY_VERSION, "tomorrow": 1}
    newer["placements"] = [{**placement, "tomorrow": True} for placement in stored["placements"]]
    assert memory_from_status({"memory": newer}) == memory_from_status({"memory": stored})


@pytest.mark.parametrize(
    ("change", "line"),
    [
        pytest.param(
            lambda o: o["spec"].update(zebra=1),
            "spec.zebra: unknown key; remove it, or update gpuhunter if it is of a newer release",
            id="field",
        ),
        pytest.param(
            lambda o: o.update(apiVersion="gpuhunter.dev/v1beta1"),
            "apiVersion: is 'gpuhunter.dev/v1beta1', a version that this release does not read; update gpuhunter",
            id="version",
        ),
    ],
)
def test_what_a_newer_release_wrote_is_refused_with_its_place(change, line):
    """Nobody guesses what an unknown field was to mean."""
    stored = yaml.safe_load(STORED[0].read_text())
    change(stored)
    with pytest.raises(SpecError) as error:
        parse_service(stored)
    assert line in str(error.value)
