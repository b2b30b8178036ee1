"""Prompts become embeddings with A1111's semantics; plain ones exactly as the pipelines make them."""

import pytest
import torch

from webui_image.engine.chunking import Chunk, Vectors, cut
from webui_image.engine.conditioning import Conditioner
from webui_image.prompts.grammar import parse
from webui_image.prompts.plan import BREAK, Piece
from webui_image.values.errors import Invalid

WORD, COMMA = 5, 99


def _words(text):
    return [COMMA if word == "," else WORD for word in text.split()]


def _lengths(chunks):
    return [len(chunk.tokens) for chunk in chunks]


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        pytest.param("", [0], id="no text is one empty chunk"),
        pytest.param("a " * 75, [75], id="75 words fill one chunk"),
        pytest.param("a " * 76, [75, 1], id="the 76th begins another"),
        pytest.param("a " * 60 + ", " + "a " * 20, [61, 20], id="the cut moves back to a comma 14 tokens away"),
        pytest.param("a " * 55 + ", " + "a " * 25, [56, 25], id="the cut moves back to a comma 19 tokens away"),
        pytest.param("a " * 54 + ", " + "a " * 25, [75, 5], id="a comma 20 tokens away is too far"),
        pytest.param("a " * 75 + ", a", [75, 2], id="a comma right after the cut begins the next chunk"),
        pytest.param("a , " * 37 + "a a a", [74, 3], id="the last comma counts"),
    ],
)
def test_long_prompts_are_cut_at_commas(text, lengths):
    """A chunk has 75 tokens at most, and ends at a comma where one is near."""
    chunks = cut([Piece(text)], _words, comma=COMMA)
    assert _lengths(chunks) == lengths
    assert sum(lengths) == len(text.split())


def test_weights_move_with_their_tokens():
    """Tokens that move to the next chunk take their weights along."""
    chunks = cut([Piece("a " * 70 + ","), Piece("a " * 5, 1.5)], _words, comma=COMMA)
    assert [chunk.weights for chunk in chunks] == [(1.0,) * 71, (1.5,) * 5]


def test_break_ends_a_chunk():
    """BREAK starts a new chunk however short the old one is."""
    assert _lengths(cut([Piece("a a"), BREAK, Piece("a")], _words)) == [2, 1]


def test_an_embedding_is_never_cut():
    """All vectors of an embedding come into the same chunk."""
    chunks = cut([Piece("a " * 70), Piece("x")], lambda text: [Vectors("x", 8)] if text == "x" else _words(text))
    assert [(len(chunk.tokens), chunk.inserts) for chunk in chunks] == [(70, ()), (8, ((0, "x"),))]


def _encode(model, prompt, negative="", clip_skip=1, steps=10):
    return Conditioner(model).encode(parse(prompt, steps), parse(negative, steps), clip_skip)


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param("a red circle on a white background", id="words of the vocabulary"),
        pytest.param("", id="empty"),
        pytest.param("Ünïcode, PUNCTUATION!? and  double  spaces", id="spelt in bytes"),
        pytest.param("red " * 75, id="exactly full"),
    ],
)
def test_a_plain_prompt_is_bit_for_bit_the_pipelines(sd1, sd1_directory, prompt):
    """Prompt and negative prompt of one chunk equal `encode_prompt`'s in every bit."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(sd1_directory)
    with torch.no_grad():
        positive, negative = pipeline.encode_prompt(prompt, "cpu", 1, True, "blue, ugly")
    rows = _encode(sd1, prompt, "blue, ugly").at(0)
    assert torch.equal(rows.conds[0][1].embeds, positive)
    assert torch.equal(rows.uncond.embeds, negative)
    assert rows.uncond.pooled is None


@pytest.mark.parametrize(
    "negative", [pytest.param(None, id="no negative prompt"), pytest.param("blue", id="negative prompt")]
)
def test_a_plain_prompt_of_xl_is_bit_for_bit_the_pipelines(sdxl, sdxl_directory, negative):
    """SDXL's two encoders, its pooled output, and zeros for an empty negative prompt equal `encode_prompt`'s."""
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(sdxl_directory)
    with torch.no_grad():
        expected = pipeline.encode_prompt(prompt="a red circle", device="cpu", negative_prompt=negative)
    rows = _encode(sdxl, "a red circle", negative or "").at(0)
    cond = rows.conds[0][1]
    ours = (cond.embeds, rows.uncond.embeds, cond.pooled, rows.uncond.pooled)
    assert [torch.equal(one, other) for one, other in zip(ours, expected, strict=True)] == [True] * 4


def test_long_prompts_are_chunks_side_by_side(sd1):
    """Each chunk is encoded by itself, and the shorter side is filled up with the empty prompt."""
    first, second, empty = (_encode(sd1, text).at(0).conds[0][1].embeds for text in ("red " * 75, "blue", ""))
    conditioning = _encode(sd1, "red " * 75 + "blue", "")
    assert conditioning.chunks == 2
    assert torch.equal(conditioning.at(0).conds[0][1].embeds, torch.cat([first, second], dim=1))
    assert torch.equal(conditioning.at(0).uncond.embeds, torch.cat([empty, empty], dim=1))


def test_weights_multiply_and_restore_the_mean(sd1):
    """A weighted token's embedding is multiplied, then all are scaled so that the mean is what it was."""
    plain = _encode(sd1, "a red circle").at(0).conds[0][1].embeds
    weighted = _encode(sd1, "a (red:1.5) circle").at(0).conds[0][1].embeds
    factors = torch.ones(1, 77, 1)
    factors[0, 2] = 1.5
    expected = plain * factors
    assert torch.allclose(weighted, expected * (plain.mean() / expected.mean()), atol=1e-5)
    assert weighted.mean() == pytest.approx(plain.mean().item(), abs=1e-6)


def test_a_schedule_changes_the_row_at_its_step(sd1):
    """`[red:blue:0.5]` is red for the first half of the steps and blue from then on."""
    red, blue = (_encode(sd1, text).at(0).conds[0][1].embeds for text in ("a red circle", "a blue circle"))
    conditioning = _encode(sd1, "a [red:blue:0.5] circle", steps=10)
    seen = [conditioning.at(step).conds[0][1].embeds for step in range(10)]
    assert [torch.equal(each, red) for each in seen] == [True] * 5 + [False] * 5
    assert torch.equal(seen[5], blue)


def test_all_variants_have_one_length(sd1):
    """A schedule from a short to a long prompt has the long one's length from the first step."""
    conditioning = _encode(sd1, "[red:" + "blue " * 80 + ":5]")
    assert {conditioning.at(step).conds[0][1].embeds.shape[1] for step in range(10)} == {154}


def test_and_gives_a_row_each(sd1):
    """`AND` composes: each part is encoded by itself and keeps its weight."""
    rows = _encode(sd1, "red circle AND blue square :0.5").at(0)
    assert [weight for weight, _ in rows.conds] == [1.0, 0.5]
    assert torch.equal(rows.conds[0][1].embeds, _encode(sd1, "red circle").at(0).conds[0][1].embeds)


def test_and_in_a_negative_prompt_is_a_word(sd1):
    """There is one negative row, whatever it says."""
    assert _encode(sd1, "a", "red AND blue").at(0).uncond.embeds.shape == (1, 77, 128)


def test_clip_skip_takes_an_earlier_layer(sd1):
    """Clip skip 2 is the last layer but one, through the final norm."""
    encoder, tokenizer = sd1.text_encoders[0], sd1.tokenizers[0]
    ids = tokenizer("red", padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        expected = encoder.final_layer_norm(encoder(ids, output_hidden_states=True).hidden_states[-2])
    assert torch.equal(_encode(sd1, "red", clip_skip=2).at(0).conds[0][1].embeds, expected)


def test_xl_stops_at_its_own_layer_or_earlier(sdxl):
    """SDXL takes its last layer but one for clip skip 1 and 2 alike, and earlier ones beyond."""
    one, two, three = (_encode(sdxl, "red", clip_skip=skip).at(0).conds[0][1].embeds for skip in (1, 2, 3))
    assert torch.equal(one, two)
    assert not torch.equal(two, three)


@pytest.mark.parametrize("clip_skip", [pytest.param(0, id="none"), pytest.param(3, id="more than there are layers")])
def test_clip_skip_beyond_the_layers_is_refused(sd1, clip_skip):
    """The error names the field and how many layers there are."""
    with pytest.raises(Invalid, match=r"clip_skip: .* between 1 and 2"):
        _encode(sd1, "red", clip_skip=clip_skip)


def test_repeated_prompts_are_not_encoded_again(sd1, mocker):
    """The chunks encoded last are remembered."""
    conditioner = Conditioner(sd1)
    plan = parse("a red circle", 10)
    first = conditioner.encode(plan, parse("", 10))
    encode = mocker.spy(sd1.text_encoders[0], "forward")
    again = conditioner.encode(plan, parse("", 10))
    assert encode.call_count == 0
    assert torch.equal(first.at(0).conds[0][1].embeds, again.at(0).conds[0][1].embeds)


def test_what_is_remembered_is_bounded(sd1, mocker):
    """Old chunks are forgotten once the memory for them is full."""
    mocker.patch("webui_image.engine.conditioning._CACHED_BYTES", 5 * 77 * 128 * 4)
    conditioner = Conditioner(sd1)
    for number in range(20):
        conditioner.encode(parse(f"circle {number}", 1), parse("", 1))
    assert len(conditioner._cache) <= 5
    assert sum(row.embeds.numel() * 4 for row in conditioner._cache.values()) == conditioner._cached_bytes


def test_an_empty_prompt_equals_an_empty_chunk():
    """No text is the chunk that fills up the shorter side."""
    assert cut([], _words) == [Chunk()]
