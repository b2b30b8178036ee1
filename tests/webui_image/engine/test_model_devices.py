"""Device, precision and threads are chosen by what the machine has."""

import pytest
import torch

from webui_image.engine.devices import choose, container_cpus, limit_threads, memory, versions
from webui_image.values.errors import Invalid


def test_a_cpu_computes_in_single_precision():
    """Half precision is slower on a CPU, so it is not chosen by itself."""
    device = choose("cpu")
    assert (device.label, device.dtype, device.vae_dtype) == ("cpu", torch.float32, torch.float32)


def test_apple_keeps_its_autoencoder_in_single_precision(mocker):
    """Apple's half precision overflows in autoencoders."""
    mocker.patch("torch.backends.mps.is_available", return_value=True)
    device = choose("mps")
    assert (device.dtype, device.vae_dtype, device.short_of_memory) == (torch.float16, torch.float32, True)


@pytest.mark.parametrize(
    ("gigabytes", "short"), [pytest.param(24, False, id="L4"), pytest.param(4, True, id="a card of 4 GB")]
)
def test_cuda_computes_in_half_precision(mocker, gigabytes, short):
    """A GPU is taken by itself, and a small one is spared."""
    mocker.patch("torch.cuda.is_available", return_value=True)
    properties = mocker.Mock(total_memory=gigabytes << 30)
    properties.name = "NVIDIA L4"
    mocker.patch("torch.cuda.get_device_properties", return_value=properties)
    device = choose()
    assert (device.label, device.dtype, device.short_of_memory) == ("cuda: NVIDIA L4", torch.float16, short)


@pytest.mark.parametrize(
    ("wanted", "precision", "field"),
    [
        pytest.param("tpu", "auto", "device", id="unknown device"),
        pytest.param("cuda", "auto", "device", id="device that is not there"),
        pytest.param("cpu", "int4", "precision", id="unknown precision"),
    ],
)
def test_what_cannot_be_had_is_refused(mocker, wanted, precision, field):
    """The error names the setting and what there is."""
    mocker.patch("torch.cuda.is_available", return_value=False)
    with pytest.raises(Invalid) as caught:
        choose(wanted, precision)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [
        pytest.param("150000 100000", 2, id="one and a half CPUs are two threads"),
        pytest.param("50000 100000", 1, id="half a CPU is one"),
        pytest.param("max 100000", 64, id="no limit"),
        pytest.param("nonsense", 64, id="unreadable"),
    ],
)
def test_threads_follow_the_containers_limit(mocker, tmp_path, quota, cpus):
    """A node's cores are not taken for the container's."""
    mocker.patch("os.sched_getaffinity", return_value=set(range(64)), create=True)
    (tmp_path / "cpu.max").write_text(quota)
    assert container_cpus(tmp_path / "cpu.max") == cpus


def test_a_number_of_threads_may_be_given():
    """A setting overrides what the container says."""
    before = torch.get_num_threads()
    try:
        assert limit_threads(1) == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_memory_is_told():
    """On a CPU it is the process's, within the machine's."""
    now = memory(torch.device("cpu"))
    assert 0 < now.used <= now.total
    assert 0 < now.peak <= now.total


def test_versions_are_told():
    """Health reports what decides whether a driver fits."""
    assert versions()["torch"] == torch.__version__
