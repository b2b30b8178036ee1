"""Tokens of ServiceAccounts: signed by this server, bound to the account, with an end.

They are JWTs with an HMAC, because nobody but this server checks them. The key is part of the cluster's state: a token
outlives a restart, but neither its end nor its account.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import FieldError
from controlplane.localcloud.apiserver.schema.errors import invalid_error
from controlplane.localcloud.clock import Clock, rfc3339

_DEFAULT_SECONDS = 3600
_LEAST_SECONDS = 600
PREFIX = "system:serviceaccount:"


class AccountTokens:
    """Issues and checks them."""

    def __init__(self, cluster: str, clock: Clock, key: bytes, uid_of: Callable[[str, str], str | None]) -> None:
        self._issuer = f"https://kubernetes.default.svc/{cluster}"
        self._clock = clock
        self._key = key
        self._uid_of = uid_of  # (namespace, name) -> the uid of the account that exists now

    def request(self, namespace: str, name: str, body: Object) -> Object:
        """Answer a TokenRequest."""
        spec: dict[str, Any] = body.get("spec") or {}
        seconds = int(spec.get("expirationSeconds") or _DEFAULT_SECONDS)
        if seconds < _LEAST_SECONDS:
            text = "may not specify a duration less than 10 minutes"
            error = FieldError("FieldValueInvalid", "spec.expirationSeconds", seconds, text)
            raise invalid_error("authentication.k8s.io", "TokenRequest", "", [error])
        audiences = spec.get("audiences") or [self._issuer]
        end = self._clock.now() + timedelta(seconds=seconds)
        claims = {
            "iss": self._issuer,
            "aud": audiences,
            "sub": f"{PREFIX}{namespace}:{name}",
            "exp": int(end.timestamp()),
            "iat": int(self._clock.now().timestamp()),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": name, "uid": self._uid_of(namespace, name)},
            },
        }
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": rfc3339(self._clock.now())},
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": {"token": self._sign(claims), "expirationTimestamp": rfc3339(end)},
        }

    def user(self, token: str) -> str | None:
        """Give the account's user name, None for a token that is not ours or has ended."""
        head, _, signature = token.rpartition(".")
        if head.count(".") != 1 or not hmac.compare_digest(self._signature(head), signature):
            return None
        claims = orjson.loads(_decode(head.partition(".")[2]))
        if claims["exp"] <= self._clock.now().timestamp():
            return None
        bound = claims["kubernetes.io"]
        if bound["serviceaccount"]["uid"] != self._uid_of(bound["namespace"], bound["serviceaccount"]["name"]):
            return None
        return str(claims["sub"])

    def _sign(self, claims: dict[str, Any]) -> str:
        head = f"{_encode(orjson.dumps({'alg': 'HS256', 'typ': 'JWT'}))}.{_encode(orjson.dumps(claims))}"
        return f"{head}.{self._signature(head)}"

    def _signature(self, head: str) -> str:
        return _encode(hmac.new(self._key, head.encode(), hashlib.sha256).digest())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
