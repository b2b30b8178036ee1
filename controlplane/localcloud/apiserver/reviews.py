"""Reviews: questions that are posted as objects and answered in their status, never stored."""

from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.authorization import Attributes, User
from controlplane.localcloud.apiserver.core import Core
from controlplane.localcloud.apiserver.errors import method_not_allowed
from controlplane.localcloud.apiserver.schema import TypeInfo, decode


def review(core: Core, info: TypeInfo, body: Object, user: User) -> Object:
    """Answer a review."""
    spec: dict[str, Any] = decode(info, body).get("spec") or {}
    if info.kind == "SelfSubjectReview":
        status: Any = {"userInfo": _user_info(user)}
    elif info.kind == "TokenReview":
        status = _token(core, spec)
    elif info.kind == "SelfSubjectAccessReview":
        status = _access(core, user, spec)
    elif info.kind in ("SubjectAccessReview", "LocalSubjectAccessReview"):
        subject = core.authorizer.user(spec.get("user") or "")
        groups = tuple(spec.get("groups") or ())
        known = subject.groups if subject.name.startswith("system:serviceaccount:") else ()
        status = _access(core, User(subject.name, (*groups, *known)), spec)
    elif info.kind == "SelfSubjectRulesReview":
        status = _rules(core, user, spec.get("namespace") or "")
    else:
        raise method_not_allowed()
    metadata = {"creationTimestamp": None, **(body.get("metadata") or {})}
    return {"kind": info.kind, "apiVersion": info.api_version, "metadata": metadata, "spec": spec, "status": status}


def _user_info(user: User) -> Object:
    return {"username": user.name, "groups": list(user.groups)}


def _token(core: Core, spec: dict[str, Any]) -> Object:
    name = core.authenticate(spec.get("token") or "")
    if name is None:
        return {"user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": _user_info(core.authorizer.user(name))}


def _access(core: Core, user: User, spec: dict[str, Any]) -> Object:
    resource = spec.get("resourceAttributes")
    if resource is not None:
        wanted = Attributes(
            verb=resource.get("verb", ""),
            group=resource.get("group", ""),
            resource=resource.get("resource", ""),
            subresource=resource.get("subresource", ""),
            namespace=resource.get("namespace", ""),
            name=resource.get("name", ""),
        )
    else:
        path = spec.get("nonResourceAttributes") or {}
        wanted = Attributes(verb=path.get("verb", ""), path=path.get("path", "/"))
    return {"allowed": core.authorizer.allowed(user, wanted)}


def _rules(core: Core, user: User, namespace: str) -> Object:
    resources, paths = [], []
    for rule in core.authorizer.rules(user, namespace):
        if rule.get("nonResourceURLs"):
            paths.append({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]})
        else:
            kept = ("verbs", "apiGroups", "resources", "resourceNames")
            resources.append({key: rule[key] for key in kept if rule.get(key)})
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
