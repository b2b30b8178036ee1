"""What cannot be changed."""

import copy

import pytest

from controlplane.localcloud.apiserver.schema import builtin_type, validate_update

_POD_TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"restartPolicy": "Never", "containers": [
    {"name": "c", "image": "i:1"},
]}}  # fmt: skip


def _bodies():
    container = {"name": "c", "image": "i:1"}
    return {
        "Deployment": {
            "apiVersion": "apps/v1",
            "spec": {
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
            },
        },
        "Job": {"apiVersion": "batch/v1", "spec": {"template": copy.deepcopy(_POD_TEMPLATE)}},
        "Pod": {
            "apiVersion": "v1",
            "spec": {"containers": [container], "nodeName": "n", "activeDeadlineSeconds": 60},
        },
        "Service": {
            "apiVersion": "v1",
            "spec": {
                "clusterIP": "10.0.0.1",
                "clusterIPs": ["10.0.0.1"],
                "ports": [
                    {"port": 80},
                ],
            },
        },
        "ConfigMap": {"apiVersion": "v1", "data": {"a": "1"}, "immutable": True},
        "Secret": {"apiVersion": "v1", "type": "Opaque", "data": {}},
        "PriorityClass": {"apiVersion": "scheduling.k8s.io/v1", "value": 5},
        "RoleBinding": {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
        },
    }


@pytest.fixture
def change(create):
    """Change one path of a valid object of a kind and give the complaints."""

    def run(kind, path, value):
        _, old = create({**_bodies()[kind], "kind": kind, "metadata": {"name": "o", "uid": "u"}})
        new = copy.deepcopy(old)
        target = new
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = value
        return [str(error) for error in validate_update(builtin_type(old["apiVersion"], kind), old, new)]

    return run


@pytest.mark.parametrize(
    ("kind", "path", "value", "complaint"),
    [
        pytest.param(
            "Job",
            ("spec", "completions"),
            4,
            "spec.completions: Invalid value: 4: field is immutable",
            id="a Job's completions",
        ),
        pytest.param(
            "Job",
            ("spec", "template", "spec", "containers", 0, "image"),
            "i:2",
            "spec.template: Invalid value:",
            id="a Job's template",
        ),
        pytest.param(
            "Pod",
            ("spec", "nodeName"),
            "m",
            "spec: Forbidden: pod updates may not change fields other than",
            id="a Pod's node",
        ),
        pytest.param(
            "Pod",
            ("spec", "containers", 0, "command"),
            ["x"],
            "spec: Forbidden: pod updates may not change",
            id="a Pod's command",
        ),
        pytest.param("Pod", ("spec", "tolerations"), [], "spec: Forbidden: pod updates", id="a Pod's tolerations lost"),
        pytest.param(
            "Pod",
            ("spec", "activeDeadlineSeconds"),
            90,
            "spec.activeDeadlineSeconds: Invalid value: 90: must be less than or equal to previous value",
            id="a Pod's deadline extended",
        ),
        pytest.param(
            "Service",
            ("spec", "clusterIPs"),
            ["10.0.0.1"],
            "",
            id="a Service's unchanged address",
        ),
        pytest.param(
            "Service",
            ("spec", "clusterIP"),
            "10.0.0.2",
            "spec.clusterIPs[0]: Invalid value:",
            id="a Service's address",
        ),
        pytest.param(
            "ConfigMap",
            ("data", "a"),
            "2",
            "data: Forbidden: field is immutable when `immutable` is set",
            id="an immutable ConfigMap",
        ),
        pytest.param("Secret", ("type",), "x", 'type: Invalid value: "x": field is immutable', id="a Secret's type"),
        pytest.param(
            "PriorityClass",
            ("value",),
            6,
            "Value: Forbidden: may not be changed in an update.",
            id="a priority",
        ),
        pytest.param("RoleBinding", ("roleRef", "name"), "x", "roleRef: Invalid value:", id="a binding's role"),
        pytest.param(
            "Deployment",
            ("metadata", "uid"),
            "x",
            'metadata.uid: Invalid value: "x": field is immutable',
            id="the uid",
        ),
    ],
)
def test_immutable_fields(change, kind, path, value, complaint):
    """A forbidden change is told; exactly one complaint, the reference's."""
    complaints = change(kind, path, value)
    if not complaint:
        assert complaints == []
        return
    assert len(complaints) == 1
    assert complaints[0].startswith(complaint)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        pytest.param("Pod", ("spec", "containers", 0, "image"), "i:2", id="a Pod's image"),
        pytest.param("Pod", ("spec", "activeDeadlineSeconds"), 30, id="a Pod's deadline shortened"),
        pytest.param("Pod", ("metadata", "labels"), {"x": "y"}, id="a Pod's labels"),
        pytest.param("Deployment", ("spec", "replicas"), 5, id="a Deployment's replicas"),
        pytest.param("Job", ("spec", "parallelism"), 5, id="a Job's parallelism"),
        pytest.param("Job", ("spec", "suspend"), True, id="a Job's suspension"),
    ],
)
def test_mutable_fields(change, kind, path, value):
    """An allowed change is not complained about."""
    assert change(kind, path, value) == []


def test_a_changed_selector_is_immutable(change):
    """The selector, and the template that no longer matches, are both told."""
    complaints = change("Deployment", ("spec", "selector"), {"matchLabels": {"z": "z"}})
    assert complaints == [
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
        'spec.selector: Invalid value: {"matchLabels":{"z":"z"}}: field is immutable',
    ]


def test_an_object_being_deleted_takes_no_new_finalizers(create):
    """Deletion could be held up for ever otherwise."""
    _, old = create({**_bodies()["ConfigMap"], "kind": "ConfigMap", "metadata": {"name": "o"}})
    old["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}
    new = copy.deepcopy(old)
    new["metadata"]["finalizers"] = ["a/b", "c/d"]
    (complaint,) = validate_update(builtin_type("v1", "ConfigMap"), old, new)
    assert "no new finalizers can be added if the object is being deleted" in str(complaint)


def test_only_the_binding_assigns_a_pod_to_a_node(create):
    """A patch cannot do the scheduler's work, even where no node is set yet."""
    container = {"name": "c", "image": "i:1"}
    _, old = create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}})
    new = copy.deepcopy(old)
    new["spec"]["nodeName"] = "n"
    (complaint,) = validate_update(builtin_type("v1", "Pod"), old, new)
    assert complaint.reason == "FieldValueForbidden"
