"""Where the APIs are: gcloud's own variables, and nothing that would carry a token in the clear."""

import json

import pytest
import structlog

from controlplane.api import Problem, SpecError
from controlplane.cli.app import run
from controlplane.cli.connect import Settings, endpoint_overrides, google_target

PREFIX = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"


def test_without_variables_google_is_at_its_usual_addresses():
    """Other variables of gcloud's say nothing about endpoints."""
    assert endpoint_overrides({"CLOUDSDK_CORE_PROJECT": "p", f"{PREFIX}COMPUTE": ""}) == {}


def test_gclouds_variables_are_read_without_their_paths():
    """The client libraries put the paths there themselves."""
    given = {f"{PREFIX}COMPUTE": "https://localhost:1/compute/v1/", f"{PREFIX}CONTAINER": "http://127.0.0.1:2/"}
    assert endpoint_overrides(given) == {"compute": "https://localhost:1", "container": "http://127.0.0.1:2"}


@pytest.mark.parametrize("value", ["http://example.org/", "localhost:1", "ftp://localhost/", "https://"])
def test_what_would_carry_a_token_in_the_clear_is_refused(value):
    """Plain HTTP goes to this machine alone; the line names the variable."""
    with pytest.raises(SpecError, match=f"{PREFIX}CONTAINER: is not an https"):
        endpoint_overrides({f"{PREFIX}CONTAINER": value})


def test_a_certificate_authority_of_ones_own_is_taken(monkeypatch):
    """From gcloud's variable too."""
    monkeypatch.setenv("CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "/ca.pem")
    assert str(google_target(Settings(project="p", config_cluster="l/n")).ca_file) == "/ca.pem"


@pytest.mark.parametrize(
    ("environ", "options", "cloud"),
    [
        pytest.param({"CLOUD_RUN_JOB": "j"}, [], True, id="in-a-cloud-run-job"),
        pytest.param({"CLOUD_RUN_JOB": "j"}, ["--log-format", "text"], False, id="unless-told-otherwise"),
        pytest.param({}, ["--log-format", "cloud"], True, id="where-it-is-asked-for"),
        pytest.param({"GPUHUNTER_LOG_FORMAT": "cloud"}, [], True, id="by-a-variable"),
        pytest.param({}, [], False, id="not-for-people"),
    ],
)
def test_log_lines_are_for_cloud_logging_where_it_reads_them(environ, options, cloud, monkeypatch, capsys):
    """An error then is one JSON line on stdout, and else one line for people on stderr."""
    for name in ("CLOUD_RUN_JOB", "GPUHUNTER_LOG_FORMAT", "GPUHUNTER_CONFIG_CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert run([*options, "--project", "p", "reconcile"]) == 64
    out, err = capsys.readouterr()
    if cloud:
        assert err == ""
        line = json.loads(out)
        assert line["severity"] == "ERROR"
        assert "--config-cluster" in line["message"]
        assert ("logging.googleapis.com/trace" in line) == ("CLOUD_RUN_JOB" in environ)
    else:
        assert out == ""
        assert err.startswith("error: --config-cluster")


@pytest.mark.parametrize("command", ["plan", "explain", "reconcile"])
def test_no_command_turns_log_lines_back(command, monkeypatch, capsys):
    """What a pass logs is for Cloud Logging too, whichever command makes it."""

    def build(*_arguments, **_options):
        structlog.get_logger().warning("odd")
        raise SpecError([Problem("x", "is wrong", "mend it")])

    monkeypatch.setattr("controlplane.wiring.build", build)
    assert run(["--log-format", "cloud", "--project", "p", "--config-cluster", "l/n", command]) == 64
    out, err = capsys.readouterr()
    assert err == ""
    assert [json.loads(line)["severity"] for line in out.splitlines()] == ["WARNING", "ERROR"]


def test_a_wrong_call_in_a_cloud_run_job_is_a_line_too(monkeypatch, capsys):
    """Even before the options are read."""
    monkeypatch.setenv("CLOUD_RUN_JOB", "j")
    assert run(["reconcile", "--interval", "x"]) == 64
    assert json.loads(capsys.readouterr().out.splitlines()[0])["severity"] == "ERROR"
