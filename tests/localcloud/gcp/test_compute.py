"""Compute through the unmodified google-cloud-compute client, and every answer through its strict parser."""

import json

import pytest
import requests
from google.api_core import exceptions as x
from google.cloud import compute_v1 as c

from controlplane.localcloud.gcp.compute.filters import parse
from controlplane.localcloud.gcp.errors import GoogleError


def advice_request(*machine_types, model="SPOT", size=1):
    selection = c.CapacityAdviceRequestInstanceFlexibilityPolicyInstanceSelection(machine_types=machine_types)
    return c.CapacityAdviceRequest(
        size=size,
        instance_properties=c.CapacityAdviceRequestInstanceProperties(
            scheduling=c.CapacityAdviceRequestInstancePropertiesScheduling(provisioning_model=model)
        ),
        instance_flexibility_policy=c.CapacityAdviceRequestInstanceFlexibilityPolicy(
            instance_selections={"a": selection}
        ),
    )


def history_request(machine_type="g2-standard-4", types=("PREEMPTION", "PRICE")):
    return c.CapacityHistoryRequest(
        types=types,
        instance_properties=c.CapacityHistoryRequestInstanceProperties(
            machine_type=machine_type,
            scheduling=c.CapacityHistoryRequestInstancePropertiesScheduling(provisioning_model="SPOT"),
        ),
    )


def test_accelerators_are_listed_over_all_zones(endpoints):
    """The aggregated list has every zone; an empty one carries a warning."""
    found = dict(endpoints.client(c.AcceleratorTypesClient).aggregated_list(project=endpoints.project))
    assert {a.name for a in found["zones/us-central1-a"].accelerator_types} == {"nvidia-l4", "nvidia-tesla-t4"}
    assert found["zones/us-west2-a"].warning.code == "NO_RESULTS_ON_PAGE"
    assert not found["zones/us-west2-a"].accelerator_types


def test_a_filter_and_small_pages_give_the_same_as_one_page(endpoints):
    """Paging goes through all matches once."""
    request = c.AggregatedListAcceleratorTypesRequest(
        project=endpoints.project, filter="name = nvidia-l4", max_results=2
    )
    pager = endpoints.client(c.AcceleratorTypesClient).aggregated_list(request=request)
    zones = [scope for scope, scoped in pager for accelerator in scoped.accelerator_types]
    assert len(zones) == len(set(zones)) == 9
    assert "zones/us-central1-f" not in zones


def test_a_region_that_is_down_makes_the_list_partial(endpoints):
    """Its zones are named as unreachable on the first page, and are not in the list."""
    endpoints.stock.region_down("us-east4")
    request = c.AggregatedListAcceleratorTypesRequest(project=endpoints.project, max_results=3)
    pages = list(endpoints.client(c.AcceleratorTypesClient).aggregated_list(request=request).pages)
    assert list(pages[0].unreachables) == ["zones/us-east4-a", "zones/us-east4-b", "zones/us-east4-c"]
    assert pages[0].warning.code == "UNREACHABLE"
    assert not any("us-east4" in scope for page in pages for scope in page.items)


def test_one_zone_lists_and_gets_its_accelerators(endpoints):
    """List and get of a zone agree; what is not there is a 404."""
    client = endpoints.client(c.AcceleratorTypesClient)
    assert [a.name for a in client.list(project=endpoints.project, zone="us-east4-b")] == ["nvidia-h100-80gb"]
    one = client.get(project=endpoints.project, zone="us-east4-b", accelerator_type="nvidia-h100-80gb")
    assert one.maximum_cards_per_instance == 8
    with pytest.raises(x.NotFound, match="was not found"):
        client.get(project=endpoints.project, zone="us-east4-b", accelerator_type="nvidia-l4")
    with pytest.raises(x.NotFound):
        list(client.list(project=endpoints.project, zone="mars-north1-a"))


def test_regions_have_status_and_quotas_with_usage(endpoints):
    """A region shows limit and usage of each metric that exists, and none of one that does not."""
    from controlplane.localcloud.stock.ledger import Pool

    endpoints.stock.take(Pool("us-east4-a", "nvidia-l4", "spot"), 2, "c/n")
    region = endpoints.client(c.RegionsClient).get(project=endpoints.project, region="us-east4")
    quotas = {quota.metric: (quota.limit, quota.usage) for quota in region.quotas}
    assert quotas["PREEMPTIBLE_NVIDIA_L4_GPUS"] == (16, 2)
    assert "NVIDIA_H100_GPUS" not in quotas
    assert region.status == "UP"
    endpoints.stock.region_down("us-east4")
    names = {r.name: r.status for r in endpoints.client(c.RegionsClient).list(project=endpoints.project)}
    assert (names["us-east4"], names["us-central1"]) == ("DOWN", "UP")
    assert endpoints.client(c.ZonesClient).get(project=endpoints.project, zone="us-east4-a").status == "DOWN"


def test_the_project_has_its_own_quota(endpoints):
    """GPUS_ALL_REGIONS is the project's."""
    project = endpoints.client(c.ProjectsClient).get(project=endpoints.project)
    assert {q.metric: q.limit for q in project.quotas} == {"GPUS_ALL_REGIONS": 64}
    with pytest.raises(x.Forbidden):
        endpoints.client(c.ProjectsClient).get(project="somebody-else")


def test_machine_types_name_their_gpus(endpoints):
    """A machine with GPUs is listed only where the GPU is offered."""
    client = endpoints.client(c.MachineTypesClient)
    g2 = client.get(project=endpoints.project, zone="us-central1-a", machine_type="g2-standard-8")
    assert [(a.guest_accelerator_type, a.guest_accelerator_count) for a in g2.accelerators] == [("nvidia-l4", 1)]
    request = c.AggregatedListMachineTypesRequest(
        project=endpoints.project, filter='accelerators.guestAcceleratorType = "nvidia-l4"'
    )
    zones = {scope for scope, scoped in client.aggregated_list(request=request) if scoped.machine_types}
    assert "zones/us-central1-a" in zones
    assert "zones/us-east4-b" not in zones


def test_advice_scores_spot_and_follows_the_stock(endpoints):
    """The score is the scenario's, and 0 once there is nothing left."""
    client = endpoints.client(c.AdviceClient)
    ask = {
        "project": endpoints.project,
        "region": "us-east4",
        "capacity_advice_request_resource": advice_request("g2-standard-4"),
    }
    [one] = client.capacity(**ask).recommendations
    assert one.scores.obtainability == pytest.approx(0.8)
    assert one.scores.estimated_uptime == "28800s"
    assert [shard.instance_count for shard in one.shards] == [1]
    endpoints.stock.stock_out("us-east4", "nvidia-l4")
    [one] = client.capacity(**ask).recommendations
    assert "obtainability" in one.scores
    assert one.scores.obtainability == 0


@pytest.mark.parametrize(
    ("region", "request_"),
    [
        pytest.param("asia-southeast1", advice_request("g2-standard-4"), id="no-figures"),
        pytest.param("us-east4", advice_request("g2-standard-4", model="STANDARD"), id="on-demand"),
        pytest.param("us-east4", advice_request("e2-standard-4"), id="no-gpu"),
    ],
)
def test_where_nothing_is_known_advice_is_empty(endpoints, region, request_):
    """No recommendation is not a score of 0."""
    answer = endpoints.client(c.AdviceClient).capacity(
        project=endpoints.project, region=region, capacity_advice_request_resource=request_
    )
    assert not answer.recommendations


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(advice_request(), id="no-machine-type"),
        pytest.param(advice_request("g2-standard-4", size=0), id="no-size"),
        pytest.param(advice_request(*(f"g2-standard-{n}" for n in range(6))), id="too-many-types"),
    ],
)
def test_bad_advice_requests_are_refused(endpoints, bad):
    """They are 400s."""
    with pytest.raises(x.BadRequest):
        endpoints.client(c.AdviceClient).capacity(
            project=endpoints.project, region="us-east4", capacity_advice_request_resource=bad
        )


def test_history_gives_preemption_rates_and_prices_by_day(endpoints):
    """Both histories come from the scenario."""
    answer = endpoints.client(c.AdviceClient).capacity_history(
        project=endpoints.project, region="us-east4", capacity_history_request_resource=history_request()
    )
    assert {record.preemption_rate for record in answer.preemption_history} == {0.06}
    assert {record.list_price.nanos for record in answer.price_history} == {223300000}
    assert answer.price_history[0].interval.start_time < answer.price_history[1].interval.start_time


def test_history_prices_the_whole_machine(endpoints):
    """A machine of four GPUs costs four times what one GPU does."""
    request = history_request()
    request.instance_properties.machine_type = "g2-standard-48"
    answer = endpoints.client(c.AdviceClient).capacity_history(
        project=endpoints.project, region="us-east4", capacity_history_request_resource=request
    )
    assert {record.list_price.nanos for record in answer.price_history} == {893200000}


def test_outside_the_preview_advice_is_forbidden(without_preview):
    """A project without the preview gets 403 from both."""
    client = without_preview.client(c.AdviceClient)
    with pytest.raises(x.Forbidden):
        client.capacity(
            project=without_preview.project,
            region="us-east4",
            capacity_advice_request_resource=advice_request("g2-standard-4"),
        )
    with pytest.raises(x.Forbidden):
        client.capacity_history(
            project=without_preview.project, region="us-east4", capacity_history_request_resource=history_request()
        )


def test_backend_services_show_groups_and_health(endpoints):
    """Get names the groups; get_health asks one group, and an empty one has no statuses."""
    client = endpoints.client(c.BackendServicesClient)
    service = client.get(project=endpoints.project, backend_service="mci-1-80-sd-web")
    assert service.timeout_sec == 30
    health = [
        client.get_health(
            project=endpoints.project,
            backend_service="mci-1-80-sd-web",
            resource_group_reference_resource=c.ResourceGroupReference(group=backend.group),
        )
        for backend in service.backends
    ]
    states = [[(s.ip_address, s.port, s.health_state) for s in each.health_status] for each in health]
    assert states == [[("127.1.0.5", 7860, "HEALTHY"), ("127.1.0.6", 7860, "UNHEALTHY")], []]
    with pytest.raises(x.NotFound):
        client.get(project=endpoints.project, backend_service="mci-none")
    with pytest.raises(x.BadRequest):
        client.get_health(
            project=endpoints.project,
            backend_service="mci-1-80-sd-web",
            resource_group_reference_resource=c.ResourceGroupReference(group="zones/x/networkEndpointGroups/y"),
        )


def test_network_endpoint_groups_list_their_endpoints(endpoints):
    """A group knows its size, and its endpoints their health."""
    client = endpoints.client(c.NetworkEndpointGroupsClient)
    [group] = client.list(project=endpoints.project, zone="us-central1-a")
    assert (group.size, group.network_endpoint_type) == (2, "GCE_VM_IP_PORT")
    found = list(
        client.list_network_endpoints(
            project=endpoints.project,
            zone="us-central1-a",
            network_endpoint_group=group.name,
            network_endpoint_groups_list_endpoints_request_resource={},
        )
    )
    assert [each.network_endpoint.ip_address for each in found] == ["127.1.0.5", "127.1.0.6"]
    assert found[0].healths[0].health_state == "HEALTHY"


def test_an_address_is_reserved_and_given_up(endpoints):
    """insert, get, list and delete of a global address, with operations that are done."""
    client = endpoints.client(c.GlobalAddressesClient)
    operation = client.insert_unary(project=endpoints.project, address_resource=c.Address(name="sd-ip"))
    assert operation.status == c.Operation.Status.DONE
    assert client.get(project=endpoints.project, address="sd-ip").address == "203.0.113.1"
    with pytest.raises(x.Conflict):
        client.insert_unary(project=endpoints.project, address_resource=c.Address(name="sd-ip"))
    assert [each.name for each in client.list(project=endpoints.project)] == ["sd-ip"]
    client.delete_unary(project=endpoints.project, address="sd-ip")
    assert not list(client.list(project=endpoints.project))


def test_forwarding_rules_name_the_address(endpoints):
    """The load balancer's address is there to be seen."""
    [rule] = endpoints.client(c.GlobalForwardingRulesClient).list(project=endpoints.project)
    assert (rule.I_p_address, rule.port_range) == ("127.0.0.1", "8080-8080")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param("", c.Project, id="project"),
        pytest.param("/zones", c.ZoneList, id="zones"),
        pytest.param("/regions", c.RegionList, id="regions"),
        pytest.param("/regions/us-east4", c.Region, id="region"),
        pytest.param("/aggregated/acceleratorTypes", c.AcceleratorTypeAggregatedList, id="accelerators"),
        pytest.param("/aggregated/machineTypes?maxResults=3", c.MachineTypeAggregatedList, id="machine-types"),
        pytest.param("/aggregated/networkEndpointGroups", c.NetworkEndpointGroupAggregatedList, id="groups"),
        pytest.param("/zones/us-central1-a/machineTypes", c.MachineTypeList, id="zonal-machine-types"),
        pytest.param("/global/backendServices", c.BackendServiceList, id="backend-services"),
        pytest.param("/global/healthChecks", c.HealthCheckList, id="health-checks"),
        pytest.param("/global/forwardingRules", c.ForwardingRuleList, id="forwarding-rules"),
        pytest.param("/global/targetHttpProxies", c.TargetHttpProxyList, id="target-proxies"),
        pytest.param("/global/urlMaps", c.UrlMapList, id="url-maps"),
        pytest.param("/global/addresses", c.AddressList, id="addresses"),
    ],
)
def test_answers_have_the_published_shape(endpoints, path, message):
    """No field is invented: the published message class reads the answer without ignoring any."""
    token = endpoints.cloud.tokens.issue("tester")
    endpoints.stock.region_down("us-east4")
    url = f"{endpoints.rest}/compute/v1/projects/{endpoints.project}{path}"
    answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    assert answer.status_code == 200
    assert message.from_json(answer.text, ignore_unknown_fields=False)


def test_errors_are_googles_envelope(endpoints):
    """code, message, status and the errors with their reasons."""
    token = endpoints.cloud.tokens.issue("tester")
    url = f"{endpoints.rest}/compute/v1/projects/{endpoints.project}/zones?filter=name%20~~%20x"
    answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert error["errors"][0]["reason"] == "invalid"


ITEM = {"name": "nvidia-l4", "maximumCardsPerInstance": 8, "zone": "z/us-east4-a", "a": [{"b": "x"}, {"b": "y"}]}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        pytest.param("", True, id="empty"),
        pytest.param("name = nvidia-l4", True, id="equal"),
        pytest.param("name=nvidia-t4", False, id="unequal"),
        pytest.param('name != "nvidia-l4"', False, id="not-equal"),
        pytest.param("name = nvidia-*", True, id="wildcard"),
        pytest.param("name eq nvidia-.*", True, id="regex"),
        pytest.param("name eq l4", False, id="regex-is-anchored"),
        pytest.param("name ne .*-t4", True, id="regex-ne"),
        pytest.param("zone:us-east4-a", True, id="has"),
        pytest.param("maximumCardsPerInstance > 4", True, id="greater"),
        pytest.param("maximumCardsPerInstance <= 4", False, id="at-most"),
        pytest.param("(name = x) OR (name = nvidia-l4)", True, id="or"),
        pytest.param("name = x OR name = y AND name = nvidia-l4", False, id="or-binds-tighter"),
        pytest.param("(name = nvidia-l4) (zone:us-west)", False, id="side-by-side-is-and"),
        pytest.param("NOT name = x", True, id="not"),
        pytest.param("a.b = y", True, id="repeated-field"),
        pytest.param("missing = x", False, id="missing-field"),
    ],
)
def test_filters_select_as_computes_do(text, matches):
    """Each operator of the list filter."""
    assert parse(text)(ITEM) is matches


@pytest.mark.parametrize("text", ["name =", "= x", "(name = x", "name ~ x", "name eq [", "name = x)", '"a" = b'])
def test_bad_filters_are_invalid(text):
    """What cannot be read is refused, not ignored."""
    with pytest.raises(GoogleError):
        parse(text)


def test_no_message_class_of_compute_is_loaded_by_the_endpoints():
    """compute_v1 costs 150 MB; the daemon must not import it."""
    import subprocess
    import sys

    code = (
        "import sys, controlplane.localcloud.gcp, controlplane.localcloud.gcp.compute, controlplane.localcloud.gcp.app;"
        "import json; print(json.dumps([m for m in sys.modules if 'compute_v1' in m or m == 'kubernetes']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
