"""The whole of a prompt: LoRA tags, AND, schedules and weights together."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui_image.prompts.grammar import MOST_JOINED, MOST_TEXTS, Piece, Subprompt, Variant, parse
from webui_image.values.errors import Invalid, Unsupported
from webui_image.values.generation import Lora

FRAGMENTS = [
    "(",
    ")",
    "[",
    "]",
    ":",
    "|",
    "\\",
    " AND ",
    " BREAK ",
    "<lora:",
    "<hypernet:a:1>",
    ">",
    "0.5",
    "3",
    "a cat",
    " ",
    "\n",
]
PROMPTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=25).map("".join)


def joined(plan, step=0):
    return [(part.weight, "".join(piece.text for piece in part.pieces)) for part in plan.at(step)]


@pytest.mark.parametrize(
    ("prompt", "text", "loras"),
    [
        pytest.param("a <lora:style:0.7> b", "a  b", (Lora("style", 0.7),), id="with a weight"),
        pytest.param("<lora:style>", "", (Lora("style", 1.0),), id="without a weight"),
        pytest.param("<lora:style:0.5:1>", "", (Lora("style", 0.5),), id="with two weights the first is taken"),
        pytest.param(
            "<lora:style:te=0.5:unet=1>", "", (Lora("style", 0.5),), id="with named weights the first is taken"
        ),
        pytest.param("<lora:a:-0.5><lora:b:2>", "", (Lora("a", -0.5), Lora("b", 2.0)), id="several, one negative"),
        pytest.param("<lora:a:0.5><lora:a:0.25>", "", (Lora("a", 0.75),), id="named twice, the weights are added"),
        pytest.param("[<lora:a:1>::0.5]", "", (Lora("a", 1.0),), id="within a schedule it holds always"),
        pytest.param("<lora:a:strong>", "<lora:a:strong>", (), id="a weight that is no number"),
        pytest.param("<lora:a:nan><lora:a:1e9>", "<lora:a:nan><lora:a:1e9>", (), id="not a number, exponent"),
        pytest.param("<lora:>", "<lora:>", (), id="no name"),
        pytest.param("<lora: :1>", "<lora: :1>", (), id="blank name"),
        pytest.param("<b>bold</b> 1 < 2 <x:y>", "<b>bold</b> 1 < 2 <x:y>", (), id="other tags are text"),
        pytest.param("<lora:a", "<lora:a", (), id="never closed"),
    ],
)
def test_lora_tags_are_taken_out(prompt, text, loras):
    """LoRAs leave the text, in every form of their tag; what is no LoRA stays."""
    plan = parse(prompt, 20)
    assert plan.loras == loras
    assert joined(plan) == [(1.0, text)]


def test_hypernetworks_are_refused():
    """What would give another picture without a word is refused, naming the field and the tag."""
    with pytest.raises(Unsupported, match=r"^negative_prompt: <hypernet:foo:1>: hypernetworks are not supported"):
        parse("a <hypernet:foo:1>", 20, field="negative_prompt")


def test_absurd_lora_weights_are_refused():
    """A LoRA a thousand times too strong is a slip of the keyboard."""
    with pytest.raises(Invalid, match="prompt: <lora:a>: weight 1000 is beyond 100"):
        parse("<lora:a:1000>", 20)


@pytest.mark.parametrize(
    ("prompt", "outcome"),
    [
        pytest.param("a cat AND a dog", [(1.0, "a cat"), (1.0, "a dog")], id="two"),
        pytest.param(
            "a cat :1.2 AND a dog AND a penguin :2.2",
            [(1.2, "a cat"), (1.0, "a dog"), (2.2, "a penguin")],
            id="A1111's example",
        ),
        pytest.param("a:-0.5 AND b", [(-0.5, "a"), (1.0, "b")], id="negative"),
        pytest.param("a :big AND b", [(1.0, "a :big"), (1.0, "b")], id="no number"),
        pytest.param("(a:1.5) AND b", [(1.0, "a"), (1.0, "b")], id="a bracket's weight is not the prompt's"),
        pytest.param("a AND ", [(1.0, "a"), (1.0, "")], id="one is empty"),
        pytest.param("SANDY BAND", [(1.0, "SANDY BAND")], id="part of a word"),
        pytest.param("at 12:30", [(1.0, "at 12:30")], id="a number at the end is text without AND"),
    ],
)
def test_and_joins_prompts(prompt, outcome):
    """AND separates prompts, each with the weight at its end."""
    assert joined(parse(prompt, 20)) == outcome


def test_each_joined_prompt_has_its_own_schedule():
    """A change in one prompt begins a new variant, in which the other stays as it was."""
    plan = parse("[a:b:2] AND [c:d:4] :2", 6)
    assert [variant.first_step for variant in plan.variants] == [0, 2, 4]
    assert [joined(plan, step) for step in (1, 2, 4, 99)] == [
        [(1.0, "a"), (2.0, "c")],
        [(1.0, "b"), (2.0, "c")],
        [(1.0, "b"), (2.0, "d")],
        [(1.0, "b"), (2.0, "d")],
    ]


def test_a_plan_is_found_by_step():
    """The variant of a step is the last one that has begun; before the first step, the first."""
    plan = parse("[a:b:3]", 10)
    assert plan.variants[0] == Variant(0, (Subprompt(1.0, (Piece("a"),)),))
    assert [joined(plan, step)[0][1] for step in (-1, 0, 2, 3, 9, 50)] == ["a", "a", "a", "b", "b", "b"]


def test_too_many_joined_prompts_are_refused():
    """Each joined prompt costs a pass through the model at every step."""
    assert len(parse(" AND ".join("a" * MOST_JOINED), 20).at(0)) == MOST_JOINED
    with pytest.raises(Invalid, match=r"^prompt: 9 prompts are joined with AND; join 8 at most"):
        parse(" AND ".join("a" * (MOST_JOINED + 1)), 20)


def test_too_many_different_texts_are_refused():
    """Each different text costs a pass through the text encoder; texts that come again do not count."""
    assert len(parse(f"[{'|'.join(map(str, range(MOST_TEXTS)))}]", 500).variants) == 500
    with pytest.raises(Invalid, match=r"^prompt: changes into more than 64 texts"):
        parse(f"[{'|'.join(map(str, range(MOST_TEXTS + 1)))}]", 500)


@given(PROMPTS, st.integers(1, 30))
def test_any_prompt_becomes_a_plan_or_is_refused(prompt, steps):
    """Whatever is written: Invalid at the field, or variants from step 0 on, in order, with finite weights."""
    try:
        plan = parse(prompt, steps, field="there")
    except Invalid as problem:
        assert problem.field == "there"
        return
    starts = [variant.first_step for variant in plan.variants]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] < steps
    for variant in plan.variants:
        assert len(variant.subprompts) == len(plan.variants[0].subprompts)
        for part in variant.subprompts:
            assert part.pieces
            assert all(math.isfinite(piece.weight) for piece in part.pieces)


@given(
    st.text(st.characters(exclude_characters="()[]\\:|<>", exclude_categories=["Cs"]), max_size=80), st.integers(1, 30)
)
def test_text_without_signs_is_one_piece(prompt, steps):
    """A prompt that uses none of the syntax is given on as it is."""
    prompt = prompt.replace("AND", "and").replace("BREAK", "break")
    assert parse(prompt, steps).variants == (Variant(0, (Subprompt(1.0, (Piece(prompt),)),)),)


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param("(" * 2000, id="round brackets"),
        pytest.param("[" * 2000, id="square brackets"),
        pytest.param("[" * 1000 + "]" * 1000, id="closed brackets"),
        pytest.param("[a|b" * 400 + "]" * 400, id="nested alternations"),
        pytest.param("[1|2|3|4|5|6|7]" * 130, id="alternations"),
        pytest.param("[a:b:0.5]" * 220, id="schedules"),
        pytest.param("<lora:" * 330, id="tags that are never closed"),
        pytest.param("<lora:a:1>" * 200, id="tags"),
        pytest.param(" AND" * 500, id="ANDs"),
    ],
)
def test_two_thousand_hostile_characters_are_read_at_once(prompt, least_seconds):
    """The longest prompt that the server accepts is read, or refused, within 50 ms of one core."""

    def read():
        with contextlib.suppress(Invalid):
            parse(prompt, 60)

    assert least_seconds(read, within=0.05) < 0.05
