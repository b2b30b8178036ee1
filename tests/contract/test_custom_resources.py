"""CustomResourceDefinitions: their conditions, and what holds for their instances."""

import time
import uuid

import pytest


def definition(group, **version):
    return {
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
                    },
                    "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "required": ["size"],
                                    "properties": {
                                        "size": {"type": "integer", "minimum": 1},
                                        "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                                        "word": {"type": "string", "pattern": "^[a-z]+$"},
                                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                        "port": {"x-kubernetes-int-or-string": True},
                                    },
                                },
                                "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
                            },
                        }
                    },
                    **version,
                }
            ],
        },
    }


CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="module")
def group(http):
    """Serve a custom resource in a group of its own."""
    name = f"g{uuid.uuid4().hex[:6]}.example.com"
    http.create(CRDS, definition(name))
    settle(http, name)
    return name


def settle(http, group):
    def accepted():
        conditions = http("GET", f"{CRDS}/widgets.{group}").json().get("status", {}).get("conditions") or []
        return {one["type"] for one in conditions if one["status"] == "True"} >= {"Established", "NamesAccepted"}

    _until(accepted)
    _until(lambda: http("GET", f"/apis/{group}/v1/namespaces/default/widgets").status_code == 200)


def widgets(group, ns):
    return f"/apis/{group}/v1/namespaces/{ns}/widgets"


def widget(group, name="w", **spec):
    return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1, **spec}}


def test_definition_status(http, group):
    """A definition becomes Established and accepts its names."""
    made = http("GET", f"{CRDS}/widgets.{group}").json()
    assert made["status"]["storedVersions"] == ["v1"]
    assert made["status"]["acceptedNames"]["listKind"] == "WidgetList"
    assert made["spec"]["conversion"]["strategy"] == "None"


def test_definition_name(http):
    """A definition is named plural.group."""
    body = definition("x.example.com")
    body["metadata"]["name"] = "other.x.example.com"
    assert http("POST", CRDS, body).status_code == 422


def test_instance_in_discovery(http, group):
    """The custom resource is in discovery with its subresources."""
    found = {one["name"]: one for one in http("GET", f"/apis/{group}/v1").json()["resources"]}
    assert found["widgets"]["shortNames"] == ["wd"]
    assert {"widgets/status", "widgets/scale"} <= set(found)


def test_defaults_and_pruning(http, ns, group):
    """Defaults are filled in, unknown fields vanish, preserved ones stay."""
    made = http.create(widgets(group, ns), widget(group, junk=1, free={"any": {"thing": 1}}))
    assert made["spec"] == {"size": 1, "color": "red", "free": {"any": {"thing": 1}}}
    assert made["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        pytest.param({"size": 0}, "spec.size", id="minimum"),
        pytest.param({"size": "x"}, "spec.size", id="type"),
        pytest.param({"color": "green"}, "spec.color", id="enum"),
        pytest.param({"word": "A"}, "spec.word", id="pattern"),
        pytest.param({"port": True}, "spec.port", id="int or string"),
        pytest.param({"size": None}, "spec.size", id="required"),
    ],
)
def test_schema_violations(http, ns, group, spec, text):
    """An instance that breaks the schema is 422 with the field in the message."""
    status = http("POST", widgets(group, ns), widget(group, **spec)).json()
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert text in status["message"]
    assert status["details"]["group"] == group
    assert status["details"]["kind"] == "Widget"


def test_status_subresource(http, ns, group):
    """With a status subresource the status is written there alone, and the generation counts the spec."""
    made = http.create(widgets(group, ns), {**widget(group), "status": {"size": 9}})
    assert "status" not in made
    after = http.patch(f"{widgets(group, ns)}/w/status", "merge", {"status": {"size": 4}, "spec": {"size": 7}}).json()
    assert (after["status"], after["spec"]["size"], after["metadata"]["generation"]) == ({"size": 4}, 1, 1)
    changed = http.patch(f"{widgets(group, ns)}/w", "merge", {"spec": {"size": 2}, "status": {"size": 8}}).json()
    assert (changed["status"], changed["metadata"]["generation"]) == ({"size": 4}, 2)


def test_scale_subresource(http, ns, group):
    """The scale subresource reads and writes the paths of the definition."""
    http.create(widgets(group, ns), widget(group))
    assert http("GET", f"{widgets(group, ns)}/w/scale").json()["spec"] == {"replicas": 1}
    http.patch(f"{widgets(group, ns)}/w/scale", "merge", {"spec": {"replicas": 6}})
    assert http("GET", f"{widgets(group, ns)}/w").json()["spec"]["size"] == 6


def test_update_needs_a_version(http, ns, group):
    """A PUT of a custom resource must say which version it replaces."""
    http.create(widgets(group, ns), widget(group))
    status = http("PUT", f"{widgets(group, ns)}/w", widget(group, size=2)).json()
    assert status["code"] == 422
    assert "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update" in status["message"]


def test_strategic_patch_is_refused(http, ns, group):
    """Custom resources have no strategic merge patch."""
    http.create(widgets(group, ns), widget(group))
    assert http.patch(f"{widgets(group, ns)}/w", "strategic", {"spec": {"size": 2}}).status_code == 415


def test_apply(http, ns, group):
    """Server-side apply works on custom resources, removal and conflicts included."""
    path = f"{widgets(group, ns)}/w"
    assert http.patch(path, "apply", widget(group, color="blue"), fieldManager="one").status_code == 201
    body = widget(group)
    assert http.patch(path, "apply", body, fieldManager="one").json()["spec"]["color"] == "red"
    assert http.patch(path, "apply", widget(group, size=5), fieldManager="two").status_code == 409


def test_apply_status_by_another_manager(http, ns, group):
    """The status has its own owners."""
    path = f"{widgets(group, ns)}/w"
    http.patch(path, "apply", widget(group), fieldManager="one")
    status = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "status": {"size": 3}}
    assert http.patch(f"{path}/status", "apply", status, fieldManager="two").json()["status"] == {"size": 3}
    assert http.patch(path, "apply", widget(group), fieldManager="one").json()["status"] == {"size": 3}


def test_list_items_name_their_kind(http, ns, group):
    """Items of a custom resource's list carry kind and apiVersion."""
    http.create(widgets(group, ns), widget(group))
    body = http("GET", widgets(group, ns)).json()
    assert body["kind"] == "WidgetList"
    assert body["items"][0]["kind"] == "Widget"


def test_printer_columns(http, ns, group):
    """The columns of the definition are the Table's."""
    http.create(widgets(group, ns), widget(group, size=3))
    table = http.get(widgets(group, ns), "application/json;as=Table;v=v1;g=meta.k8s.io").json()
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Size"]
    assert table["rows"][0]["cells"] == ["w", 3]


def test_deleting_the_definition_takes_the_instances(http, ns):
    """A deleted definition goes with its instances, and its paths with it."""
    name = f"g{uuid.uuid4().hex[:6]}.example.com"
    http.create(CRDS, definition(name))
    settle(http, name)
    http.create(widgets(name, ns), widget(name))
    assert http("DELETE", f"{CRDS}/widgets.{name}").status_code == 200
    _until(lambda: http("GET", f"{CRDS}/widgets.{name}").status_code == 404)
    _until(lambda: http("GET", widgets(name, ns)).status_code == 404)


def test_kubectl_says_that_a_definition_is_missing(kubectl):
    """Who applies a custom resource too early is told so."""
    body = "apiVersion: nowhere.example.org/v1\nkind: Nothing\nmetadata: {name: a}\n"
    done = kubectl("apply", "-f", "-", stdin=body, check=False)
    assert done.returncode == 1
    assert "ensure CRDs are installed first" in done.stderr


def test_a_definition_waits_for_its_last_instance(http, ns):
    """A deleted definition says that instances hold it back, takes no new ones, and goes with the last one."""
    group = f"g{uuid.uuid4().hex[:6]}.example.org"
    body = {"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1", **definition(group)}
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    http.create(crds, body)
    path = f"/apis/{group}/v1/namespaces/{ns}/widgets"
    new = {"apiVersion": f"{group}/v1", "kind": "Widget", "spec": {"size": 1}}
    _until(lambda: http("POST", path, {**new, "metadata": {"name": "a", "finalizers": ["a.b/c"]}}).status_code == 201)
    http("DELETE", f"{crds}/widgets.{group}")

    def ending():
        found = http("GET", f"{crds}/widgets.{group}").json()["status"]["conditions"]
        return [one["reason"] for one in found if one["type"] == "Terminating"]

    _until(lambda: ending() == ["InstanceDeletionInProgress"])
    _until(lambda: http("POST", path, {**new, "metadata": {"name": "b"}}).status_code == 405)
    http.patch(f"{path}/a", "merge", {"metadata": {"finalizers": None}})
    _until(lambda: http("GET", f"{crds}/widgets.{group}").status_code == 404)


def _until(holds, seconds=100):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.1)
