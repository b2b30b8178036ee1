"""What the server tells about itself."""

import pytest

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
def test_health(http, path):
    """The health endpoints say ok."""
    response = http.get(path)
    assert (response.status_code, response.text) == (200, "ok")


def test_version(http):
    """The version has its numbers."""
    version = http.get("/version").json()
    assert version["major"] == "1"
    assert version["gitVersion"].startswith(f"v1.{version['minor']}.")


def test_core_versions(http):
    """/api names v1."""
    body = http.get("/api").json()
    assert (body["kind"], body["versions"]) == ("APIVersions", ["v1"])


def test_groups(http):
    """/apis names groups with versions and a preferred one."""
    body = http.get("/apis").json()
    groups = {group["name"]: group for group in body["groups"]}
    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert {"batch", "coordination.k8s.io", "apiextensions.k8s.io", "policy"} <= set(groups)


def test_one_group(http):
    """/apis/GROUP gives one group."""
    body = http.get("/apis/apps").json()
    assert (body["kind"], body["name"]) == ("APIGroup", "apps")


@pytest.mark.parametrize(
    ("path", "name", "kind", "namespaced", "short"),
    [
        pytest.param("/api/v1", "pods", "Pod", True, ["po"], id="pods"),
        pytest.param("/api/v1", "namespaces", "Namespace", False, ["ns"], id="namespaces"),
        pytest.param("/apis/apps/v1", "deployments", "Deployment", True, ["deploy"], id="deployments"),
        pytest.param("/apis/coordination.k8s.io/v1", "leases", "Lease", True, None, id="leases"),
        pytest.param("/apis/batch/v1", "jobs", "Job", True, None, id="jobs"),
    ],
)
def test_resources(http, path, name, kind, namespaced, short):
    """A group version lists its resources with kind, scope, verbs and short names."""
    found = {one["name"]: one for one in http.get(path).json()["resources"]}
    one = found[name]
    assert (one["kind"], one["namespaced"], one.get("shortNames")) == (kind, namespaced, short)
    assert {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"} == set(one["verbs"]) or (
        name == "namespaces" and "deletecollection" not in one["verbs"]
    )


def test_subresources(http):
    """Subresources are resources with a slash."""
    found = {one["name"]: one for one in http.get("/apis/apps/v1").json()["resources"]}
    assert found["deployments/scale"]["kind"] == "Scale"
    assert found["deployments/status"]["verbs"] == ["get", "patch", "update"]


def test_aggregated_discovery(http, since):
    """One request gives everything of all groups."""
    since(1, 30)
    response = http.get("/apis", AGGREGATED)
    assert "as=APIGroupDiscoveryList" in response.headers["content-type"]
    groups = {item["metadata"]["name"]: item for item in response.json()["items"]}
    resources = {one["resource"]: one for one in groups["apps"]["versions"][0]["resources"]}
    assert resources["deployments"]["scope"] == "Namespaced"
    assert {"scale", "status"} <= {one["subresource"] for one in resources["deployments"]["subresources"]}


def test_openapi_v3(http, since):
    """The index names a document for each group version; kubectl finds fieldValidation in it."""
    since(1, 27)
    index = http.get("/openapi/v3").json()["paths"]
    document = http.client.get(index["apis/apps/v1"]["serverRelativeURL"]).json()
    path = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    assert "fieldValidation" in {one["name"] for one in path["patch"]["parameters"]}
    assert "io.k8s.api.apps.v1.Deployment" in document["components"]["schemas"]


def test_openapi_v2(http):
    """The old document is there too."""
    body = http.get("/openapi/v2").json()
    assert body["swagger"] == "2.0"


def test_unknown_path(http):
    """A path of no API is 404."""
    assert http.get("/apis/nope.example.com/v1").status_code == 404
