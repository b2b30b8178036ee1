"""What a user may write into a Fleet, and what is said of what may not be written."""

import copy
import json
from datetime import timedelta
from typing import Any

import pytest

from controlplane.api import SpecError, parse_fleet
from controlplane.api.crd import fleet_definition
from controlplane.model.fleet import EndpointChoice, FleetSpec, OnDemand, ReconcilerPlace
from controlplane.model.offering import ClusterRef


def minimal() -> dict[str, Any]:
    return {
        "apiVersion": "gpuhunter.dev/v1alpha1",
        "kind": "Fleet",
        "metadata": {"name": "default"},
        "spec": {"project": "my-project", "configCluster": "us-west2/hunt-config"},
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    obj = copy.deepcopy(minimal())
    *parents, last = path.split(".")
    node = obj
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value
    return obj


def test_a_fleet_needs_only_project_and_config_cluster() -> None:
    """All else has a default: no label, no cluster made, the reconciler beside the config cluster each minute."""
    fleet = parse_fleet(minimal())
    assert fleet == FleetSpec("my-project", ClusterRef("us-west2", "hunt-config"))
    assert (dict(fleet.labels), fleet.endpoint, fleet.regions, fleet.on_demand) == ({}, EndpointChoice.AUTO, (), None)
    assert fleet.reconciler == ReconcilerPlace("us-west2", "* * * * *")


def test_everything_that_is_written_arrives() -> None:
    """Labels, endpoint, regions, the naming rule, clusters on demand and the reconciler are as written."""
    obj = changed("spec.members", {"labels": {"team": "art"}, "endpoint": "connectGateway", "regions": ["us-central1"]})
    obj["spec"]["members"]["name"] = "{region}-art"
    obj["spec"]["clustersOnDemand"] = {"regions": ["us-east4"], "max": 3, "idleAfter": "30m"}
    obj["spec"]["reconciler"] = {"region": "us-east1", "schedule": "*/5 * * * *"}
    fleet = parse_fleet(obj)
    assert (fleet.labels, fleet.endpoint) == ({"team": "art"}, EndpointChoice.CONNECT_GATEWAY)
    assert fleet.cluster("us-central1") == ClusterRef("us-central1", "us-central1-art")
    assert fleet.on_demand == OnDemand(("us-east4",), 3, timedelta(minutes=30))
    assert fleet.reconciler == ReconcilerPlace("us-east1", "*/5 * * * *")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        pytest.param("spec.projct", "x", 'spec.projct: unknown key; did you mean "project"?', id="unknown-key"),
        pytest.param("spec.members.label", {}, 'spec.members.label: unknown key; did you mean "labels"?', id="nested"),
        pytest.param("kind", "Flet", "kind: is 'Flet'; write kind: Fleet", id="kind"),
        pytest.param("metadata", {"name": "mine"}, "metadata.name: 'mine' is not the fleet's name; write", id="name"),
        pytest.param("metadata.namespace", "x", "metadata.namespace: a Fleet is in no namespace", id="namespace"),
        pytest.param("spec.project", "My Project", "spec.project: 'My Project' is not allowed", id="project"),
        pytest.param("spec.configCluster", "hunt", 'spec.configCluster: "hunt" is not LOCATION/NAME', id="config"),
        pytest.param("spec.configCluster", "us-wst2/a", 'did you mean "us-west2"?', id="config-location"),
        pytest.param("spec.members.labels", {"gpu-hunter": "on-demand"}, "own label; take another key", id="our-label"),
        pytest.param("spec.members.labels", {"Team": "art"}, "is not a label of Google Cloud", id="label-key"),
        pytest.param("spec.members.labels", {"team": "Art"}, "is not a label of Google Cloud", id="label-value"),
        pytest.param("spec.members.labels", {"n": 1}, "put numbers and true/false in quotes", id="label-number"),
        pytest.param("spec.members.endpoint", "DNS", "use 'auto', 'dns', 'ip' or 'connectGateway'", id="endpoint"),
        pytest.param("spec.members.regions", ["us-centrall1"], 'did you mean "us-central1"?', id="region"),
        pytest.param("spec.members.regions", ["us-east1", "us-east1"], '"us-east1" is named twice', id="twice"),
        pytest.param("spec.members.name", "gpu", '"gpu" must contain {region} once', id="rule-without-region"),
        pytest.param("spec.members.name", "Gpu-{region}", "is not a cluster name", id="rule-upper-case"),
        pytest.param(
            "spec.members",
            {"name": "a-name-of-some-length-{region}", "regions": ["northamerica-northeast1"]},
            "45 characters; shorten it",
            id="rule-too-long",
        ),
        pytest.param(
            "spec.members",
            {"name": "hunt-{region}", "regions": ["us-west2"]},
            None,
            id="rule-beside-the-config-cluster",
        ),
        pytest.param("spec.clustersOnDemand", {}, "spec.clustersOnDemand.regions: is missing", id="grow-nowhere"),
        pytest.param("spec.clustersOnDemand", {"regions": []}, "give at least 1 entry", id="grow-in-nothing"),
        pytest.param("spec.clustersOnDemand", {"regions": ["us-east4"], "max": 0}, "give at least 1", id="grow-none"),
        pytest.param("spec.clustersOnDemand", {"regions": ["us-east4"], "idleAfter": 2}, "is not a dur", id="idle"),
        pytest.param("spec.reconciler.schedule", "each minute", "is not a cron line of five fields", id="schedule"),
        pytest.param("spec.reconciler.region", "mars", '"mars" is not a region of Google Cloud', id="reconciler"),
    ],
)
def test_a_mistake_is_one_line_with_its_remedy(path: str, value: Any, expected: str | None) -> None:
    """The line names the key, says what is wrong and what to do; what is right raises nothing."""
    obj = changed(path, value)
    if expected is None:
        parse_fleet(obj)
        return
    with pytest.raises(SpecError) as caught:
        parse_fleet(obj)
    assert expected in str(caught.value)
    assert len(caught.value.problems) == 1


def test_a_rule_never_names_the_config_cluster() -> None:
    """A member of the config cluster's own name in its region would be taken for it."""
    obj = changed("spec.configCluster", "us-west2/gpu-us-west2")
    obj["spec"]["members"] = {"regions": ["us-west2"]}
    with pytest.raises(SpecError, match="which is the config cluster's own name in us-west2"):
        parse_fleet(obj)


def test_a_region_is_made_at_once_or_on_demand() -> None:
    """Bootstrap and a pass must not both believe that a cluster is theirs to make."""
    obj = changed("spec.members", {"regions": ["us-east4"]})
    obj["spec"]["clustersOnDemand"] = {"regions": ["us-east4"]}
    with pytest.raises(SpecError, match="leave it in one of the two"):
        parse_fleet(obj)


def test_the_definition_is_structural_and_takes_labels() -> None:
    """Labels are a map of the user's own keys; sections that may be left out have a default, or are nullable."""
    definition = fleet_definition()
    version = definition["spec"]["versions"][0]
    text = json.dumps(version)
    assert not [word for word in ("$ref", "anyOf", '"title"') if word in text]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert spec["members"]["properties"]["labels"]["additionalProperties"] == {"type": "string"}
    assert (spec["members"]["default"], spec["reconciler"]["default"]) == ({}, {})
    assert "default" not in spec["clustersOnDemand"], "absent must stay absent: nothing is created unasked"
    assert definition["spec"]["scope"] == "Cluster"
    assert [column["name"] for column in version["additionalPrinterColumns"]] == ["Clusters", "OnDemand", "Age"]
