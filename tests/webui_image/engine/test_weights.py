"""MODEL_URI becomes local files: in ranges, resumable, checked, and never half."""

import hashlib
import shutil
import threading

import fsspec
import pytest

from webui_image.engine import remote as remotes
from webui_image.engine.loading import kind_of
from webui_image.engine.weights import Fetch
from webui_image.values.errors import ModelError


class ImpatientClock:
    """A clock on which no wait takes any time."""

    def __init__(self):
        self.waits = []

    def monotonic(self):
        return 0.0

    def wait(self, event, seconds):
        self.waits.append(seconds)
        return event.is_set()


@pytest.fixture
def store():
    """Give an empty store in memory."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()


@pytest.fixture
def fetch(tmp_path):
    """Give a fetcher into an empty cache."""
    return Fetch(tmp_path / "cache", ImpatientClock(), threading.Event())


@pytest.fixture(autouse=True)
def small_ranges(mocker):
    """Let a few kilobytes be many ranges."""
    mocker.patch("webui_image.engine.weights._RANGE", 1000)


def _put(store, path, data):
    store.pipe_file(path, data)


def _put_model(store, directory, root="/bucket/model"):
    for path in directory.rglob("*"):
        if path.is_file():
            _put(store, f"{root}/{path.relative_to(directory)}", path.read_bytes())


def _reads(mocker):
    """Give the list that every range read from now on is noted in."""
    reads = []
    real = remotes.Remote.read

    def read(self, file, start, end):
        reads.append((file.path, start))
        return real(self, file, start, end)

    mocker.patch.object(remotes.Remote, "read", read)
    return reads


DATA = bytes(range(256)) * 40


def test_a_file_arrives_whole(store, fetch):
    """A file of eleven ranges is put together in order; progress ends at its size."""
    _put(store, "/bucket/model.safetensors", DATA)
    seen = []
    path = fetch("memory://bucket/model.safetensors", lambda done, total: seen.append((done, total)))
    assert path.name == "model.safetensors"
    assert path.read_bytes() == DATA
    assert max(seen) == (len(DATA), len(DATA))
    assert len(seen) == 11 + 1


def test_a_local_path_is_taken_as_it_is(fetch, tmp_path):
    """Nothing is copied from a mounted volume."""
    assert fetch(str(tmp_path)) == tmp_path
    assert fetch(f"file://{tmp_path}") == tmp_path


def test_a_directory_brings_what_the_pipeline_needs(store, fetch, sd1_directory, mocker):
    """Other formats of the same weights, checkpoints beside them and pictures are not fetched."""
    mocker.patch("webui_image.engine.weights._RANGE", 1 << 20)
    _put_model(store, sd1_directory)
    for extra in (
        "v1-5-pruned.safetensors",
        "README.md",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/flax_model.msgpack",
        "safety_checker/model.safetensors",
    ):
        _put(store, f"/bucket/model/{extra}", b"x")
    path = fetch("memory://bucket/model")
    assert kind_of(path) == ("sd1", False)
    fetched = {
        str(each.relative_to(path)) for each in path.rglob("*") if each.is_file() and not each.name.startswith(".")
    }
    assert fetched == {str(each.relative_to(sd1_directory)) for each in sd1_directory.rglob("*") if each.is_file()}


@pytest.mark.parametrize(
    ("prefer_half", "expected"),
    [
        pytest.param(True, {"model.fp16.safetensors"}, id="half where there are both"),
        pytest.param(False, {"model.safetensors"}, id="single where it is wanted"),
    ],
)
def test_one_precision_is_fetched(store, tmp_path, prefer_half, expected):
    """Of two precisions of one part only the wanted one costs time."""
    _put(store, "/m/model_index.json", b'{"text_encoder": ["transformers", "CLIPTextModel"]}')
    for name in ("model.fp16.safetensors", "model.safetensors", "pytorch_model.fp16.bin"):
        _put(store, f"/m/text_encoder/{name}", b"x")
    path = Fetch(tmp_path, ImpatientClock(), threading.Event(), prefer_half=prefer_half)("memory://m")
    assert {each.name for each in (path / "text_encoder").glob("*.safetensors")} == expected


def test_nothing_is_fetched_twice(store, fetch, mocker):
    """A complete file of the same size and tag is taken from the cache."""
    _put(store, "/bucket/model.safetensors", DATA)
    fetch("memory://bucket/model.safetensors")
    reads = _reads(mocker)
    assert fetch("memory://bucket/model.safetensors").read_bytes() == DATA
    assert reads == []


def test_a_changed_file_is_fetched_anew(store, fetch):
    """A new version under the same address replaces the old one."""
    _put(store, "/bucket/model.safetensors", DATA)
    fetch("memory://bucket/model.safetensors")
    _put(store, "/bucket/model.safetensors", DATA[::-1])
    assert fetch("memory://bucket/model.safetensors").read_bytes() == DATA[::-1]


def test_an_interrupted_download_goes_on(store, fetch, mocker):
    """Ranges that were complete are not read again, and no half file has the name meanwhile."""
    _put(store, "/bucket/model.safetensors", DATA)
    real, broken = remotes.Remote.read, threading.Event()
    broken.set()

    def read(self, file, start, end):
        if start >= 5000 and broken.is_set():
            raise OSError("connection reset")
        return real(self, file, start, end)

    mocker.patch.object(remotes.Remote, "read", read)
    with pytest.raises(ModelError, match="connection reset"):
        fetch("memory://bucket/model.safetensors")
    assert list(fetch.cache.rglob("model.safetensors")) == []
    broken.clear()
    reads = _reads(mocker)
    assert fetch("memory://bucket/model.safetensors").read_bytes() == DATA
    assert {start for _, start in reads} == {start for start in range(5000, len(DATA), 1000)}


def test_a_passing_fault_is_tried_again(store, fetch, mocker):
    """Two failures of a range in a row are waited out, longer each time."""
    _put(store, "/bucket/model.safetensors", DATA[:500])
    real, failures = remotes.Remote.read, iter([OSError("reset"), TimeoutError("slow")])

    def read(self, file, start, end):
        for failure in failures:
            raise failure
        return real(self, file, start, end)

    mocker.patch.object(remotes.Remote, "read", read)
    assert fetch("memory://bucket/model.safetensors").read_bytes() == DATA[:500]
    assert fetch.clock.waits == [1.0, 2.0]


def test_a_short_answer_is_no_answer(store, fetch, mocker):
    """A store that sends less than the range is tried again, and then told."""
    _put(store, "/bucket/model.safetensors", DATA[:500])
    mocker.patch.object(remotes.Remote, "read", return_value=b"short")
    with pytest.raises(ModelError, match="5 of 500 bytes"):
        fetch("memory://bucket/model.safetensors")


def test_a_stop_ends_the_download(store, fetch):
    """A replica that is told to go does not wait for gigabytes."""
    _put(store, "/bucket/model.safetensors", DATA)
    fetch.stop.set()
    with pytest.raises(ModelError, match="stopped"):
        fetch("memory://bucket/model.safetensors")


def _sums(files):
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in files.items()).encode()


FILES = {
    "model_index.json": b'{"vae": ["diffusers", "AutoencoderKL"]}',
    "vae/config.json": b"{}",
    "vae/diffusion_pytorch_model.safetensors": DATA,
}


def _put_with_sums(store, sums):
    for path, data in FILES.items():
        _put(store, f"/m/{path}", data)
    _put(store, "/m/SHA256SUMS", sums)


def test_a_directory_is_checked_against_its_sums(store, fetch):
    """With a SHA256SUMS file, pinned by its own digest, everything is verified."""
    sums = _sums(FILES)
    _put_with_sums(store, sums)
    path = fetch("memory://m", sha256=hashlib.sha256(sums).hexdigest())
    assert (path / "vae" / "diffusion_pytorch_model.safetensors").read_bytes() == DATA


@pytest.mark.parametrize(
    ("sums", "pin", "says"),
    [
        pytest.param(_sums({**FILES, "vae/config.json": b"other"}), None, "vae/config.json", id="a file was exchanged"),
        pytest.param(_sums({"model_index.json": FILES["model_index.json"]}), None, "not listed", id="a file was added"),
        pytest.param(_sums(FILES), "0" * 64, "SHA256SUMS: its SHA-256", id="the sums were exchanged"),
        pytest.param(b"nonsense\n", None, "sha256sum", id="the sums are none"),
    ],
)
def test_what_does_not_fit_its_sum_is_refused(store, fetch, sums, pin, says):
    """The error names the file; the file does not get its name."""
    _put_with_sums(store, sums)
    with pytest.raises(ModelError, match=says):
        fetch("memory://m", sha256=pin or hashlib.sha256(sums).hexdigest())


def test_a_file_is_checked_against_its_digest(store, fetch):
    """A single file with another content than the one meant is deleted."""
    _put(store, "/bucket/model.safetensors", DATA)
    with pytest.raises(ModelError, match="not the one meant"):
        fetch("memory://bucket/model.safetensors", sha256="0" * 64)
    assert [path for path in fetch.cache.rglob("*model*") if path.is_file()] == []


def test_a_digest_without_sums_is_told(store, fetch):
    """A directory cannot be verified with one digest alone."""
    for path, data in FILES.items():
        _put(store, f"/m/{path}", data)
    with pytest.raises(ModelError, match="no SHA256SUMS"):
        fetch("memory://m", sha256="0" * 64)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        pytest.param("memory://nothing/here", "neither a .safetensors file nor a directory", id="nothing there"),
        pytest.param("memory://bucket/model.ckpt", "pickle", id="pickle"),
        pytest.param("ftp://host/model", "ftp:// is not supported", id="other scheme"),
        pytest.param("hf://org/name", "switched off", id="the hub, offline"),
    ],
)
def test_addresses_that_hold_no_model_are_refused(store, tmp_path, uri, says):
    """Each with what to do."""
    with pytest.raises(ModelError, match=says):
        Fetch(tmp_path, ImpatientClock(), threading.Event(), offline=True)(uri)


def test_a_missing_package_is_named(mocker, tmp_path):
    """Without gcsfs, gs:// says which extra to install."""
    mocker.patch("fsspec.core.url_to_fs", side_effect=ImportError("Please install gcsfs"))
    with pytest.raises(ModelError, match="webui-gcs"):
        Fetch(tmp_path, ImpatientClock(), threading.Event())("gs://bucket/model")


def test_a_full_disk_is_told_before(store, fetch, mocker):
    """The error says how much is needed and how much there is."""
    _put(store, "/bucket/model.safetensors", DATA)
    mocker.patch("shutil.disk_usage", return_value=shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(ModelError, match="10,240 bytes to fetch, 10 free"):
        fetch("memory://bucket/model.safetensors")


def test_eight_ranges_are_read_at_once(store, fetch, mocker):
    """One connection does not limit the download."""
    _put(store, "/bucket/model.safetensors", DATA)
    together = threading.Barrier(8, timeout=200)
    real = remotes.Remote.read

    def read(self, file, start, end):
        if start < 8000:
            together.wait()
        return real(self, file, start, end)

    mocker.patch.object(remotes.Remote, "read", read)
    assert fetch("memory://bucket/model.safetensors").read_bytes() == DATA
