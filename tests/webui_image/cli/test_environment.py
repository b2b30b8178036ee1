"""The engine's settings come from options, then variables, then defaults; mistakes are told all at once."""

from pathlib import Path

import pytest

from webui_image.cli.environment import VARIABLES, engine_settings, model_options
from webui_image.cli.failures import CommandError


def test_nothing_set_is_the_small_model():
    """Without settings the shipped model is drawn with, and things are kept where a user's caches are."""
    settings = engine_settings({"XDG_CACHE_HOME": "/x"})
    assert settings.sources.model_uri == ""
    assert settings.sources.cache_dir == Path("/x/gpu-hunter-webui")
    assert (settings.device, settings.bounds.pictures) == ("auto", 16)


def test_variables_reach_their_fields(tmp_path):
    """Each variable sets the field that it is meant for."""
    (tmp_path / "words").touch()
    folder = str(tmp_path)
    texts = {
        "MODEL_URI": "gs://b/m",
        "MODEL_SHA256": "A" * 64,
        "MODEL_DIR": folder,
        "MODEL_CONFIG": folder,
        "DEFAULT_MODEL": "m",
        "MODEL_ONE_READ": "1",
        "MODEL_MEMORY_MB": "2",
        "LORA_DIR": folder,
        "EMBEDDINGS_DIR": folder,
        "CACHE_DIR": folder,
        "HF_HUB_OFFLINE": "yes",
        "DEVICE": "cuda:1",
        "PRECISION": "fp16",
        "TORCH_THREADS": "3",
        "MAX_BATCH": "4",
        "QUEUE_LIMIT": "5",
        "QUEUE_PER_USER": "6",
        "WATCHDOG_SECONDS": "7",
        "DENY_FILE": str(tmp_path / "words"),
        "SAFETY_CHECKER_DIR": folder,
    }
    assert set(texts) == {variable.name for variable in VARIABLES}
    settings = engine_settings(texts)
    sources, bounds = settings.sources, settings.bounds
    assert (sources.model_uri, sources.model_sha256, sources.default_model) == ("gs://b/m", "a" * 64, "m")
    assert {sources.model_dir, sources.model_config, sources.lora_dir, sources.embeddings_dir} == {tmp_path}
    assert (sources.cache_dir, sources.one_read, sources.offline) == (tmp_path, True, True)
    assert sources.memory_bytes == 2_000_000
    assert (settings.device, settings.precision, settings.threads) == ("cuda:1", "fp16", 3)
    assert (bounds.pictures, bounds.queue, bounds.queue_per_user, bounds.watchdog) == (4, 5, 6, 7)
    assert (settings.deny_file, settings.checker_dir) == (tmp_path / "words", tmp_path)


def test_an_option_wins_over_its_variable():
    """What is typed goes before what is set."""
    assert engine_settings({"DEVICE": "cuda"}, device="cpu").device == "cpu"
    assert engine_settings({"DEVICE": "cuda"}, device=None).device == "cuda"


def test_all_mistakes_are_told_at_once():
    """Each wrong setting is a line with its name and what to write."""
    with pytest.raises(CommandError) as caught:
        engine_settings({"PRECISION": "fp8", "MODEL_DIR": "/none", "MAX_BATCH": "0"}, device="tpu")
    assert str(caught.value).splitlines() == [
        "MODEL_DIR: '/none': is no folder; create it, or leave the setting out",
        "--device: 'tpu': write auto, cpu, cuda, cuda:1 or mps",
        "PRECISION: 'fp8': write auto or fp32 or fp16 or bf16",
        "MAX_BATCH: '0': write a whole number from 1 to 256",
    ]


@pytest.mark.parametrize(
    ("model", "options"),
    [
        pytest.param(None, {}, id="none"),
        pytest.param("gs://bucket/m", {"model_uri": "gs://bucket/m"}, id="address"),
        pytest.param("shapes", {"default_model": "shapes"}, id="listed name"),
        pytest.param(".", {"model_uri": "."}, id="path"),
    ],
)
def test_a_model_is_a_place_or_a_name(model, options):
    """`--model` is taken for an address or path where it is one, else for a listed name."""
    assert model_options(model) == options


def test_a_path_that_leads_nowhere_is_not_a_name():
    """A misspelt path is told, and not looked up as a name."""
    with pytest.raises(CommandError, match="does not exist"):
        model_options("models/sd15.safetensors")
