"""The service of a replay, what of a trace it may use, and what it can never have."""

from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.api import SpecError
from controlplane.model.offering import Capacity
from controlplane.model.service import Policy, Preset
from controlplane.simulate.service import Wish, fitted, most_at_once, only, service_of
from controlplane.simulate.trace import Trace, Zone

SERVICE = """apiVersion: gpuhunter.dev/v1alpha1
kind: GPUService
metadata: {name: mine}
spec:
  replicas: 3
  accelerators: [{type: nvidia-l4}, {type: nvidia-tesla-t4}]
  EXTRA
  timing: {backoff: {initial: 7m}}
  pod: {image: "app:1"}
"""


def zone(name: str, *capacity: int, price: float = 1.0, kind: str = "L4") -> Zone:
    return Zone(name, name.rsplit("-", 1)[0], price, capacity, kind)


TRACE = Trace(
    "recorded",
    "L4",
    600.0,
    3.0,
    (
        zone("us-east1-b", 2, 0, 1),
        zone("us-east1-c", 2, 3, 0),
        zone("europe-west4-a", 0, 1, 4, kind="T4"),
        zone("asia-east1-a", 9, 9, 9, kind="H100"),
    ),
)


def file_of(folder: Path, extra: str = "") -> Path:
    path = folder / "service.yaml"
    path.write_text(SERVICE.replace("  EXTRA\n", f"  {extra}\n" if extra else ""), encoding="utf-8")
    return path


def refusal(folder: Path, extra: str = "", wish: Wish | None = None, trace: Trace = TRACE) -> str:
    spec = service_of(wish or Wish(file=file_of(folder, extra)), trace)
    with pytest.raises(SpecError) as caught:
        fitted(trace, spec)
    return str(caught.value)


def test_without_a_file_the_service_wants_what_the_trace_has() -> None:
    """Four replicas of any of its GPU types, on spot and on-demand, with a word on what is valued."""
    spec = service_of(Wish(), TRACE)
    assert spec.replicas == 4
    assert spec.capacity_types == (Capacity.SPOT, Capacity.ON_DEMAND)
    assert spec.policy == Policy(preset=Preset.BALANCED)
    assert fitted(TRACE, spec) == TRACE


def test_the_users_own_service_is_read(tmp_path: Path) -> None:
    """With all it says: what is left out of the trace is what it may not use."""
    spec = service_of(Wish(file=file_of(tmp_path, "regions: {denied: [us-east1]}")), TRACE)
    assert spec.replicas == 3
    assert spec.timing.backoff_initial == timedelta(minutes=7)
    assert [one.name for one in fitted(TRACE, spec).zones] == ["europe-west4-a"]


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    """What it does not say stays as it is in the file."""
    file = file_of(tmp_path, "policy: {preset: frugal, missingReplicaCost: 9, maxSpares: 2}")
    spec = service_of(Wish(file=file), TRACE)
    assert spec.policy == Policy(Preset.FRUGAL, 9.0, 2)
    spec = service_of(Wish(7, (Capacity.SPOT,), Policy(preset=Preset.AVAILABLE), file), TRACE)
    assert (spec.replicas, spec.capacity_types) == (7, (Capacity.SPOT,))
    assert spec.policy == Policy(Preset.AVAILABLE, None, 2)
    spec = service_of(Wish(policy=Policy(missing_replica_cost=1.5), file=file), TRACE)
    assert spec.policy == Policy(Preset.FRUGAL, 1.5, 2)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        pytest.param("polcy: {}", 'service.yaml:7: spec.polcy: unknown key; did you mean "policy"?', id="misspelt"),
        pytest.param("capacityTypes: [flex-start]", "spec.capacityTypes: flex-start is not in any trace", id="flex"),
    ],
)
def test_a_wrong_service_is_told_with_its_line(tmp_path: Path, extra: str, expected: str) -> None:
    """As the other commands do."""
    with pytest.raises(SpecError) as caught:
        service_of(Wish(file=file_of(tmp_path, extra)), TRACE)
    assert expected in str(caught.value)


def test_two_services_in_a_file_are_one_too_many(tmp_path: Path) -> None:
    """Nothing is chosen silently."""
    file = file_of(tmp_path)
    file.write_text(f"{file.read_text()}---\n{file.read_text()}")
    with pytest.raises(SpecError, match=r"service.yaml:10: a second service"):
        service_of(Wish(file=file), TRACE)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        pytest.param("regions: {allowed: [us-west1]}", "it may be in none of its regions", id="regions"),
        pytest.param("maxHourlyCost: 0.5", "at most 0.5 USD an hour may be spent, one replica costs 1", id="money"),
        pytest.param(
            "capacityTypes: [spot]\n  spread: {minRegions: 3}",
            "it wants 3 regions, the trace has 2",
            id="spread",
        ),
    ],
)
def test_a_service_that_no_zone_can_serve_is_refused(tmp_path: Path, extra: str, expected: str) -> None:
    """The line names the trace and what stands against it."""
    said = refusal(tmp_path, extra)
    assert said.startswith("recorded: the service can never be served there: ")
    assert expected in said


def test_another_gpu_type_is_refused(tmp_path: Path) -> None:
    """Both types are named."""
    trace = Trace("recorded", "H100", 600.0, 3.0, TRACE.zones[3:])
    assert "it wants nvidia-l4, nvidia-tesla-t4, the trace has H100" in refusal(tmp_path, trace=trace)


def test_more_than_ever_existed_on_spot_is_refused(tmp_path: Path) -> None:
    """It is told how many could be had at most; on-demand has no such bound."""
    spot = Wish(6, (Capacity.SPOT,), file=file_of(tmp_path))
    assert "6 replicas are wanted, at most 5 could be had on Spot" in refusal(tmp_path, wish=spot)
    fitted(TRACE, service_of(Wish(5, (Capacity.SPOT,), file=file_of(tmp_path)), TRACE))
    fitted(TRACE, service_of(Wish(6, file=file_of(tmp_path)), TRACE))


def test_what_existed_at_once_is_counted_by_instant_and_region() -> None:
    """Not the sum of each zone's best; with a cap per region, no region counts for more."""
    assert most_at_once(TRACE) == 14
    assert most_at_once(only(TRACE, "us-*")) == 4
    assert most_at_once(TRACE, per_region=2) == 5


def test_only_some_zones_are_replayed() -> None:
    """By a pattern of their names; one that matches none is told with the names there are."""
    assert [one.name for one in only(TRACE, "*-a").zones] == ["europe-west4-a", "asia-east1-a"]
    with pytest.raises(SpecError, match=r'no zone matches "x\*"; its zones are us-east1-b, us-east1-c'):
        only(TRACE, "x*")
