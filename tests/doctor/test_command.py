"""`doctor` as it is typed: exit codes, forms, and what it refuses."""

import json

import pytest
import yaml

from controlplane.cli.app import run

SERVICE = """apiVersion: gpuhunter.dev/v1alpha1
kind: GPUService
metadata: {name: web}
spec:
  accelerators: [{type: nvidia-l4}]
  pod: {image: "app:1"}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "service.yaml"
    path.write_text(SERVICE)
    return path


@pytest.fixture
def here(monkeypatch, target, tmp_path):
    """Point the command at the project."""
    monkeypatch.setattr("controlplane.cli.doctor._target", lambda _settings: (target, None))
    monkeypatch.setenv("GPUHUNTER_LOCAL_DIR", str(tmp_path / "cloud"))
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_a_person_reads_what_breaks_and_the_command_that_mends_it(bare, here, file, capsys):
    """With something to mend the exit code is 2, and the command stands on a line of its own."""
    assert run(["doctor", "-f", str(file)]) == 2
    said = capsys.readouterr().out
    assert said.count("breaks: no GPUService can be stored or read") == 1
    assert said.count("the definition of GPUService is not installed") == 1
    assert "gpuhunter crd | kubectl apply --server-side -f -" in said
    assert "to mend" in said.splitlines()[-1]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_program_reads_the_same(project, here, file, capsys, form):
    """Warnings leave the exit code at 0."""
    assert run(["doctor", "-f", str(file), "-o", form]) == 0
    data = yaml.safe_load(capsys.readouterr().out)
    assert data["states"]["fail"] == 0
    assert data["states"]["warn"] == 1
    assert {"check", "subject", "state", "what", "breaks", "mend"} == set(data["findings"][0])
    json.dumps(data)


def test_a_wrong_file_is_refused_before_anything_is_asked(bare, here, tmp_path, capsys):
    """Bad input is exit code 64, with the line and the remedy."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(SERVICE.replace("nvidia-l4", "nvidia-l5"))
    bare.asked.clear()
    assert run(["doctor", "-f", str(wrong)]) == 64
    assert "wrong.yaml:5" in capsys.readouterr().err.replace("\n", "")
    assert bare.asked == []


def test_the_local_cloud_is_not_started_for_it(monkeypatch, tmp_path, capsys):
    """A check changes nothing: it says how to start it."""
    monkeypatch.setenv("GPUHUNTER_LOCAL_DIR", str(tmp_path / "cloud"))
    monkeypatch.delenv("GPUHUNTER_PROJECT", raising=False)
    assert run(["doctor"]) == 69
    assert "local up" in capsys.readouterr().err
    assert not (tmp_path / "cloud").exists()
