"""What the config cluster's objects refer to by name: Compute resources of the project, and Secrets.

A Secret is read for what the load balancer needs to refuse people in Google's name; its values go no further than the
snapshot needs, which is the client's id.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.localcloud.apiserver.api import Api
from controlplane.localcloud.loadbalancer.edge import CERTIFICATES, SECURITY_POLICIES, SSL_POLICIES, EdgeStore
from controlplane.localcloud.loadbalancer.wanted import Wanted


class LookUp:
    """Looks into the config cluster and the edge store."""

    def __init__(self, api: Api, edge: EdgeStore) -> None:
        self._api, self._edge = api, edge

    def get(self, kind: str, name: str) -> Mapping[str, Any]:
        """Give a Compute resource. Raises ValueError."""
        return self._edge.get(kind, name)

    def secret(self, namespace: str, name: str, keys: tuple[str, ...]) -> Mapping[str, str]:
        """Give these values of a Secret. Raises ValueError that tells its name and keys, and no value."""
        found = self._api.find("secrets", name, namespace) if name else None
        if found is None:
            raise ValueError(f'secret "{namespace}/{name}" not found')
        data = found.get("data") or {}
        missing = [key for key in keys if not data.get(key)]
        if missing:
            raise ValueError(f'secret "{namespace}/{name}" has no key {missing[0]}')
        try:
            return {key: base64.b64decode(data[key], validate=True).decode() for key in keys}
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError(f'secret "{namespace}/{name}" is not text') from error


def is_named(snapshots: Sequence[Wanted], kind: str, name: str) -> bool:
    """Say whether anything in these snapshots names a Compute resource."""
    frontends = [each.frontend for wanted in snapshots for each in wanted.ingresses if each.frontend]
    backends = [each for wanted in snapshots for service in wanted.services for each in service.backends]
    used: Mapping[str, set[str]] = {
        CERTIFICATES: {certificate for each in frontends for certificate in each.certificates},
        SSL_POLICIES: {each.ssl_policy for each in frontends},
        SECURITY_POLICIES: {each.security_policy for each in backends},
    }
    return name in used[kind]
