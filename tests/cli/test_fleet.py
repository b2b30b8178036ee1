"""The Fleet on the command line: as a file that names the cloud, stored with apply, and shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.api import SpecError
from controlplane.cli.app import run
from controlplane.cli.connect import Settings, google_target, local_with
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.fleet import ClusterStanding, EndpointChoice, FleetSeen, FleetSpec, IngressFeatureSeen
from controlplane.model.offering import ClusterRef
from controlplane.wiring import App, FleetFound, Target

TEXT = """\
apiVersion: gpuhunter.dev/v1alpha1
kind: Fleet
metadata: {name: default}
spec:
  project: my-project
  configCluster: us-west2/hunt-config
  members:
    endpoint: dns
"""
SERVICE = """\
---
apiVersion: gpuhunter.dev/v1alpha1
kind: GPUService
metadata: {name: demo}
spec:
  accelerators: [{type: nvidia-l4}]
  pod: {image: "app:1"}
"""


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GPUHUNTER_FLEET", "GPUHUNTER_PROJECT", "GPUHUNTER_CONFIG_CLUSTER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a Fleet file."""
    path = tmp_path / "fleet.yaml"
    path.write_text(TEXT)
    return path


def test_a_file_gives_project_and_config_cluster(file: Path) -> None:
    """It says besides how the config cluster is called, which only a file can."""
    target = google_target(Settings(fleet=file))
    assert (target.project, target.config_cluster) == ("my-project", "us-west2/hunt-config")
    assert target.choice is EndpointChoice.DNS
    assert not Settings(fleet=file).local


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"project": "my-project", "config_cluster": "us-west2/hunt-config"}, None, id="the-same"),
        pytest.param({"project": "other"}, "spec.project: is my-project, and --project is other", id="project"),
        pytest.param({"config_cluster": "us-east1/x"}, "and --config-cluster is us-east1/x", id="config-cluster"),
    ],
)
def test_options_beside_a_file_must_say_the_same(file: Path, options: dict[str, str], expected: str | None) -> None:
    """Which of two clouds is meant is never guessed."""
    if expected is None:
        assert google_target(Settings(fleet=file, **options)).project == "my-project"  # type: ignore[arg-type]
        return
    with pytest.raises(SpecError, match=expected):
        google_target(Settings(fleet=file, **options))  # type: ignore[arg-type]


def test_a_file_of_the_local_clouds_project_means_the_local_cloud(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a Fleet is rehearsed with the same commands; endpoints of one's own are taken at their word."""
    file.write_text(TEXT.replace("my-project", "gpu-hunter-local"))
    settings = Settings(fleet=file)
    assert settings.local
    target = local_with(settings, Target("gpu-hunter-local", "us-west2/hunt-config"))
    assert target.fleet is not None
    with pytest.raises(SpecError, match=r"spec\.configCluster: is us-west2/hunt-config, and the local cloud has x/y"):
        local_with(settings, Target("gpu-hunter-local", "x/y"))
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER", "https://localhost:1/")
    assert not settings.local


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(TEXT.replace("endpoint", "endpont"), ":8: spec.members.endpont: unknown key; did you", id="key"),
        pytest.param(TEXT.replace("us-west2", "us-wst2"), ':6: spec.configCluster: "us-wst2" is not a loc', id="place"),
        pytest.param(TEXT.replace("kind: Fleet", "kind: Flet"), ":2: kind: is 'Flet'", id="kind"),
        pytest.param(SERVICE, ": holds no Fleet; write one object of kind Fleet into it", id="none"),
        pytest.param(f"{TEXT}---\n{TEXT}", ": holds more than one Fleet", id="two"),
    ],
)
def test_a_wrong_file_is_one_line_with_its_place(
    file: Path, text: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any command that is given the file says what is wrong in it, on which line, and what to do."""
    file.write_text(text)
    assert run(["--fleet", str(file), "plan"]) == 64
    said = capsys.readouterr().err.strip()
    assert f"{file}{expected}" in said
    assert len(said.splitlines()) == 1


def test_a_kind_that_is_neither_is_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Apply takes GPUServices and a Fleet, and says so."""
    file.write_text(TEXT.replace("kind: Fleet", "kind: Flet"))
    assert run(["apply", "-f", str(file)]) == 64
    assert f"{file}:2: kind: is 'Flet'; did you mean \"Fleet\"?" in capsys.readouterr().err


class Stored:
    """A config cluster that keeps what is applied."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}

    def apply(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["kind"] == "CustomResourceDefinition":
            item = {**item, "status": {"conditions": [{"type": "Established", "status": "True"}]}}
        self.objects[item["kind"], item["metadata"]["name"]] = item
        return {**item, "metadata": {**item["metadata"], "generation": 1}}

    def get(self, resource: Any, name: str, **_: Any) -> dict[str, Any] | None:
        found = (item for (_, each), item in self.objects.items() if each == name)
        return next(found, None) if resource.plural == "customresourcedefinitions" else None


def app_of(stored: Stored, target: Target) -> App:
    cloud: Any = type("Cloud", (), {"config": type("Config", (), {"api": lambda _self: stored})()})()
    clock: Any = type("Clock", (), {"monotonic": lambda _self: 0.0, "sleep": lambda *_: None})()
    return App(target, cloud, None, clock)  # type: ignore[arg-type]


def test_apply_stores_a_fleet_after_its_definition(file: Path) -> None:
    """With GPUServices of the same file; the Fleet is in no namespace."""
    from controlplane.api.files import read_objects

    file.write_text(TEXT + SERVICE)
    stored = Stored()
    rows = app_of(stored, google_target(Settings(fleet=file))).apply(read_objects(file))
    assert [(row["kind"], row["namespace"], row["change"]) for row in rows] == [
        ("Fleet", None, "created"),
        ("GPUService", "default", "created"),
    ]
    assert [kind for kind, _ in stored.objects] == [
        *["CustomResourceDefinition"] * 3, "Fleet", "Namespace", "GPUService",
    ]  # fmt: skip


def test_a_fleet_of_another_project_is_not_stored(file: Path) -> None:
    """It would stop every pass there; nothing at all is written."""
    from controlplane.api.files import read_objects

    stored = Stored()
    with pytest.raises(SpecError, match=r"spec\.project: is my-project, and this command talks to other; name"):
        app_of(stored, Target("other", "us-west2/hunt-config")).apply(read_objects(file))
    assert stored.objects == {}


def found(**seen: Any) -> FleetFound:
    at: Any = None
    standings = (
        ClusterStanding(ClusterRef("us-east4", "gpu-1"), version="1.37", endpoint="dns", ingress="ERROR"),
        ClusterStanding(ClusterRef("us-west1", "web"), belongs=False, why="it is no Autopilot cluster"),
        ClusterStanding(ClusterRef("us-west4", "old"), why="its membership is being deleted", leaving=True),
    )
    feature = Known(IngressFeatureSeen(True, "projects/p/locations/us-west2/memberships/m", ours=False), at)
    given = {"standings": standings, "unlisted": ("us-east1",), "memberships": Known(3, at), "feature": feature, **seen}
    spec = FleetSpec("my-project", ClusterRef("us-west2", "hunt-config"))
    return FleetFound(spec, "defaults", FleetSeen(**given), ("a warning",))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Give a function that shows a fleet as a form."""

    def show(form: str, **seen: Any) -> str:
        shower = type("App", (), {"fleet": lambda _self: found(**seen)})
        monkeypatch.setattr("controlplane.wiring.build", lambda *_args, **_more: shower())
        assert run(["--project", "my-project", "--config-cluster", "us-west2/hunt-config", "fleet", "-o", form]) == 0
        return capsys.readouterr().out

    return show


def test_the_fleet_is_shown_with_why_not(shown: Any) -> None:
    """Which belong, which do not and why, what leaves, and what nobody could tell."""
    said = " ".join(shown("table").split())
    assert "us-west1/web" in said
    assert "it is no Autopilot cluster" in said
    assert "leaving us-west4/old" in said
    assert "the ingress feature says ERROR of it" in said
    assert "enabled, config membership m (not the config cluster's)" in said
    assert "us-east1; clusters there are not taken to be gone" in said
    assert "a warning" in said


def test_the_fleet_is_data_for_programs(shown: Any) -> None:
    """Every cluster is a row with the reason of its own."""
    unknown = Unknown(UnknownReason.FORBIDDEN, None, "no permission")  # type: ignore[arg-type]
    data = json.loads(shown("json", memberships=unknown))
    assert [(row["cluster"], row["belongs"], row["leaving"]) for row in data["clusters"]] == [
        ("us-east4/gpu-1", True, False), ("us-west1/web", False, False), ("us-west4/old", True, True),
    ]  # fmt: skip
    assert data["memberships"] == "not known (Forbidden: no permission)"
    assert (data["source"], data["unlisted"]) == ("defaults", ["us-east1"])
