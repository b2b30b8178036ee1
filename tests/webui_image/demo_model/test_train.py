"""The trainer as a whole, on a thousandth of its steps."""

import pytest

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from webui_image.demo_model.train import train

    folder = tmp_path_factory.mktemp("train")
    train(folder / "model", seed=3, work=folder / "work", steps_share=0.0005, threads=1)
    return folder


def weights(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))}


def test_the_trainer_writes_a_pipeline_that_renders(trained):
    """What comes out is loaded and drawn with by the ordinary pipeline."""
    from webui_image.demo_model.measure import Settings, load, pictures

    assert pictures(load(trained / "model"), ["a red circle"], Settings(steps=2))[0].size == (64, 64)


def test_a_second_run_goes_on_from_the_checkpoints(trained):
    """Finished phases are not repeated, and the same weights come out."""
    from webui_image.demo_model.train import train

    stamps = {path.name: path.stat().st_mtime_ns for path in (trained / "work").iterdir()}
    train(trained / "again", seed=3, work=trained / "work", steps_share=0.0005, threads=1)
    assert {path.name: path.stat().st_mtime_ns for path in (trained / "work").iterdir()} == stamps
    assert weights(trained / "again") == weights(trained / "model")


def test_the_same_seed_trains_the_same_model(trained):
    """Nothing but the seed decides: a run in an empty directory ends with the same bytes, whatever the threads do."""
    from webui_image.demo_model.train import train

    train(trained / "fresh", seed=3, work=trained / "other", steps_share=0.0005, threads=1)
    assert weights(trained / "fresh") == weights(trained / "model")


def test_training_leaves_floats_as_they_were(trained):
    """Small numbers are flushed to zero while it trains, and not for whoever called it."""
    assert torch.tensor(1e-40).mul(1).item() > 0
    assert 5e-324 * 1.0 > 0


def test_a_share_of_nothing_is_refused(tmp_path):
    """The error names the value and what it may be."""
    from webui_image.demo_model.train import train

    with pytest.raises(ValueError, match="steps_share is 0: it must be above 0"):
        train(tmp_path, steps_share=0)
