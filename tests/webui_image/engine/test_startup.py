"""A start goes through its phases to a proven model, or says in one line why not."""

import threading

import fsspec
import pytest
import torch

from webui_image.clock import SystemClock
from webui_image.engine.registry import Registry
from webui_image.engine.sources import Sources
from webui_image.engine.startup import Startup, warm_up
from webui_image.values.errors import NotFinite
from webui_image.values.ports import Phase


def _startup(tmp_path, **changes):
    options = {key: changes.pop(key) for key in ("warm", "device") if key in changes}
    sources = Sources(**{"cache_dir": tmp_path / "cache", "shipped": tmp_path / "nothing", **changes})
    return Startup(sources, Registry(sources), clock=SystemClock(), threads=1, **{"device": "cpu", **options})


@pytest.fixture
def remote(sd1_directory):
    """Give the address of a model in a store."""
    store = fsspec.filesystem("memory")
    for path in sd1_directory.rglob("*"):
        if path.is_file():
            store.pipe_file(f"/startup/tiny/{path.relative_to(sd1_directory)}", path.read_bytes())
    yield "memory://startup/tiny"
    store.store.clear()


def test_a_local_model_becomes_ready(sd1_directory, tmp_path):
    """The phases are told with their seconds, the device and the model by name."""
    startup = _startup(tmp_path, model_uri=str(sd1_directory))
    assert startup.progress.phase is Phase.STARTING
    model = startup.run()
    progress = startup.progress
    assert model.info.name == "tiny"
    assert (progress.phase, progress.device, progress.model) == (Phase.READY, "cpu", "tiny")
    assert [name for name, _ in progress.phase_seconds] == ["importing", "loading", "warming"]
    assert all(seconds >= 0 for _, seconds in progress.phase_seconds)


def test_a_remote_model_is_fetched_first(remote, tmp_path):
    """Fetching is a phase with megabytes told, beside the imports."""
    startup = _startup(tmp_path, model_uri=remote)
    assert startup.run().info.name == "tiny"
    assert sorted(name for name, _ in startup.progress.phase_seconds) == [
        "downloading",
        "importing",
        "loading",
        "warming",
    ]


def test_progress_counts_megabytes(tmp_path):
    """A half-fetched model says so."""
    startup = _startup(tmp_path)
    startup._fetched(12_000_000, 48_000_000)
    progress = startup.progress
    assert (progress.phase, progress.detail, progress.progress) == (Phase.DOWNLOADING, "12 of 48 MB", 0.25)


def test_a_missing_model_fails_with_its_reason(tmp_path):
    """The process stays up and tells why it cannot serve."""
    startup = _startup(tmp_path, model_uri="memory://startup/missing")
    assert startup.run() is None
    assert startup.progress.phase is Phase.FAILED
    assert "neither a .safetensors file nor a directory" in startup.progress.detail
    assert "\n" not in startup.progress.detail


def test_a_device_that_is_not_there_fails_with_its_reason(sd1_directory, tmp_path):
    """Asking for CUDA on a machine without says what to take."""
    startup = _startup(
        tmp_path, model_uri=str(sd1_directory), device="cuda" if not torch.cuda.is_available() else "mps"
    )
    assert startup.run() is None
    assert "take auto or cpu" in startup.progress.detail


def test_a_bug_fails_in_one_line(sd1_directory, tmp_path):
    """Whatever goes wrong in the last phase is told by class and first line."""

    def warm(_model):
        raise ZeroDivisionError("first\nsecond")

    startup = _startup(tmp_path, model_uri=str(sd1_directory), warm=warm)
    assert startup.run() is None
    assert startup.progress.detail == "ZeroDivisionError: first"


def test_a_model_that_gives_no_numbers_is_found_out(sd1):
    """A picture of NaN does not count as ready."""
    sd1.unet.conv_out.bias.data.fill_(torch.nan)
    with pytest.raises(NotFinite, match="take precision fp32"):
        warm_up(sd1)


def test_every_kind_can_be_warmed(sdxl):
    """SDXL's warm-up brings the conditions that its UNet wants."""
    warm_up(sdxl)


def test_it_may_run_in_a_thread_of_its_own(sd1_directory, tmp_path):
    """The model is handed over when it is ready."""
    ready, models = threading.Event(), []
    startup = _startup(tmp_path, model_uri=str(sd1_directory))
    startup.start(lambda model: (models.append(model), ready.set()))
    assert ready.wait(100)
    assert models[0].info.name == "tiny"


def test_a_stop_ends_the_download(remote, tmp_path):
    """A replica that is told to go while it fetches fails at once."""
    startup = _startup(tmp_path, model_uri=remote)
    startup.stop()
    assert startup.run() is None
    assert "stopped" in startup.progress.detail
