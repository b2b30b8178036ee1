"""Texts that change from step to step."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui_image.prompts.schedules import texts

STEPS = 12
PLAIN = st.text(st.sampled_from("abc xyz,.-äß"), max_size=4)
TREES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.tuples(st.just("switch"), inner, inner, st.integers(0, STEPS + 2)),
        st.tuples(st.just("turns"), st.lists(inner, min_size=2, max_size=4)),
        st.tuples(st.just("weight"), inner),
    ),
    max_leaves=12,
)


def written(tree):
    if isinstance(tree, str):
        return tree
    match tree:
        case ("switch", before, after, when):
            return f"[{written(before)}:{written(after)}:{when}]"
        case ("turns", options):
            return f"[{'|'.join(map(written, options))}]"
        case ("weight", inner):
            return f"({written(inner)}:1.2)"


def expected(tree, step):
    if isinstance(tree, str):
        return tree
    match tree:
        case ("switch", before, after, when):
            return expected(before if step < when else after, step)
        case ("turns", options):
            return expected(options[step % len(options)], step)
        case ("weight", inner):
            return f"({expected(inner, step)}:1.2)"


def at(changes, step):
    return [text for first, text in changes if first <= step][-1]


@pytest.mark.parametrize(
    ("prompt", "outcome"),
    [
        pytest.param("test", [(0, "test")], id="no schedule"),
        pytest.param("a [b:3]", [(0, "a "), (3, "a b")], id="appears"),
        pytest.param("a [b: 3 ]", [(0, "a "), (3, "a b")], id="blanks around the number"),
        pytest.param("a [b::3]", [(0, "a b"), (3, "a ")], id="goes away"),
        pytest.param("a [b:c:3] d", [(0, "a b d"), (3, "a c d")], id="is replaced"),
        pytest.param("a [b : c : 1] d", [(0, "a b  d"), (1, "a  c  d")], id="blanks belong to the texts"),
        pytest.param("a [b:.5] c", [(0, "a  c"), (5, "a b c")], id="fraction without a digit before the dot"),
        pytest.param("a [b:0.25]", [(0, "a "), (2, "a b")], id="fractions are rounded down"),
        pytest.param("a [b:1.0]", [(0, "a ")], id="1.0 is the end, not step 1"),
        pytest.param("a [b:1]", [(0, "a "), (1, "a b")], id="1 is step 1, not the end"),
        pytest.param("a [b:0]", [(0, "a b")], id="from the start"),
        pytest.param("a [b:c:-3]", [(0, "a c")], id="before the start"),
        pytest.param("a [b:99]", [(0, "a ")], id="after the end"),
        pytest.param("a [[[b]]:2]", [(0, "a "), (2, "a [[b]]")], id="weights within"),
        pytest.param("[(a:2):3]", [(0, ""), (3, "(a:2)")], id="a number's weight within"),
        pytest.param("(a:[1.2:1.4:5])", [(0, "(a:1.2)"), (5, "(a:1.4)")], id="the weight itself changes"),
        pytest.param("a[b:[c:d:2]:1]e", [(0, "abe"), (1, "ace"), (2, "ade")], id="nested"),
        pytest.param("[fe|]male", [(step, "male" if step % 2 else "female") for step in range(10)], id="takes turns"),
        pytest.param(
            "[fe|||]male",
            [(0, "female"), (1, "male"), (4, "female"), (5, "male"), (8, "female"), (9, "male")],
            id="takes turns with several empty options",
        ),
        pytest.param("a [unbalanced", [(0, "a [unbalanced")], id="never closed"),
        pytest.param("a] b", [(0, "a] b")], id="never opened"),
        pytest.param("((a][:b:c [d:3]", [(0, "((a][:b:c "), (3, "((a][:b:c d")], id="crossed brackets are text"),
        pytest.param("[a (b] c):3]", [(0, "[a (b] c):3]")], id="no schedule around crossed brackets"),
        pytest.param("[a (b] c:3]", [(0, "[a (b] c:3]")], id="nor one that ends behind them"),
        pytest.param("[a:b:c:3]", [(0, "[a:b:c:3]")], id="one text too many"),
        pytest.param("[a:b:c]", [(0, "[a:b:c]")], id="no number"),
        pytest.param("[a:1e1]", [(0, "[a:1e1]")], id="exponent"),
        pytest.param("[a:" + "9" * 5000 + "]", [(0, "[a:" + "9" * 5000 + "]")], id="a number without end"),
        pytest.param("a:3 | b", [(0, "a:3 | b")], id="signs outside brackets"),
        pytest.param(r"\[a:b:3\]", [(0, r"\[a:b:3\]")], id="escaped brackets"),
        pytest.param("a\\", [(0, "a\\")], id="backslash at the end"),
        pytest.param("", [(0, "")], id="empty"),
    ],
)
def test_schedules_give_each_step_its_text(prompt, outcome):
    """Over ten steps, each form of A1111's syntax changes the text where it says."""
    assert list(texts(prompt, 10)) == outcome


def test_a1111s_documented_example():
    """The long example of A1111's documentation changes at steps 25, 50, 60 and 75 of 100."""
    prompt = (
        "fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75]"
        "[ in foreground::0.6][ in background:0.25] [shoddy:masterful:0.5]"
    )
    start = "fantasy landscape with a"
    assert list(texts(prompt, 100)) == [
        (0, f"{start} mountain and an oak in foreground shoddy"),
        (25, f"{start} lake and an oak in foreground in background shoddy"),
        (50, f"{start} lake and an oak in foreground in background masterful"),
        (60, f"{start} lake and an oak in background masterful"),
        (75, f"{start} lake and a christmas tree in background masterful"),
    ]


@pytest.mark.parametrize(
    ("prompt", "outcome"),
    [
        pytest.param("a [b:.5]", [(0, "a b")], id="fractions of the first pass are over"),
        pytest.param("a [b:1.5]", [(0, "a "), (5, "a b")], id="fractions from 1 on are the second pass's"),
        pytest.param("a [b:23]", [(0, "a "), (3, "a b")], id="step numbers go on counting"),
    ],
)
def test_a_second_pass_goes_on_counting(prompt, outcome):
    """In hires fix, after 20 steps of the first pass, schedules go on where that ended."""
    assert list(texts(prompt, 10, done=20)) == outcome


@given(st.lists(TREES, max_size=4))
def test_nested_schedules_agree_with_their_meaning(trees):
    """Any nesting of switches, alternations and weights gives each step the text that its meaning says."""
    changes = list(texts("".join(map(written, trees)), STEPS))
    for step in range(STEPS):
        assert at(changes, step) == "".join(expected(tree, step) for tree in trees)


@given(st.text(st.sampled_from("()[]\\:| .10a\n"), max_size=60) | st.text(max_size=60), st.integers(-1, 30))
def test_any_text_has_a_schedule(prompt, steps):
    """Whatever is written, there is a text for step 0, and changes come in order, within the steps, to other texts."""
    changes = list(texts(prompt, steps))
    assert changes[0][0] == 0
    assert all(one[0] < two[0] < max(steps, 1) and one[1] != two[1] for one, two in pairwise(changes))


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param("[" * 20_000, id="opened only"),
        pytest.param("[" * 20_000 + "]" * 20_000, id="nested"),
        pytest.param("[a:" * 5_000 + ":0.5]" * 5_000, id="nested schedules"),
        pytest.param("[a:" * 5_000 + "b:5]" * 5_000, id="nested schedules in the other place"),
        pytest.param("(" * 10_000 + "[a:3]" * 2_000, id="schedules behind what is never closed"),
        pytest.param("[a)" * 10_000, id="crossed"),
        pytest.param("\\" * 40_001, id="backslashes"),
    ],
)
def test_time_is_in_proportion_to_the_text(prompt, least_seconds):
    """40,000 characters of brackets take a fraction of a second and no recursion."""
    assert least_seconds(lambda: list(texts(prompt, 20)), within=1.0) < 1.0
