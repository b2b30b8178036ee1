"""What a server does not draw, and what it does not show."""

import json

import numpy as np
import pytest
from PIL import Image

from webui_image.engine.safety import DenyList, PictureChecker, SafetyPolicy, load_policy
from webui_image.values.errors import Invalid, ModelError
from webui_image.values.generation import Generation, HiresFix

LIST = ("# comment", "", "forbidden", "two  words")


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        pytest.param("a forbidden thing", True, id="word"),
        pytest.param("a FORBIDDEN thing", True, id="capitals"),
        pytest.param("(forbidden:1.3)", True, id="weighted"),
        pytest.param("for(bid)den", True, id="split by brackets"),
        pytest.param("two, words", True, id="phrase with punctuation"),
        pytest.param("unforbiddenly", False, id="part of another word"),
        pytest.param("two other words", False, id="words of a phrase apart"),
        pytest.param("comment", False, id="a comment in the list"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_denied_words_are_found(text, denied):
    """Whole words and phrases, however they are written."""
    assert DenyList(LIST).denies(text) is denied


def test_an_empty_list_denies_nothing():
    """A file of comments is no list of everything."""
    assert not DenyList(("# nothing",)).denies("anything")


@pytest.mark.parametrize(
    ("generation", "field"),
    [
        pytest.param(Generation("forbidden"), "prompt", id="prompt"),
        pytest.param(Generation("a", hires=HiresFix(prompt="forbidden")), "hr_prompt", id="prompt of the second pass"),
    ],
)
def test_a_denied_prompt_is_refused_without_the_word(generation, field):
    """The answer does not teach what to leave out."""
    with pytest.raises(Invalid) as caught:
        SafetyPolicy(denied=DenyList(LIST)).check(generation)
    assert caught.value.field == field
    assert "forbidden" not in str(caught.value)


def test_a_negative_prompt_may_name_what_is_not_wanted():
    """Denied words are allowed where they push away."""
    SafetyPolicy(denied=DenyList(LIST)).check(Generation("a", negative_prompt="forbidden"))


def test_a_picture_that_is_objected_to_is_hidden_and_counted():
    """What is shown instead keeps the size and nothing of the content."""
    image = Image.fromarray(np.tile(np.array([[0, 255] * 32], dtype=np.uint8), (64, 1))).convert("RGB")
    hidden = []
    policy = SafetyPolicy(objects=lambda images: [True] * len(images), hidden=lambda: hidden.append(1))
    shown = policy.show(image)
    assert shown.size == image.size
    assert np.asarray(shown).std() < 5
    assert hidden == [1]


def test_other_pictures_are_shown_as_they_are():
    """Without an objection, and without a checker, nothing is touched."""
    image = Image.new("RGB", (8, 8))
    assert SafetyPolicy(objects=lambda images: [False] * len(images)).show(image) is image
    assert SafetyPolicy().show(image) is image


@pytest.fixture
def checker_directory(tmp_path):
    """Give a small safety checker with random weights."""
    import torch
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig

    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = CLIPConfig(
            text_config=tower, vision_config={**tower, "image_size": 32, "patch_size": 8}, projection_dim=16
        )
        StableDiffusionSafetyChecker(config).save_pretrained(tmp_path / "checker")
    size = {"height": 32, "width": 32}
    (tmp_path / "checker" / "preprocessor_config.json").write_text(
        json.dumps({"size": {"shortest_edge": 32}, "crop_size": size, "do_resize": True, "do_center_crop": True})
    )
    return tmp_path / "checker"


@pytest.mark.parametrize(
    ("threshold", "expected"), [pytest.param(-2.0, True, id="all"), pytest.param(2.0, False, id="none")]
)
def test_the_checker_compares_with_its_concepts(checker_directory, threshold, expected):
    """Its thresholds, in its own weights, decide what it objects to."""
    checker = PictureChecker(checker_directory)
    checker._checker.concept_embeds_weights.data.fill_(threshold)
    checker._checker.special_care_embeds_weights.data.fill_(2.0)
    images = [Image.new("RGB", (64, 48), "red"), Image.new("RGB", (32, 32), "blue")]
    assert checker.objects(images) == [expected, expected]


def test_a_checker_that_is_none_is_told(tmp_path):
    """An empty folder is no checker; the error names it."""
    with pytest.raises(ModelError, match="not the directory of a safety checker"):
        load_policy(checker_dir=tmp_path)


def test_a_missing_deny_list_is_told(tmp_path):
    """A mistyped file is not taken for an empty list."""
    with pytest.raises(ModelError, match="denied words cannot be read"):
        load_policy(deny_file=tmp_path / "missing.txt")
