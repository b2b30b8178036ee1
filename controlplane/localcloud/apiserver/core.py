"""One cluster's API without any face: the parts put together, and the objects that every cluster has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from controlplane.localcloud.apiserver.accounts import AccountTokens
from controlplane.localcloud.apiserver.admission import Admission
from controlplane.localcloud.apiserver.authorization import Authorizer
from controlplane.localcloud.apiserver.bootstrap import bootstrap_objects
from controlplane.localcloud.apiserver.customresources import CustomResources
from controlplane.localcloud.apiserver.deletion import Deletion
from controlplane.localcloud.apiserver.expiry import EventExpiry
from controlplane.localcloud.apiserver.journal import Journal
from controlplane.localcloud.apiserver.options import WriteOptions
from controlplane.localcloud.apiserver.registry import Registry
from controlplane.localcloud.apiserver.store import Store
from controlplane.localcloud.apiserver.subresources import Subresources
from controlplane.localcloud.apiserver.writes import Writes
from controlplane.localcloud.clock import Clock

# Gives the user name of a bearer token, or None.
Authenticate = Callable[[str], str | None]
# Says whether a user administers every cluster of the project, so that RBAC is not asked.
Administers = Callable[[str], bool]


class Core:
    """Store, types, writes, deletions, subresources and access of one cluster."""

    def __init__(
        self,
        cluster: str,
        clock: Clock,
        database: Path | None,
        authenticate: Authenticate,
        administers: Administers = lambda _: True,
    ) -> None:
        self.clock = clock
        self.journal = Journal(database)
        self.store = Store(self.journal)
        self.registry = Registry()
        self.admission = Admission(self.store)
        self.writes = Writes(self.store, self.registry, self.admission, clock)
        self.deletion = Deletion(self.store, self.writes, self.admission, clock)
        self.accounts = AccountTokens(cluster, clock, self.journal.key(), self._account_uid)
        self.subresources = Subresources(self.store, self.writes, self.deletion, self.accounts, clock)
        self.custom_resources = CustomResources(self.store, self.registry, self.writes, self.deletion, clock)
        self.admission.add(self.custom_resources.admit, validating=False)
        self.writes.observers.append(EventExpiry(self.store, clock).observe)
        self.authorizer = Authorizer(self.store, administers)
        self._authenticate = authenticate
        self._bootstrap()

    def authenticate(self, token: str) -> str | None:
        """Give the user of a token: one that the cloud knows, or a ServiceAccount of this cluster."""
        return self._authenticate(token) or self.accounts.user(token)

    def _account_uid(self, namespace: str, name: str) -> str | None:
        record = self.store.find("serviceaccounts", (namespace, name))
        return str(record.object["metadata"]["uid"]) if record is not None else None

    def _bootstrap(self) -> None:
        options = WriteOptions(user="system:apiserver", manager="kube-apiserver", keeps_status=True)
        for resource, namespace, body in bootstrap_objects():
            info = self.registry.by_resource(resource)
            name: Any = body["metadata"]["name"]
            if self.store.find(resource, (namespace, name)) is None:
                self.writes.create(info, namespace, body, options)
        self.journal.flush()
