"""Quotas, for each region, GPU type and capacity type that a service may use."""

from dataclasses import replace

import pytest

from controlplane.doctor.finding import State
from controlplane.model.offering import Accelerator, Capacity
from controlplane.model.service import Regions

pytestmark = pytest.mark.usefixtures("reviews_granted")


def test_a_region_without_quota_is_worth_knowing(project, examine):
    """Others still give GPUs; the command asks for more, of the metric that lacks."""
    region = project.members[0].location
    for metric in ("NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS"):
        project.call(lambda metric=metric: project.stock.set_quota(metric, 0, region))
    found = examine().the("quotas", State.WARN)
    assert region in found.subject
    assert f"--dimensions=region={region}" in found.mend
    assert "--quota-id=NVIDIA-L4-GPUS-per-project-region" in found.mend


def test_no_quota_in_any_region_has_to_be_mended(project, examine):
    """Then nothing is feasible."""
    for member in project.members:
        for metric in ("NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS"):
            project.call(lambda m=metric, r=member.location: project.stock.set_quota(m, 0, r))
    states = [finding.state for finding in examine().amiss("quotas")]
    assert states == [State.WARN, State.WARN, State.FAIL]


def test_each_gpu_type_and_capacity_type_counts_for_itself(project, examine, service):
    """On-demand alone has no use for preemptible quota."""
    for member in project.members:
        project.call(lambda r=member.location: project.stock.set_quota("NVIDIA_L4_GPUS", 0, r))
    assert examine().amiss("quotas") == []
    on_demand = replace(service, capacity_types=(Capacity.ON_DEMAND,))
    assert examine([on_demand]).amiss("quotas")[-1].state is State.FAIL


def test_no_quota_of_the_project_has_to_be_mended(project, examine):
    """GPUS_ALL_REGIONS is 0 in new projects and binds everywhere."""
    project.call(lambda: project.stock.set_quota("GPUS_ALL_REGIONS", 0, ""))
    assert "GPUS-ALL-REGIONS" in examine().the("quotas", State.FAIL).mend


def test_the_command_asks_for_more_quota_than_there_is(project, examine, service):
    """Room for what the service needs, on top of a limit that is used up: never a smaller one."""
    region = project.members[0].location
    project.call(lambda: project.stock.set_quota("NVIDIA_L4_GPUS", 6, region))
    eight = replace(service, replicas=2, accelerators=(Accelerator("nvidia-l4", 8),))
    found = next(
        f
        for f in examine([replace(eight, capacity_types=(Capacity.ON_DEMAND,))]).amiss("quotas")
        if region in f.subject
    )
    assert "--preferred-value=22" in found.mend


def test_a_gpu_type_that_no_member_region_has_is_told(project, examine, service):
    """The clusters are in the wrong places for it."""
    nowhere = replace(service, accelerators=(Accelerator("nvidia-b200"),))
    assert "nvidia-b200" in examine([nowhere]).the("quotas", State.FAIL).what


def test_regions_that_are_not_allowed_are_not_looked_at(project, examine, service):
    """Residency holds here too."""
    only = project.members[1].location
    found = examine([replace(service, regions=Regions(allowed=frozenset({only})))])
    assert {f.subject.partition(" ")[0] for f in found if f.check == "quotas"} == {"GPUS_ALL_REGIONS", only}


def test_quotas_that_cannot_be_read_are_worth_knowing(project, examine):
    """Unknown is not zero."""
    project.fail("gcp", "403", path="/regions")
    found = examine().amiss("quotas")
    assert found
    assert {finding.state for finding in found} == {State.WARN}
    assert all("cannot be told" in finding.what for finding in found)


H100 = Accelerator("nvidia-h100-80gb")
ON_DEMAND = (Capacity.ON_DEMAND,)


def test_quota_of_the_newest_types_comes_from_cloud_quotas(project, examine, service):
    """Its limit is told beside the region; of the usage nobody knows, so it is the most that can be free."""
    found = examine([replace(service, accelerators=(H100,), capacity_types=ON_DEMAND)])
    assert found.amiss("quotas") == []
    (told,) = [f for f in found if f.subject == "us-east4 nvidia-h100-80gb"]
    assert told.what == "on-demand: GPUS_PER_GPU_FAMILY/NVIDIA_H100 at most 8/8 free"


def test_more_of_a_quota_over_families_is_asked_for_with_its_family(project, examine, service):
    """The dimensions name region and family, as Cloud Quotas wants them."""
    project.call(lambda: project.stock.set_quota("GPUS_PER_GPU_FAMILY/NVIDIA_H100", 0, "us-east4"))
    found = examine([replace(service, accelerators=(H100,), capacity_types=ON_DEMAND)]).amiss("quotas")
    assert [finding.state for finding in found] == [State.WARN, State.FAIL]
    assert "--quota-id=GPUS-PER-GPU-FAMILY-per-project-region" in found[0].mend
    assert "--dimensions=region=us-east4,gpu_family=NVIDIA_H100" in found[0].mend


def test_cloud_quotas_that_is_not_enabled_is_told_where_it_is_needed(project, examine, service):
    """With the command that enables it; a service of older GPU types does not miss it."""
    project.post("/v1/projects/gpu-hunter-local/services/cloudquotas.googleapis.com:disable")
    wanted = replace(service, accelerators=(H100,), capacity_types=ON_DEMAND)
    (found,) = examine([wanted]).amiss("quotas")
    assert found.state is State.WARN
    assert found.mend == "gcloud services enable cloudquotas.googleapis.com --project=gpu-hunter-local"
    assert examine().amiss("quotas") == []
