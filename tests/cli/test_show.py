"""What a person sees on a terminal of 80 columns, and what a program gets."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from controlplane.cli import demo, hunt, local, output, show
from controlplane.engine.outcome import ExitCode, PassReport
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


@pytest.mark.parametrize(("grows", "shown"), [({}, "1"), ({"maxReplicas": 3}, "1 to 3")], ids=["fixed", "by-load"])
def test_a_placement_is_shown_with_how_far_its_load_may_take_it(grows: dict[str, int], shown: str) -> None:
    """The replicas that are wanted of it, and the most there may be."""
    placement = {"phase": "Serving", "region": "us-east4", "accelerator": "nvidia-l4", "count": 1, "capacity": "spot"}
    told = {**placement, "replicas": 1, "since": "2026-01-02T03:04:05Z", **grows}
    brief = show._brief({**service(), "spec": {}, "status": {"placements": [told], "conditions": []}})
    with output.console.capture() as captured:
        show._show(brief)
    assert f" spot {shown} " in " ".join(captured.get().splitlines()[-1].split())


AGAIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def explained(**fields: object) -> str:
    """Give what `explain` prints of one refused offering."""
    cluster = ClusterRef("asia-southeast1", "gpu-asia-southeast1")
    offering = Offering(cluster, Accelerator("nvidia-tesla-t4"), Capacity.ON_DEMAND)
    verdict = Verdict(offering, Standing.REFUSED, ("CoolingDown",), "sold out", **fields)
    with output.console.capture() as captured:
        show._show_verdicts([SimpleNamespace(spec=SimpleNamespace(name="demo"), decision=of(verdict))])
    return captured.get()


def of(verdict: Verdict) -> SimpleNamespace:
    return SimpleNamespace(verdicts=(verdict,), histogram={})


def test_an_explained_offering_stands_whole_with_its_reason_below() -> None:
    """Region, GPU type and reason are not cut into syllables on 80 columns."""
    first, second = explained(price=0.691, next_try=AGAIN).splitlines()[-2:]
    assert first.split() == ["Refused", "asia-southeast1", "nvidia-tesla-t4", "on-demand", "0.691", "03:04:05"]
    assert second.strip() == "CoolingDown: sold out"


LEARNT = {"chance": 0.62, "hazard": 0.0731, "learnt": "3 of 5 attempts obtained, lost once in 12 h held"}


def test_on_80_columns_the_odds_stand_below_the_reason() -> None:
    """There is no room for two more columns, and nothing is left out."""
    below = [line.strip() for line in explained(price=0.691, next_try=AGAIN, **LEARNT).splitlines()[-3:]]
    assert below == ["CoolingDown: sold out", "chance 62%, 0.0731 losses/h", LEARNT["learnt"]]


def test_on_100_columns_the_odds_are_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """They can be compared from offering to offering; no line is longer than the terminal."""
    monkeypatch.setattr(output.console, "width", 100)
    lines = explained(price=0.691, next_try=AGAIN, **LEARNT).splitlines()
    assert lines[-4].split()[-5:] == ["CHANCE", "LOSSES/H", "$/GPU-H", "NEXT", "TRY"]
    assert lines[-3].split()[-4:] == ["62%", "0.0731", "0.691", "03:04:05"]
    assert [line.strip() for line in lines[-2:]] == ["CoolingDown: sold out", LEARNT["learnt"]]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("width", [80, 100], ids=["narrow", "wide"])
def test_what_is_not_known_is_blank(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An offering of which nothing is supposed has neither zeros nor dashes, and no empty line below it."""
    monkeypatch.setattr(output.console, "width", width)
    first, second = explained().splitlines()[-2:]
    assert first.split() == ["Refused", "asia-southeast1", "nvidia-tesla-t4", "on-demand"]
    assert second.strip() == "CoolingDown: sold out"


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "0%"), (0.001, "<1%"), (0.006, "1%"), (0.62, "62%"), (0.999, ">99%"), (1.0, "100%")],
)
def test_hardly_ever_is_not_never(share: float, shown: str) -> None:
    """A chance is rounded to whole percent, but only what is impossible shows 0 and only what is sure 100."""
    assert f"chance {shown}" in explained(chance=share)


@pytest.mark.parametrize("form", [output.Output.JSON, output.Output.YAML])
def test_a_program_gets_what_a_person_sees(form: output.Output, capsys: pytest.CaptureFixture[str]) -> None:
    """Standing, reasons, odds, price, what was learnt and the next try are there; what is not known is null."""
    offering = Offering(ClusterRef("us-east4", "gpu"), Accelerator("nvidia-l4"), Capacity.SPOT)
    known = Verdict(offering, Standing.REFUSED, ("CoolingDown",), "sold out", price=0.2, next_try=AGAIN, **LEARNT)
    unknown = Verdict(offering, Standing.RANKED, ("EnoughReplicas",), "")
    for verdict, expected in (
        (known, {**LEARNT, "price": 0.2, "nextTry": AGAIN.isoformat(), "reasons": ["CoolingDown"]}),
        (unknown, {"chance": None, "hazard": None, "learnt": "", "price": None, "nextTry": None}),
    ):
        service = SimpleNamespace(spec=SimpleNamespace(name="demo", namespace="default"), decision=of(verdict))
        output.emit(show._explained(service), form, lambda: None)
        row = yaml.safe_load(capsys.readouterr().out)["offerings"][0]
        assert row.items() >= expected.items()


HTTPS = {"https": {"certificates": ["web"]}}


@pytest.mark.parametrize(
    ("ingress", "address", "expected"),
    [
        pytest.param({}, "192.0.2.7", "http://192.0.2.7/", id="http"),
        pytest.param({"host": "sd.example.org"}, "192.0.2.7", "http://192.0.2.7/", id="http-with-a-host"),
        pytest.param({**HTTPS, "host": "sd.example.org"}, "192.0.2.7", "https://sd.example.org/", id="https"),
        pytest.param(HTTPS, "192.0.2.7", "https://192.0.2.7/", id="https-without-a-host"),
        pytest.param(HTTPS, None, None, id="no-address-yet"),
    ],
)
def test_the_status_shows_what_to_open(
    ingress: dict[str, object], address: str | None, expected: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """With HTTPS that is the host that the certificate is for, where one is named."""
    given = {**service(), "spec": {"ingress": ingress}, "status": {"address": address} if address else {}}
    assert show._brief(given)["url"] == expected
    show._show_all([given])
    assert (expected or "no address yet") in capsys.readouterr().out


@pytest.mark.parametrize("form", ["pass", "line"])
def test_what_a_pass_warns_of_is_shown_once(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As the result of one pass, and under --watch as a line."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    report = PassReport(
        "r", at, 0.1, True, ExitCode.OK, warnings=("they differ",), strays=("Deployment of default/web",)
    )
    hunt._show_pass(report) if form == "pass" else hunt._print_line(report, output.Output.TABLE)
    shown = capsys.readouterr().out
    assert (shown.count("they differ"), shown.count("Deployment of default/web")) == (1, 1)


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
