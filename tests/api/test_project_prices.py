"""The table of prices of what a project consists of."""

import pytest
import yaml

from controlplane.api.problems import SpecError
from controlplane.api.project_prices import DEFAULT_TABLE, KEYS, load_project_prices


@pytest.fixture
def table():
    return yaml.safe_load(DEFAULT_TABLE.read_text())


def test_the_built_in_table_is_whole_and_says_where_it_comes_from():
    """Every price has a source that can be looked up."""
    prices = load_project_prices()
    assert set(prices) == set(KEYS)
    assert all(price.source.startswith("https://cloud.google.com/") for price in prices.values())


CASES = [
    pytest.param({"cluster": {"usd": -1}}, "cluster.usd: -1 is not a number of zero or more", id="negative"),
    pytest.param({"cluster": {"usd": True}}, "cluster.usd: True is not a number", id="not a number"),
    pytest.param({"cluster": {"per": "week"}}, "cluster.per: 'week' is no period; use one of hour", id="period"),
    pytest.param({"cluster": {"source": None}}, "cluster.source: is missing; say where", id="no source"),
]


@pytest.mark.parametrize(("changed", "told"), CASES)
def test_a_wrong_price_is_one_line_with_its_place(table, tmp_path, changed, told):
    """File, line, field and remedy."""
    for key, fields in changed.items():
        table[key] |= fields
    file = tmp_path / "prices.yaml"
    file.write_text(yaml.safe_dump(table))
    with pytest.raises(SpecError) as error:
        load_project_prices(file)
    assert f"{file}:" in str(error.value)
    assert told in str(error.value)


def test_a_price_that_is_missing_or_mistyped_is_told(table, tmp_path):
    """Neither is taken for free."""
    table["clutser"] = table.pop("cluster")
    file = tmp_path / "prices.yaml"
    file.write_text(yaml.safe_dump(table))
    with pytest.raises(SpecError) as error:
        load_project_prices(file)
    assert 'clutser: is not a price; did you mean "cluster"?' in str(error.value)
    assert "cluster: is missing" in str(error.value)
