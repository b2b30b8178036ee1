"""`render` as it is typed: what it prints, and the code it leaves with."""

import json
import os
import signal

import pytest

from webui_image.cli.app import run
from webui_image.values.errors import OutOfMemory

TEXT = "defaults: {size: 64x64}\nimages: [{prompt: a, count: 3}, b]\n"


@pytest.fixture
def render(tmp_path, fake, monkeypatch, capsys):
    """Write a file and type `render`: exit code, what stands on stdout, what on stderr."""

    def typed(*arguments, text=TEXT, engine=None):
        (tmp_path / "p.yaml").write_text(text)
        monkeypatch.setattr("webui_image.engine.build", lambda *_, **__: engine or fake.FakeEngine())
        code = run(["render", str(tmp_path / "p.yaml"), "--out", str(tmp_path / "out"), *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return typed


def test_all_pictures_are_zero(render, tmp_path):
    """A file that is rendered leaves with 0, and says where the pictures are."""
    code, out, err = render()
    assert code == 0
    assert f"{tmp_path / 'out' / 'p'}: 4 rendered, 0 were there already, 0 failed" in out.replace("\n", " ")
    assert "4 of 4 pictures" in err
    code, out, _ = render("--output", "json")
    assert (code, json.loads(out)["there"], json.loads(out)["state"]) == (0, 4, "complete")


def test_a_failed_picture_is_three(render, fake):
    """Some failed: 3, with the reason and the line of the file."""
    code, _, err = render(engine=fake.FakeEngine(errors={"b": OutOfMemory("the device has no memory for it")}))
    assert code == 3
    assert "p.yaml:2: picture 3 failed: the device has no memory for it" in err
    assert "1 pictures failed; manifest.json says why" in err


def test_a_wrong_file_is_sixty_four(render, tmp_path):
    """Every mistake is a line, and nothing is written."""
    code, out, err = render(text="images:\n- {prompt: a, step: 3}\n- {prompt: b, sampler: Eular}\n")
    assert code == 64
    assert out == ""
    first, second = err.splitlines()
    assert first == 'error: p.yaml:2: images[0].step: unknown key; did you mean "steps"?'
    assert second.startswith("error: p.yaml:3: images[1].sampler: 'Eular' is unknown; did you mean Euler")
    assert not (tmp_path / "out").exists()


def test_a_signal_is_seventy_five(render, fake, tmp_path):
    """SIGTERM writes what is nearly done, says how to go on, and leaves with 75; the next run does the rest."""
    engine = fake.FakeEngine(seconds=0.05, together=1)
    finish = engine._finish
    signals = [signal.SIGTERM]

    def finish_and_be_told(*each):
        finish(*each)
        if signals:
            os.kill(os.getpid(), signals.pop())

    engine._finish = finish_and_be_told
    code, _, err = render("--grace", "0.01", engine=engine)
    assert code == 75
    assert "SIGTERM: finishing what is nearly done" in err
    assert "run the same command again to go on" in err
    there = len(list((tmp_path / "out" / "p").glob("0*.png")))
    assert 1 <= there < 4
    code, out, _ = render("--output", "json")
    assert (code, json.loads(out)["rendered"]) == (0, 4 - there)


def test_a_dry_run_lists_and_writes_nothing(render, tmp_path):
    """What would be rendered stands there, with its settings; there is no folder afterwards."""
    code, out, _ = render("--dry-run")
    assert code == 0
    assert "4 of 4 pictures would be rendered" in out
    code, out, _ = render("--dry-run", "--only", "1..2", "--output", "json")
    data = json.loads(out)
    assert [(row["index"], row["render"], row["prompt"]) for row in data["pictures"]] == [
        (1, True, "a"),
        (2, True, "a"),
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("only", "indexes"),
    [("2", [2]), ("1..2", [1, 2]), ("2..", [2, 3]), ("..1", [0, 1])],
    ids=["one", "both", "from", "to"],
)
def test_ranges(only, indexes, render):
    """`--only` takes one index, or a range that may be open at an end."""
    _, out, _ = render("--dry-run", "--output", "json", "--only", only)
    assert [row["index"] for row in json.loads(out)["pictures"]] == indexes


@pytest.mark.parametrize("only", ["x", "3..1", "..", "1-2"], ids=["word", "backwards", "nothing", "dash"])
def test_what_is_no_range_is_said(only, render):
    """A wrong range is usage, with the right way to write it."""
    code, _, err = render("--only", only)
    assert code == 64
    assert err.startswith(f"error: --only: {only!r}")


def test_a_picture_renders_itself_again(render, tmp_path):
    """A rendered picture is a parameters file: it asks for the very same picture."""
    render(text="{prompt: a red circle, seed: 7, steps: 5, size: 64x128, sampler: Euler a}")
    picture = tmp_path / "out" / "p" / "00000-7.png"
    code = run(["render", str(picture), "--out", str(tmp_path / "again"), "--model", "x/y"])
    assert code == 64  # a model that is not there is told before anything is read
    from webui_image.batch.parameters import read

    (again,) = read(picture).pictures
    generation = again.generation
    assert (generation.prompt, generation.seed, generation.steps) == ("a red circle", 7, 5)
    assert (generation.width, generation.height, generation.sampler) == (64, 128, "Euler a")


def test_ten_thousand_lines_are_read_in_two_seconds(tmp_path, least_seconds):
    """The promised figure, in seconds of computing, and the memory that it takes."""
    import tracemalloc

    from webui_image.batch.parameters import read

    entry = (
        "- prompt: a red circle {n}, masterpiece, (detailed:1.2)\n  seed: {n}\n  steps: 20\n  cfg: 7.5\n  size: 64x64\n"
    )
    path = tmp_path / "long.yaml"
    path.write_text("".join(entry.format(n=n) for n in range(2_000)))
    assert len(read(path).pictures) == 2_000
    assert least_seconds(lambda: read(path), within=2.0) < 2.0
    tracemalloc.start()
    read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000_000


def test_no_model_is_told_before_anything_is_loaded(render, fake, tmp_path):
    """Without any model there is a way to give one, and no folder; a dry run needs none."""
    engine = fake.FakeEngine()
    engine.models = tuple
    code, _, err = render(engine=engine)
    assert (code, err) == (64, "error: there is no model; set MODEL_URI or MODEL_DIR, or give --model\n")
    assert not (tmp_path / "out").exists()
    assert render("--dry-run", engine=engine)[0] == 0


@pytest.mark.parametrize(
    "model", ["fake", "FAKE", "fake [abcdef1234]", "abcdef1234"], ids=["name", "case", "title", "hash"]
)
def test_a_model_is_asked_for_in_many_ways(model, render):
    """Name, title and hash are one model, and so one picture."""
    render(text="{prompt: a, model: fake}")
    code, out, _ = render("--output", "json", text=f"{{prompt: a, model: '{model}'}}")
    assert (code, json.loads(out)["there"]) == (0, 1)


def test_a_model_that_is_not_there_is_a_mistake_in_the_file(render):
    """An unknown model is told with its line before anything is rendered."""
    code, _, err = render(text="prompt: a\nmodel: dreams\n")
    assert code == 64
    assert err.startswith("error: p.yaml:2: model: there is no model 'dreams'; here are fake")
