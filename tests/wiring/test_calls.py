"""How many calls to Google Cloud's APIs a pass makes, counted by the servers: at most six and four for each region."""

import pytest

REGIONS = 4
MOST = 6 + 4 * REGIONS


def asked(whole, app):
    """Make a pass; give the calls that arrived, and make sure that the pass knows how many they were."""
    del whole.calls[:]
    report = app.run_pass()
    assert report.google_calls == len(whole.calls)
    return list(whole.calls)


@pytest.mark.parametrize("kind", ["MultiClusterIngress", "MultiClusterGateway"])
def test_a_scheduled_pass_over_a_serving_service(whole, kind):
    """A process that has just begun knows nothing: catalogue, quotas, health and advice are all asked for."""
    whole.serve_with({"ingress": {"kind": kind}})
    calls = asked(whole, whole.app())
    assert len(calls) <= MOST, calls
    advised = {call for call in calls if call.endswith("advice/capacity")}
    assert len(advised) == REGIONS, "what is left of the calls is used"
    assert len([call for call in calls if call.endswith("getHealth")]) == 9, "health is asked in full, zone by zone"
    assert calls.count("GET aggregated/acceleratorTypes") == 1


def test_a_watching_process_asks_for_less(whole):
    """The catalogue stands for ten minutes and the advice for some; clusters, quotas and health are asked again."""
    app = whole.serve_with({})
    first, second = (asked(whole, app) for _ in range(2))
    assert len(second) <= len(first) <= MOST
    assert not [call for call in second if "acceleratorTypes" in call or "advice" in call]
    assert "GET locations/-/clusters" in second
    assert "GET regions" in second
    assert [call for call in second if call.endswith("getHealth")]


def test_no_number_of_services_and_types_passes_the_bound(whole):
    """What more is wanted leaves less for the advice; what a pass must know is asked all the same."""
    wanted = [{"type": name} for name in ("nvidia-l4", "nvidia-tesla-t4", "nvidia-tesla-a100", "nvidia-h100-80gb")]
    whole.serve_with({"name": "web", "replicas": 1, "accelerators": wanted}, {"name": "other", "replicas": 1})
    calls = asked(whole, whole.app())
    assert len(calls) <= MOST, calls
    assert [call for call in calls if "quotaInfos/GPUS-PER-GPU-FAMILY" in call], "the H100 calls for Cloud Quotas"
    assert len([call for call in calls if call.startswith("GET global/backendServices/")]) == 2
