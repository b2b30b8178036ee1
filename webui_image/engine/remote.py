"""Which files of a remote model are needed, and reading them: gs://, s3://, https:// and the hub, through fsspec.

The address is the operator's, never a user's. Of a directory only the parts that its model_index.json names are
taken, and of those only configurations, vocabularies and safetensors: hubs keep every model in several formats beside
each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from webui_image.engine.files import PICKLES
from webui_image.values.errors import ModelError

__all__ = ["Remote", "RemoteFile", "open_remote"]

_EXTRAS = {"gs": "gcsfs (extra webui-gcs)", "gcs": "gcsfs (extra webui-gcs)", "s3": "s3fs (extra webui-s3)"}
_SCHEMES = frozenset({"gs", "gcs", "s3", "hf", "https", "http", "memory"})
_WANTED = (".json", ".txt", ".safetensors")
_WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(\.fp16)?(-\d{5}-of-\d{5})?(\.fp16)?\.safetensors")
_TAGS = ("ETag", "etag", "md5Hash", "blob_id", "generation", "LastModified", "mtime", "created")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file: its path under the root, its size in bytes, and what the store tells versions apart by."""

    path: str
    size: int
    tag: str
    address: str


@dataclass(frozen=True, slots=True)
class Remote:
    """What a MODEL_URI names."""

    uri: str
    name: str  # last part of the path
    is_file: bool
    files: tuple[RemoteFile, ...]
    store: Any

    def read(self, file: RemoteFile, start: int, end: int) -> bytes:
        """Give the bytes from start up to end. Raises whatever the store raises."""
        return bytes(self.store.cat_file(file.address, start=start, end=end))


def open_remote(uri: str, *, offline: bool = False, prefer_half: bool = True) -> Remote:
    """List what is to be fetched. Raises ModelError where the store cannot be reached, or holds no model there."""
    store, root = _open(uri, offline=offline)
    name = root.rstrip("/").rpartition("/")[2]
    if uri.startswith("http") and not name.endswith(".safetensors"):
        raise ModelError(uri, "over https:// only single .safetensors files can be fetched; it cannot list directories")
    if name.endswith(PICKLES):
        raise ModelError(uri, "a pickle can run code when it is opened and is refused; convert it to .safetensors")
    try:
        if name.endswith(".safetensors"):
            return Remote(uri, name, True, (_file(name, store.info(root)),), store)
        index = json.loads(store.cat_file(f"{root.rstrip('/')}/model_index.json"))
        found = store.find(root, detail=True)
    except FileNotFoundError:
        raise ModelError(
            uri, "neither a .safetensors file nor a directory with a model_index.json; check the address"
        ) from None
    except Exception as error:  # each store has its own classes
        raise ModelError(uri, f"cannot be read: {type(error).__name__}: {str(error)[:200]}") from error
    prefix = root.rstrip("/") + "/"
    files = [_file(path.removeprefix(prefix), info) for path, info in sorted(found.items())]
    return Remote(uri, name, False, tuple(_needed(files, index, prefer_half=prefer_half)), store)


def _open(uri: str, *, offline: bool) -> tuple[Any, str]:
    scheme = uri.partition("://")[0]
    if scheme not in _SCHEMES:
        raise ModelError(
            uri, f"{scheme}:// is not supported; take a path, gs://, s3://, https:// or hf://organisation/name"
        )
    if scheme == "hf" and offline:
        raise ModelError(uri, "the hub is switched off (HF_HUB_OFFLINE); give a path, gs:// or s3:// address")
    import fsspec

    try:
        store, root = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        package = _EXTRAS.get(scheme, str(error)[:200])
        raise ModelError(uri, f"reading {scheme}:// needs a package that is not installed: {package}") from error
    except Exception as error:  # credentials and addresses fail in as many classes as there are stores
        raise ModelError(uri, f"cannot be opened: {type(error).__name__}: {str(error)[:200]}") from error
    return store, str(root)


def _file(path: str, info: dict[str, Any]) -> RemoteFile:
    tag = next((str(info[key]) for key in _TAGS if info.get(key)), "")
    return RemoteFile(path, int(info["size"]), tag, str(info["name"]))


def _needed(files: list[RemoteFile], index: dict[str, Any], *, prefer_half: bool) -> Iterable[RemoteFile]:
    parts = {name for name, entry in index.items() if isinstance(entry, list) and len(entry) == 2 and entry[1]}
    parts -= {"safety_checker", "feature_extractor", "image_encoder"}
    for file in files:
        folder, _, name = file.path.rpartition("/")
        if folder in parts and name.endswith(_WANTED):
            if not (name.endswith(".safetensors") and _other_variant(file, files, prefer_half=prefer_half)):
                yield file
        elif not folder and name in {"model_index.json", "recommended.json", "SHA256SUMS"}:
            yield file


def _other_variant(file: RemoteFile, files: list[RemoteFile], *, prefer_half: bool) -> bool:
    """Tell whether this weight file is the one of two precisions that is not wanted, or of no pipeline's naming."""
    folder, _, name = file.path.rpartition("/")
    if not _WEIGHTS.fullmatch(name):
        return True
    names = [other.path.removeprefix(f"{folder}/") for other in files if other.path.startswith(f"{folder}/")]
    siblings = [each for each in names if _WEIGHTS.fullmatch(each)]
    half = [path for path in siblings if ".fp16" in path]
    both = bool(half) and len(half) < len(siblings)
    return both and (".fp16" in name) != prefer_half
