"""The GPU types and regions that exist, to tell a spelling mistake from a place without capacity.

Only names are held here. Whether a region offers a type now is asked of the accelerator catalogue at run time.
Source: GKE's node label values and Compute Engine's region list, as of August 2026. A type or region that is newer
than this table is added in one line.
"""

ACCELERATORS: frozenset[str] = frozenset(
    {
        "nvidia-tesla-k80", "nvidia-tesla-p4", "nvidia-tesla-p100", "nvidia-tesla-v100", "nvidia-tesla-t4",
        "nvidia-l4", "nvidia-tesla-a100", "nvidia-a100-80gb", "nvidia-h100-80gb", "nvidia-h100-mega-80gb",
        "nvidia-h200-141gb", "nvidia-b200", "nvidia-gb200", "nvidia-gb300", "nvidia-rtx-pro-6000",
    }
)  # fmt: skip

COUNTS: frozenset[int] = frozenset({1, 2, 4, 8})

REGIONS: frozenset[str] = frozenset(
    {
        "africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3",
        "asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2", "asia-southeast3", "australia-southeast1",
        "australia-southeast2", "europe-central2", "europe-north1", "europe-north2", "europe-southwest1",
        "europe-west1", "europe-west2", "europe-west3", "europe-west4", "europe-west6", "europe-west8",
        "europe-west9", "europe-west10", "europe-west12", "me-central1", "me-central2", "me-west1",
        "northamerica-northeast1", "northamerica-northeast2", "northamerica-south1", "southamerica-east1",
        "southamerica-west1", "us-central1", "us-east1", "us-east4", "us-east5", "us-south1", "us-west1", "us-west2",
        "us-west3", "us-west4",
    }
)  # fmt: skip
