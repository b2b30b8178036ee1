"""SSL certificates, SSL policies and Cloud Armor policies of the project: insert, list, get, delete.

A managed certificate is issued at once by the local cloud's own authority, which the owner of the domain is not asked
for. A private key goes in and never comes out.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from controlplane.localcloud.clock import Clock, new_uid, rfc3339
from controlplane.localcloud.gcp.compute.catalogue import number
from controlplane.localcloud.gcp.compute.lists import ROOT, ListQuery, named, plain
from controlplane.localcloud.gcp.compute.operations import Operations
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.loadbalancer import guards
from controlplane.localcloud.loadbalancer.edge import (
    CERTIFICATES,
    KINDS,
    SECURITY_POLICIES,
    SSL_POLICIES,
    EdgeStore,
)

Document: TypeAlias = dict[str, Any]
# Issues a certificate for names: its chain and its key, as PEM.
Issuer: TypeAlias = Callable[[Sequence[str]], tuple[str, bytes]]

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_SINGULAR = {CERTIFICATES: "sslCertificate", SSL_POLICIES: "sslPolicy", SECURITY_POLICIES: "securityPolicy"}
_LISTS = {CERTIFICATES: "sslCertificateList", SSL_POLICIES: "sslPoliciesList", SECURITY_POLICIES: "securityPolicyList"}


class Edge:
    """The edge resources as the compute API takes and shows them."""

    def __init__(self, project: Project, clock: Clock, operations: Operations, store: EdgeStore, issue: Issuer) -> None:
        self._project, self._clock, self._operations = project, clock, operations
        self._store, self._issue = store, issue

    def answer(
        self, verb: str, parts: Sequence[str], path: str, query: Mapping[str, str], body: Mapping[str, Any]
    ) -> Document:
        """Answer a call below global/KIND."""
        kind, *rest = parts
        match (verb, *rest):
            case ("GET",):
                return plain(_LISTS[kind], path, list(self._store.all(kind)), ListQuery.of(query))
            case ("GET", str(name)):
                return named(list(self._store.all(kind)), name, path)
            case ("POST",):
                return self._insert(kind, body)
            case ("DELETE", str(name)):
                named(list(self._store.all(kind)), name, path)
                if self._store.in_use(kind, name):
                    what = f"The {_SINGULAR[kind]} resource '{path}' is already being used by the load balancer"
                    raise GoogleError("FAILED_PRECONDITION", what, "resourceInUseByAnotherResource")
                self._store.remove(kind, name)
                return self._operations.done("delete", "global", f"{kind}/{name}")
            case _:
                raise not_found("The requested URL was not found on this server.")

    def _insert(self, kind: str, body: Mapping[str, Any]) -> Document:
        name = str(body.get("name") or "")
        if not _NAME.fullmatch(name):
            raise invalid(f"Invalid value for field 'resource.name': '{name}'.")
        if any(each["name"] == name for each in self._store.all(kind)):
            path = f"projects/{self._project.name}/global/{kind}/{name}"
            raise GoogleError("ALREADY_EXISTS", f"The resource '{path}' already exists", "alreadyExists")
        document: Document = {
            "kind": f"compute#{_SINGULAR[kind]}",
            "id": number(new_uid()),
            "creationTimestamp": rfc3339(self._clock.now()),
            "name": name,
            "description": str(body.get("description") or ""),
            "selfLink": f"{ROOT}/projects/{self._project.name}/global/{kind}/{name}",
        }
        try:
            if kind == CERTIFICATES:
                self._certificate(document, body)
            elif kind == SSL_POLICIES:
                self._store.put(kind, {**document, **_tls(body)})
            else:
                rules = [guards.checked(rule) for rule in body.get("rules") or ()]
                self._store.put(kind, {**document, "type": "CLOUD_ARMOR", "rules": rules or [_ALLOW_ALL]})
        except ValueError as error:
            raise invalid(str(error)) from error
        return self._operations.done("insert", "global", f"{kind}/{name}")

    def _certificate(self, document: Document, body: Mapping[str, Any]) -> None:
        managed = body.get("managed") or {}
        if managed or body.get("type") == "MANAGED":
            domains = [str(domain) for domain in managed.get("domains") or ()]
            if not domains or not all(_DOMAIN.fullmatch(domain) for domain in domains):
                raise ValueError("Invalid value for field 'resource.managed.domains'")
            chain, key = self._issue(domains)
            status = {"status": "ACTIVE", "domainStatus": dict.fromkeys(domains, "ACTIVE")}
            told = {"type": "MANAGED", "managed": {"domains": domains, **status}}
        else:
            own = body.get("selfManaged") or body
            chain, key = str(own.get("certificate") or ""), str(own.get("privateKey") or "").encode()
            _check_pair(chain, key)
            told = {"type": "SELF_MANAGED", "selfManaged": {"certificate": chain}}
        self._store.put_certificate({**document, **told, "certificate": chain}, key)


def is_edge(kind: str) -> bool:
    """Say whether a collection below `global` is one of these."""
    return kind in KINDS


_ALLOW_ALL = {
    "kind": "compute#securityPolicyRule",
    "priority": 2147483647,
    "action": "allow",
    "match": {"versionedExpr": "SRC_IPS_V1", "config": {"srcIpRanges": ["*"]}},
}


def _tls(body: Mapping[str, Any]) -> Document:
    least, profile = str(body.get("minTlsVersion") or "TLS_1_0"), str(body.get("profile") or "COMPATIBLE")
    if least not in ("TLS_1_0", "TLS_1_1", "TLS_1_2", "TLS_1_3"):
        raise ValueError(f"Invalid value for field 'resource.minTlsVersion': '{least}'")
    return {"minTlsVersion": least, "profile": profile}


def _check_pair(chain: str, key: bytes) -> None:
    """Raise ValueError where a certificate and a key are none, or not of one another. Neither is told."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        public = x509.load_pem_x509_certificate(chain.encode()).public_key()
        fits = load_pem_private_key(key, password=None).public_key() == public
    except (ValueError, TypeError) as error:
        raise ValueError("The SSL certificate or key could not be parsed.") from error
    if not fits:
        raise ValueError("The SSL certificate and key do not match.")
