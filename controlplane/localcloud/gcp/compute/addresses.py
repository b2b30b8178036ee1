"""Reserved addresses, global and of regions: insert, list, get, delete, label."""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from controlplane.localcloud.clock import Clock, new_uid, rfc3339
from controlplane.localcloud.gcp.compute.catalogue import number
from controlplane.localcloud.gcp.compute.lists import ROOT, named
from controlplane.localcloud.gcp.compute.operations import Operations
from controlplane.localcloud.gcp.errors import GoogleError, invalid
from controlplane.localcloud.gcp.project import Project

Document: TypeAlias = dict[str, Any]

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
# Addresses for documentation (RFC 5737): nobody routes them, and here nothing needs to.
_BLOCK = "203.0.113."


class Addresses:
    """The project's reserved addresses of one scope: `global`, or `regions/REGION`."""

    def __init__(
        self, project: Project, clock: Clock, operations: Operations, scope: str = "global", block: str = _BLOCK
    ) -> None:
        self._project = project
        self._clock = clock
        self._operations = operations
        self._scope, self._block = scope, block
        self._base = f"{ROOT}/projects/{project.name}/{scope}"
        self._addresses: dict[str, Document] = {}

    def documents(self) -> list[Document]:
        """Describe all."""
        return list(self._addresses.values())

    def get(self, name: str) -> Document:
        """Describe one."""
        return named(self.documents(), name, f"projects/{self._project.name}/{self._scope}/addresses/{name}")

    def insert(self, body: Mapping[str, Any]) -> Document:
        """Reserve one."""
        name = str(body.get("name") or "")
        path = f"projects/{self._project.name}/{self._scope}/addresses/{name}"
        if not _NAME.fullmatch(name):
            raise invalid(f"Invalid value for field 'resource.name': '{name}'.")
        if name in self._addresses:
            raise GoogleError("ALREADY_EXISTS", f"The resource '{path}' already exists", "alreadyExists")
        used = {each["address"] for each in self._addresses.values()}
        address = next((f"{self._block}{n}" for n in range(1, 255) if f"{self._block}{n}" not in used), None)
        if address is None:
            raise GoogleError(
                "PERMISSION_DENIED", "Quota 'STATIC_ADDRESSES' exceeded.  Limit: 254.0 globally.", "quotaExceeded"
            )
        self._addresses[name] = {
            "kind": "compute#address",
            "id": number(new_uid()),
            "creationTimestamp": rfc3339(self._clock.now()),
            "name": name,
            "description": body.get("description") or "",
            "address": address,
            "addressType": "EXTERNAL",
            "ipVersion": "IPV4",
            "networkTier": "PREMIUM",
            "status": "RESERVED",
            "selfLink": f"{self._base}/addresses/{name}",
        }
        if self._scope != "global":
            self._addresses[name]["region"] = self._base
        self._label(name, body.get("labels") or {})
        return self._operations.done("insert", self._scope, f"addresses/{name}")

    def delete(self, name: str) -> Document:
        """Give one up."""
        self.get(name)
        del self._addresses[name]
        return self._operations.done("delete", self._scope, f"addresses/{name}")

    def set_labels(self, name: str, body: Mapping[str, Any]) -> Document:
        """Replace the labels of one, if they are still those that were read."""
        if body.get("labelFingerprint") != self.get(name)["labelFingerprint"]:
            raise GoogleError(
                "FAILED_PRECONDITION",
                "Labels fingerprint either invalid or resource labels have changed",
                "conditionNotMet",
            )
        self._label(name, body.get("labels") or {})
        return self._operations.done("setLabels", self._scope, f"addresses/{name}")

    def to_state(self) -> list[Document]:
        """Give what must outlive the daemon."""
        return self.documents()

    def from_state(self, state: list[Document]) -> None:
        """Take up what an earlier daemon left of this scope."""
        here = f"{self._base}/addresses/"
        self._addresses = {each["name"]: each for each in state if each["selfLink"].startswith(here)}

    def _label(self, name: str, labels: Mapping[str, str]) -> None:
        text = repr(sorted(labels.items()))
        fingerprint = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()
        self._addresses[name].pop("labels", None)
        self._addresses[name] |= {"labelFingerprint": fingerprint} | ({"labels": dict(labels)} if labels else {})
