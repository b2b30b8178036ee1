"""What a user meets at the command line before any cloud is touched: help, mistakes, exit codes."""

import re
import socket
from pathlib import Path

import pytest
import yaml

from controlplane.api import SpecError
from controlplane.cli.app import run
from controlplane.engine.metrics import Metrics
from controlplane.wiring import Target, build

GOOD = """apiVersion: gpuhunter.dev/v1alpha1
kind: GPUService
metadata: {name: demo}
spec:
  accelerators: [{type: nvidia-l4}]
  pod: {image: "app:1"}
"""


@pytest.fixture(autouse=True)
def no_cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Point every command at a local cloud that has never run."""
    monkeypatch.setenv("GPUHUNTER_LOCAL_DIR", str(tmp_path / "cloud"))
    for name in ("GPUHUNTER_PROJECT", "GPUHUNTER_CONFIG_CLUSTER", "GPUHUNTER_PRICES", "GPUHUNTER_DEBUG"):
        monkeypatch.delenv(name, raising=False)


COMMANDS = [
    ["runner"], ["runner", "job"], ["runner", "trigger"], ["runner", "watch"], ["runner", "rights"],
    ["runner", "execute"],
    [], ["local"], ["local", "up"], ["local", "down"], ["local", "status"], ["local", "kubeconfig"],
    ["local", "reset"], ["local", "stock"], ["apply"], ["delete"], ["reconcile"], ["plan"], ["status"], ["explain"],
    ["fail"], ["fail", "stock-out"], ["fail", "preempt"], ["fail", "region-down"], ["fail", "quota"], ["fail", "api"],
    ["fail", "clock"],
    ["recover"], ["recover", "clock"], ["recover", "stock"], ["recover", "region-up"], ["recover", "api"],
    ["demo"], ["bench"], ["simulate"], ["doctor"], ["crd"], ["fleet"], ["bootstrap"],
    ["batch"], ["batch", "submit"], ["batch", "list"], ["batch", "show"], ["batch", "cancel"], ["batch", "take"],
    ["batch", "serve"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: "-".join(c) or "root")
def test_every_command_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of every command works without a cloud and says more than its name."""
    assert run([*command, "--help"]) == 0
    assert len(capsys.readouterr().out) > 200


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` names the program and its version, and does nothing else."""
    assert run(["--version"]) == 0
    assert re.fullmatch(r"gpuhunter \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["aply"], "Did you mean 'apply'?", id="misspelt-command"),
        pytest.param(["fail", "stock-out"], "Missing argument", id="missing-argument"),
        pytest.param(["reconcile", "--interval", "x"], "--interval", id="wrong-type"),
        pytest.param(["reconcile", "--interval", "0"], "--interval", id="out-of-range"),
        pytest.param(["reconcile", "--metrics-port", "0"], "--watch", id="metrics-of-one-pass"),
        pytest.param(["status", "--output", "xml"], "--output", id="unknown-format"),
        pytest.param(["--project", "p", "status"], "--config-cluster: is missing", id="half-configured"),
        pytest.param(["--project", "p", "--config-cluster", "x", "status"], "LOCATION/NAME", id="wrong-cluster"),
        pytest.param(["apply", "-f", "/no/such/file.yaml"], "there is no such file", id="missing-file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_64(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong call says what is wrong and never shows a traceback."""
    assert run(arguments) == 64
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said


def test_watching_dry_watches_and_stays_dry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--watch --dry-run` plans at each interval instead of making one pass; metrics are served on loopback."""
    watched: list[object] = []

    class App:
        def watch(self, interval: float, _on_pass: object, *, dry_run: bool) -> int:
            watched.append((interval, dry_run))
            return 3

        def serve_metrics(self, host: str, port: int) -> int:
            return Metrics().serve(host, port)

    monkeypatch.setattr("controlplane.wiring.build", lambda *_args, **_more: App())
    monkeypatch.setattr("controlplane.cli.hunt.target_of", lambda _settings: None)
    assert run(["reconcile", "--watch", "--dry-run", "--interval", "2", "--metrics-port", "0"]) == 3
    assert watched == [(2.0, True)]
    assert "http://127.0.0.1:" in capsys.readouterr().err


def test_a_metrics_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The line names the option, and the exit code is that of a wrong call."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        app = build(Target("p", "us-west2/c"))
        with pytest.raises(SpecError, match="cannot be listened on") as caught:
            app.serve_metrics("127.0.0.1", other.getsockname()[1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "command", ["local stock", "fail preempt us-east4", "fail region-down us-east4", "recover api"]
)
def test_what_changes_a_running_cloud_says_how_to_start_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to break in a local cloud that does not run; the line says how to start it."""
    assert run(command.split()) == 69
    assert "local up" in capsys.readouterr().err


def test_a_wrong_file_starts_nothing_and_names_every_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with mistakes is refused with file, line and remedy for each, before a cloud is started."""
    file = tmp_path / "service.yaml"
    file.write_text(GOOD.replace("nvidia-l4", "nvidia-l5").replace("app:1", ""))
    assert run(["apply", "-f", str(file)]) == 64
    said = capsys.readouterr().err.replace("\n", "")
    assert f"{file}:5: spec.accelerators[0].type" in said
    assert f"{file}:6: spec.pod.image" in said
    assert not (tmp_path / "cloud").exists()


@pytest.mark.parametrize("output", ["yaml", "json", "table"])
def test_the_definition_is_printed_for_kubectl(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The definitions of GPUService, Fleet and GPUBatch come as whole objects in every form."""
    assert run(["crd", "--output", output]) == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    definition, fleet, batch = printed[0]["items"] if output == "json" else printed
    assert fleet["metadata"]["name"] == "fleets.gpuhunter.dev"
    assert batch["metadata"]["name"] == "gpubatches.gpuhunter.dev"
    assert definition["metadata"]["name"] == "gpuservices.gpuhunter.dev"
    assert definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["required"]


def test_a_value_that_is_not_one_of_the_choices_is_said_in_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong and what there is, and nothing of the parser's own words."""
    assert run(["status", "--output", "tabl"]) == 64
    told = capsys.readouterr().err.splitlines()[0]
    assert told == "error: Invalid value for '--output' / '-o': 'tabl' is not one of 'table', 'json', 'yaml'."
