"""What the compute API's listings hide: pages, zones that did not answer, types that are not GPUs to be had."""

from datetime import UTC, datetime, timedelta

import pytest
from google.cloud import compute_v1 as c

from controlplane.gateways import errors
from controlplane.gateways.cloudquotas import FamilyLimits
from controlplane.gateways.retrying import Retrying
from controlplane.gateways.signals import ComputeSignals
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import Quota
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
H100 = "nvidia-h100-80gb"


class Clock:
    shift = timedelta(0)

    def now(self):
        return NOW + self.shift

    def monotonic(self):
        return self.shift.total_seconds()


class Pager:
    """Gives pages, and forgets of them what the library's forgets: all `unreachables` but the last page's."""

    def __init__(self, *pages):
        self.pages = pages

    @property
    def unreachables(self):
        return self.pages[-1].unreachables


class Google:
    """Answers with these pages of accelerator types, and with regions that have these metrics."""

    project = "p"

    def __init__(self, *pages, metrics=("NVIDIA_L4_GPUS",), regions=("us-east4", "us-west1")):
        self.catalogue, self.asked = Pager(*pages), []
        quotas = [c.Quota(metric=metric, limit=8, usage=1) for metric in metrics]
        self.regions = Pager(*(c.RegionList(items=[c.Region(name=name, quotas=quotas)]) for name in regions))

    def get(self, _client):
        return self

    def aggregated_list(self, **_arguments):
        self.asked.append("catalogue")
        return self.catalogue

    def list(self, **_arguments):
        return self.regions

    def capacity(self, *, region, **_arguments):
        self.asked.append(region)
        return c.CapacityAdviceResponse()

    def capacity_history(self, **_arguments):
        return c.CapacityHistoryResponse()


def page(unreachables=(), **zones):
    """Make a page: the types of each zone; None for a zone whose own warning says that it did not answer."""
    items = {}
    for zone, names in zones.items():
        scope = f"zones/{zone.replace('_', '-')}"
        if names is None:
            items[scope] = c.AcceleratorTypesScopedList(warning=c.Warning(code="UNREACHABLE"))
        elif not names:
            items[scope] = c.AcceleratorTypesScopedList(warning=c.Warning(code="NO_RESULTS_ON_PAGE"))
        else:
            items[scope] = c.AcceleratorTypesScopedList(accelerator_types=[c.AcceleratorType(name=n) for n in names])
    return c.AcceleratorTypeAggregatedList(items=items, unreachables=list(unreachables))


def signals(*pages, families=None, clock=None, **options):
    google = Google(*pages, **options)
    return google, ComputeSignals(google, clock or Clock(), retrying=Retrying(attempts=1), timeout=3, families=families)


def offered(*pages):
    found = signals(*pages)[1].regions(["us-east4", "us-west1"])
    return {region: each.accelerators for region, each in found.items()}


def test_all_pages_count():
    """A zone that has nothing on one page may have something on the next."""
    found = offered(page(us_east4_a=[]), page(us_east4_a=["nvidia-l4"], us_east4_b=["nvidia-tesla-t4"]))
    assert found["us-east4"].value == {"nvidia-l4", "nvidia-tesla-t4"}


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(page(["zones/us-east4-b"], us_east4_a=["nvidia-l4"]), id="named-on-the-page"),
        pytest.param(page(us_east4_a=["nvidia-l4"], us_east4_b=None), id="warned-of-in-its-scope"),
    ],
)
def test_a_zone_that_was_silent_on_an_early_page_is_not_forgotten(first):
    """Its region is unknown, not without the types that others have; the next pass asks again."""
    google, reader = signals(first, page(us_west1_a=["nvidia-l4"]))
    found = reader.regions(["us-east4", "us-west1"])
    assert found["us-east4"].accelerators.reason is UnknownReason.LIST_INCOMPLETE
    assert found["us-west1"].accelerators.value == {"nvidia-l4"}
    reader.regions(["us-east4"])
    assert google.asked == ["catalogue", "catalogue"]


def test_a_whole_catalogue_is_kept_between_passes():
    """GPU types do not come and go by the minute."""
    clock = Clock()
    google, reader = signals(page(us_east4_a=["nvidia-l4"]), clock=clock)
    for minute in (0, 5, 9, 11):
        clock.shift = timedelta(minutes=minute)
        reader.regions(["us-east4"])
    assert google.asked == ["catalogue", "catalogue"]


def test_virtual_workstation_types_are_left_out():
    """They are licences on the same GPUs, which no Pod can ask for."""
    found = offered(page(us_east4_a=["nvidia-l4", "nvidia-l4-vws", "nvidia-tesla-t4-vws"]))
    assert found["us-east4"].value == {"nvidia-l4"}


def test_no_advice_is_asked_for_what_the_catalogue_rules_out():
    """Each of these calls is one that something else could be asked with."""
    google, reader = signals(page(us_east4_a=["nvidia-l4"], us_west1_a=["nvidia-tesla-t4"]))
    reader.regions(["us-east4", "us-west1"])
    wanted = [Offering(ClusterRef(r, "gpu"), Accelerator("nvidia-l4"), Capacity.SPOT) for r in ("us-east4", "us-west1")]
    assert [offering.region for offering in reader.advice(wanted)] == ["us-east4"]
    assert google.asked == ["catalogue", "us-east4"]


class Rest:
    """Cloud Quotas that gives 4 of every family, everywhere."""

    project = "p"

    def __init__(self):
        self.asked = []

    def call(self, _api, _method, path):
        self.asked.append(path.rpartition("/")[2].removesuffix("-per-project-region"))
        return {"dimensionsInfos": [{"details": {"value": "4"}}]}


FAMILIES, PREEMPTIBLE = "GPUS-PER-GPU-FAMILY", "PREEMPTIBLE-GPUS-PER-GPU-FAMILY"


@pytest.mark.parametrize(
    ("accelerators", "metrics", "asked"),
    [
        pytest.param(["nvidia-l4"], [], [], id="older-types-have-metrics-of-their-own"),
        pytest.param([H100], [], [FAMILIES, PREEMPTIBLE], id="no-metric-at-all"),
        pytest.param([H100], ["PREEMPTIBLE_NVIDIA_H100_GPUS"], [FAMILIES], id="preemptible-has-a-metric"),
        pytest.param([], [], [], id="nothing-is-wanted"),
    ],
)
def test_cloud_quotas_is_asked_for_what_has_no_regional_metric(accelerators, metrics, asked):
    """And only where a service wants a type that needs it."""
    rest = Rest()
    _, reader = signals(page(), families=FamilyLimits(rest, Clock()), metrics=metrics)
    found = reader.regions(["us-east4"], accelerators)["us-east4"].family_quotas
    assert sorted(rest.asked) == asked
    assert (found is None) == (not asked)
    if asked:
        assert found.value["GPUS_PER_GPU_FAMILY/NVIDIA_H100"] == Quota(4, 0, told=False)


def test_a_client_that_takes_long_does_not_keep_cloud_quotas_from_being_asked():
    """Only the second question is left out then: what it would have told is unknown, not the rest."""

    class Slow(Google):
        def list(self, **arguments):
            clock.shift += timedelta(seconds=6)
            return super().list(**arguments)

    clock, rest = Clock(), Rest()
    google = Slow(page(us_east4_a=[H100]), metrics=())
    families = FamilyLimits(rest, Clock())
    reader = ComputeSignals(google, clock, retrying=Retrying(attempts=1), timeout=3, families=families)
    found = reader.regions(["us-east4"], [H100])["us-east4"]
    assert set(found.family_quotas.value) == {"GPUS_PER_GPU_FAMILY/NVIDIA_H100"}
    assert rest.asked == [FAMILIES]


def test_what_one_api_does_not_answer_costs_nothing_else():
    """Cloud Quotas may be off, and the catalogue silent; each is unknown for itself."""

    class Off(Rest):
        def call(self, *_arguments):
            raise errors.Forbidden("is off")

    _, reader = signals(page(us_east4_a=[H100]), families=FamilyLimits(Off(), Clock()))
    found = reader.regions(["us-east4"], [H100])["us-east4"]
    assert isinstance(found.quotas, Known)
    assert isinstance(found.accelerators, Known)
    assert isinstance(found.family_quotas, Unknown)
    assert found.family_quotas.reason is UnknownReason.FORBIDDEN
