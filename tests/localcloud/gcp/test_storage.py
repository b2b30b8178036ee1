"""Cloud Storage as its own clients use it, unmodified, and the API where they hide it; a folder is the bucket."""

import asyncio
import json

import pytest
import requests

from controlplane.localcloud.clock import VirtualClock
from controlplane.localcloud.gcp.storage.names import path_of, text_of
from controlplane.localcloud.gcp.storage.notices import FINALIZED, Notices

OCTETS = "application/octet-stream"


class Api:
    """Calls the JSON API as somebody."""

    def __init__(self, endpoints):
        self.endpoints = endpoints
        self.owner = endpoints.cloud.tokens.service_account
        self.buckets = endpoints.cloud._admin._storage

    def __call__(self, method, path, *, account=None, headers=None, **kwargs):
        """account: an email; empty for no token at all."""
        token = self.endpoints.cloud.tokens.issue(self.owner if account is None else account)
        given = {} if account == "" else {"Authorization": f"Bearer {token}"}
        url = path if path.startswith("http") else f"{self.endpoints.rest}/{path}"
        return requests.request(method, url, headers={**given, **(headers or {})}, timeout=60, **kwargs)

    def put(self, name, content=b"x", query="", **kwargs):
        path = f"upload/storage/v1/b/art/o?uploadType=media&name={requests.utils.quote(name, safe='')}{query}"
        return self("POST", path, data=content, **kwargs)

    def names(self, query=""):
        """Give names and prefixes of all pages."""
        names, prefixes, token, pages = [], [], "", 0
        while True:
            answer = self("GET", f"storage/v1/b/art/o?pageToken={token}&{query}").json()
            names += [each["name"] for each in answer.get("items", ())]
            prefixes += answer.get("prefixes", ())
            pages += 1
            token = answer.get("nextPageToken")
            if not token:
                return names, prefixes, pages


@pytest.fixture
def api(endpoints):
    api = Api(endpoints)
    made = api("POST", "storage/v1/b?project=gpu-hunter-local", json={"name": "art", "location": "us-west1"})
    assert made.status_code == 200, made.text
    return api


@pytest.fixture
def gcsfs(api, monkeypatch, tmp_path):
    """Give gcsfs with the owner's key, as the local cloud's Pods have it."""
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    import fsspec

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", api.endpoints.rest)
    key = tmp_path / "key.json"
    key.write_text(json.dumps(api.endpoints.credentials_info))
    return fsspec.filesystem("gs", token=str(key), project="gpu-hunter-local", use_listings_cache=False)


def test_gcsfs_reads_and_writes(gcsfs, api):
    """Whole, in part, in chunks, by name and by folder; copied, moved and deleted."""
    gcsfs.pipe_file("art/a/one.png", b"one\r\n--==0==\r")
    gcsfs.pipe_file("art/a/b/empty", b"")
    gcsfs.pipe_file("art/large", bytes(range(256)) * 4096, chunksize=2**18)
    assert gcsfs.cat_file("art/a/one.png") == b"one\r\n--==0==\r"
    assert (gcsfs.cat_file("art/large", 256, 260), gcsfs.cat_file("art/a/b/empty")) == (b"\0\1\2\3", b"")
    assert gcsfs.find("art") == ["art/a/b/empty", "art/a/one.png", "art/large"]
    assert [each["type"] for each in gcsfs.ls("art/a", detail=True)] == ["directory", "file"]
    gcsfs.mv("art/a/one.png", "art/two.png")
    gcsfs.rm("art/a", recursive=True)
    assert gcsfs.find("art") == ["art/large", "art/two.png"]
    with gcsfs.open("art/streamed", "wb", block_size=2**18) as opened:
        opened.write(b"s" * 700_000)
    assert gcsfs.info("art/streamed")["size"] == 700_000
    with pytest.raises(FileExistsError):
        gcsfs.pipe_file("art/streamed", b"", mode="create")
    with pytest.raises(FileNotFoundError):
        gcsfs.cat_file("nowhere/at-all")


def test_the_client_library_reads_and_writes(api):
    """google-cloud-storage makes a bucket, puts and checks what it gets, and pages through lists."""
    from google.cloud import storage

    client = storage.Client(
        "gpu-hunter-local", api.endpoints.credentials, client_options={"api_endpoint": api.endpoints.rest}
    )
    bucket = client.create_bucket("library")
    blob = bucket.blob("deep/pfad ä%.txt")
    blob.metadata = {"batch": "cats"}
    blob.upload_from_string("hello", content_type="text/x-test", if_generation_match=0)
    seen = bucket.get_blob("deep/pfad ä%.txt")
    assert (seen.metadata, seen.content_type, seen.download_as_bytes(start=1, end=2)) == (
        {"batch": "cats"},
        "text/x-test",
        b"el",
    )
    bucket.blob("chunks", chunk_size=2**18).upload_from_string(b"c" * 600_000)
    assert bucket.blob("chunks").download_as_bytes() == b"c" * 600_000
    assert [each.name for each in client.list_blobs("library", page_size=1)] == ["chunks", "deep/pfad ä%.txt"]
    for each in client.list_blobs("library"):
        each.delete(if_generation_match=each.generation)
    bucket.delete()
    assert [each.name for each in client.list_buckets()] == ["art"]


def test_a_folder_is_the_bucket(api):
    """What a person copies in is an object, and what is put is a file; a folder made by hand is a bucket."""
    folder = api.buckets.folder / "art" / "inbox"
    folder.mkdir()
    (folder / "cats.yaml").write_text("prompt: cat")
    assert api("GET", "storage/v1/b/art/o/inbox%2Fcats.yaml?alt=media").text == "prompt: cat"
    first = api("GET", "storage/v1/b/art/o/inbox%2Fcats.yaml").json()["generation"]
    api.put("inbox/cats.yaml", b"prompt: dog")
    assert (folder / "cats.yaml").read_text() == "prompt: dog"
    assert int(api("GET", "storage/v1/b/art/o/inbox%2Fcats.yaml").json()["generation"]) > int(first)
    (api.buckets.folder / "by-hand").mkdir()
    assert api("GET", "storage/v1/b/by-hand").json()["name"] == "by-hand"
    (folder / "out").symlink_to("/etc")
    assert api.names()[0] == ["inbox/cats.yaml"]


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_lists_by_prefix_and_delimiter_in_pages(api, size):
    """Everything once and in order, however small the pages; a prefix stands for all behind it."""
    for name in ("a.txt", "a/1", "a/2/x", "a/2/y", "a/3", "a0", "b/c/d"):
        api.put(name)
    names = sorted(["a.txt", "a/1", "a/2/x", "a/2/y", "a/3", "a0", "b/c/d"])
    assert api.names(f"maxResults={size}")[0] == names
    found, prefixes, pages = api.names(f"maxResults={size}&delimiter=/")
    assert (found, prefixes) == (["a.txt", "a0"], ["a/", "b/"])
    assert pages == -(-4 // size)
    assert api.names(f"maxResults={size}&delimiter=/&prefix=a/")[:2] == (["a/1", "a/3"], ["a/2/"])
    assert api.names(f"maxResults={size}&startOffset=a0&endOffset=b0")[0] == ["a0", "b/c/d"]


def test_conditions_hold(api):
    """A generation that is another's is refused with 412, or is no such object; an unchanged one with 304."""
    made = api.put("x", b"1", "&ifGenerationMatch=0").json()
    assert api.put("x", b"2", "&ifGenerationMatch=0").status_code == 412
    old, new = made["generation"], api.put("x", b"2", f"&ifGenerationMatch={made['generation']}").json()["generation"]
    assert api("DELETE", f"storage/v1/b/art/o/x?ifGenerationMatch={old}").status_code == 412
    assert api("GET", f"storage/v1/b/art/o/x?generation={old}").status_code == 404
    assert api("GET", f"storage/v1/b/art/o/x?ifGenerationNotMatch={new}").status_code == 304
    assert api("DELETE", f"storage/v1/b/art/o/x?ifGenerationMatch={new}").status_code == 204
    assert api("GET", "storage/v1/b/art/o/x").json()["error"]["message"] == "No such object: art/x"


def test_ranges(api):
    """From, to, from the end; what lies behind the end cannot be had."""
    api.put("x", b"0123456789")
    spans = {"bytes=2-4": b"234", "bytes=7-": b"789", "bytes=-2": b"89", "bytes=8-99": b"89"}
    for span, content in spans.items():
        answer = api("GET", "download/storage/v1/b/art/o/x?alt=media", headers={"Range": span})
        assert (answer.status_code, answer.content) == (206, content)
    assert api("GET", "storage/v1/b/art/o/x?alt=media", headers={"Range": "bytes=10-"}).status_code == 416


def test_permissions_hold(api):
    """Each account may what its roles on project or bucket say; who shows no token, what everybody may."""
    for name in ("inbox-maker", "inbox-reader"):
        api("POST", "v1/projects/gpu-hunter-local/serviceAccounts", json={"accountId": name})
    maker, reader = (f"{name}@gpu-hunter-local.iam.gserviceaccount.com" for name in ("inbox-maker", "inbox-reader"))
    policy = api("GET", "storage/v1/b/art/iam").json()
    roles = {"objectCreator": maker, "objectViewer": reader}
    policy["bindings"] = [{"role": f"roles/storage.{r}", "members": [f"serviceAccount:{a}"]} for r, a in roles.items()]
    assert api("PUT", "storage/v1/b/art/iam", json=policy).status_code == 200
    assert api.put("x", account=maker).status_code == 200
    again = api.put("x", account=maker).json()["error"]
    assert (again["code"], "storage.objects.delete" in again["message"]) == (403, True)
    assert api("GET", "storage/v1/b/art/o/x", account=maker).status_code == 403
    assert api("GET", "storage/v1/b/art/o/x?alt=media", account=reader).content == b"x"
    assert api("GET", "storage/v1/b/art/o/none", account=reader).status_code == 404
    assert api.put("y", account=reader).status_code == 403
    nobody = api("GET", "storage/v1/b/art/o/x", account="").json()["error"]
    assert (nobody["code"], nobody["message"].startswith("Anonymous caller does not have")) == (401, True)
    policy = api("GET", "storage/v1/b/art/iam").json()
    policy["bindings"].append({"role": "roles/storage.objectViewer", "members": ["allUsers"]})
    api("PUT", "storage/v1/b/art/iam", json=policy)
    assert api("GET", "storage/v1/b/art/o/x?alt=media", account="").content == b"x"


def test_a_broken_upload_goes_on(api):
    """A chunk that is sent again is taken once; a gap is refused; a given-up upload leaves nothing."""
    begun = api("POST", "upload/storage/v1/b/art/o?uploadType=resumable&name=x")
    where = begun.headers["location"]
    sent = api("PUT", where, data=b"0123", headers={"Content-Range": "bytes 0-3/*"})
    assert (sent.status_code, sent.headers["range"]) == (308, "bytes=0-3")
    assert api("PUT", where, data=b"9", headers={"Content-Range": "bytes 9-9/10"}).status_code == 400
    assert api("PUT", where, headers={"Content-Range": "bytes */*"}).headers["range"] == "bytes=0-3"
    done = api("PUT", where, data=b"234567", headers={"Content-Range": "bytes 2-7/8"})
    assert (done.status_code, done.json()["size"]) == (200, "8")
    assert api("GET", "storage/v1/b/art/o/x?alt=media").content == b"01234567"
    other = api("POST", "upload/storage/v1/b/art/o?uploadType=resumable&name=y").headers["location"]
    assert api("DELETE", other).status_code == 499
    assert api("PUT", other, data=b"1").status_code == 404
    assert list((api.buckets.folder / ".uploads").iterdir()) == []


@pytest.mark.parametrize("name", ["../up", "a//b", "a/./b", "/a", "a/", "%", "%%", "..a", "ä/ö"])
def test_no_name_leads_out_of_the_bucket(name):
    """Any name is a path below the folder, and no two are one."""
    parts = path_of(name).split("/")
    assert not {"", ".", ".."} & set(parts)
    assert "/".join(text_of(part) for part in parts) == name


def test_one_name_cannot_be_anothers_folder(api):
    """That Cloud Storage could have both is told; nothing is lost."""
    api.put("a/b", b"1")
    assert "cannot be another's folder" in api.put("a", b"2").json()["error"]["message"]
    assert "cannot be another's folder" in api.put("a/b/c", b"2").json()["error"]["message"]
    assert api.names()[0] == ["a/b"]


def test_a_full_bucket_stays(api):
    """Only an empty bucket is deleted, and what is no object in its folder counts too."""
    api.put("x")
    assert api("DELETE", "storage/v1/b/art").status_code in (400, 409)
    api("DELETE", "storage/v1/b/art/o/x")
    (api.buckets.folder / "art" / "link").symlink_to("/etc")
    assert "no object" in api("DELETE", "storage/v1/b/art").json()["error"]["message"]
    (api.buckets.folder / "art" / "link").unlink()
    assert api("DELETE", "storage/v1/b/art").status_code == 200
    assert api("GET", "storage/v1/b/art").status_code == 404


class Listener:
    """A handler that answers with the statuses it is given, then with 200."""

    def __init__(self, *statuses):
        self.statuses, self.told = list(statuses), []

    async def __call__(self, url, headers, body):
        self.told.append((headers["ce-type"], json.loads(body)["name"]))
        status = self.statuses.pop(0) if self.statuses else 200
        if isinstance(status, Exception):
            raise status
        return status


def told(api, listener, *, steps, state=None, put=lambda: None):
    """Look so often, a second apart; gives the notices' state."""

    async def look():
        clock = VirtualClock()
        notices = Notices(api.buckets, clock, lambda: None, listener)
        if state is None:
            notices.add("http://127.0.0.1:1/", "art")
            await notices.close()
        else:
            notices.from_state(json.loads(json.dumps(state)))
        put()
        for _ in range(steps):
            await notices.look()
            await clock.advance(1.0)
        return notices.to_state()

    return asyncio.run(look())


def test_what_comes_into_a_bucket_is_told_until_it_is_confirmed(api):
    """Not what was there before; again after a failure, a restart included, and then no more."""
    api.put("old")
    failing = Listener(503, OSError("refused"))
    state = told(api, failing, steps=8, put=lambda: api.put("new"))
    assert failing.told == [(FINALIZED, "new")] * 3
    down = Listener(*[503] * 9)
    state = told(api, down, steps=3, state=state, put=lambda: api.put("old", b"changed"))
    assert set(down.told) == {(FINALIZED, "old")}
    after = Listener()
    state = told(api, after, steps=5, state=state)
    assert after.told == [(FINALIZED, "old")]
    assert told(api, Listener(), steps=3, state=state)["handlers"][0]["delivered"] == 2


def test_what_is_still_being_copied_in_is_not_told(api):
    """A file counts once it has stopped growing between two looks."""
    path = api.buckets.folder / "art" / "copied"
    listener = Listener()
    state = told(api, listener, steps=1, put=lambda: path.write_text("half"))
    assert listener.told == []
    told(api, listener, steps=2, state=state, put=lambda: path.write_text("whole"))
    assert listener.told == [(FINALIZED, "copied")]


@pytest.mark.parametrize(("url", "bucket"), [("https://example.com/", "art"), ("http://127.0.0.1:1/", "none")])
def test_a_handler_must_be_here_and_its_bucket_too(api, url, bucket):
    """One line says what is wrong."""
    with pytest.raises(ValueError, match=r"give one such as|make it, or correct"):
        api.endpoints.cloud.notify(url, bucket)
