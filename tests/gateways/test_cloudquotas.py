"""Limits over GPU families: which entry of a quota holds where, and what is not told stays unknown."""

from datetime import UTC, datetime, timedelta

import pytest

from controlplane.gateways import errors
from controlplane.gateways.cloudquotas import FamilyLimits, quota_id
from controlplane.model.facts import Unknown, UnknownReason

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
H100 = "GPUS_PER_GPU_FAMILY/NVIDIA_H100"
SPOT_H100 = "PREEMPTIBLE_GPUS_PER_GPU_FAMILY/NVIDIA_H100"


class Clock:
    shift = timedelta(0)

    def now(self):
        return NOW + self.shift


class Rest:
    """Answers each quota id with its entries, or the error set for it."""

    project = "p"

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def call(self, api, _method, path):
        assert api == "cloudquotas"
        self.asked.append(path.rpartition("/")[2])
        answer = self.answers["spot" if self.asked[-1].startswith("PREEMPTIBLE") else "standard"]
        if isinstance(answer, Exception):
            raise answer
        return answer


def entry(value=None, *places, **dimensions):
    details = {} if value is None else {"value": value}
    return {"dimensions": dimensions, "details": details, "applicableLocations": list(places)}


def limit(*entries, region="us-east4"):
    found = FamilyLimits(Rest(standard={"dimensionsInfos": list(entries)}), Clock()).limits([H100], [region])
    return found.value[region].get(H100)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([entry("8", region="us-east4", gpu_family="NVIDIA_H100")], 8, id="both-dimensions"),
        pytest.param([entry("0", region="us-east4", gpu_family="NVIDIA_H100")], 0, id="0-is-told"),
        pytest.param(
            [entry("2", "us-east4"), entry("8", region="us-east4", gpu_family="NVIDIA_H100")], 8, id="more-special-wins"
        ),
        pytest.param([entry("2", "us-east4", gpu_family="NVIDIA_H100")], 2, id="default-of-a-family"),
        pytest.param([entry("2", "us-west1", gpu_family="NVIDIA_H100")], None, id="default-of-other-places"),
        pytest.param([entry("8", region="us-east4", gpu_family="NVIDIA_H100_MEGA")], None, id="another-family"),
        pytest.param([entry("8", region="us-west1", gpu_family="NVIDIA_H100")], None, id="another-region"),
        pytest.param([entry("-1", region="us-east4", gpu_family="NVIDIA_H100")], None, id="no-end-says-nothing"),
        pytest.param([entry(None, region="us-east4", gpu_family="NVIDIA_H100")], None, id="no-value-is-not-0"),
        pytest.param([entry("many", region="us-east4", gpu_family="NVIDIA_H100")], None, id="no-number"),
        pytest.param([entry("9", region="us-east4", gpu_family="NVIDIA_H100", zone="z")], None, id="unknown-dimension"),
        pytest.param(["rubbish", {"dimensions": 3, "details": "x"}], None, id="garbled"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_the_entry_that_is_made_for_region_and_family_counts(entries, expected):
    """What is not told is absent: neither 0 nor endless."""
    assert limit(*entries) == expected


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(errors.Forbidden("no"), UnknownReason.FORBIDDEN, id="forbidden"),
        pytest.param(errors.DeadlineExceeded("slow"), UnknownReason.DEADLINE_EXCEEDED, id="slow"),
    ],
)
def test_what_cannot_be_read_is_unknown(error, reason):
    """With the reason, although another quota could be read: which of them binds is not known then."""
    found = FamilyLimits(Rest(standard={"dimensionsInfos": []}, spot=error), Clock()).limits([H100, SPOT_H100], ["r"])
    assert isinstance(found, Unknown)
    assert found.reason is reason


def test_a_quota_that_does_not_exist_says_nothing_and_takes_no_other_along():
    """Google Cloud has not every quota that a name can be made for."""
    told = {"dimensionsInfos": [entry("8")]}
    found = FamilyLimits(Rest(standard=told, spot=errors.Gone("none")), Clock()).limits([H100, SPOT_H100], ["r"])
    assert found.value == {"r": {H100: 8}}


def test_only_the_quotas_that_are_needed_are_asked_and_then_kept():
    """Each once in ten minutes, whatever the number of families and regions."""
    rest, clock = Rest(standard={"dimensionsInfos": []}, spot={"dimensionsInfos": []}), Clock()
    limits = FamilyLimits(rest, clock)
    limits.limits([H100, "GPUS_PER_GPU_FAMILY/NVIDIA_B200"], ["us-east4", "us-west1"])
    clock.shift = timedelta(minutes=9)
    limits.limits([H100, SPOT_H100], ["us-east4"])
    assert rest.asked == [
        "GPUS-PER-GPU-FAMILY-per-project-region",
        "PREEMPTIBLE-GPUS-PER-GPU-FAMILY-per-project-region",
    ]
    clock.shift = timedelta(minutes=11)
    assert limits.limits([H100], ["us-east4"]).at == NOW + clock.shift
    assert len(rest.asked) == 3


def test_ids_follow_from_metrics():
    """As Cloud Quotas writes them, for regional metrics too."""
    assert quota_id("PREEMPTIBLE_NVIDIA_L4_GPUS") == "PREEMPTIBLE-NVIDIA-L4-GPUS-per-project-region"
    assert quota_id(H100) == "GPUS-PER-GPU-FAMILY-per-project-region"
