"""An examination as a whole: nothing is written, nothing waits for what hangs, and which services it is for."""

import threading

from controlplane.doctor.examine import CHECKS
from controlplane.doctor.finding import State
from controlplane.gateways.resources import GPU_SERVICES

SHORT = (1.0, 8.0, 60.0)  # seconds; the longer ones only where what comes first took too long on a busy machine


def test_where_all_is_well_nothing_has_to_be_mended(project, examine):
    """Every check speaks, and the only remark is that no address was asked for."""
    findings = examine()
    assert [finding for finding in findings if finding.state is State.FAIL] == []
    assert {finding.check for finding in findings} == set(CHECKS) - {"dns"}
    assert [finding.check for finding in findings if finding.state is State.WARN] == ["address"]
    latencies = [f.what for f in findings if f.check == "reachable"]
    assert len(latencies) == 3
    assert all(" ms" in what for what in latencies)


def test_nothing_is_written_anywhere(project, examine):
    """All that is asked are reads, tokens, and reviews that nobody stores."""
    project.asked.clear()
    examine()
    examine(None)
    writes = {
        (method, path.rpartition("/")[2])
        for method, path in project.asked
        if method != "GET" and not path.endswith(("/token", "/selfsubjectaccessreviews", ":testIamPermissions"))
    }
    assert writes == set()
    assert len(project.asked) > 20


def test_without_a_file_the_stored_services_are_looked_at(project, examine):
    """One that cannot be read is told, and those that can are checked."""
    admin = project.admin(project.config)
    body = {
        "apiVersion": "gpuhunter.dev/v1alpha1",
        "kind": "GPUService",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"accelerators": [{"type": "nvidia-l4"}], "pod": {"image": "i:1"}},
    }
    admin.create(GPU_SERVICES, body)
    wrong = {**body, "metadata": {"name": "odd", "namespace": "default"}}
    admin.create(GPU_SERVICES, {**wrong, "spec": {**body["spec"], "accelerators": [{"type": "nvidia-l5"}]}})
    findings = examine(None)
    found = findings.the("services", State.FAIL)
    assert found.subject == "default/odd"
    assert "nvidia-l5" in found.what
    assert found.mend.endswith("kubectl edit gpuservice odd --namespace=default")
    assert [f.subject for f in findings if f.check == "services" and f.state is State.OK] == ["default/web"]
    assert any(finding.check == "quotas" and "nvidia-l4" in finding.subject for finding in findings)


def test_without_any_service_it_says_what_was_not_checked(project, examine):
    """A new project has none yet, and that is no fault."""
    findings = examine(None)
    assert findings.the("services", State.WARN).mend == (
        "gpuhunter --project=gpu-hunter-local --config-cluster=us-west2/hunt-config apply -f SERVICE.yaml"
    )
    assert not [finding for finding in findings if finding.check == "quotas"]


def test_a_token_endpoint_that_hangs_has_its_deadline(project, examine):
    """The examination ends, and says what gave no answer."""
    project.fail("gcp", "hang", path="^/token")
    assert "no answer within 1 s" in examine(seconds=1.0).the("credentials", State.FAIL).what


def test_nothing_waits_for_a_name_server(project, examine, with_ingress, until):
    """It answers only when every cluster was asked whatever there is to ask."""
    service = with_ingress(static_address="203.0.113.1", host="sd.example.org")
    waited = []

    def resolve(_host):
        waited.append(until(lambda: project.examined >= {cluster.name for cluster in project.host.clusters}))
        return ["203.0.113.1"]

    findings = examine([service], resolve=resolve)
    assert waited == [True]
    assert findings.amiss("reachable") == findings.amiss("rbac") == findings.amiss("dns") == []


def test_a_name_server_that_hangs_has_its_deadline(project, examine, with_ingress):
    """Only this is known of it: that it gave no answer in time."""
    asked, release = threading.Event(), threading.Event()

    def resolve(_host):
        asked.set()
        return release.wait(300)

    service = with_ingress(static_address="203.0.113.1", host="sd.example.org")
    try:
        for seconds in SHORT:
            findings = examine([service], seconds=seconds, resolve=resolve)
            if asked.is_set():
                break
    finally:
        release.set()
    assert "no answer within" in findings.the("dns", State.FAIL).what
