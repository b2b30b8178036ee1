"""Where a parameters file lies and where pictures go: a folder of this machine, or one in a bucket.

Buckets are reached through fsspec. Whatever is published appears under its name as a whole or not at all: an object
store does that by itself, a folder by renaming. Credentials come from the environment, as each store's client reads
them; none is ever part of an address.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from webui_image.batch.parameters.problems import Wrong, quoted
from webui_image.batch.written import write
from webui_image.values.errors import NotReady, WebUIError

BUCKETS = {"gs": "gpu-hunter[webui-gcs]", "gcs": "gpu-hunter[webui-gcs]", "s3": "gpu-hunter[webui-s3]"}
_REFUSED = (401, 403)


class PlaceError(WebUIError):
    """An address is wrong, or what it names may not be read or written; the message says which and what to do."""

    is_usage = True


class Place(Protocol):
    """A folder, wherever it is."""

    def read(self, name: str, limit: int | None = None) -> bytes | None:
        """Give a file's content, at most one byte more than `limit`; None where there is none."""
        ...

    def names(self, folder: str = "") -> frozenset[str]:
        """Give the names of the files directly in a folder."""
        ...

    def publish(self, name: str, content: bytes) -> None:
        """Write a file, so that its name never stands for less than all of it."""
        ...


class Tray(Place, Protocol):
    """A folder in which others put files that are taken out again."""

    def versions(self, folder: str = "") -> dict[str, str]:
        """Give the files directly in a folder, each with a text that changes when its content does."""
        ...

    def remove(self, name: str, version: str) -> bool:
        """Take a file away if it is still this version; say whether it is gone."""
        ...


class LocalPlace:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str, limit: int | None = None) -> bytes | None:
        """Give a file's content."""
        try:
            with (self.folder / name).open("rb") as opened:
                return opened.read() if limit is None else opened.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def names(self, folder: str = "") -> frozenset[str]:
        """Give the names of the files directly in a folder."""
        try:
            return frozenset(path.name for path in (self.folder / folder).iterdir() if path.is_file())
        except FileNotFoundError:
            return frozenset()

    def versions(self, folder: str = "") -> dict[str, str]:
        """Give the files directly in a folder; a file's number, size and time make its version."""
        try:
            paths = [path for path in (self.folder / folder).iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:
            return {}
        return {path.name: version for path in paths if (version := _version_of(path))}

    def remove(self, name: str, version: str) -> bool:
        """Take a file away; between look and deed others may replace it, as briefly as can be."""
        path = self.folder / name
        if _version_of(path) != version:
            return not path.exists()
        path.unlink(missing_ok=True)
        return True

    def publish(self, name: str, content: bytes) -> None:
        """Write a file beside its place, then put it there."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, content)


class BucketPlace:
    """A folder in a bucket."""

    def __init__(self, uri: str, store: Any, root: str) -> None:
        self._uri, self._store, self._root = uri, store, root.rstrip("/")

    def read(self, name: str, limit: int | None = None) -> bytes | None:
        """Give an object's content."""
        with self._told(name, "read"):
            try:
                end = None if limit is None else limit + 1
                return bytes(self._store.cat_file(self._path(name), end=end))
            except (FileNotFoundError, IsADirectoryError):
                return None
        raise AssertionError("unreachable")

    def names(self, folder: str = "") -> frozenset[str]:
        """Give the names of the objects directly below a prefix."""
        return frozenset(self.versions(folder))

    def versions(self, folder: str = "") -> dict[str, str]:
        """Give the objects directly below a prefix; their generation or entity tag is their version.

        What was listed before is forgotten.
        """
        with self._told(folder, "list"):
            self._store.invalidate_cache()
            try:
                found = self._store.ls(self._path(folder), detail=True)
            except FileNotFoundError:
                return {}
            files = [each for each in found if each["type"] == "file"]
            return {str(each["name"]).rpartition("/")[2]: _tag(each) for each in files}
        raise AssertionError("unreachable")

    def remove(self, name: str, version: str) -> bool:
        """Delete an object; between look and deed others may replace it, as briefly as can be."""
        with self._told(name, "delete"):
            self._store.invalidate_cache()
            try:
                if _tag(self._store.info(self._path(name))) != version:
                    return False
                self._store.rm_file(self._path(name))
            except FileNotFoundError:
                return True
            return True
        raise AssertionError("unreachable")

    def publish(self, name: str, content: bytes) -> None:
        """Write an object; a bucket shows it once it is whole."""
        with self._told(name, "write"):
            self._store.pipe_file(self._path(name), content)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    @contextlib.contextmanager
    def _told(self, name: str, what: str) -> Iterator[None]:
        """Turn what each store raises into one line: what may not be done, or what may go better later."""
        where = f"{self._uri.rstrip('/')}/{name}".rstrip("/")
        try:
            yield
        except WebUIError:
            raise
        except Exception as error:  # each store has classes of its own
            # gcsfs raises OSError for 403, with this in front.
            is_refused = isinstance(error, PermissionError) or str(error).startswith("Forbidden: ")
            if is_refused or _code(error) in _REFUSED:
                remedy = "grant it to the account that runs this"
                raise PlaceError(f"{where}: there is no permission to {what} it; {remedy}") from error
            if isinstance(error, FileNotFoundError):
                raise PlaceError(f"{where}: there is no such bucket; create it, or correct the address") from error
            text = f"{type(error).__name__}: {str(error)[:200]}"
            raise NotReady(f"{where}: cannot {what} it now: {text}", 30.0) from error


class PlaceFiles:
    """What a parameters file in some place may name: files beside it or below, and nothing else."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def read(self, path: str, limit: int) -> bytes:
        """Give a file's content. Raises Wrong for what is not there, not below the folder, or beyond `limit` bytes."""
        if "://" in path or path.startswith(("data:", "~")):
            raise Wrong(f"{quoted(path)} is no local path", "put the file beside the parameters file and name it")
        parts = path.replace("\\", "/").split("/")
        if path.startswith("/") or ".." in parts or not path:
            raise Wrong(f"{quoted(path)} leads out of the folder", "name a file below the parameters file's folder")
        content = self._place.read(plain(path), limit)
        if content is None:
            raise Wrong(f"{quoted(path)} does not exist", "paths start at the parameters file's folder")
        if len(content) > limit:
            raise Wrong(f"{quoted(path)} is larger than {limit // 2**20} MiB", "make it smaller or split it")
        return content


def plain(path: str) -> str:
    """Give a path below a folder without what says nothing: `./lists//a.txt` is `lists/a.txt`, as buckets need it."""
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))


def remote(uri: str) -> bool:
    """Say whether an address names a bucket; all else is a path of this machine or a `file://` address."""
    return urlsplit(uri).scheme in BUCKETS


def local_path(uri: str) -> Path:
    """Give the path of what is no bucket. Raises PlaceError for another scheme."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if "://" in uri:
        raise PlaceError(f"{uri}: {parts.scheme}:// is not supported; take a path, file://, gs:// or s3://")
    return Path(uri)


def place_of(uri: str) -> Tray:
    """Open the folder that an address names. Raises PlaceError, NotReady."""
    if not remote(uri):
        return LocalPlace(local_path(uri))
    # gcsfs would ask by gRPC first what kind of bucket it is, which matters to zonal ones only and costs a permission.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    import fsspec

    scheme = urlsplit(uri).scheme
    try:
        store, root = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except ImportError as error:
        what = f"{scheme}:// needs a package that is not installed: pip install '{BUCKETS[scheme]}'"
        raise PlaceError(f"{uri}: {what}") from error
    except Exception as error:  # credentials and addresses fail in as many classes as there are stores
        raise PlaceError(f"{uri}: cannot be opened: {type(error).__name__}: {str(error)[:200]}") from error
    return BucketPlace(uri, store, str(root))


def split(uri: str) -> tuple[str, str]:
    """Give the folder and the name of a file's address."""
    if remote(uri):
        folder, _, name = uri.rpartition("/")
        return folder, name
    path = local_path(uri)
    return str(path.parent), path.name


def below(uri: str, name: str) -> str:
    """Give the address of a folder below another."""
    return f"{uri.rstrip('/')}/{name}" if remote(uri) else str(local_path(uri) / name)


def _version_of(path: Path) -> str:
    try:
        facts = path.stat()
    except OSError:
        return ""
    return f"{facts.st_ino}-{facts.st_size}-{facts.st_mtime_ns}" if stat.S_ISREG(facts.st_mode) else ""


def _tag(info: Mapping[str, Any]) -> str:
    return next((str(info[key]) for key in ("generation", "ETag", "etag") if info.get(key)), str(info.get("size")))


def _code(error: BaseException) -> int:
    """Give the HTTP status that a store's error carries, in whichever way."""
    code = getattr(error, "code", None) or getattr(error, "status", None)
    response = getattr(error, "response", None)
    if code is None and isinstance(response, dict):
        code = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return int(str(code)) if str(code).isdigit() else 0
