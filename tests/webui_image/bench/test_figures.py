"""Figures say what was promised and whether it holds; programs find them by key."""

import pytest

from webui_image.bench.figures import Figure
from webui_image.bench.run import MEASUREMENTS, UnknownMeasurement, as_json, run
from webui_image.bench.serving import percentile


@pytest.mark.parametrize(
    ("figure", "holds", "promise"),
    [
        (Figure("a", 1.0, 2.0, "s"), True, "at most 2 s"),
        (Figure("a", 3.0, 2.0, "s"), False, "at most 2 s"),
        (Figure("a", 3.0, 2.0, "times", at_least=True), True, "at least 2 times"),
        (Figure("a", 1.0, 2.0, "times", at_least=True), False, "at least 2 times"),
        (Figure("a", 1.0), True, ""),
    ],
    ids=["kept", "broken", "reached", "missed", "no promise"],
)
def test_a_figure_knows_whether_it_holds(figure, holds, promise):
    """At most and at least are told apart; a figure without a promise always holds."""
    assert (figure.holds, figure.promise) == (holds, promise)


def test_programs_find_figures_by_key():
    """Nested keys become nested objects, and every figure is in the list as well."""
    document = as_json(
        [
            Figure("one", 2.5, key=("mixed", "serial", "pictures_per_second")),
            Figure("two", 4.0, key=("mixed", "serial", "p95_seconds")),
            Figure("three", 1.0, 1.0, key=("largest_difference",)),
            Figure("four", 1.0),
        ]
    )
    assert document["mixed"] == {"serial": {"pictures_per_second": 2.5, "p95_seconds": 4.0}}
    assert document["largest_difference"] == 1.0
    assert [each["name"] for each in document["figures"]] == ["one", "two", "three", "four"]


def test_an_unknown_measurement_is_refused_before_anything_is_measured():
    """The refusal names what there is to measure."""
    with pytest.raises(UnknownMeasurement, match="'speed'; there are help, mixed"):
        run(["speed"])


def test_measurements_have_unique_names():
    """Each can be asked for by its own name."""
    names = [measurement.name for measurement in MEASUREMENTS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([1.0], 95, 1.0),
        ([float(n) for n in range(1, 101)], 95, 95.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([1.0, 2.0], 99, 2.0),
    ],
    ids=["one", "hundred", "unsorted", "two"],
)
def test_percentiles_are_values_that_were_measured(values, percent, expected):
    """The smallest value that so many percent do not exceed."""
    assert percentile(values, percent) == expected
