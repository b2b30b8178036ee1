"""What stands at the edge of the project, in files: SSL certificates and policies, and Cloud Armor's policies.

The compute API makes and shows these resources, the load balancer looks them up by name when it programs an address.
A private key is in a file of its own that only its owner may read, and in no document.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]
CERTIFICATES, SSL_POLICIES, SECURITY_POLICIES = "sslCertificates", "sslPolicies", "securityPolicies"
KINDS = (CERTIFICATES, SSL_POLICIES, SECURITY_POLICIES)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where a certificate's chain and key lie."""

    chain: Path
    key: Path


class EdgeStore:
    """The project's edge resources, one JSON file each."""

    def __init__(self, folder: Path, project: str) -> None:
        self._folder, self._project = folder, project
        self._documents: dict[str, dict[str, Document]] = {kind: {} for kind in KINDS}
        self._changed: list[Callable[[], None]] = []
        self.in_use: Callable[[str, str], bool] = lambda _kind, _name: False
        for kind in KINDS:
            for file in sorted((folder / kind).glob("*.json")):
                self._documents[kind][file.stem] = json.loads(file.read_text("utf-8"))

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Have this called after every change."""
        self._changed.append(changed)

    def all(self, kind: str) -> Sequence[Document]:
        """Give the documents of a kind."""
        return list(self._documents[kind].values())

    def put(self, kind: str, document: Document) -> None:
        """Keep a resource."""
        folder = self._folder / kind
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(folder / f"{document['name']}.json", json.dumps(document).encode())
        self._documents[kind][document["name"]] = document
        self._tell()

    def put_certificate(self, document: Document, key: bytes) -> None:
        """Keep a certificate with its key."""
        folder = self._folder / CERTIFICATES
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = self._files(document)
        files.chain.write_text(document["certificate"], "utf-8")
        _write(files.key, key)
        self.put(CERTIFICATES, document)

    def remove(self, kind: str, name: str) -> None:
        """Forget a resource."""
        document = self._documents[kind].pop(name)
        (self._folder / kind / f"{name}.json").unlink(missing_ok=True)
        if kind == CERTIFICATES:
            files = self._files(document)
            files.chain.unlink(missing_ok=True)
            files.key.unlink(missing_ok=True)
        self._tell()

    def get(self, kind: str, name: str) -> Document:
        """Give a document. Raises ValueError, in Google's words, where there is no such resource."""
        found = self._documents[kind].get(name)
        if found is None:
            path = f"projects/{self._project}/global/{kind}/{name}"
            raise ValueError(f"googleapi: Error 404: The resource '{path}' was not found, notFound")
        return found

    def certificate(self, name: str) -> Certificate:
        """Give a certificate's files. Raises ValueError as `get` does."""
        return self._files(self.get(CERTIFICATES, name))

    def _files(self, document: Mapping[str, Any]) -> Certificate:
        """Give files of a name that changes with the certificate, so that Envoy reads a new one."""
        stem = f"{document['name']}-{hashlib.sha256(document['certificate'].encode()).hexdigest()[:8]}"
        folder = self._folder / CERTIFICATES
        return Certificate(folder / f"{stem}.crt", folder / f"{stem}.key")

    def _tell(self) -> None:
        for changed in self._changed:
            changed()


def _write(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, and never half of it."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    temporary.replace(path)
