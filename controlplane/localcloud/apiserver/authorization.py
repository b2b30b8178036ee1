"""Who may do what: Roles and their bindings, evaluated for everyone who is not an administrator of the whole project.

A Google identity that holds the project's container role is an administrator by IAM, so those users pass; who is one
`administers` says. Users that `restrict` names, ServiceAccounts and impersonated users have what RBAC gives them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from controlplane.localcloud.apiserver.accounts import PREFIX
from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.apiserver.errors import forbidden
from controlplane.localcloud.apiserver.store import Store

_RBAC = "rbac.authorization.k8s.io"
MASTERS, AUTHENTICATED = "system:masters", "system:authenticated"


@dataclass(frozen=True, slots=True)
class User:
    """Someone who was authenticated."""

    name: str
    groups: tuple[str, ...] = (AUTHENTICATED,)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What someone wants to do: to a resource, or to a path of no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        """Name the resource with its subresource."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Authorizer:
    """Evaluates RBAC on the stored objects."""

    def __init__(self, store: Store, administers: Callable[[str], bool] = lambda _: True) -> None:
        self._store = store
        self._administers = administers
        self._restricted: set[str] = set()

    def restrict(self, user: str) -> None:
        """Have this user's rights come from RBAC alone."""
        self._restricted.add(user)

    def unrestrict(self, user: str) -> None:
        """Make this user an administrator again."""
        self._restricted.discard(user)

    def user(self, name: str) -> User:
        """Give a user with the groups that go with the name."""
        if name.startswith(PREFIX):
            namespace = name[len(PREFIX) :].partition(":")[0]
            return User(name, ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED))
        master = name not in self._restricted and self._administers(name)
        return User(name, (MASTERS, AUTHENTICATED) if master else (AUTHENTICATED,))

    def check(self, user: User, wanted: Attributes) -> None:
        """Raise 403 where it is not allowed."""
        if self.allowed(user, wanted):
            return
        if wanted.path:
            text = f'forbidden: User "{user.name}" cannot {wanted.verb} path "{wanted.path}"'
            raise ApiError(403, "Forbidden", text, details={})
        where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
        resource = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
        why = (
            f'User "{user.name}" cannot {wanted.verb} resource "{wanted.full_resource}" in API group '
            f'"{wanted.group}" {where}'
        )
        raise forbidden(resource, wanted.name, why)

    def allowed(self, user: User, wanted: Attributes) -> bool:
        """Say whether some rule allows it."""
        if MASTERS in user.groups:
            return True
        return any(_rule_allows(rule, wanted) for rule in self.rules(user, wanted.namespace))

    def rules(self, user: User, namespace: str) -> Iterator[Object]:
        """Give every rule that holds for a user in a namespace."""
        for binding in self._store.objects(f"clusterrolebindings.{_RBAC}"):
            if _binds(binding.object, user, ""):
                yield from self._role_rules(binding.object["roleRef"], "")
        if not namespace:
            return
        for binding in self._store.objects(f"rolebindings.{_RBAC}", namespace):
            if _binds(binding.object, user, namespace):
                yield from self._role_rules(binding.object["roleRef"], namespace)

    def _role_rules(self, reference: dict[str, Any], namespace: str) -> Iterator[Object]:
        if reference["kind"] == "ClusterRole":
            record = self._store.find(f"clusterroles.{_RBAC}", ("", reference["name"]))
        else:
            record = self._store.find(f"roles.{_RBAC}", (namespace, reference["name"]))
        if record is not None:
            yield from record.object.get("rules") or ()


def _binds(binding: Object, user: User, namespace: str) -> bool:
    for subject in binding.get("subjects") or ():
        kind, name = subject["kind"], subject["name"]
        if kind == "User" and name in (user.name, "*"):
            return True
        if kind == "Group" and name in user.groups:
            return True
        if kind == "ServiceAccount" and user.name == f"{PREFIX}{subject.get('namespace') or namespace}:{name}":
            return True
    return False


def _rule_allows(rule: Object, wanted: Attributes) -> bool:
    verbs = rule.get("verbs") or ()
    if wanted.verb not in verbs and "*" not in verbs:
        return False
    if wanted.path:
        return any(
            pattern in ("*", wanted.path) or (pattern.endswith("*") and wanted.path.startswith(pattern[:-1]))
            for pattern in rule.get("nonResourceURLs") or ()
        )
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    if wanted.group not in groups and "*" not in groups:
        return False
    names = (wanted.full_resource, "*", f"*/{wanted.subresource}" if wanted.subresource else "*")
    if not any(name in resources for name in names):
        return False
    allowed_names = rule.get("resourceNames")
    return not allowed_names or wanted.name in allowed_names
