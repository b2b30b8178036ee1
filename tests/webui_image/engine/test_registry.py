"""Models by name: what lies where is listed, what is asked for is loaded, what is unused makes room."""

import hashlib
import json
import os
import shutil

import pytest
import torch

from webui_image.engine.devices import choose
from webui_image.engine.registry import Registry
from webui_image.engine.shelf import Hashes, Shelf
from webui_image.engine.sources import Sources
from webui_image.values.errors import Invalid, ModelError


@pytest.fixture
def models(sd1_directory, tmp_path):
    """Give a folder with two models, a note and a pickle in it."""
    folder = tmp_path / "models"
    for name in ("alpha", "beta"):
        shutil.copytree(sd1_directory, folder / name)
    (folder / "readme.txt").write_text("notes")
    (folder / "old.ckpt").write_bytes(b"pickle")
    return folder


@pytest.fixture
def registry(models, tmp_path):
    """Give a registry over that folder, without the shipped model."""
    return _registry(tmp_path, model_dir=models)


def _registry(tmp_path, **changes):
    sources = Sources(**{"cache_dir": tmp_path / "cache", "shipped": tmp_path / "nothing", **changes})
    registry = Registry(sources)
    registry.refresh()
    registry.use_device(choose("cpu"))
    return registry


def _names(registry):
    return [info.name for info in registry.models()]


def test_a_folder_lists_its_models_alone(registry):
    """Other files and pickles are no models; the first by name is the default."""
    assert _names(registry) == ["alpha", "beta"]
    assert registry.default == "alpha"


def test_the_default_may_be_named(models, tmp_path):
    """A configured default stands first."""
    assert _names(_registry(tmp_path, model_dir=models, default_model="beta")) == ["beta", "alpha"]


def test_model_uri_stands_before_the_folder(models, sd1_directory, tmp_path):
    """What MODEL_URI names is the default, under the last part of its path."""
    assert _names(_registry(tmp_path, model_dir=models, model_uri=str(sd1_directory))) == ["tiny", "alpha", "beta"]


def test_the_shipped_model_stands_last(models, sd1_directory, tmp_path):
    """With models of one's own, the shipped one is not the default; without, it is."""
    assert _names(_registry(tmp_path, model_dir=models, shipped=sd1_directory)) == ["alpha", "beta", "demo"]
    assert _names(_registry(tmp_path, shipped=sd1_directory)) == ["demo"]


def test_a_faulty_model_hides_no_other(models, tmp_path):
    """A broken directory or file is left out of the listing."""
    (models / "alpha" / "model_index.json").write_text("{")
    (models / "gamma.safetensors").write_bytes(b"short")
    assert _names(_registry(tmp_path, model_dir=models)) == ["beta"]


def test_a_faulty_model_uri_is_an_error(tmp_path):
    """Starting with another model than the one asked for would be wrong."""
    with pytest.raises(ModelError, match="no such directory"):
        _registry(tmp_path, model_uri=str(tmp_path / "missing"))


def test_a_pickle_as_model_uri_is_refused(tmp_path):
    """The error names the file and what to do."""
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"pickle")
    with pytest.raises(ModelError, match="convert it to"):
        _registry(tmp_path, model_uri=str(path))


def test_no_model_at_all_is_told(tmp_path):
    """The error says which settings to make."""
    with pytest.raises(ModelError, match="MODEL_URI or MODEL_DIR"):
        _registry(tmp_path).get()


def test_a_model_folder_that_is_not_there_is_told(tmp_path):
    """A mistyped MODEL_DIR is not taken for an empty one."""
    with pytest.raises(ModelError, match="MODEL_DIR is no directory"):
        _registry(tmp_path, model_dir=tmp_path / "missing")


@pytest.mark.parametrize("write", ["{name}", "{title}", "{hash10}", "{sha256}"])
def test_a_model_is_found_by_name_title_or_hash(registry, write):
    """A1111's clients send any of these."""
    registry.get("beta")
    info = registry.resolve("beta")
    text = write.format(name=info.name, title=info.title, hash10=info.sha256[:10], sha256=info.sha256)
    assert registry.resolve(text).sha256 == info.sha256


def test_an_unknown_model_is_refused_with_near_matches(registry):
    """The error names the field and what comes near."""
    with pytest.raises(Invalid, match=r"sd_model_checkpoint: there is no model 'alfa'; did you mean alpha\?"):
        registry.resolve("alfa")


@pytest.mark.parametrize("name", ["../alpha", "/etc", "alpha/unet", "readme"])
def test_a_path_is_no_name(registry, name):
    """Nothing but listed names reaches the file system."""
    with pytest.raises(Invalid):
        registry.get(name)


def test_the_hash_is_known_once_the_model_is_loaded(registry, models):
    """Title and hash are A1111's: ten digits of the SHA-256."""
    assert registry.resolve("alpha").sha256 == ""
    info = registry.get("alpha").info
    files = sorted((models / "alpha").glob("*/*.safetensors"))
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    assert info.sha256 == hashlib.sha256("\n".join(digests).encode()).hexdigest()
    assert info.title == f"alpha [{info.sha256[:10]}]"
    assert registry.resolve("alpha") == info


def test_hashes_outlive_the_process(registry, models, tmp_path):
    """A later registry over the same files knows them without reading."""
    sha256 = registry.get("alpha").info.sha256
    assert _registry(tmp_path, model_dir=models).resolve("alpha").sha256 == sha256


def test_a_loaded_model_is_given_again(registry):
    """Asking twice loads once."""
    assert registry.get("alpha") is registry.get("alpha")
    assert registry.is_loaded("alpha")
    assert not registry.is_loaded("beta")


def test_the_least_recently_used_makes_room(models, tmp_path):
    """Within the bound for memory, models stay; beyond it, the one unused longest goes."""
    shutil.copytree(models / "alpha", models / "gamma")
    one = 14_000_000
    registry = _registry(tmp_path, model_dir=models, memory_bytes=int(2.5 * one))
    for name in ("alpha", "beta", "alpha", "gamma"):
        registry.get(name)
    assert [name for name in ("alpha", "beta", "gamma") if registry.is_loaded(name)] == ["alpha", "gamma"]


def test_a_model_larger_than_the_bound_is_loaded_alone(models, tmp_path):
    """The bound never keeps the only model out."""
    registry = _registry(tmp_path, model_dir=models, memory_bytes=1)
    registry.get("alpha")
    registry.get("beta")
    assert registry.is_loaded("beta")
    assert not registry.is_loaded("alpha")


def test_unload_forgets(registry):
    """One model or all of them leave memory."""
    registry.get("alpha")
    registry.unload("alpha")
    assert not registry.is_loaded("alpha")


def _recommend(directory, **values):
    (directory / "recommended.json").write_text(json.dumps(values))


def test_recommended_settings_come_with_the_model(models, tmp_path):
    """`recommended.json` in a model's directory is what its listing says; the rest is the kind's."""
    _recommend(models / "alpha", steps=12, cfg_scale=2.5, width=64, examples=["a red circle"], unknown=1)
    recommended = _registry(tmp_path, model_dir=models).resolve("alpha").recommended
    assert (recommended.steps, recommended.cfg_scale, recommended.examples) == (12, 2.5, ("a red circle",))
    assert (recommended.sampler, recommended.native_side) == ("DPM++ 2M", 64)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"steps": "many"}, id="text for a number"),
        pytest.param({"width": 65}, id="not a multiple of 8"),
        pytest.param({"steps": 0}, id="no steps"),
        pytest.param({"cfg_scale": float("nan")}, id="no number"),
    ],
)
def test_faulty_recommendations_are_passed_over(models, tmp_path, values):
    """The model is listed with its kind's settings."""
    _recommend(models / "alpha", **values)
    recommended = _registry(tmp_path, model_dir=models).resolve("alpha").recommended
    assert (recommended.steps, recommended.width) == (20, 64)


def test_loras_and_embeddings_are_listed_by_name(registry, models, tmp_path):
    """Safetensors of the folder and its sub-folders, without paths or endings."""
    folder = tmp_path / "loras"
    (folder / "people").mkdir(parents=True)
    for name in ("style.safetensors", "people/face.safetensors", "old.pt"):
        (folder / name).write_bytes(b"")
    registry = _registry(tmp_path, model_dir=models, lora_dir=folder, embeddings_dir=tmp_path / "missing")
    assert [named.name for named in registry.loras()] == ["face", "style"]
    assert registry.embeddings() == ()


def test_a_file_is_hashed_again_when_it_changes(tmp_path):
    """Size and time of change tell whether a remembered hash still holds."""
    path = tmp_path / "file.safetensors"
    path.write_bytes(b"one")
    hashes = Hashes(tmp_path / "hashes.json")
    first = hashes.sha256(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert hashes.known(path) == ""
    assert hashes.sha256(path) == hashlib.sha256(b"two").hexdigest() != first


def test_a_damaged_memory_of_hashes_is_forgotten(tmp_path):
    """A half-written cache file costs time, not the start."""
    (tmp_path / "hashes.json").write_text('{"a": ')
    assert Hashes(tmp_path / "hashes.json").known(tmp_path / "a") == ""


def test_names_on_a_shelf_ignore_case(tmp_path):
    """`<lora:Style:1>` finds style.safetensors."""
    (tmp_path / "style.safetensors").write_bytes(b"")
    shelf = Shelf(tmp_path, Hashes())
    assert shelf.path("Style") == tmp_path / "style.safetensors"
    assert shelf.path("../style") is None


def test_a_configuration_beside_a_checkpoint_is_no_model(models, tmp_path):
    """A directory with a file's name says how that file is read, and is not listed itself."""
    from safetensors.torch import save_file

    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1, 4, 3, 3)}, models / "alpha.safetensors")
    registry = _registry(tmp_path, model_dir=models)
    assert _names(registry) == ["alpha", "beta"]
    assert registry._entry("alpha").path == models / "alpha.safetensors"


def test_the_shipped_model_names_itself(sd1_directory, tmp_path):
    """Its folder's name says nothing, so its own file gives the name."""
    shipped = shutil.copytree(sd1_directory, tmp_path / "weights")
    _recommend(shipped, name="shapes", steps=12)
    assert _names(_registry(tmp_path, shipped=shipped)) == ["shapes"]
