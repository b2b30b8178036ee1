"""The random-weight model that other tests build, and what the architecture promises."""

import pytest

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    from webui_image.demo_model.architecture import untrained

    target = tmp_path_factory.mktemp("model")
    untrained(target, seed=1)
    return target


@pytest.fixture(scope="module")
def pipeline(directory):
    from webui_image.demo_model.measure import load

    return load(directory)


def test_untrained_is_a_complete_pipeline_directory(directory):
    """All parts are there as safetensors, nothing pickled, no safety checker."""
    assert {path.name for path in directory.iterdir()} == {
        "model_index.json",
        "scheduler",
        "text_encoder",
        "tokenizer",
        "unet",
        "vae",
    }
    assert len(list(directory.rglob("*.safetensors"))) == 3
    assert not [path for path in directory.rglob("*") if path.suffix in {".bin", ".pt", ".ckpt"}]
    assert '"safety_checker": [\n    null' in (directory / "model_index.json").read_text()


def test_untrained_renders_through_the_ordinary_pipeline(pipeline):
    """Two guided steps give a picture of the native size."""
    image = pipeline("a red circle", num_inference_steps=2, guidance_scale=7).images[0]
    assert image.size == (64, 64)


def test_untrained_follows_its_seed_and_leaves_the_global_one(tmp_path):
    """The same seed writes the same weights, another one others; torch's own random state is untouched."""
    from webui_image.demo_model.architecture import untrained

    before = torch.get_rng_state()
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        untrained(tmp_path / name, seed=seed)
    weights = [(tmp_path / name / "unet/diffusion_pytorch_model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]
    assert torch.equal(before, torch.get_rng_state())


def test_the_model_is_small(pipeline):
    """Under 4.5 million parameters, so under 9 MB in half precision."""
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    assert sum(parameter.numel() for part in parts for parameter in part.parameters()) < 4.5e6


def test_the_scheduler_is_what_the_weights_are_trained_for(pipeline):
    """v-prediction, trailing spacing, the usual noise schedule."""
    config = pipeline.scheduler.config
    assert config.prediction_type == "v_prediction"
    assert config.timestep_spacing == "trailing"
    assert (config.beta_schedule, config.beta_start, config.beta_end) == ("scaled_linear", 0.00085, 0.012)
    assert not config.clip_sample
    assert not config.set_alpha_to_one


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a RED circle", ["a</w>", "red</w>", "circle</w>"]),
        ("top-left, 8k", ["top</w>", "-</w>", "left</w>", ",</w>", "8</w>", "k</w>"]),
        ("zebra", ["z", "e", "b", "r", "a</w>"]),
        ("grün", ["gr", "Ã", "¼", "n</w>"]),
    ],
    ids=["known words, any case", "punctuation and digits", "unknown word", "umlaut"],
)
def test_the_tokenizer_knows_the_vocabulary_and_spells_the_rest(pipeline, text, tokens):
    """Words of the vocabulary are one token, everything else its bytes; nothing becomes 'unknown'."""
    tokenizer = pipeline.tokenizer
    assert tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)[1:-1] == tokens


def test_every_vocabulary_word_is_one_token(pipeline):
    """Colours, shapes, sizes, places and noise words reach the text encoder whole."""
    from webui_image.demo_model.vocabulary import PALETTE, PLACES, SHAPES, SIZES

    words = {word for phrase in (*PALETTE, *SHAPES, *SIZES, *PLACES) for word in phrase.split()}
    assert {word for word in words if len(pipeline.tokenizer(word).input_ids) != 3} == set()


def test_prompts_are_padded_to_77_positions(pipeline):
    """As with real models, so that 75-token chunks work."""
    assert pipeline.tokenizer.model_max_length == 77
    assert pipeline.text_encoder.config.max_position_embeddings == 77
