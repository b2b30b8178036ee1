"""Weights come from an S3 server over real sockets."""

import os
import threading

import pytest

from webui_image.clock import SystemClock
from webui_image.engine.loading import kind_of
from webui_image.engine.weights import Fetch
from webui_image.values.errors import ModelError

pytest.importorskip("s3fs", reason="the extra webui-s3 is not installed")


@pytest.fixture(scope="module")
def bucket(aws_server, sd1_directory):
    """Give the address of a model on a local S3 server; whoever knows it may read there."""
    import s3fs

    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store = s3fs.S3FileSystem(skip_instance_cache=True, s3_additional_kwargs={"ACL": "public-read"})
    store.mkdir("models")
    store.put(str(sd1_directory), "models/tiny", recursive=True)
    yield "s3://models/tiny"
    monkeypatch.undo()


def test_a_model_is_fetched_from_s3(bucket, sd1_directory, tmp_path):
    """Every file arrives as it is, in ranges, and a second fetch takes it from the cache."""
    fetch = Fetch(tmp_path, SystemClock(), threading.Event())
    seen = []
    path = fetch(bucket, lambda done, total: seen.append((done, total)))
    assert kind_of(path) == ("sd1", False)
    for file in sd1_directory.rglob("*"):
        if file.is_file():
            assert (path / file.relative_to(sd1_directory)).read_bytes() == file.read_bytes()
    assert max(seen)[0] == max(seen)[1]
    again = []
    fetch(bucket, lambda done, total: again.append(done))
    assert len(again) == len([file for file in sd1_directory.rglob("*") if file.is_file()])


def test_a_file_is_fetched_over_http(bucket, sd1_directory, tmp_path):
    """A single file comes from any web server that knows ranges; a directory cannot be listed there."""
    pytest.importorskip("aiohttp")
    fetch = Fetch(tmp_path, SystemClock(), threading.Event())
    address = f"{os.environ['AWS_ENDPOINT_URL']}/{bucket.removeprefix('s3://')}"
    name = "unet/diffusion_pytorch_model.safetensors"
    assert fetch(f"{address}/{name}").read_bytes() == (sd1_directory / name).read_bytes()
    with pytest.raises(ModelError, match="cannot list directories"):
        fetch(address)
