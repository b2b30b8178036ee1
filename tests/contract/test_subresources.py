"""Subresources: status, scale, binding, eviction, and reviews."""

import time

import pytest


def deployments(ns):
    return f"/apis/apps/v1/namespaces/{ns}/deployments"


def pods(ns):
    return f"/api/v1/namespaces/{ns}/pods"


SPEC = {"containers": [{"name": "c", "image": "i"}]}


@pytest.fixture
def deployment(http, ns):
    """Put a Deployment into the namespace."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": SPEC}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    return http.create(deployments(ns), {"metadata": {"name": "d"}, "spec": spec})


@pytest.fixture
def pod(http, ns):
    """Put a Pod into the namespace."""
    return http.create(pods(ns), {"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": SPEC})


def test_status_is_ignored_by_create_and_update(http, ns, deployment):
    """The main resource does not write the status."""
    assert not deployment.get("status")
    after = http("PUT", f"{deployments(ns)}/d", {**deployment, "status": {"replicas": 5}}).json()
    assert not (after.get("status") or {}).get("replicas")


def test_status_writes_only_the_status(http, ns, deployment):
    """The status subresource leaves the spec alone."""
    body = {**deployment, "spec": {**deployment["spec"], "replicas": 9}, "status": {"replicas": 5}}
    after = http("PUT", f"{deployments(ns)}/d/status", body).json()
    assert after["status"]["replicas"] == 5
    assert after["spec"]["replicas"] == 1
    assert after["metadata"]["generation"] == 1


def test_status_patch(http, ns, deployment):
    """The status can be patched."""
    after = http.patch(f"{deployments(ns)}/d/status", "merge", {"status": {"replicas": 3}, "spec": {"replicas": 8}})
    assert (after.json()["status"]["replicas"], after.json()["spec"]["replicas"]) == (3, 1)


def test_scale_read(http, ns, deployment):
    """A Scale shows wanted and present replicas and the selector."""
    scale = http("GET", f"{deployments(ns)}/d/scale").json()
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"] == {"replicas": 1}
    assert scale["status"] == {"replicas": 0, "selector": "a=b"}
    assert scale["metadata"]["resourceVersion"] == deployment["metadata"]["resourceVersion"]


def test_scale_write(http, ns, deployment):
    """Writing the Scale changes the replicas and the generation."""
    scale = http("GET", f"{deployments(ns)}/d/scale").json()
    scale["spec"]["replicas"] = 4
    assert http("PUT", f"{deployments(ns)}/d/scale", scale).json()["spec"] == {"replicas": 4}
    live = http("GET", f"{deployments(ns)}/d").json()
    assert (live["spec"]["replicas"], live["metadata"]["generation"]) == (4, 2)


def test_scale_patch(http, ns, deployment):
    """The Scale can be patched."""
    after = http.patch(f"{deployments(ns)}/d/scale", "merge", {"spec": {"replicas": 0}})
    assert after.json()["spec"].get("replicas", 0) == 0
    assert http("GET", f"{deployments(ns)}/d").json()["spec"]["replicas"] == 0


def test_scale_below_zero(http, ns, deployment):
    """A negative number of replicas is 422."""
    status = http.patch(f"{deployments(ns)}/d/scale", "merge", {"spec": {"replicas": -3}}).json()
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert "must be greater than or equal to 0" in status["message"]


def test_binding(http, ns, pod):
    """A binding puts a Pod on a node, once."""
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    assert http("POST", f"{pods(ns)}/p/binding", binding).status_code == 201
    live = http("GET", f"{pods(ns)}/p").json()
    assert live["spec"]["nodeName"] == "n1"
    scheduled = next(one for one in live["status"]["conditions"] if one["type"] == "PodScheduled")
    assert scheduled["status"] == "True"
    again = http("POST", f"{pods(ns)}/p/binding", binding).json()
    assert again["code"] == 409
    assert 'pod p is already assigned to node "n1"' in again["message"]


def evict(http, ns, since):
    version = "policy/v1" if http.target.version >= (1, 22) else "policy/v1beta1"
    body = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": "p", "namespace": ns}}
    return http("POST", f"{pods(ns)}/p/eviction", body)


def test_eviction_deletes(http, ns, pod, since):
    """An eviction that no budget forbids deletes the Pod."""
    assert evict(http, ns, since).status_code == 201
    assert http("GET", f"{pods(ns)}/p").status_code == 404


def test_eviction_is_refused_by_a_budget(http, ns, pod, since):
    """An eviction that a budget forbids is 429."""
    version = "v1" if http.target.version >= (1, 21) else "v1beta1"
    budgets = f"/apis/policy/{version}/namespaces/{ns}/poddisruptionbudgets"
    selector = {"matchLabels": {"a": "b"}}
    http.create(budgets, {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": selector}})
    running = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    assert http.patch(f"{pods(ns)}/p/status", "merge", running).status_code == 200
    counts = {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    status = {"status": {"observedGeneration": 1, **counts}}
    assert http.patch(f"{budgets}/b/status", "merge", status).status_code == 200
    answer = evict(http, ns, since)
    assert (answer.status_code, answer.json()["reason"]) == (429, "TooManyRequests")
    assert answer.json()["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert answer.json()["details"]["causes"][0]["reason"] == "DisruptionBudget"
    assert http("GET", f"{pods(ns)}/p").status_code == 200


def test_log_of_a_missing_pod(http, ns):
    """The log of a Pod that does not exist is 404."""
    assert http("GET", f"{pods(ns)}/nope/log").status_code == 404


def test_subject_access_review(http):
    """Someone without roles may not read secrets; an administrator may."""
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    attributes = {"verb": "get", "resource": "secrets", "namespace": "default"}
    nobody = http.create(path, {"spec": {"user": "nobody", "groups": ["g"], "resourceAttributes": attributes}})
    master = http.create(path, {"spec": {"user": "x", "groups": ["system:masters"], "resourceAttributes": attributes}})
    assert (nobody["status"]["allowed"], master["status"]["allowed"]) == (False, True)


def test_self_subject_access_review(http):
    """The administrator of the suite may do everything."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    made = http.create(path, {"spec": {"resourceAttributes": {"verb": "delete", "resource": "nodes"}}})
    assert made["status"]["allowed"] is True


def test_token_review(http, target):
    """A valid token names its user, another one does not."""
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    good = http.create(path, {"spec": {"token": target.token}})["status"]
    assert (good["authenticated"], good["user"]["username"]) == (True, "admin")
    assert not http.create(path, {"spec": {"token": "nope"}})["status"].get("authenticated")


def test_rbac_is_evaluated_for_impersonated_users(http, ns):
    """A role that is bound to a ServiceAccount gives exactly what it says."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]
    http.create(f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": rules})
    subjects = [{"kind": "ServiceAccount", "name": "bot", "namespace": ns}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    http.create(f"{rbac}/rolebindings", {"metadata": {"name": "b"}, "subjects": subjects, "roleRef": reference})
    headers = {"Impersonate-User": f"system:serviceaccount:{ns}:bot"}
    for _ in range(600):  # a real server learns of roles through its own watch
        listed = http.client.get(f"/api/v1/namespaces/{ns}/configmaps", headers=headers)
        if listed.status_code == 200:
            break
        time.sleep(0.1)
    secrets = http.client.get(f"/api/v1/namespaces/{ns}/secrets", headers=headers)
    assert listed.status_code == 200
    assert (secrets.status_code, secrets.json()["reason"]) == (403, "Forbidden")
    assert secrets.json()["message"] == (
        f'secrets is forbidden: User "system:serviceaccount:{ns}:bot" cannot list resource "secrets" '
        f'in API group "" in the namespace "{ns}"'
    )


def test_service_gets_an_address(http, ns):
    """A Service gets a cluster IP and keeps it."""
    services = f"/api/v1/namespaces/{ns}/services"
    body = {"metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}
    made = http.create(services, body)
    assert made["spec"]["clusterIP"].startswith("10.96.")
    assert made["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    after = http.patch(f"{services}/s", "merge", {"spec": {"selector": {"a": "c"}}}).json()
    assert after["spec"]["clusterIP"] == made["spec"]["clusterIP"]
