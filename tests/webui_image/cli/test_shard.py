"""`render` as one worker of many: which shard it is, what it leaves, and what it exits with."""

import json
import threading

import pytest

from webui_image.batch.parameters import read
from webui_image.batch.run import Options
from webui_image.batch.shards import Shard, ShardResult
from webui_image.cli import shard as cli
from webui_image.cli.failures import CommandError
from webui_image.cli.output import Output
from webui_image.cli.shard import ShardRun, read_from, refuse_mixed, render_one, shard_of


@pytest.fixture
def batch(tmp_path):
    """Give a file of ten pictures."""
    path = tmp_path / "ten.yaml"
    path.write_text("defaults: {size: 64x64}\nmatrix: {seed: 1..10}\nimages: [a star]\n")
    return read(path)


@pytest.mark.parametrize(
    ("size", "order", "index", "found"),
    [
        pytest.param(4, "", 1, Shard(1, 4), id="in order"),
        pytest.param(4, "2,0-1", 0, Shard(2, 4), id="in the order that was given"),
        pytest.param(4, "2,0-1", 2, Shard(1, 4), id="a run is unfolded"),
        pytest.param(None, "", 0, Shard(0, 10), id="all pictures are one"),
    ],
)
def test_which_shard_an_index_means(batch, size, order, index, found):
    """The order is the Job's, the index the Pod's."""
    assert shard_of(batch, size, order, index) == found


@pytest.mark.parametrize(
    ("order", "index", "said"),
    [
        pytest.param("", 3, "--shard-index: 3 is beyond the 3 shards", id="beyond"),
        pytest.param("0,7", 1, "there is no shard 7", id="no such shard"),
        pytest.param("0;1", 0, "is no list of shards", id="no list"),
    ],
)
def test_a_shard_that_is_none_is_said(batch, order, index, said):
    """With what would be right."""
    with pytest.raises(CommandError, match=said):
        shard_of(batch, 4, order, index)


@pytest.mark.parametrize(("only", "force"), [("1..2", False), (None, True)], ids=["only", "force"])
def test_what_is_for_a_folder_is_refused_beside_others(only, force):
    """It would render what another worker renders."""
    with pytest.raises(CommandError, match=r"is for a folder of this machine"):
        refuse_mixed(only=only, force=force)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    """With its address; the same for a path and a file:// address."""
    for uri in (str(tmp_path / "none.yaml"), f"file://{tmp_path}/none.yaml"):
        with pytest.raises(Exception, match="does not exist"):
            read_from(uri, names=None, recommended=None)


@pytest.mark.parametrize(
    ("result", "beside", "code"),
    [
        pytest.param(ShardResult(4, 4, 0, {}), True, 0, id="ended"),
        pytest.param(ShardResult(4, 3, 0, {2: "NaN"}), True, 0, id="ended, one picture failed"),
        pytest.param(ShardResult(4, 3, 0, {2: "NaN"}), False, 3, id="alone, one picture failed"),
        pytest.param(ShardResult(4, 1, 0, {}, interrupted=True, reason="stopped"), True, 75, id="interrupted"),
        pytest.param(ShardResult(4, 1, 0, {}, True, "the engine is gone", gave_up=True), True, 74, id="given up"),
    ],
)
def test_what_it_exits_with_and_leaves(batch, tmp_path, monkeypatch, capsys, result, beside, code):
    """A Job takes an ended shard for done; who renders alone hears of failed pictures by the code too."""
    monkeypatch.setattr("webui_image.batch.shards.render_shard", lambda *_, **__: result)
    collected = threading.Event()
    monkeypatch.setattr("webui_image.batch.collecting.collect", lambda *_, **__: collected.set())
    monkeypatch.setenv(cli.TERMINATION_LOG, str(tmp_path / "log"))
    run = ShardRun(batch, str(tmp_path / "ten.yaml"), str(tmp_path / "out"), Shard(0, 4), beside=beside)
    assert render_one(run, None, Options(), Output.JSON) == code
    left = json.loads((tmp_path / "log").read_text())
    assert left == json.loads(capsys.readouterr().out)
    assert (left["shard"], left["failed"], left["interrupted"]) == (0, len(result.failed), result.interrupted)
    assert collected.is_set() is not result.interrupted
