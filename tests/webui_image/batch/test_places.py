"""Folders and buckets alike: what is read, published, listed and taken away, and what is told when it cannot be."""

import asyncio
import json
import shutil

import pytest

from controlplane.localcloud.clock import SystemClock
from controlplane.localcloud.gcp import TokenIssuer, new_credentials
from controlplane.localcloud.gcp.admin.api import Administration
from controlplane.localcloud.gcp.app import build_storage_app
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.scenario import load_scenario
from controlplane.localcloud.serving import serve
from controlplane.localcloud.stock.ledger import Stock
from webui_image.batch.parameters.problems import Wrong
from webui_image.batch.places import (
    BucketPlace,
    LocalPlace,
    PlaceError,
    PlaceFiles,
    below,
    local_path,
    place_of,
    remote,
    split,
)
from webui_image.values.errors import NotReady


@pytest.fixture
def bucket(aws_server, monkeypatch):
    """Give the address of a fresh bucket, with the environment that reaches it."""
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": aws_server,
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="art")
    yield "s3://art/results"
    listed = client.list_objects_v2(Bucket="art").get("Contents", [])
    for each in listed:
        client.delete_object(Bucket="art", Key=each["Key"])
    client.delete_bucket(Bucket="art")


@pytest.fixture(scope="module")
def cloud_storage(loop, tmp_path_factory):
    """Serve the local cloud's Cloud Storage; give its address, the folder of its buckets and the owner's key."""
    folder = tmp_path_factory.mktemp("storage")
    scenario, clock = load_scenario(None), SystemClock()
    key = new_credentials(scenario.project, "")
    tokens = TokenIssuer(clock, key)
    project = Project(scenario, Stock(scenario))
    administration = Administration(project, clock, tokens, lambda: None, folder / "buckets")
    app = build_storage_app(tokens, administration)
    server = asyncio.run_coroutine_threadsafe(serve(app, "127.0.0.1", 0, None, None), loop).result(60)
    address = f"http://127.0.0.1:{server.port}"
    file = folder / "key.json"
    file.write_text(json.dumps({**key, "token_uri": f"{address}/token"}))
    yield address, folder / "buckets", file, project
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)


@pytest.fixture
def gs_bucket(cloud_storage, monkeypatch):
    """Give the address of a fresh bucket of the local cloud, with the settings that reach it."""
    import fsspec

    address, buckets, key, _ = cloud_storage
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": str(key)})
    (buckets / "art").mkdir(parents=True)
    yield "gs://art/results"
    shutil.rmtree(buckets / "art", ignore_errors=True)


@pytest.fixture(params=["folder", "s3", "gs"])
def place(request, tmp_path):
    """Give a folder of this machine, one in a bucket of a real S3 server, or of the local cloud's Cloud Storage."""
    buckets = {"s3": "bucket", "gs": "gs_bucket"}
    kind = buckets.get(request.param)
    return place_of(request.getfixturevalue(kind) if kind else f"file://{tmp_path}/results")


def test_google_cloud_refuses_in_one_line(gs_bucket, cloud_storage):
    """No permission, and no such bucket, are told with the address and what to do."""
    *_, project = cloud_storage
    with pytest.raises(PlaceError, match=r"gs://none/x/a: there is no such bucket; create it"):
        place_of("gs://none/x").publish("a", b"")
    project.denied = {"storage.objects.create", "storage.objects.list"}
    with pytest.raises(PlaceError, match="results/a: there is no permission to write it; grant"):
        place_of(gs_bucket).publish("a", b"")
    with pytest.raises(PlaceError, match="results: there is no permission to list it; grant"):
        place_of(gs_bucket).names()
    project.denied = set()


def test_what_is_published_is_read_and_listed(place):
    """Folders below are made, and are no files."""
    assert place.names() == frozenset()
    place.publish("a.png", b"one")
    place.publish("shards/00000.json", b"{}")
    place.publish("a.png", b"another")
    assert (place.names(), place.names("shards")) == ({"a.png"}, {"00000.json"})
    assert (place.read("a.png"), place.read("a.png", 3)) == (b"another", b"anot")
    assert (place.read("missing"), place.read("shards")) == (None, None)


def test_a_file_is_taken_away_as_the_one_that_was_seen(place):
    """What came in its place meanwhile stays."""
    place.publish("a.yaml", b"one")
    (old,) = place.versions().values()
    place.publish("a.yaml", b"other")
    assert not place.remove("a.yaml", old)
    assert place.read("a.yaml") == b"other"
    assert place.remove("a.yaml", place.versions()["a.yaml"])
    assert place.names() == frozenset()
    assert place.remove("a.yaml", old)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        pytest.param("../secret", "leads out", id="upwards"),
        pytest.param("/etc/passwd", "leads out", id="absolute"),
        pytest.param("gs://other/file", "no local path", id="an address"),
        pytest.param("missing.txt", "does not exist", id="missing"),
        pytest.param("large.txt", "larger", id="too large"),
    ],
)
def test_a_parameters_file_names_only_what_lies_below_it(place, path, said):
    """So a stranger's file is safe to read."""
    place.publish("large.txt", b"x" * 20)
    place.publish("lists/small.txt", b"a")
    with pytest.raises(Wrong, match=said):
        PlaceFiles(place).read(path, 10)
    assert PlaceFiles(place).read("lists/./small.txt", 10) == b"a"


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        pytest.param(PermissionError("denied"), PlaceError, "no permission to write it; grant", id="permission"),
        pytest.param(FileNotFoundError("bucket"), PlaceError, "no such bucket", id="no bucket"),
        pytest.param(TimeoutError("slow"), NotReady, "cannot write it now: TimeoutError", id="later"),
    ],
)
def test_what_a_store_raises_is_one_line(raised, kind, said):
    """Which address, and what to do; what may go better later is told apart."""

    class Store:
        def pipe_file(self, path, content):
            raise raised

    with pytest.raises(kind, match=said) as told:
        BucketPlace("gs://art/out", Store(), "art/out").publish("a.png", b"")
    assert str(told.value).startswith("gs://art/out/a.png: ")


def test_addresses(tmp_path):
    """Paths, file:// and buckets; another scheme is refused with those there are."""
    assert split("gs://art/inbox/cats.yaml") == ("gs://art/inbox", "cats.yaml")
    assert split(f"file://{tmp_path}/a%20b.yaml") == (str(tmp_path), "a b.yaml")
    assert below("gs://art/out/", "cats") == "gs://art/out/cats"
    assert below("out", "cats") == "out/cats"
    assert (remote("s3://a"), remote("out")) == (True, False)
    assert isinstance(place_of(str(tmp_path)), LocalPlace)
    with pytest.raises(PlaceError, match="take a path, file://, gs:// or s3://"):
        local_path("ftp://host/file")
