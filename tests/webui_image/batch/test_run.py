"""A parameters file becomes a folder of pictures, and a second run does only what is missing."""

import errno
import json
import threading

import pytest
from PIL import Image

from webui_image.batch import run as run_module
from webui_image.batch import written as written_files
from webui_image.batch.folder import FolderBusy, held
from webui_image.batch.parameters import read
from webui_image.batch.run import Options, plan
from webui_image.batch.written import facts_of
from webui_image.prompts import infotext
from webui_image.values.errors import HandedBack, ModelError, NotFinite, OutOfMemory
from webui_image.values.ports import Phase

TWELVE = "defaults: {size: 64x64, steps: 3}\nmatrix: {seed: 1..4}\nimages: [a red circle, a blue square, a star]\n"


SOME = {"a blue square": (1, 2, 3), "a red circle": (2, 3, 4)}


def names(folder):
    return sorted(path.name for path in folder.glob("*.png") if path.name != "contact-sheet.png")


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_every_picture_is_there_with_its_parameters_inside(batch):
    """Each picture stands under its index and seed, and any A1111 program can read how it was made."""
    result = batch(TWELVE)
    assert (result.asked, result.rendered, result.failed, result.state) == (12, 12, {}, "complete")
    assert names(batch.folder) == [f"{n:05d}-{n % 4 + 1}.png" for n in range(12)]
    with Image.open(batch.folder / "00005-2.png") as image:
        found = infotext.parse(image.text["parameters"])
        assert image.getpixel((0, 0)) == (0, 0, 2)
    assert found.prompt == "a blue square"
    assert (found.fields["Seed"], found.fields["Size"], found.fields["Model"]) == ("2", "64x64", "fake")


def test_the_manifest_tells_what_became_of_each(batch):
    """Status, seed, seconds, file and the digest of the parameters, for each picture."""
    batch(TWELVE)
    data = manifest(batch.folder)
    assert data["counts"] == {"asked": 12, "done": 12, "failed": 0, "missing": 0}
    assert (data["state"], data["device"], data["name"]) == ("complete", "fake", "shapes")
    first = data["pictures"][0]
    assert {key: first[key] for key in ("index", "file", "status", "seed", "seconds", "model_hash")} == {
        "index": 0,
        "file": "00000-1.png",
        "status": "done",
        "seed": 1,
        "seconds": 0.5,
        "model_hash": "abcdef1234",
    }
    assert len({picture["sha256"] for picture in data["pictures"]}) == 12


def test_the_contact_sheet_shows_them(batch):
    """One page with all pictures stands beside them."""
    batch(TWELVE)
    with Image.open(batch.folder / "contact-sheet.png") as sheet:
        assert sheet.width > 4 * 200
        colours = {sheet.getpixel((x, y)) for x in range(0, sheet.width, 8) for y in range(0, sheet.height, 8)}
    assert {(0, 0, seed) for seed in range(1, 5)} <= colours


def test_a_second_run_does_nothing(batch):
    """What stands there is not drawn again; the engine is not even asked for."""
    batch(TWELVE)
    before = {path: path.stat().st_mtime_ns for path in batch.folder.glob("*.png")}
    result = batch()
    assert (result.rendered, result.there, batch.engine) == (0, 12, None)
    assert {path: path.stat().st_mtime_ns for path in batch.folder.glob("*.png")} == before


def test_only_what_is_missing_broken_or_other_is_drawn(batch):
    """A picture that was taken away, cut short, damaged, or replaced is drawn again, and no other."""
    batch(TWELVE)
    folder = batch.folder
    (folder / "00001-2.png").unlink()
    whole = (folder / "00002-3.png").read_bytes()
    (folder / "00002-3.png").write_bytes(whole[:-20])
    (folder / "00003-4.png").write_bytes(whole[:50] + b"x" + whole[51:])
    Image.new("RGB", (64, 64)).save(folder / "00004-1.png")
    (folder / "00005-2.png").write_bytes(b"")
    (folder / "00006-3.png").write_bytes((folder / "00007-4.png").read_bytes())
    result = batch()
    drawn = sorted((prompt, seed) for prompt, seed in batch.engine.drawn)
    assert drawn == [(prompt, seed) for prompt in ("a blue square", "a red circle") for seed in SOME[prompt]]
    assert (result.rendered, result.there) == (6, 6)
    assert all(facts_of(folder / name) for name in names(folder))


def test_other_parameters_are_another_picture(batch):
    """An entry that was edited is drawn again under its name; the others stand."""
    batch(TWELVE)
    batch(TWELVE.replace("a star", "{prompt: a star, steps: 4}"))
    assert {prompt for prompt, _ in batch.engine.drawn} == {"a star"}
    assert len(names(batch.folder)) == 12


def test_pictures_move_with_their_entries(batch):
    """An entry put before the others does not cost them anything: they are renamed, each exactly once."""
    batch("images: [{prompt: a, seed: 1}, {prompt: b, seed: 1}, {prompt: c, seed: 1}]")
    batch("images: [{prompt: new, seed: 1}, {prompt: a, seed: 1}, {prompt: b, seed: 1}, {prompt: c, seed: 2}]")
    assert sorted(batch.engine.drawn) == [("c", 2), ("new", 1)]
    assert names(batch.folder) == ["00000-1.png", "00001-1.png", "00002-1.png", "00003-2.png"]
    with Image.open(batch.folder / "00002-1.png") as image:
        assert infotext.parse(image.text["parameters"]).prompt == "b"


def test_what_is_not_asked_for_any_more_is_left_and_named(batch):
    """Pictures of an earlier version of the file are nobody's to delete, but they are named."""
    batch("images: [{prompt: a, seed: 1}, {prompt: b, seed: 2}]")
    result = batch("images: [{prompt: a, seed: 1}]")
    assert result.stale == ("00001-2.png",)
    assert manifest(batch.folder)["stale"] == ["00001-2.png"]
    assert (batch.folder / "00001-2.png").exists()


def test_other_weights_under_the_same_name_are_another_picture(batch):
    """A model that was replaced draws its pictures anew."""
    text = "images: [{prompt: a, seed: 1}]"
    batch(text)
    assert batch(hashes=lambda _: "abcdef1234567890").rendered == 0
    assert batch(hashes=lambda _: "0123456789abcdef", model_hash="0123456789").rendered == 1


def test_a_picture_that_fails_fails_alone(batch):
    """Its reason stands in the manifest, the others are there; the next run tries it again."""
    errors = {"a star": OutOfMemory("the device has no memory for 64x64"), "a blue square": NotFinite("NaN; use fp32")}
    result = batch(TWELVE, errors=errors)
    assert (result.rendered, len(result.failed), result.state) == (4, 8, "failed")
    data = manifest(batch.folder)
    assert data["counts"] == {"asked": 12, "done": 4, "failed": 8, "missing": 0}
    assert data["pictures"][8]["error"] == "the device has no memory for 64x64"
    assert batch(only=range(1)).failed == {}
    assert manifest(batch.folder)["counts"]["failed"] == 8
    again = batch()
    assert (again.rendered, again.failed) == (8, {})
    assert manifest(batch.folder)["counts"] == {"asked": 12, "done": 12, "failed": 0, "missing": 0}


def test_a_source_that_is_no_picture_fails_alone(batch, tmp_path):
    """A broken picture to start from is told with its name; the others go on."""
    (tmp_path / "broken.png").write_bytes(b"no picture")
    result = batch("images: [{prompt: a, image: broken.png, size: 64x64}, {prompt: b}]")
    assert result.rendered == 1
    assert "broken.png" in result.failed[0]


def test_a_source_reaches_the_engine(batch, tmp_path):
    """Picture and mask are opened, and handed over with what the file says about them."""
    Image.new("RGB", (64, 64), "red").save(tmp_path / "in.png")
    Image.new("L", (64, 64), 255).save(tmp_path / "mask.png")
    seen = []
    text = "images: [{prompt: a, size: 64x64, image: in.png, mask: mask.png, mask_blur: 9, denoising_strength: 0.5}]"

    class Watching:
        def waiting(self, status):
            pass

        def begin(self, asked, there):
            pass

        def outcome(self, outcome):
            seen.append(outcome)

    batch(text, reporter=Watching())
    (outcome,) = seen
    assert outcome.facts is not None
    assert outcome.picture.source.mask.blur == 9


def test_a_part_is_rendered(batch):
    """`--only` renders these indexes; the manifest knows that the rest is missing."""
    result = batch(TWELVE, only=range(2, 5))
    assert (result.selected, result.rendered, result.state) == (3, 3, "complete")
    assert names(batch.folder) == ["00002-3.png", "00003-4.png", "00004-1.png"]
    assert manifest(batch.folder)["counts"]["missing"] == 9


def test_force_draws_again(batch):
    """`--force` draws what stands there already."""
    batch(TWELVE)
    assert batch(force=True, only=range(2)).rendered == 2


def test_the_engine_is_kept_busy_with_equal_shapes(batch):
    """Pictures of one shape are in flight together, whatever their order in the file, and never more than asked."""
    images = [f"{{prompt: p{n}, size: {64 if n % 2 else 128}x64}}" for n in range(24)]
    batch(f"images: [{', '.join(images)}]", in_flight=8, seconds=0.005)
    assert batch.engine.most_waiting <= 8
    assert sum(batch.engine.batches) == 24
    assert len(batch.engine.batches) <= 12


def test_a_full_queue_is_waited_for(batch):
    """An engine that takes two at a time gets all of them, two at a time."""
    assert batch(TWELVE, limit=2, seconds=0.002).rendered == 12


def test_a_stop_finishes_what_is_being_drawn(batch):
    """After the stop no new picture begins; what was begun is written, and the next run does the rest."""
    stop = threading.Event()
    text = "defaults: {size: 64x64}\nimages: [{prompt: a, count: 40}]"

    class Stopping:
        def waiting(self, status):
            pass

        def begin(self, asked, there):
            pass

        def outcome(self, outcome):
            stop.set()

    result = batch(text, stop=stop, reporter=Stopping(), seconds=0.02, in_flight=8)
    assert result.interrupted
    assert 1 <= result.rendered <= 16
    data = manifest(batch.folder)
    assert data["state"] == "interrupted"
    assert data["counts"]["done"] == len(names(batch.folder)) == result.rendered
    assert batch().rendered == 40 - result.rendered


def test_an_engine_that_goes_away_ends_the_run_with_its_reason(batch):
    """Handed back is not failed: the rest is for the next run, and the reason is told."""
    result = batch(TWELVE, errors={"a star": HandedBack("the node is taken back", 1)})
    assert result.interrupted
    assert "the node is taken back" in result.reason
    assert result.failed == {}
    assert manifest(batch.folder)["counts"]["done"] == len(names(batch.folder))


def test_a_device_that_hangs_ends_the_run(batch, fake):
    """An engine that is stuck and says nothing is not waited for without end; nothing counts as failed."""

    class Stuck(fake.FakeEngine):
        def _work(self):
            self.phase = Phase.WEDGED

    result = batch(TWELVE, kind=Stuck)
    assert (result.interrupted, result.rendered, result.failed) == (True, 0, {})
    assert "wedged" in result.reason


def test_a_model_that_cannot_be_loaded_is_an_error(batch, fake):
    """There is no sense in going on, and the manifest does not look as if something were at work."""

    class Broken(fake.FakeEngine):
        def start(self):
            self.phase = Phase.FAILED

    with pytest.raises(ModelError, match="cannot be loaded"):
        batch(TWELVE, kind=Broken)
    assert manifest(batch.folder)["state"] == "interrupted"


def test_a_stop_while_the_model_loads_ends_at_once(batch, fake):
    """The signal is heard before there is anything to finish."""
    stop = threading.Event()

    class Slow(fake.FakeEngine):
        def start(self):
            self.phase = Phase.LOADING
            stop.set()

    result = batch(TWELVE, kind=Slow, stop=stop)
    assert (result.interrupted, result.reason) == (True, "stopped by a signal")


def test_a_full_disk_ends_the_run_and_keeps_what_is_there(batch, monkeypatch):
    """The reason is told with the file; what was written before stays, and the next run goes on."""
    real, written = written_files.write, []

    def write(path, content):
        if path.suffix == ".png" and len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.extend([path] if path.suffix == ".png" else [])
        real(path, content)

    monkeypatch.setattr(run_module, "write", write)
    result = batch(TWELVE)
    assert result.interrupted
    assert "No space left on device" in result.reason
    monkeypatch.undo()
    assert batch().there == 3


def test_a_plan_writes_nothing(batch, tmp_path):
    """What would be rendered is told without a folder, a lock or a file."""
    path = tmp_path / "shapes.yaml"
    path.write_text(TWELVE)
    planned = plan(read(path), tmp_path / "out", Options(only=range(3)))
    assert [picture.index for picture in planned.todo] == [0, 1, 2]
    assert not (tmp_path / "out").exists()


def test_two_runs_do_not_work_in_one_folder(batch):
    """The second one is told, before it touches anything."""
    with held(batch.folder), pytest.raises(FolderBusy, match="another run is at work there"):
        batch(TWELVE)


def test_what_a_killed_run_left_is_swept(batch):
    """Half-written files disappear at the next run."""
    batch.folder.mkdir(parents=True)
    (batch.folder / ".00000-1.png.part").write_bytes(b"half")
    batch(TWELVE)
    assert list(batch.folder.glob(".*.part")) == []


def test_a_manifest_that_was_lost_or_broken_is_made_again(batch):
    """The folder is the memory: without its manifest nothing is drawn again, and the manifest is as before."""
    batch(TWELVE)
    before = manifest(batch.folder)["pictures"]
    (batch.folder / "manifest.json").write_text("{ half")
    assert batch().rendered == 0
    assert manifest(batch.folder)["pictures"] == before
