"""What the capacity advice, its history and the quotas say, absurd figures included, in the client's own messages."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1 as c

from controlplane.gateways.advice import CapacityAdvice
from controlplane.gateways.retrying import Retrying
from controlplane.gateways.signals import ComputeSignals
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import Advice, Quota
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASKED = Offering(ClusterRef("us-east4", "gpu"), Accelerator("nvidia-l4"), Capacity.SPOT)
FORBIDDEN = exceptions.Forbidden("not in the preview")


class Clock:
    """Stands still until it is put forward."""

    shift = timedelta(0)

    def now(self):
        return NOW + self.shift

    def monotonic(self):
        return self.shift.total_seconds()

    def sleep(self, seconds):
        raise AssertionError("nobody sleeps here")


class Google:
    """Answers each method with the message or error set for it, and counts how often it was asked."""

    project = "p"

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def get(self, _client):
        return self

    def __getattr__(self, method):
        def call(**_arguments):
            self.asked.append(method)
            answer = self.answers[method]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def scores(*each):
    recommendations = [c.CapacityAdviceResponseRecommendation(scores=fields) for fields in each]
    return c.CapacityAdviceResponse(recommendations=recommendations)


def day(number):
    return {"start_time": f"2026-02-{number:02}T00:00:00Z", "end_time": f"2026-02-{number + 1:02}T00:00:00Z"}


def history(rates=(), prices=()):
    """Make a history of (day, rate) and (day, money)."""
    return c.CapacityHistoryResponse(
        preemption_history=[
            {"interval": day(n), **({} if rate is None else {"preemption_rate": rate})} for n, rate in rates
        ],
        price_history=[{"interval": day(n), "list_price": money} for n, money in prices],
    )


SOUND = scores({"obtainability": 0.8, "estimated_uptime": "7200s"})
PAST = history([(1, 0.06)], [(1, {"units": 1, "nanos": 500000000, "currency_code": "USD"})])


def told(capacity=SOUND, capacity_history=PAST):
    google = Google(capacity=capacity, capacity_history=capacity_history)
    return CapacityAdvice(google, Clock(), timeout=3).advice([ASKED])[ASKED]


def test_all_four_figures_arrive():
    """Obtainability, uptime, preemption rate and the price of the machine."""
    assert told() == Known(Advice(pytest.approx(0.8), 7200.0, pytest.approx(0.06), 1.5), NOW)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"obtainability": math.nan, "estimated_uptime": "60s"}, (None, 60), id="nan"),
        pytest.param({"obtainability": -0.1, "estimated_uptime": "60s"}, (None, 60), id="negative"),
        pytest.param({"obtainability": 1.5, "estimated_uptime": "60s"}, (None, 60), id="more-than-sure"),
        pytest.param({"estimated_uptime": "60s"}, (None, 60), id="absent-is-not-0"),
        pytest.param({"obtainability": 0.0}, (0, None), id="0-is-not-absent"),
        pytest.param({"obtainability": 1.0, "estimated_uptime": "0s"}, (1, None), id="up-for-no-time"),
        pytest.param({"obtainability": 1.0, "estimated_uptime": "-5s"}, (1, None), id="up-backwards"),
        pytest.param({"obtainability": 1.0, "estimated_uptime": "nans"}, (1, None), id="up-for-nan"),
        pytest.param({"obtainability": 1.0, "estimated_uptime": "1e300s"}, (1, None), id="up-for-ever"),
        pytest.param({"obtainability": 1.0, "estimated_uptime": "PT1H"}, (1, None), id="other-form"),
    ],
)
def test_a_score_that_cannot_be_is_as_good_as_absent(fields, expected):
    """One absurd figure takes neither the others along nor the pass."""
    advice = told(capacity=scores(fields)).value
    assert (advice.obtainability, advice.estimated_uptime_seconds) == expected
    assert advice.preemption_rate == pytest.approx(0.06)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        pytest.param([(3, 0.3), (1, 0.1), (2, 0.2)], 0.3, id="the-latest-in-any-order"),
        pytest.param([(1, 0.1), (2, None)], 0.1, id="absent-is-not-0"),
        pytest.param([(1, 0.0)], 0.0, id="0-is-not-absent"),
        pytest.param([(1, math.nan)], None, id="nan"),
        pytest.param([(1, -1.0)], None, id="negative"),
        pytest.param([(1, 7.0)], None, id="percent"),
        pytest.param([], None, id="none"),
    ],
)
def test_the_latest_preemption_rate_counts_where_it_can_be_one(rates, expected):
    """The order of the records is not promised, and a rate is a share."""
    assert told(capacity_history=history(rates)).value.preemption_rate == (expected and pytest.approx(expected))


@pytest.mark.parametrize(
    ("money", "expected"),
    [
        pytest.param({"units": 0, "nanos": 223300000, "currency_code": "USD"}, 0.2233, id="less-than-a-dollar"),
        pytest.param({"units": 2, "currency_code": "EUR"}, None, id="other-currency"),
        pytest.param({"units": 0, "currency_code": "USD"}, None, id="for-nothing"),
        pytest.param({"units": -3, "currency_code": "USD"}, None, id="negative"),
    ],
)
def test_a_price_is_in_dollars_and_above_zero(money, expected):
    """Anything else is no price."""
    assert told(capacity_history=history(prices=[(1, money)])).value.spot_price == (
        expected and pytest.approx(expected)
    )


def test_the_likeliest_recommendation_counts():
    """With its own uptime; one without a score counts where there is no other."""
    answer = scores(
        {"obtainability": 0.2, "estimated_uptime": "9s"}, {"estimated_uptime": "8s"}, {"obtainability": 0.5}
    )
    advice = told(capacity=answer).value
    assert (advice.obtainability, advice.estimated_uptime_seconds) == (0.5, None)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param({"capacity_history": FORBIDDEN}, (True, False), id="history-forbidden"),
        pytest.param({"capacity": FORBIDDEN}, (False, True), id="capacity-forbidden"),
        pytest.param({"capacity": scores()}, (False, True), id="no-recommendation"),
        pytest.param({"capacity_history": history()}, (True, False), id="no-history"),
    ],
)
def test_one_half_does_without_the_other(answers, expected):
    """What is expected and what has been are told apart: a half that is missing takes nothing along."""
    advice = told(**answers).value
    assert (advice.obtainability is not None, advice.preemption_rate is not None) == expected


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        pytest.param({"capacity": FORBIDDEN, "capacity_history": FORBIDDEN}, UnknownReason.FORBIDDEN, id="forbidden"),
        pytest.param(
            {"capacity": scores(), "capacity_history": history()}, UnknownReason.NOT_PUBLISHED, id="not-published"
        ),
        pytest.param(
            {"capacity": scores({"obtainability": math.nan}), "capacity_history": history([(1, 9.0)])},
            UnknownReason.NOT_PUBLISHED,
            id="nothing-but-nonsense",
        ),
    ],
)
def test_no_figure_at_all_is_unknown(answers, reason):
    """It is Unknown with its reason, and never a score of 0."""
    fact = told(**answers)
    assert isinstance(fact, Unknown)
    assert fact.reason is reason


def test_history_is_asked_for_less_often_and_again_soon_when_it_failed():
    """Its records are a day long; what could not be had is asked for with the next round."""
    google, clock = Google(capacity=SOUND, capacity_history=FORBIDDEN), Clock()
    advice = CapacityAdvice(google, clock, timeout=3)
    for answer in (FORBIDDEN, PAST, PAST, PAST):
        google.answers["capacity_history"] = answer
        advice.advice([ASKED])
        clock.shift += timedelta(minutes=6)
    assert (google.asked.count("capacity"), google.asked.count("capacity_history")) == (4, 2)
    clock.shift += timedelta(minutes=30)
    advice.advice([ASKED])
    assert google.asked.count("capacity_history") == 3


def asked_with(left, *kinds, regions=("us-east4", "us-west1")):
    """Ask for advice on these GPU types, in order, with so many calls left; give what was asked."""
    google, told = Google(capacity=SOUND, capacity_history=PAST), []
    wanted = [Offering(ClusterRef(r, "gpu"), Accelerator(kind), Capacity.SPOT) for r in regions for kind in kinds]
    advice = CapacityAdvice(google, Clock(), timeout=3, left=lambda count: told.append(count) or left)
    found = advice.advice(wanted)
    assert told == [len(regions)]
    return sorted(google.asked), [found[offering] for offering in wanted]


@pytest.mark.parametrize(
    ("left", "capacity", "history"),
    [
        pytest.param(8, 4, 4, id="everything"),
        pytest.param(7, 4, 2, id="the-second-types-history-is-left-out"),
        pytest.param(2, 2, 0, id="capacity-of-the-first-type-alone"),
        pytest.param(1, 0, 0, id="of-all-regions-or-of-none"),
        pytest.param(0, 0, 0, id="nothing"),
    ],
)
def test_advice_takes_what_the_pass_leaves(left, capacity, history):
    """The user's first type first, each part of all regions or of none; what was not asked is unknown."""
    asked, facts = asked_with(left, "nvidia-tesla-t4", "nvidia-l4")
    assert (asked.count("capacity"), asked.count("capacity_history")) == (capacity, history)
    assert isinstance(facts[0], Known) == isinstance(facts[2], Known) == (capacity > 0)
    assert all(fact.reason is UnknownReason.NOT_ASKED for fact in facts if isinstance(fact, Unknown))


class Regions(Google):
    """Lists one region with these quotas."""

    def __init__(self, quotas, warning=""):
        region = c.Region(name="us-east4", quotas=quotas)
        if warning:
            region.quota_status_warning = c.QuotaStatusWarning(code=warning)
        page = c.RegionList(items=[region])
        catalogue = type("Pager", (), {"pages": ()})
        super().__init__(list=type("Pager", (), {"pages": (page,)}), aggregated_list=catalogue)


def quotas(*listed, warning=""):
    google = Regions([c.Quota(metric=m, limit=limit, usage=usage) for m, limit, usage in listed], warning)
    signals = ComputeSignals(google, Clock(), retrying=Retrying(attempts=1), timeout=3)
    return signals.regions(["us-east4"])["us-east4"].quotas


def test_a_quota_that_is_no_amount_is_unknown_neither_nothing_nor_endless():
    """A metric that is absent, as those of newer GPUs are, and one with an absurd value are both not there."""
    found = quotas(
        ("NVIDIA_L4_GPUS", 8, 3),
        ("NVIDIA_T4_GPUS", -1, 0),
        ("NVIDIA_A100_GPUS", math.nan, 0),
        ("NVIDIA_V100_GPUS", math.inf, 0),
        ("NVIDIA_P100_GPUS", 4, math.nan),
        ("NVIDIA_K80_GPUS", 0, 0),
    )
    assert found.value == {"NVIDIA_L4_GPUS": Quota(8, 3), "NVIDIA_K80_GPUS": Quota(0, 0)}


def test_quotas_that_google_could_not_read_are_unknown():
    """Compute Engine says so in a warning of the region, beside a list that may be empty or old."""
    found = quotas(("NVIDIA_L4_GPUS", 0, 0), warning="UNREACHABLE")
    assert isinstance(found, Unknown)
    assert found.reason is UnknownReason.LIST_INCOMPLETE
