"""Files that users hand in, the price table, the CRD, and the memory that comes back from a status."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api import MemoryUnreadable, SpecError, memory_from_status, memory_to_status, parse_service
from controlplane.api.crd import custom_resource_definition, spec_schema
from controlplane.api.durations import format_duration, parse_duration
from controlplane.api.loading import load_documents
from controlplane.api.prices import check_affordable, load_prices
from controlplane.model.memory import MEMORY_VERSION, Attempt, Memory, OfferingMemory, Phase, PlacementMemory
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering, RefusalClass

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVICE = """apiVersion: gpuhunter.dev/v1alpha1
kind: GPUService
metadata: {name: demo}
spec:
  replicas: 2
  accelerators: [{type: nvidia-l4}]
  maxHourlyCost: %s
  pod: {image: "app:1"}
"""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("a: [", "is not YAML", id="syntax"),
        pytest.param("", "is empty", id="empty"),
        pytest.param("# only a comment\n", "is empty", id="comment"),
        pytest.param("- 1\n", "is not an object", id="list"),
        pytest.param("a: 1\nb: 2\na: 3\n", ":3: a: is written twice", id="duplicate-key"),
        pytest.param("a: !!python/object/apply:os.system [ls]\n", "cannot be read", id="tag-that-runs-code"),
        pytest.param("a: " + "[" * 200, "is not YAML", id="deep"),
        pytest.param("a: &x {b: *x}\n", "nested too deeply", id="endless-alias"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_in_one_line(tmp_path: Path, content: str, expected: str) -> None:
    """A broken file is named with its line and fault; nothing in it is executed."""
    file = tmp_path / "service.yaml"
    file.write_text(content)
    with pytest.raises(SpecError) as caught:
        load_documents(file)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize("name", ["missing.yaml", "."], ids=["missing", "directory"])
def test_a_path_that_is_no_file_is_one_line(tmp_path: Path, name: str) -> None:
    """A wrong path is told as such."""
    with pytest.raises(SpecError, match=r"no such file|is a directory"):
        load_documents(tmp_path / name)


def test_a_problem_points_at_its_line(tmp_path: Path) -> None:
    """The place of a nested field is the line it stands in, or its nearest parent's."""
    file = tmp_path / "service.yaml"
    file.write_text(SERVICE % "1")
    document = load_documents(file)[0]
    assert document.place("spec.accelerators[0].type").endswith(":6")
    assert document.place("spec.pod.port").endswith(":8")


def test_a_cap_below_the_cheapest_offering_is_refused(tmp_path: Path) -> None:
    """A cap under which nothing can ever run is a mistake, not a wish."""
    file = tmp_path / "service.yaml"
    file.write_text(SERVICE % "0.1")
    spec = parse_service(load_documents(file)[0].object)
    with pytest.raises(SpecError, match=r"spec\.maxHourlyCost: the cap of 0\.1 .* cheapest offering \(0\.1555\)"):
        check_affordable(spec, load_prices(), source="service.yaml")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("nvidia-l5: {us-east1: {spot: 1}}", 'did you mean "nvidia-l4"', id="gpu"),
        pytest.param("nvidia-l4: {us-centrall1: {spot: 1}}", 'did you mean "us-central1"', id="region"),
        pytest.param("nvidia-l4: {us-east1: {spott: 1}}", "is not a capacity type", id="capacity"),
        pytest.param("nvidia-l4: {us-east1: {spot: -1}}", "-1 is not a price", id="negative"),
        pytest.param("nvidia-l4: {us-east1: {spot: .nan}}", "nan is not a price", id="nan"),
        pytest.param("nvidia-l4: {us-east1: {spot: 2, on-demand: 1}}", "spot is dearer", id="anomaly"),
        pytest.param("nvidia-l4: 3", "is not a mapping", id="shape"),
    ],
)
def test_a_wrong_price_table_is_refused(tmp_path: Path, content: str, expected: str) -> None:
    """Price tables contain anomalies; each is named with its place."""
    file = tmp_path / "prices.yaml"
    file.write_text(content)
    with pytest.raises(SpecError, match=expected):
        load_prices(file)


def test_the_crd_is_structural() -> None:
    """No reference, union or title survives, which an API server would refuse."""
    text = json.dumps(custom_resource_definition())
    assert not [word for word in ("$ref", "anyOf", '"title"', '"additionalProperties"') if word in text]
    assert spec_schema()["properties"]["timing"]["default"] == {}
    assert spec_schema()["properties"]["timing"]["properties"]["attemptDeadline"]["default"] == "15m"
    assert "default" not in spec_schema()["properties"]["pod"], "a required section has no default"


def test_the_crd_takes_a_policy_that_says_nothing() -> None:
    """A null in an enumeration would be refused by its check, so the field is one from which null is pruned."""
    policy = spec_schema()["properties"]["policy"]
    assert policy["default"] == {}
    preset, price = policy["properties"]["preset"], policy["properties"]["missingReplicaCost"]
    assert (preset["enum"], preset.get("nullable")) == (["frugal", "balanced", "available"], None)
    assert (price["minimum"], price["exclusiveMinimum"], price["maximum"], price["nullable"]) == (0, True, 1e6, True)


def test_what_is_valued_is_a_column_of_the_wide_table() -> None:
    """`kubectl get gpuservices -o wide` shows the preset; the plain table stays as narrow as it was."""
    columns = custom_resource_definition()["spec"]["versions"][0]["additionalPrinterColumns"]
    wide = [column for column in columns if column.get("priority")]
    assert [(column["name"], column["jsonPath"]) for column in wide] == [("Policy", ".spec.policy.preset")]
    assert len(columns) == len(wide) + 6


@given(st.integers(min_value=1, max_value=7 * 24 * 3600))
def test_durations_read_what_they_write(seconds: int) -> None:
    """A duration that was written is read back as itself."""
    value = timedelta(seconds=seconds)
    assert parse_duration(format_duration(value)) == value


def remembered() -> Memory:
    offering = Offering(ClusterRef("us-east4", "gpu"), Accelerator("nvidia-l4", 2), Capacity.SPOT)
    return Memory(
        fence=3,
        placements=(PlacementMemory(offering, Phase.WARMING, NOW, 2, reason="why"),),
        attempts=(Attempt(offering, NOW, NOW + timedelta(minutes=15), 2, refusal=RefusalClass.STOCK_OUT),),
        offerings={offering.key: OfferingMemory(budget=4, failures=1, not_before=NOW, tries=2.5, held_since=NOW)},
        unknown_since={"us-east4/gpu": NOW},
    )


def test_memory_survives_the_status() -> None:
    """What is remembered comes back from the JSON of the status as it was."""
    wire = json.loads(json.dumps({"memory": memory_to_status(remembered())}))
    assert memory_from_status(wire) == remembered()


INSTANTS = st.none() | st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - the same
    timezones=st.just(UTC),
)
AMOUNTS = st.floats(min_value=0, max_value=1e6)
LEARNT = st.builds(
    OfferingMemory,
    budget=st.integers(1, 64),
    failures=st.integers(0, 9),
    last_refusal=st.none() | st.sampled_from(RefusalClass),
    last_message=st.text(max_size=20),
    tries=AMOUNTS,
    wins=AMOUNTS,
    losses=AMOUNTS,
    exposure=AMOUNTS,
    **dict.fromkeys(("not_before", "last_refused_at", "last_obtained_at", "last_lost_at"), INSTANTS),
    **dict.fromkeys(("up_since", "held_since"), INSTANTS),
)


@given(st.dictionaries(st.from_regex(r"\A[a-z0-9/:-]{1,20}\Z"), LEARNT, max_size=4))
def test_what_was_learnt_survives_the_status(offerings: dict[str, OfferingMemory]) -> None:
    """Amounts come back to four digits and instants as they were; what is written again is the same text."""
    wire = json.loads(json.dumps(memory_to_status(Memory(offerings=offerings))))
    back = memory_from_status({"memory": wire})
    assert back.offerings.keys() == offerings.keys()
    for key, learnt in offerings.items():
        rounded = {name: round(getattr(learnt, name), 4) for name in ("tries", "wins", "losses", "exposure")}
        assert back.offerings[key] == replace(learnt, **rounded)
    assert memory_to_status(back) == wire


def test_nothing_learnt_takes_no_room() -> None:
    """What is at its default, or so small that it rounds to it, is not written."""
    memory = Memory(offerings={"a": OfferingMemory(), "b": OfferingMemory(tries=0.00001, losses=2)})
    assert memory_to_status(memory) == {"version": MEMORY_VERSION, "offerings": {"a": {}, "b": {"losses": 2}}}


def test_a_memory_of_the_first_version_is_read_and_written_as_the_present_one() -> None:
    """A status that an older program left keeps all it says; what it did not know starts empty."""
    old = {"version": 1, "fence": 3, "offerings": {"us-east4/gpu:nvidia-l4:2:spot": {"budget": 4, "failures": 1}}}
    memory = memory_from_status({"memory": old})
    assert memory == Memory(fence=3, offerings={"us-east4/gpu:nvidia-l4:2:spot": OfferingMemory(4, 1)})
    assert memory_to_status(memory) == {**old, "version": 2}


def test_no_memory_is_a_fresh_one() -> None:
    """A service that has no status yet starts with nothing remembered."""
    assert memory_from_status(None) == memory_from_status({}) == Memory()


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param("text", id="not-a-mapping"),
        pytest.param({"version": 99}, id="newer-version"),
        pytest.param({"version": 1, "placements": [{"phase": "Flying"}]}, id="unknown-phase"),
        pytest.param({"version": 1, "attempts": 3}, id="wrong-type"),
        pytest.param({"version": 1, "unknown_since": {"a": "2026-01-01T00:00:00"}}, id="naive-instant"),
        pytest.param({"version": 3}, id="next-version"),
        pytest.param({"version": 0}, id="no-version-yet"),
        pytest.param({"version": 2, "offerings": {"a": {"up_since": "2026-01-01T00:00:00"}}}, id="naive-learnt"),
        pytest.param({"version": 2, "moves": [{"region": "a", "at": "2026-01-01T00:00:00"}]}, id="naive-in-a-list"),
        pytest.param({"version": 2, "whole_since": "2026-01-01T00:00:00"}, id="naive-of-its-own"),
        pytest.param({"version": 2, "offerings": {"a": {"tries": -1}}}, id="negative-amount"),
        pytest.param({"version": 2, "offerings": {"a": {"exposure": float("nan")}}}, id="no-number"),
        pytest.param({"version": 2, "offerings": {"a": {"losses": float("inf")}}}, id="endless-amount"),
    ],
)
def test_a_memory_that_does_not_fit_is_unreadable_not_empty(wire: Any) -> None:
    """Garbage is told apart from nothing, so that the pass knows it must be careful."""
    with pytest.raises(MemoryUnreadable):
        memory_from_status({"memory": wire})


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mutilated_memory_never_crashes(data: st.DataObject) -> None:
    """Whatever one value of the memory turns into, reading gives a memory or MemoryUnreadable."""
    wire: Any = memory_to_status(remembered())
    node, path = wire, []
    while isinstance(node, dict | list) and node:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        path.append((node, key))
        node = node[key]
    parent, key = data.draw(st.sampled_from(path))
    parent[key] = data.draw(
        st.one_of(st.none(), st.integers(), st.text(max_size=5), st.just([]), st.just({}), st.just(float("nan")))
    )
    try:
        assert isinstance(memory_from_status({"memory": wire}), Memory)
    except MemoryUnreadable as error:
        assert "\n" not in str(error)
