"""Reading bodies: types, unknown fields, nulls, canonical forms."""

import pytest

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.schema import (
    builtin_type,
    decode,
    prune,
    strict_error,
    types_from_crd,
    unknown_fields,
)
from controlplane.localcloud.apiserver.schema.quantity import canonical, parse_quantity


def _pod(**spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        pytest.param(
            {"containers": "x"},
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container",
            id="text for a list",
        ),
        pytest.param(
            {"containers": [{"name": 1}]},
            "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
            id="number for text",
        ),
        pytest.param(
            {"hostNetwork": "yes"},
            "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
            id="text for a truth value",
        ),
        pytest.param(
            {"containers": [{"ports": [{"containerPort": 1.5}]}]},
            "json: cannot unmarshal number 1.5 into Go struct field ContainerPort.spec.containers.ports.containerPort "
            "of type int32",
            id="fraction for a whole number",
        ),
        pytest.param(
            {"activeDeadlineSeconds": 2**63},
            f"json: cannot unmarshal number {2**63} into Go struct field PodSpec.spec.activeDeadlineSeconds "
            "of type int64",
            id="too large a number",
        ),
        pytest.param(
            {"containers": [{"resources": {"limits": {"cpu": "abc"}}}]},
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            id="no quantity",
        ),
    ],
)
def test_wrong_types_are_bad_requests(spec, problem):
    """A body that does not fit the Go types is refused with the decoder's words."""
    with pytest.raises(ApiError) as refused:
        decode(builtin_type("v1", "Pod"), _pod(**spec))
    assert refused.value.code == 400
    assert refused.value.message == f'Pod in version "v1" cannot be handled as a Pod: {problem}'


def test_nulls_empty_lists_and_unknown_fields_vanish():
    """What comes back is what Go would write."""
    body = _pod(nodeSelector=None, volumes=[], foo=1, containers=[{"name": "c", "image": "i", "bar": 2}])
    body["metadata"] |= {"creationTimestamp": None, "labels": {}, "annotations": {"a": None}}
    read = decode(builtin_type("v1", "Pod"), body)
    assert read["spec"] == {"containers": [{"name": "c", "image": "i"}]}
    assert read["metadata"] == {"name": "p", "annotations": {"a": ""}}


def test_meaningful_empty_values_stay():
    """An empty struct and an empty label selector say something."""
    body = _pod(volumes=[{"name": "v", "emptyDir": {}}])
    assert decode(builtin_type("v1", "Pod"), body)["spec"] == {"volumes": [{"name": "v", "emptyDir": {}}]}
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "n"},
        "spec": {"podSelector": {}, "ingress": [{}]},
    }
    assert decode(builtin_type("networking.k8s.io/v1", "NetworkPolicy"), policy)["spec"] == policy["spec"]


def test_times_are_cut_to_seconds_in_utc():
    """metav1.Time has neither fractions nor zones."""
    event = {"apiVersion": "v1", "kind": "Event", "lastTimestamp": "2026-01-01T01:00:00.5+01:00"}
    assert decode(builtin_type("v1", "Event"), event)["lastTimestamp"] == "2026-01-01T00:00:00Z"


def test_a_micro_time_needs_its_fraction():
    """A Lease's renewTime without microseconds is refused, as the real server refuses it."""
    info = builtin_type("coordination.k8s.io/v1", "Lease")
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"renewTime": "2026-01-01T00:00:00Z"}}
    with pytest.raises(ApiError, match=r'cannot parse "Z" as ".000000"'):
        decode(info, body)
    body["spec"]["renewTime"] = "2026-01-01T00:00:00.000000Z"
    assert decode(info, body) == body


def test_secrets_must_be_base64():
    """Data that is no base64 cannot be read."""
    with pytest.raises(ApiError, match="illegal base64 data at input byte 0"):
        decode(builtin_type("v1", "Secret"), {"apiVersion": "v1", "kind": "Secret", "data": {"a": "!!"}})


def test_strict_validation_names_the_fields():
    """Unknown fields are listed with their paths, list positions included."""
    body = {**_pod(foo=1, containers=[{"name": "c", "bar": 2}]), "top": 1}
    complaints = unknown_fields(builtin_type("v1", "Pod"), body)
    assert complaints == [
        'unknown field "spec.foo"', 'unknown field "spec.containers[0].bar"', 'unknown field "top"',
    ]  # fmt: skip
    error = strict_error(complaints[:1])
    assert (error.code, error.message) == (400, 'strict decoding error: unknown field "spec.foo"')


def test_custom_resources_are_pruned_by_their_schema(make_crd):
    """Unknown fields go, preserved ones and metadata stay; the caller's body is left alone."""
    (info,) = types_from_crd(make_crd({"a": {"type": "string"}}))
    body = {
        "apiVersion": "e.io/v1",
        "kind": "Gpu",
        "metadata": {"name": "g", "labels": {"x": "y"}},
        "spec": {"a": "1", "b": "2"},
        "status": {"free": {"form": 1}},
        "top": 1,
    }
    read = decode(info, body)
    assert read == {**{key: body[key] for key in ("apiVersion", "kind", "metadata", "status")}, "spec": {"a": "1"}}
    assert body["spec"] == {"a": "1", "b": "2"}
    prune(info, body)
    assert body == read


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0.5", "500m"), ("1000m", "1"), ("1024Mi", "1Gi"), ("1500M", "1500M"), ("1e3", "1e3"), ("0", "0"),
        ("0.1", "100m"), ("1.5Gi", "1536Mi"), ("100k", "100k"), ("1000k", "1M"), ("12e6", "12e6"), ("2048Ki", "2Mi"),
        ("-1", "-1"), ("1000000", "1M"), ("+5", "5"), ("512", "512"), (".5", "500m"), ("5.", "5"), ("1Ki", "1Ki"),
        ("0.5Ki", "512"),
    ],
)  # fmt: skip
def test_quantities_are_written_canonically(written, expected):
    """The value is the same, the form is the server's."""
    assert canonical(written) == expected
    assert parse_quantity(written) == parse_quantity(expected)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1KiB", "--1", "1e", "0x10"])
def test_what_is_no_quantity(text):
    """Anything else is refused."""
    with pytest.raises(ValueError, match="quantities must match"):
        parse_quantity(text)
