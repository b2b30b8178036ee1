"""Who owns which field: what we stop applying goes, what others set stays."""

from controlplane.gateways.resources import SERVICE_ACCOUNTS


def account(name="web", **metadata):
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": "default", **metadata},
    }


def test_an_apply_that_creates_is_recorded_as_an_apply(served):
    """The first apply owns its fields as Apply, so that a later one can give them up."""
    fields = served.client().apply(account(labels={"a": "1"}))["metadata"]["managedFields"]
    assert [(entry["manager"], entry["operation"]) for entry in fields] == [("gpu-hunter", "Apply")]


def test_a_label_that_is_no_longer_applied_goes(served):
    """Server-side apply removes what we stop applying and leaves what others own."""
    api = served.client()
    api.apply(account(labels={"a": "1", "b": "2"}))
    api.merge(SERVICE_ACCOUNTS, "web", {"metadata": {"labels": {"theirs": "x"}}}, namespace="default")
    assert api.apply(account(labels={"a": "1"}))["metadata"]["labels"].get("b") is None
