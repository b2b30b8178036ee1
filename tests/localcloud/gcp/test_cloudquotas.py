"""Cloud Quotas: limits of the stock's quotas by region and family, one by one and listed in pages."""

PLACE = "projects/gpu-hunter-local/locations/global/services/compute.googleapis.com/quotaInfos"
FAMILIES = "GPUS-PER-GPU-FAMILY-per-project-region"


def entries(info):
    return {
        (each["dimensions"].get("gpu_family"), each["dimensions"]["region"]): each["details"]["value"]
        for each in info["dimensionsInfos"]
    }


def test_a_limit_over_families_has_an_entry_for_each_family_and_region(endpoints, call):
    """As it binds now, in the API's int64 text; Compute Engine's regions do not list it."""
    endpoints.stock.set_quota("GPUS_PER_GPU_FAMILY/NVIDIA_H100", 3, "us-east4")
    info = call.well("GET", f"{PLACE}/{FAMILIES}")
    assert info["dimensions"] == ["gpu_family", "region"]
    assert entries(info)["NVIDIA_H100", "us-east4"] == "3"
    assert entries(info)["NVIDIA_H100", "us-central1"] == "8"
    regions = requested(call)
    assert not [quota for region in regions for quota in region["quotas"] if "FAMILY" in quota["metric"]]


def requested(call):
    return call.endpoints.cloud._compute._catalogue.region_documents()


def test_all_quotas_are_listed_in_pages(call):
    """Regional ones and the project's own too."""
    first = call.well("GET", f"{PLACE}?pageSize=4")
    names, token = [each["quotaId"] for each in first["quotaInfos"]], first["nextPageToken"]
    while token:
        page = call.well("GET", f"{PLACE}?pageSize=4&pageToken={token}")
        names += [each["quotaId"] for each in page["quotaInfos"]]
        token = page.get("nextPageToken")
    assert names == sorted(set(names))
    assert {FAMILIES, "GPUS-ALL-REGIONS-per-project", "PREEMPTIBLE-NVIDIA-L4-GPUS-per-project-region"} <= set(names)


def test_a_quota_that_does_not_exist_is_not_found(call):
    """Neither of another service nor of another name."""
    assert call.refused("GET", f"{PLACE}/NO-SUCH-QUOTA")[0] == "NOT_FOUND"
    assert call.refused("GET", f"{PLACE.replace('compute', 'run')}/{FAMILIES}")[0] == "NOT_FOUND"
