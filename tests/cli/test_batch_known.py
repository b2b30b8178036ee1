"""Batches that are there already: found by what is remembered of their name, and never taken for another one."""

from types import SimpleNamespace
from typing import Any

import pytest

from controlplane.api import SpecError
from controlplane.cli.batch_known import named, tell_of_settings
from controlplane.cli.batch_reckoning import show_reckoned

SPEC = {"output": "gs://art/pictures", "shardSize": 20, "parallelism": 2}


def working(spec: dict[str, Any] = SPEC, **metadata: str) -> Any:
    """Give what asks the config cluster, in which one batch is."""
    batch = {"metadata": {"name": "shapes-1a2b3c4d", "namespace": "default", **metadata}, "spec": spec}

    def batches(namespace: str, name: str | None = None) -> list[dict[str, Any]]:
        return [batch] if namespace == "default" and name in (None, "shapes-1a2b3c4d") else []

    return SimpleNamespace(batches=batches)


@pytest.mark.parametrize("name", ["shapes-1a2b3c4d", "default/shapes-1a2b3c4d"])
def test_a_batch_is_found_as_the_list_prints_it(name: str) -> None:
    """With its namespace before it or without."""
    assert named(working(), "default", name)["metadata"]["name"] == "shapes-1a2b3c4d"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("shapes", 'did you mean "shapes-1a2b3c4d"?', id="the file's own name"),
        pytest.param("cats", "see `batch list`", id="nothing near"),
        pytest.param("other/shapes-1a2b3c4d", "other/shapes-1a2b3c4d: there is no such", id="another namespace"),
    ],
)
def test_a_name_that_is_not_there_is_one_line_with_the_nearest(name: str, said: str) -> None:
    """The digest in a name is nothing that a person remembers."""
    with pytest.raises(SpecError) as refused:
        named(working(), "default", name)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param(SPEC, "", id="the same"),
        pytest.param({**SPEC, "parallelism": 8}, "keeps its own parallelism;", id="more workers"),
        pytest.param({**SPEC, "maxCost": 1.0}, "keeps its own maxCost;", id="a bound that is not there"),
    ],
)
def test_settings_that_stay_as_they_are_are_told(
    capsys: pytest.CaptureFixture[str], asked: dict[str, Any], said: str
) -> None:
    """The same file with other settings is the same batch, and says so."""
    tell_of_settings(working(), "default", "shapes-1a2b3c4d", asked)
    told = " ".join(capsys.readouterr().err.split())
    assert said in told
    assert bool(said) == bool(told)


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        pytest.param({"cheapest": 0.0, "dearest": 0.004}, "less than a cent", id="next to nothing"),
        pytest.param({"cheapest": 1.0, "dearest": 2.5}, "1.00 to 2.50 $", id="dollars"),
        pytest.param({}, "at no known price", id="unknown"),
    ],
)
def test_a_reckoning_never_reads_as_free(capsys: pytest.CaptureFixture[str], usd: dict[str, float], said: str) -> None:
    """Nothing is rounded down to 0.00 $."""
    data = {
        "name": "shapes",
        "pictures": 6,
        "shards": 1,
        "usd": usd,
        "pixel_steps": 1e6,
        "gpu_hours": 0.1,
        "speed": 1e6,
    }
    show_reckoned(data)
    told = capsys.readouterr().out
    assert said in told
    assert "1 shard\n" in told
