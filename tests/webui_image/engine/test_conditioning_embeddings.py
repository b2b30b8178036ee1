"""Textual inversion: a name in a prompt stands for trained vectors."""

import pytest
import torch
from safetensors.torch import save_file

from webui_image.engine.conditioning import Conditioner
from webui_image.engine.embeddings import EmbeddingTable
from webui_image.engine.shelf import Hashes, Shelf
from webui_image.prompts.grammar import parse


def _vectors(count, width=128, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def _table(model, folder):
    widths = tuple(encoder.config.hidden_size for encoder in model.text_encoders)
    model.embeddings = EmbeddingTable(Shelf(folder, Hashes()), model.tokenizers[0], widths)
    return model.embeddings


def _encode(model, prompt):
    return Conditioner(model).encode(parse(prompt, 1), parse("", 1)).at(0).conds[0][1].embeds


def test_a_name_becomes_its_vectors(sd1, tmp_path):
    """The text encoder sees the vectors where the name's tokens would have been."""
    word = sd1.tokenizers[0]("red", add_special_tokens=False).input_ids[0]
    vectors = sd1.text_encoders[0].get_input_embeddings().weight[[word]].clone()
    plain = _encode(sd1, "a red circle")
    save_file({"emb_params": vectors}, tmp_path / "scarlet.safetensors")
    _table(sd1, tmp_path)
    assert torch.allclose(_encode(sd1, "a scarlet circle"), plain, atol=1e-6)


def test_vectors_take_as_many_places_as_they_are(sd1, tmp_path):
    """Three vectors are three tokens, and weights hold for all of them."""
    save_file({"emb_params": _vectors(3)}, tmp_path / "style.safetensors")
    table = _table(sd1, tmp_path)
    ids = sd1.tokenizers[0]("a style circle", add_special_tokens=False).input_ids
    tokens = table.insert(ids)
    assert [getattr(token, "count", 1) for token in tokens] == [1, 3, 1]
    assert not torch.allclose(_encode(sd1, "a style"), _encode(sd1, "a (style:1.5)"))


def test_the_longer_name_wins(sd1, tmp_path):
    """Of two names that begin alike, the longer one is found."""
    for name in ("red", "red style"):
        save_file({"emb_params": _vectors(1)}, tmp_path / f"{name}.safetensors")
    table = _table(sd1, tmp_path)
    ids = sd1.tokenizers[0]("red style red", add_special_tokens=False).input_ids
    assert [token.name for token in table.insert(ids)] == ["red style", "red"]


def test_without_the_name_nothing_changes(sd1, tmp_path):
    """Other prompts are bit for bit as before."""
    before = _encode(sd1, "a red circle")
    save_file({"emb_params": _vectors(2)}, tmp_path / "style.safetensors")
    _table(sd1, tmp_path)
    assert torch.equal(_encode(sd1, "a red circle"), before)


def test_both_encoders_of_xl_get_theirs(sdxl, tmp_path):
    """An SDXL embedding has vectors for each text encoder."""
    sdxl.text_encoders[1].config.hidden_size = 48  # so that the two can be told apart by width
    save_file({"clip_l": _vectors(2, 32), "clip_g": _vectors(2, 48)}, tmp_path / "style.safetensors")
    table = _table(sdxl, tmp_path)
    assert [table.vectors("style", at).shape for at in (0, 1)] == [(2, 32), (2, 48)]


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: save_file({"emb_params": _vectors(2, 768)}, path), id="of another width"),
        pytest.param(lambda path: save_file({"emb_params": _vectors(76)}, path), id="longer than a chunk"),
        pytest.param(lambda path: path.write_bytes(b"short"), id="broken"),
    ],
)
def test_an_embedding_of_no_use_is_ordinary_text(sd1, tmp_path, write):
    """Its name is then a word like any other."""
    write(tmp_path / "style.safetensors")
    assert _table(sd1, tmp_path).names() == ()
    assert _encode(sd1, "a style").shape == (1, 77, 128)
