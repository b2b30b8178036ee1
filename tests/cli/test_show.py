"""What a person sees on a terminal of 80 columns, and what a program gets."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from controlplane.cli import demo, local, output, show
from controlplane.model.decision import Standing, Verdict
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering

CONDITION = {"type": "Available", "status": "True", "reason": "AllReplicasServing", "message": "1 of 1 replicas serve"}


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show on 80 columns."""
    monkeypatch.setattr(output.console, "width", 80)


def service(**metadata: object) -> dict[str, object]:
    return {"metadata": {"name": "demo", "namespace": "default", **metadata}, "status": {"conditions": [CONDITION]}}


def test_a_cluster_and_its_endpoint_stand_whole_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and addresses are not folded on 80 columns, so that they can be copied."""
    row = {"name": "gpu-asia-southeast1", "location": "asia-southeast1", "role": "member", "status": "RUNNING"}
    local._show(SimpleNamespace(clusters=[{**row, "endpoint": "https://127.0.0.1:37731", "nodes": 0, "pods": 0}]))
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split() == ["gpu-asia-southeast1", "asia-southeast1", "member", "127.0.0.1:37731", "RUNNING", "0", "0"]


def test_an_explained_offering_stands_whole_with_its_reason_below(capsys: pytest.CaptureFixture[str]) -> None:
    """Region, GPU type and reason are not cut into syllables on 80 columns."""
    cluster = ClusterRef("asia-southeast1", "gpu-asia-southeast1")
    offering = Offering(cluster, Accelerator("nvidia-tesla-t4"), Capacity.ON_DEMAND)
    again = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    verdict = Verdict(offering, Standing.REFUSED, ("CoolingDown",), "sold out", price=0.691, next_try=again)
    decision = SimpleNamespace(verdicts=(verdict,))
    show._show_verdicts([SimpleNamespace(spec=SimpleNamespace(name="demo"), decision=decision)])
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.split() == ["Refused", "asia-southeast1", "nvidia-tesla-t4", "on-demand", "0.691", "03:04:05"]
    assert second.strip() == "CoolingDown: sold out"


@pytest.mark.parametrize(
    ("given", "word"),
    [
        pytest.param({**service(), "spec": {"paused": True}}, "paused", id="paused"),
        pytest.param(service(deletionTimestamp="2026-01-01T00:00:00Z"), "being deleted", id="deleted"),
    ],
)
def test_a_service_at_rest_or_on_its_way_out_says_so(
    given: dict[str, object], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A paused service's status is not written any more, so the display has to tell that it is old."""
    show._show_all([given])
    assert word in capsys.readouterr().out
    show._show_all([{**service(), "spec": {}}])
    assert word not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("usual", "expected"),
    [pytest.param("/a/cloud", "/a/cloud-demo", id="named"), pytest.param("/", "/gpu-hunter-demo", id="root")],
)
def test_the_demonstration_lives_beside_the_usual_cloud(usual: str, expected: str) -> None:
    """Any --state-dir gives a folder of the demonstration's own."""
    assert demo._folder_of(Path(usual)) == Path(expected)


def test_clearing_up_after_the_demonstration_leaves_foreign_files(tmp_path: Path) -> None:
    """A folder that happens to have the demonstration's name keeps what it did not make, even under its own names."""
    where = tmp_path / "cloud-demo"
    (where / "clusters").mkdir(parents=True)
    (where / "clusters" / "mine.txt").write_text("mine")
    demo._clear(where)
    assert (where / "clusters" / "mine.txt").read_text() == "mine"


def test_clearing_up_after_the_demonstration_leaves_nothing_of_its_own(tmp_path: Path) -> None:
    """What a local cloud and the demonstration made is gone, the folder included."""
    where = tmp_path / "cloud-demo"
    (where / "clusters").mkdir(parents=True)
    for name in ("daemon.lock", "state.json", demo.SCENARIO):
        (where / name).write_text("")
    demo._clear(where)
    assert not where.exists()
