"""What lies between: names, clocks, and the variables that turn calls elsewhere."""

import pytest

from controlplane.doctor.finding import State
from controlplane.model.service import IngressKind

pytestmark = pytest.mark.usefixtures("reviews_granted")
GATEWAY = IngressKind.MULTI_CLUSTER_GATEWAY


def unknown_host(_host):
    raise OSError("Name or service not known")


@pytest.mark.parametrize(
    ("resolve", "state", "expected"),
    [
        pytest.param(lambda _: ["203.0.113.1"], State.OK, "leads to 203.0.113.1", id="right"),
        pytest.param(lambda _: ["198.51.100.9"], State.FAIL, "record-sets update", id="elsewhere"),
        pytest.param(unknown_host, State.FAIL, "record-sets create", id="nowhere"),
    ],
)
def test_a_host_name_leads_to_the_address_or_the_record_is_told(
    project, examine, resolve, state, expected, with_ingress
):
    """The record's name, type and value stand in the command."""
    service = with_ingress(static_address="203.0.113.1", host="sd.example.org")
    (found,) = [each for each in examine([service], resolve=resolve) if each.check == "dns"]
    assert found.state is state
    assert expected in f"{found.what} {found.mend}"
    assert state is State.OK or "--rrdatas=203.0.113.1" in found.mend


def test_the_host_of_a_gateway_is_held_to_the_address_in_use(project, examine, with_ingress):
    """The reserved address of the other kind is not the one that it answers at."""
    service = with_ingress(
        kind=GATEWAY,
        static_address="203.0.113.1", static_address_name="ours", host="sd.example.org",
    )  # fmt: skip
    assert "no address yet" in examine([service], resolve=lambda _: ["203.0.113.1"]).the("dns", State.WARN).what


@pytest.mark.parametrize(
    ("seconds", "state"), [(20, State.WARN), (-20, State.WARN), (120, State.FAIL)], ids=["ahead", "behind", "far"]
)
def test_a_clock_that_is_off_is_told(project, examine, later, seconds, state):
    """By how much, and by whose clock; every server says the same."""
    later(seconds)
    found = examine().amiss("clock")
    assert {finding.state for finding in found} == {state}
    assert "Google Cloud" in {finding.subject for finding in found}
    assert {finding.subject for finding in found} >= {"us-west2/hunt-config"}


@pytest.mark.parametrize(
    ("environ", "state"),
    [
        pytest.param({"https_proxy": "http://user:hunter2@proxy:3128"}, State.WARN, id="metadata-through-a-proxy"),
        pytest.param(
            {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "metadata.google.internal,169.254.169.254"}, None, id="spared"
        ),
        pytest.param({"REQUESTS_CA_BUNDLE": "/no/such/file"}, State.FAIL, id="bundle-missing"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_variables_that_turn_calls_elsewhere_are_told(project, examine, environ, state):
    """Without the password of a proxy."""
    findings = examine(environ=environ)
    found = findings.amiss("egress")
    assert [finding.state for finding in found] == ([] if state is None else [state])
    assert "hunter2" not in str([finding.as_dict() for finding in findings])
