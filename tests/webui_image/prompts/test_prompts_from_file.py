"""A1111's file of prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui_image.prompts.prompts_from_file import read
from webui_image.values.errors import Invalid, TooLarge, Unsupported, WebUIError


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        pytest.param("a photo of a dog", {"prompt": "a photo of a dog"}, id="plain"),
        pytest.param("a dog -- brown", {"prompt": "a dog -- brown"}, id="dashes within a prompt"),
        pytest.param('--prompt "a cat, asleep"', {"prompt": "a cat, asleep"}, id="quoted"),
        pytest.param("--prompt a cat --steps 3", {"prompt": "a cat", "steps": 3}, id="unquoted, up to the next option"),
        pytest.param("--negative_prompt 'a b'", {"negative_prompt": "a b"}, id="single quotes"),
        pytest.param(
            "--seed 7 --subseed 8 --subseed_strength 0.5 --seed_resize_from_w 64 --seed_resize_from_h 32",
            {"seed": 7, "subseed": 8, "subseed_strength": 0.5, "seed_resize_from_w": 64, "seed_resize_from_h": 32},
            id="seeds",
        ),
        pytest.param(
            '--sampler_name "Euler a" --cfg_scale 2.5 --width 64 --height 96 --batch_size 2 --n_iter 3',
            {"sampler_name": "Euler a", "cfg_scale": 2.5, "width": 64, "height": 96, "batch_size": 2, "n_iter": 3},
            id="settings",
        ),
        pytest.param("--seed -1", {"seed": -1}, id="negative number"),
        pytest.param("--tiling true --restore_faces False", {"tiling": True, "restore_faces": False}, id="switches"),
        pytest.param('--styles "one, two"', {"styles": ["one", "two"]}, id="styles"),
        pytest.param("--sd_model x", {"override_settings": {"sd_model_checkpoint": "x"}}, id="model"),
    ],
)
def test_a_line_is_a_request(line, fields):
    """Each line becomes the fields of an API request, with the types the API has."""
    assert read(line) == (fields,)


def test_empty_lines_are_passed_over():
    """Lines count from one, in errors too."""
    assert read("\n  a\r\n\n b \n") == ({"prompt": "a"}, {"prompt": "b"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("--hair red", "--hair is not an option; there are batch_size, cfg_scale", id="unknown option"),
        pytest.param("--steps many", "--steps 'many' is not what belongs there; write a whole number", id="no number"),
        pytest.param("--cfg_scale nan", "--cfg_scale 'nan' is not what belongs there; write a number", id="nan"),
        pytest.param(
            "--tiling perhaps", "--tiling 'perhaps' is not what belongs there; write true or false", id="maybe"
        ),
        pytest.param("--steps", "--steps has no value; write one after it", id="no value"),
        pytest.param("--prompt --steps 3", "--prompt has no value; write one after it", id="no text"),
        pytest.param("--steps 3 4", "'4' belongs to no option", id="one value too many"),
        pytest.param('--prompt "a', "cannot be read (No closing quotation)", id="open quotation"),
    ],
)
def test_a_wrong_line_is_named(line, message):
    """Not taken for a prompt: the line's number, what is wrong in it and what to write."""
    with pytest.raises(Invalid) as problem:
        read(f"fine\n{line}", field="file")
    assert str(problem.value).startswith(f"file[line 2]: {message}")


def test_paths_are_refused():
    """A user's path never reaches the file system."""
    with pytest.raises(Unsupported, match="--outpath_samples is not supported"):
        read("--outpath_samples /etc --prompt a")


def test_endless_files_are_refused():
    """The number of requests is bounded before any is made."""
    with pytest.raises(TooLarge, match=r"^prompts: has 10001 lines"):
        read("a\n" * 10_001)


@given(st.text(max_size=80) | st.text(max_size=40).map("--prompt {}".format))
def test_any_file_is_read_or_refused(text):
    """Whatever stands in it, there are requests or one of the errors that are told to users."""
    try:
        assert all(fields for fields in read(text))
    except WebUIError as problem:
        assert str(problem).startswith("prompts")
