"""Brackets and the weights they give."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui_image.prompts.attention import LARGEST_WEIGHT, pieces
from webui_image.prompts.plan import BREAK, Piece

PLAIN = st.text(st.sampled_from("abc xyz,.-äß日"), min_size=1, max_size=6)
TREES = st.recursive(
    PLAIN,
    lambda inner: st.tuples(
        st.sampled_from(["(", "[", "1.3", "0.5", ".25", "2."]), st.lists(inner, min_size=1, max_size=4)
    ),
    max_leaves=20,
)


def shown(text):
    return [(piece.text, round(piece.weight, 6)) for piece in pieces(text)]


def written(tree):
    if isinstance(tree, str):
        return tree
    kind, inner = tree
    text = "".join(map(written, inner))
    return {"(": f"({text})", "[": f"[{text}]"}.get(kind, f"({text}:{kind})")


def expected(tree, weight=1.0):
    if isinstance(tree, str):
        return [(character, weight) for character in tree]
    kind, inner = tree
    factor = {"(": 1.1, "[": 1 / 1.1}.get(kind) or float(kind)
    return [pair for part in inner for pair in expected(part, weight * factor)]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        pytest.param("normal text", [("normal text", 1.0)], id="no brackets"),
        pytest.param("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)], id="round"),
        pytest.param("a ((b))", [("a ", 1.0), ("b", 1.21)], id="round twice"),
        pytest.param("a [b]", [("a ", 1.0), ("b", 0.909091)], id="square"),
        pytest.param("(a:1.5)", [("a", 1.5)], id="number"),
        pytest.param("(a : 1.5 )", [("a ", 1.5)], id="number with blanks"),
        pytest.param("(a:.5)(b:2.)(c:+3)", [("a", 0.5), ("b", 2.0), ("c", 3.0)], id="numbers in other shapes"),
        pytest.param("(a:-1)(b:0)", [("a", -1.0), ("b", 0.0)], id="negative and zero"),
        pytest.param("((a:2) b:3)", [("a", 6.0), (" b", 3.0)], id="numbers multiply"),
        pytest.param("(unbalanced", [("unbalanced", 1.1)], id="open until the end"),
        pytest.param("a (b [c", [("a ", 1.0), ("b ", 1.1), ("c", 1.0)], id="both kinds open until the end"),
        pytest.param("a) b]", [("a) b]", 1.0)], id="closed without being open"),
        pytest.param("(a [b) c]", [("a ", 1.1), ("b", 1.0), (" c", 0.909091)], id="crossed"),
        pytest.param(r"\(literal\]", [("(literal]", 1.0)], id="escaped"),
        pytest.param(r"a \\ b", [("a \\ b", 1.0)], id="escaped backslash"),
        pytest.param(r"(a\):2)", [("a)", 2.0)], id="escape within brackets"),
        pytest.param("(unnecessary)(parens)", [("unnecessaryparens", 1.1)], id="neighbours with one weight are joined"),
        pytest.param("(a:b)", [("a:b", 1.1)], id="colon before a word"),
        pytest.param("(a:1.2.3)", [("a:1.2.3", 1.1)], id="colon before what is no number"),
        pytest.param("a:1.5)", [("a:1.5)", 1.0)], id="number without a bracket"),
        pytest.param("(a:1e3)", [("a:1e3", 1.1)], id="exponent"),
        pytest.param("(a:nan)(b:inf)", [("a:nanb:inf", 1.1)], id="not a number, infinity"),
        pytest.param("()[](:2)", [("", 1.0)], id="empty brackets"),
        pytest.param("(a(:2)b:3)", [("ab", 3.0)], id="empty brackets within others"),
        pytest.param("", [("", 1.0)], id="empty"),
        pytest.param(
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            [
                ("a ", 1.0),
                ("house", 1.573),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641),
                (".", 1.1),
            ],
            id="A1111's example",
        ),
    ],
)
def test_brackets_give_the_weights_that_a1111_documents(text, outcome):
    """Each form of A1111's syntax gives its documented pieces and weights."""
    assert shown(text) == outcome


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        pytest.param("a BREAK b", (Piece("a"), BREAK, Piece("b")), id="blanks around it belong to it"),
        pytest.param("(a BREAK b:1.2)", (Piece("a", 1.2), BREAK, Piece("b", 1.2)), id="within brackets"),
        pytest.param("BREAK", (BREAK,), id="alone"),
        pytest.param("a BREAK BREAK b", (Piece("a"), BREAK, BREAK, Piece("b")), id="twice"),
        pytest.param("BREAKFAST daybreak", (Piece("BREAKFAST daybreak"),), id="part of a word"),
    ],
)
def test_break_is_a_piece_of_its_own(text, outcome):
    """BREAK separates chunks wherever it stands as a word."""
    assert pieces(text) == outcome


@given(st.lists(TREES, min_size=1, max_size=4))
def test_nested_brackets_multiply(trees):
    """Any nesting gives every character the product of the factors around it."""
    found = [(character, piece.weight) for piece in pieces("".join(map(written, trees))) for character in piece.text]
    wanted = [pair for tree in trees for pair in expected(tree)]
    assert [character for character, _ in found] == [character for character, _ in wanted]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in wanted])


@given(st.text(st.sampled_from("()[]\\: .10a\nBREAK"), max_size=60) | st.text(max_size=60))
def test_any_text_has_pieces_with_finite_weights(text):
    """Whatever is written, there is at least one piece and every weight is finite, and positive without numbers."""
    found = pieces(text)
    assert found
    assert all(abs(piece.weight) <= LARGEST_WEIGHT and math.isfinite(piece.weight) for piece in found)
    assert ":" in text or all(piece.weight > 0 for piece in found)


@given(st.text(max_size=60).filter(lambda text: "BREAK" not in text))
def test_an_escaped_text_is_one_piece(text):
    """A backslash before each bracket and backslash makes any text literal."""
    escaped = "".join(f"\\{character}" if character in "()[]\\" else character for character in text)
    assert pieces(escaped) == (Piece(text),)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("(a" * 20_000, id="opened only"),
        pytest.param("(" * 20_000 + "a" + ")" * 20_000, id="nested"),
        pytest.param("(" * 10_000 + "a" + ":1.1)" * 5_000, id="nested numbers"),
        pytest.param("(a[b" * 5_000 + ")]" * 5_000, id="crossed"),
        pytest.param(":" * 40_000, id="colons"),
        pytest.param("(a:" + "1" * 40_000, id="digits"),
        pytest.param("(a:" + " " * 40_000, id="blanks"),
        pytest.param(" BREAK" * 7_000, id="breaks"),
    ],
)
def test_time_is_in_proportion_to_the_text(text, least_seconds):
    """40,000 characters of brackets take a fraction of a second, where quadratic work would take many."""
    assert all(math.isfinite(piece.weight) for piece in pieces(text))
    assert least_seconds(lambda: pieces(text), within=1.0) < 1.0
