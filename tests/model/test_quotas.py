"""What quotas are called, by GPU type and capacity type."""

import pytest

from controlplane.model.offering import Capacity
from controlplane.model.quotas import by_family, family_metric, regional_metric


@pytest.mark.parametrize(
    ("accelerator", "regional", "newer"),
    [
        pytest.param("nvidia-tesla-t4", "NVIDIA_T4_GPUS", False, id="t4"),
        pytest.param("nvidia-l4", "NVIDIA_L4_GPUS", False, id="l4"),
        pytest.param("nvidia-tesla-a100", "NVIDIA_A100_GPUS", False, id="a100-40gb"),
        pytest.param("nvidia-a100-80gb", "NVIDIA_A100_80GB_GPUS", False, id="a100-80gb"),
        pytest.param("nvidia-h100-80gb", "NVIDIA_H100_GPUS", True, id="h100"),
        pytest.param("nvidia-h100-mega-80gb", "NVIDIA_H100_MEGA_GPUS", True, id="h100-mega"),
        pytest.param("nvidia-h200-141gb", "NVIDIA_H200_GPUS", True, id="h200"),
        pytest.param("nvidia-b200", "NVIDIA_B200_GPUS", True, id="b200"),
        pytest.param("nvidia-rtx-pro-6000", "NVIDIA_RTX_PRO_6000_GPUS", True, id="rtx-pro-6000"),
    ],
)
def test_metrics_are_google_clouds(accelerator, regional, newer):
    """The memory in a type's name is part of the family's only where Google Cloud has two of them."""
    assert regional_metric(accelerator, Capacity.ON_DEMAND) == regional
    assert regional_metric(accelerator, Capacity.SPOT) == f"PREEMPTIBLE_{regional}"
    assert regional_metric(accelerator, Capacity.FLEX_START) == f"PREEMPTIBLE_{regional}"
    family = regional.removesuffix("_GPUS")
    assert family_metric(accelerator, Capacity.ON_DEMAND) == f"GPUS_PER_GPU_FAMILY/{family}"
    assert family_metric(accelerator, Capacity.SPOT) == f"PREEMPTIBLE_GPUS_PER_GPU_FAMILY/{family}"
    assert by_family(accelerator) is newer
