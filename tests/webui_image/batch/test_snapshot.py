"""A parameters file and all that it names, at one moment: what is copied is what a worker finds later."""

import pytest

from webui_image.batch.parameters import ParametersError
from webui_image.batch.places import LocalPlace
from webui_image.batch.snapshot import snapshot


@pytest.fixture
def place(tmp_path):
    """Give a folder with a prompt list in a folder below."""
    made = LocalPlace(tmp_path)
    made.publish("lists/a.txt", b"a red circle\na star\n")
    return made


@pytest.mark.parametrize("path", ["lists/a.txt", "./lists//a.txt", "lists\\\\a.txt"])
def test_what_a_file_names_is_kept_under_its_plain_name(place, path):
    """However the file writes it, for a bucket takes names as they are."""
    place.publish("cats.yaml", f'defaults: {{steps: 2, size: 64x64}}\nprompts_file: "{path}"\n'.encode())
    found = snapshot(place, "cats.yaml")
    assert set(found.files) == {"cats.yaml", "lists/a.txt"}
    assert (found.name, found.pictures, found.pixel_steps) == ("cats", 2, 2 * 2 * 64 * 64)


def test_the_digest_is_of_all_that_is_rendered(place):
    """The file's own name says nothing; what it names does."""
    for name in ("cats.yaml", "copy.yaml"):
        place.publish(name, b"name: cats\nprompts_file: lists/a.txt\n")
    digest = snapshot(place, "cats.yaml").digest
    assert snapshot(place, "copy.yaml").digest == digest
    place.publish("lists/a.txt", b"a hat\n")
    assert snapshot(place, "cats.yaml").digest != digest


def test_a_file_that_is_not_there_is_a_problem_like_others(place):
    """One line, with what to do."""
    with pytest.raises(ParametersError, match=r"gone\.yaml: does not exist; look at the address"):
        snapshot(place, "gone.yaml")
