"""Edges of the protocol that clients run into by mistake: sizes, types, versions from another life, odd methods."""

import pytest

MEBIBYTE = 1024 * 1024


def maps(ns):
    return f"/api/v1/namespaces/{ns}/configmaps"


def services(ns):
    return f"/api/v1/namespaces/{ns}/services"


def test_identity_cannot_be_patched(http, ns):
    """A patch of the uid is 422: it is no precondition but a change of what cannot change."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    patch = {"metadata": {"uid": "11111111-1111-1111-1111-111111111111"}}
    status = http.patch(f"{maps(ns)}/a", "merge", patch).json()
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "metadata.uid"


def test_wrong_uid_in_an_update_is_a_conflict(http, ns):
    """An update for another object of that name is 409."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    body = {"metadata": {"name": "a", "uid": "11111111-1111-1111-1111-111111111111"}}
    assert http("PUT", f"{maps(ns)}/a", body).status_code == 409


@pytest.mark.parametrize("patch", [{"kind": "Secret"}, {"apiVersion": "v2"}], ids=["kind", "version"])
def test_patch_into_another_kind(http, ns, patch):
    """A patch that makes another kind of the object is 422 about the patch."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    status = http.patch(f"{maps(ns)}/a", "merge", patch).json()
    assert (status["code"], status["details"]["causes"][0]["field"]) == (422, "patch")


def test_update_without_a_name(http, ns):
    """An update says the name in its body too."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    response = http("PUT", f"{maps(ns)}/a", {})
    assert response.status_code == 400
    assert response.json()["message"] == (
        "the name of the object (a based on URL) was undeterminable: name must be provided"
    )


@pytest.mark.parametrize(
    "query",
    [{"resourceVersion": "abc"}, {"resourceVersion": "-1"}, {"resourceVersion": "abc", "watch": "1"}],
    ids=["list", "negative", "watch"],
)
def test_unreadable_resource_version(http, ns, query):
    """A resourceVersion that is no number is answered by the storage, which has no reason for it."""
    status = http("GET", maps(ns), **query).json()
    assert status["code"] == 500
    assert status["message"].startswith("resourceVersion: Invalid value:")
    assert "reason" not in status


def test_get_of_the_future(target, http, ns):
    """A GET at a resourceVersion that is not there yet waits a while, then is 504 with the cause."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    response = http("GET", f"{maps(ns)}/a", resourceVersion="99999999")
    assert response.status_code == 504
    assert response.json()["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert response.elapsed.total_seconds() * target.pace > 2


def test_any_word_but_two_means_yes(http, ns):
    """A boolean parameter is true whatever it says, but for `false` and `0`."""
    assert http("GET", maps(ns), watch="0").json()["kind"] == "ConfigMapList"
    assert http("GET", maps(ns), watch="False").json()["kind"] == "ConfigMapList"
    assert not [event for event in http.watch(f"{maps(ns)}", watch="yes", fieldSelector="metadata.name=none")]


def test_body_larger_than_is_read(http, ns):
    """A body of more than 3 MiB is 413."""
    response = http("POST", maps(ns), {"metadata": {"name": "a"}, "data": {"x": "x" * 3 * MEBIBYTE}})
    assert (response.status_code, response.json()["reason"]) == (413, "RequestEntityTooLarge")


def test_object_larger_than_is_stored(http, ns):
    """An object that is valid, but more than the database takes, is refused and changes nothing."""
    container = {"name": "c", "image": "i", "args": ["x" * 1_900_000]}
    labels = {"app": "a"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    response = http("POST", path, {"metadata": {"name": "a"}, "spec": spec})
    assert response.status_code == 500
    assert response.json()["message"] == "etcdserver: request is too large"
    assert http("GET", f"{path}/a").status_code == 404


@pytest.mark.parametrize(
    "options",
    [{"gracePeriodSeconds": "x"}, {"preconditions": "x"}, {"orphanDependents": "x"}, {"preconditions": {"uid": 5}}],
    ids=["grace", "preconditions", "orphans", "uid"],
)
def test_delete_options_of_wrong_types(http, ns, options):
    """Options that cannot be read delete nothing."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    status = http("DELETE", f"{maps(ns)}/a", options).json()
    assert status["code"] in (400, 500)
    assert status["message"] != "Internal error occurred"
    assert http("GET", f"{maps(ns)}/a").status_code == 200


def test_deletion_of_another_object_names_the_kind(http, ns):
    """A precondition of a deletion that does not hold is told with the kind."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    status = http("DELETE", f"{maps(ns)}/a", {"preconditions": {"uid": "x"}}).json()
    assert (status["code"], status["details"]["kind"]) == (409, "ConfigMap")


def test_head_is_not_served(http, ns):
    """Resources have no HEAD."""
    assert http("HEAD", maps(ns)).status_code == 405


def test_unknown_field_selectors(http, ns):
    """A field that cannot be selected by is named, with those that can."""
    status = http("GET", maps(ns), fieldSelector="data.x=1").json()
    assert status["message"] == ('"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"')
    pods = f"/api/v1/namespaces/{ns}/pods"
    assert http("GET", pods, fieldSelector="spec.x=1").json()["message"] == "field label not supported: spec.x"


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort", "LoadBalancer"])
def test_service_becomes_external(http, ns, kind):
    """A Service that becomes a mere name loses its address by itself."""
    http.create(services(ns), {"metadata": {"name": "a"}, "spec": {"type": kind, "ports": [{"port": 80}]}})
    patch = {"spec": {"type": "ExternalName", "externalName": "example.org"}}
    spec = http.patch(f"{services(ns)}/a", "merge", patch).json()["spec"]
    assert not {"clusterIP", "clusterIPs"} & spec.keys()
    assert "nodePort" not in spec["ports"][0]


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
def test_service_comes_back_inside(http, ns, kind):
    """A Service that is to be reached from inside alone loses its node ports and keeps its address."""
    made = http.create(services(ns), {"metadata": {"name": "a"}, "spec": {"type": kind, "ports": [{"port": 80}]}})
    spec = http.patch(f"{services(ns)}/a", "merge", {"spec": {"type": "ClusterIP"}}).json()["spec"]
    assert spec["clusterIP"] == made["spec"]["clusterIP"]
    assert "nodePort" not in spec["ports"][0]
    assert "externalTrafficPolicy" not in spec


def test_the_server_has_a_service_of_its_own(http):
    """Pods find the API server by a Service that is always there."""
    service = http("GET", "/api/v1/namespaces/default/services/kubernetes").json()
    assert service["metadata"]["labels"] == {"component": "apiserver", "provider": "kubernetes"}
    assert service["spec"]["ports"][0]["port"] == 443


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": "x"}),
        ("api/v1/namespaces/default/serviceaccounts/default/token", {"spec": {"expirationSeconds": "x"}}),
    ],
    ids=["review", "token"],
)
def test_questions_of_wrong_types(http, path, body):
    """A review or a request that cannot be read is 400."""
    if path.endswith("token"):
        http("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    assert http("POST", f"/{path}", body).status_code == 400


def test_reviews_are_not_kept(http):
    """What only answers cannot be listed."""
    assert http("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").status_code == 405


def test_a_patch_cannot_take_the_name_away(http, ns):
    """A patch that removes the name is 400."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    assert http.patch(f"{maps(ns)}/a", "merge", {"metadata": {"name": None}}).status_code == 400


@pytest.mark.parametrize("spec", ["x", {"replicas": "x"}], ids=["spec", "replicas"])
def test_scale_patched_into_nonsense(http, ns, spec):
    """A patch of a Scale whose result cannot be read is 422 about the patch."""
    labels = {"app": "a"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    body = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    http.create(path, {"metadata": {"name": "a"}, "spec": body})
    assert http.patch(f"{path}/a/scale", "merge", {"spec": spec}).status_code == 422


def test_a_field_manager_has_a_longest_name(http, ns):
    """A field manager of more than 128 bytes is 422."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    status = http.patch(f"{maps(ns)}/a", "apply", body, fieldManager="x" * 129).json()
    assert (status["code"], status["details"]["causes"][0]["field"]) == (422, "fieldManager")
