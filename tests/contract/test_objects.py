"""Creating, reading, replacing and deleting single objects."""

import re

import pytest


def maps(ns):
    return f"/api/v1/namespaces/{ns}/configmaps"


def test_create_fills_in_identity(http, ns):
    """A new object gets uid, resourceVersion and creationTimestamp, and no generation where its kind has none."""
    made = http.create(maps(ns), {"metadata": {"name": "a"}, "data": {"x": "1"}})
    assert re.fullmatch(r"[0-9a-f-]{36}", made["metadata"]["uid"])
    assert made["metadata"]["resourceVersion"].isdigit()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["metadata"]["creationTimestamp"])
    assert made["metadata"]["namespace"] == ns
    assert "generation" not in made["metadata"]
    assert (made["kind"], made["apiVersion"]) == ("ConfigMap", "v1")


def test_create_twice_is_already_exists(http, ns):
    """The second create of a name is 409 AlreadyExists, with details."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    status = http("POST", maps(ns), {"metadata": {"name": "a"}}).json()
    assert (status["code"], status["reason"]) == (409, "AlreadyExists")
    assert status["message"] == 'configmaps "a" already exists'
    assert status["details"] == {"name": "a", "kind": "configmaps"}


def test_generate_name(http, ns):
    """A generateName gives different names with the prefix and five more characters."""
    names = {http.create(maps(ns), {"metadata": {"generateName": "a-"}})["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(re.fullmatch(r"a-[a-z0-9]{5}", name) for name in names)


@pytest.mark.parametrize(
    ("body", "code", "reason", "text"),
    [
        pytest.param({"metadata": {}}, 422, "Invalid", "name or generateName is required", id="no name"),
        pytest.param({"metadata": {"name": "A_b"}}, 422, "Invalid", "RFC 1123", id="bad name"),
        pytest.param({"metadata": {"name": "a", "namespace": "other"}}, 400, "BadRequest",
                     "namespace of the provided object does not match the namespace sent on the request",
                     id="other namespace"),
        pytest.param({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}, 400, "BadRequest",
                     "cannot be handled as a ConfigMap", id="other kind"),
        pytest.param({"metadata": {"name": "a"}, "data": {"x": 1}}, 400, "BadRequest", "ConfigMap", id="wrong type"),
        pytest.param({"metadata": {"name": "a", "labels": {"a b": "c"}}}, 422, "Invalid", "metadata.labels",
                     id="bad label"),
        pytest.param({"metadata": {"name": "a", "finalizers": ["nope nope"]}}, 422, "Invalid", "metadata.finalizers",
                     id="bad finalizer"),
    ],
)  # fmt: skip
def test_create_refuses(http, ns, body, code, reason, text):
    """A body that makes no sense is refused with the right code, reason and text."""
    response = http("POST", maps(ns), body)
    status = response.json()
    assert (response.status_code, status["reason"]) == (code, reason)
    assert status["kind"] == "Status"
    assert text in status["message"]


def test_broken_json_is_bad_request(http, ns):
    """A body that is no JSON is 400."""
    response = http.client.post(maps(ns), content=b'{"metadata"', headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["reason"]) == (400, "BadRequest")


def test_unknown_media_type(http, ns):
    """A body of an unknown format is 415."""
    response = http.client.post(maps(ns), content=b"x", headers={"Content-Type": "text/plain"})
    assert (response.status_code, response.json()["reason"]) == (415, "UnsupportedMediaType")


def test_create_in_missing_namespace(http):
    """Creating in a namespace that does not exist is 404 for the namespace."""
    status = http("POST", maps("no-such-namespace"), {"metadata": {"name": "a"}}).json()
    assert status["message"] == 'namespaces "no-such-namespace" not found'
    assert status["details"]["kind"] == "namespaces"


def test_get_missing(http, ns):
    """A missing object is 404 with details."""
    status = http("GET", f"{maps(ns)}/nope").json()
    assert (status["code"], status["reason"]) == (404, "NotFound")
    assert status["details"] == {"name": "nope", "kind": "configmaps"}


@pytest.mark.parametrize("path", ["/api/v1/nope", "/apis/apps/v1/nope"])
def test_unknown_resource(http, path):
    """A resource that is not served is 404 in the server's words."""
    status = http("GET", path).json()
    assert status["message"] == "the server could not find the requested resource"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("PUT", "", id="put collection"),
        pytest.param("PATCH", "", id="patch collection"),
        pytest.param("POST", "/a", id="post object"),
    ],
)
def test_wrong_method(http, ns, method, path):
    """A verb that the path does not have is 405."""
    response = http(method, maps(ns) + path, {})
    assert (response.status_code, response.json()["reason"]) == (405, "MethodNotAllowed")


def test_update_with_stale_version_conflicts(http, ns):
    """A PUT with an old resourceVersion is 409 Conflict in the known words."""
    made = http.create(maps(ns), {"metadata": {"name": "a"}})
    changed = {**made, "data": {"x": "1"}}
    assert http("PUT", f"{maps(ns)}/a", changed).status_code == 200
    status = http("PUT", f"{maps(ns)}/a", changed | {"data": {"x": "2"}}).json()
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert status["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def test_update_without_version_overwrites(http, ns):
    """A PUT without a resourceVersion wins, and keeps the identity."""
    made = http.create(maps(ns), {"metadata": {"name": "a"}})
    new = http("PUT", f"{maps(ns)}/a", {"metadata": {"name": "a"}, "data": {"x": "1"}}).json()
    assert new["data"] == {"x": "1"}
    assert new["metadata"]["uid"] == made["metadata"]["uid"]
    assert new["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    assert int(new["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


def test_update_that_changes_nothing(http, ns):
    """A PUT of what is there makes no new version."""
    made = http.create(maps(ns), {"metadata": {"name": "a"}, "data": {"x": "1"}})
    again = http("PUT", f"{maps(ns)}/a", made).json()
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_update_with_other_uid_conflicts(http, ns):
    """A PUT that names another uid is 409."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    status = http("PUT", f"{maps(ns)}/a", {"metadata": {"name": "a", "uid": "other"}}).json()
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert "UID in precondition: other" in status["message"]


def test_update_with_other_name(http, ns):
    """The name in the body must be the one in the path."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    status = http("PUT", f"{maps(ns)}/a", {"metadata": {"name": "b"}}).json()
    assert status["code"] == 400
    assert status["message"] == "the name of the object (b) does not match the name on the URL (a)"


def test_update_missing(http, ns):
    """A PUT to a missing name is 404 for most kinds."""
    assert http("PUT", f"{maps(ns)}/nope", {"metadata": {"name": "nope"}}).status_code == 404


def test_lease_is_created_by_update(http, ns):
    """A Lease is one of the kinds that a PUT creates."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases/l"
    assert http("PUT", path, {"metadata": {"name": "l"}}).status_code == 201


def test_lease_update_needs_a_version(http, ns):
    """A PUT of a Lease must say which version it replaces."""
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"
    http.create(leases, {"metadata": {"name": "l"}})
    status = http("PUT", f"{leases}/l", {"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 5}}).json()
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert "metadata.resourceVersion" in status["message"]


@pytest.mark.parametrize(
    ("time", "code"),
    [
        pytest.param("2026-01-01T00:00:00.000000Z", 201, id="six digits"),
        pytest.param("2026-01-01T00:00:00Z", 400, id="no fraction"),
    ],
)
def test_micro_time_is_strict(http, ns, time, code):
    """A renewTime is a MicroTime: without six digits of fraction it is refused."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"
    response = http("POST", path, {"metadata": {"name": "l"}, "spec": {"renewTime": time}})
    assert response.status_code == code


def test_dry_run_stores_nothing(http, ns):
    """With dryRun=All the server answers as though it had happened, and nothing has."""
    made = http.create(maps(ns), {"metadata": {"name": "a"}, "data": {"x": "1"}}, dryRun="All")
    assert made["metadata"]["uid"]
    assert "resourceVersion" not in made["metadata"]
    assert http("GET", f"{maps(ns)}/a").status_code == 404


def test_dry_run_none_is_refused(http, ns):
    """The parameter dryRun knows the value All only."""
    status = http("POST", maps(ns), {"metadata": {"name": "a"}}, dryRun="Sometimes").json()
    assert (status["code"], status["reason"]) == (422, "Invalid")


def test_unauthorized(target):
    """A wrong token is 401 as a Status."""
    import httpx

    response = httpx.get(
        f"{target.url}/api/v1/pods", verify=str(target.ca_file), headers={"Authorization": "Bearer no"}
    )
    assert (response.status_code, response.json()["reason"]) == (401, "Unauthorized")


def test_strict_field_validation(http, ns, since):
    """Strict fieldValidation refuses unknown fields; without it they vanish with a warning."""
    since(1, 27)
    body = {"metadata": {"name": "a"}, "data": {}, "nonsense": 1}
    refused = http("POST", maps(ns), body, fieldValidation="Strict")
    assert refused.status_code == 400
    assert 'unknown field "nonsense"' in refused.json()["message"]
    taken = http("POST", maps(ns), body)
    assert "nonsense" not in taken.json()
    assert "unknown field" in taken.headers["warning"]


def test_secret_string_data(http, ns):
    """The stringData of a Secret becomes base64 data."""
    made = http.create(f"/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    assert made["data"] == {"a": "Yg=="}
    assert made["type"] == "Opaque"
    assert "stringData" not in made


def test_namespace_life(http):
    """A namespace is Active, has its finalizer and its label, and becomes Terminating when it is deleted."""
    http.create("/api/v1/namespaces", {"metadata": {"generateName": "life-", "name": "life-one"}})
    made = http("GET", "/api/v1/namespaces/life-one").json()
    assert made["status"]["phase"] == "Active"
    assert made["spec"]["finalizers"] == ["kubernetes"]
    gone = http("DELETE", "/api/v1/namespaces/life-one")
    assert gone.status_code == 200
    assert gone.json()["status"]["phase"] == "Terminating"
    status = http("POST", maps("life-one"), {"metadata": {"name": "a"}}).json()
    assert (status["code"], status["reason"]) == (403, "Forbidden")
    assert "because it is being terminated" in status["message"]


def test_default_namespace_stays(http):
    """The default namespace may not be deleted."""
    status = http("DELETE", "/api/v1/namespaces/default").json()
    assert (status["code"], status["reason"]) == (403, "Forbidden")
    assert status["message"] == 'namespaces "default" is forbidden: this namespace may not be deleted'
