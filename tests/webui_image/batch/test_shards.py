"""One worker renders one shard beside others, and whoever ends the last one puts the whole together."""

import io
import json
import threading

import pytest
from PIL import Image

from webui_image.batch.collecting import collect
from webui_image.batch.parameters import read
from webui_image.batch.places import LocalPlace
from webui_image.batch.run import Options
from webui_image.batch.shards import Shard, Worker, render_shard, shards_of
from webui_image.clock import SystemClock
from webui_image.values.errors import NotFinite

TEN = "defaults: {size: 64x64, steps: 3}\nmatrix: {seed: 1..5}\nimages: [a red circle, a blue square]\n"


class Bench:
    """A parameters file, the place of its results, and workers."""

    def __init__(self, folder, fake):
        self.fake, self.folder = fake, folder
        (folder / "shapes.yaml").write_text(TEN)
        self.place = LocalPlace(folder / "out" / "shapes")
        self.files = LocalPlace(folder)
        self.engines = []

    @property
    def batch(self):
        return read(self.folder / "shapes.yaml")

    def work(self, number, *, size=4, name="w1", place=None, stop=None, options=None, told=None, **engine):
        def start():
            self.engines.append(self.fake.FakeEngine(**engine))
            return self.engines[-1]

        return render_shard(
            self.batch,
            Shard(number, size),
            place or self.place,
            start,
            files=self.files,
            worker=Worker(name, told or {}),
            options=options or Options(grace=0.5),
            clock=SystemClock(),
            stop=stop or threading.Event(),
            reporter=self.fake.Quiet(),
        )

    def pictures(self):
        return sorted(name for name in self.place.names() if name.endswith(".png") and name != "contact-sheet.png")

    def manifest(self):
        return json.loads(self.place.read("manifest.json"))


@pytest.fixture
def bench(tmp_path, fake):
    return Bench(tmp_path, fake)


def test_a_shard_holds_its_own_pictures_and_the_last_one_fewer(bench):
    """Four, four and two of ten."""
    assert shards_of(bench.batch, 4) == 3
    assert bench.work(2).rendered == 2
    assert [name[:5] for name in bench.pictures()] == ["00008", "00009"]


def test_the_whole_is_put_together_when_the_last_shard_has_ended(bench):
    """Not before; then every picture is in the manifest once, with where it was rendered."""
    for number in (1, 2):
        bench.work(number, told={"region": "us-west1", "gpu": "nvidia-l4"})
        assert not collect(bench.batch, 4, bench.place, SystemClock())
    bench.work(0, told={"region": "asia-east1"})
    assert collect(bench.batch, 4, bench.place, SystemClock())
    manifest = bench.manifest()
    assert (manifest["state"], manifest["counts"]["done"]) == ("complete", 10)
    assert [entry["index"] for entry in manifest["pictures"]] == list(range(10))
    assert (manifest["pictures"][0]["region"], manifest["pictures"][9]["gpu"]) == ("asia-east1", "nvidia-l4")
    with Image.open(io.BytesIO(bench.place.read("contact-sheet.png"))) as sheet:
        assert sheet.width > 100


def test_what_is_there_already_is_not_rendered_again(bench):
    """Not even an engine is started for it."""
    bench.work(0)
    again = bench.work(0, name="w2")
    assert (again.rendered, again.there) == (0, 4)
    assert len(bench.engines) == 1


def test_an_edited_file_renders_what_has_other_parameters(bench):
    """A picture of the old file under the same name is replaced."""
    bench.work(0)
    before = bench.place.read("00001-2.png")
    (bench.folder / "shapes.yaml").write_text(TEN.replace("steps: 3", "steps: 4"))
    assert bench.work(0, name="w2").rendered == 4
    assert bench.place.read("00001-2.png") != before


def test_a_picture_that_fails_fails_alone(bench):
    """Its reason stands in the record and in the manifest; the shard has ended."""
    result = bench.work(0, size=10, errors={"a blue square": NotFinite("NaN; take single precision")})
    assert (result.rendered, len(result.failed), result.interrupted) == (5, 5, False)
    assert collect(bench.batch, 10, bench.place, SystemClock())
    manifest = bench.manifest()
    assert (manifest["state"], manifest["counts"]["failed"]) == ("failed", 5)
    assert "NaN" in manifest["pictures"][7]["error"]


def test_what_another_publishes_meanwhile_is_left_to_it(bench, monkeypatch):
    """Each looks before it draws, so two at one shard share it, and both know all of it in the end."""

    class Shared(LocalPlace):
        """A folder into which another worker puts a picture whenever this one publishes one."""

        def publish(self, name, content):
            super().publish(name, content)
            if name.endswith(".png") and other is not None:
                other.pop()()

    monkeypatch.setattr("webui_image.batch.shards._FRESH", 0.0)
    donor = LocalPlace(bench.folder / "donor")
    bench.work(0, size=10, place=donor)
    todo = sorted((name for name in donor.names() if name.endswith(".png")), reverse=True)
    other = [lambda name=name: bench.place.publish(name, donor.read(name)) for name in todo]
    one_by_one = Options(in_flight=1, grace=0.5)
    result = bench.work(0, size=10, place=Shared(bench.place.folder), options=one_by_one, seconds=0.02)
    assert result.rendered < 10
    assert (result.rendered + result.there, len(bench.pictures())) == (10, 10)


def test_a_stop_leaves_no_record_and_the_next_worker_goes_on(bench):
    """What was nearly done is published; the rest is for whoever comes next."""
    stop = threading.Event()

    class Stopping(LocalPlace):
        def publish(self, name, content):
            super().publish(name, content)
            stop.set()

    result = bench.work(
        0, size=10, place=Stopping(bench.place.folder), stop=stop, options=Options(in_flight=2, grace=0.5)
    )
    assert result.interrupted
    assert "shards" not in {path.name for path in bench.place.folder.iterdir()}
    done = len(bench.pictures())
    assert 0 < done < 10
    assert bench.work(0, size=10, name="w2").rendered == 10 - done


def test_a_broken_picture_is_rendered_again(bench):
    """Half a file from a store without atomic writes is no picture."""
    bench.work(0)
    bench.place.publish("00000-1.png", (bench.place.read("00000-1.png") or b"")[:100])
    assert bench.work(0, name="w2").rendered == 1
