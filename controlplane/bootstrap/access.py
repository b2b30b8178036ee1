"""The parts that say who may do what: accounts, the custom role, bindings. Each account may do what it is for alone."""

from dataclasses import replace

from controlplane.bootstrap.names import BUILDER, GROWTH_ROLE, NAME, ROLE, Names, account_part, cluster_part
from controlplane.bootstrap.values import MARK, Binding, Call, Json, Part, Rest, gcloud
from regional_deploy.runner import role_definition

_FEATURES = ("feature multiclusteringress", "feature multiclusterservicediscovery")
_HUNTER = account_part(NAME)
GATEWAY_ROLES = ("roles/gkehub.gatewayEditor", "roles/gkehub.viewer")


def accounts(names: Names, apis: str) -> tuple[Part, ...]:
    """Give the account of the passes with its role, and that of the builds."""
    hunter = _account(names, NAME, "GPU Hunter", apis)
    builder = _account(names, BUILDER, "GPU Hunter: builds of images", apis)
    role = _role(names, ROLE, "google-cloud-role", apis)
    return (
        hunter,
        builder,
        role,
        project_binding(names, names.role, names.account, (hunter.name, role.name)),
        project_binding(names, "roles/logging.logWriter", names.builder, (builder.name,)),
        *(project_binding(names, each, names.account, (hunter.name,)) for each in _gateway_roles(names)),
        *_on_demand(names, apis),
    )


def agents(names: Names) -> tuple[Part, ...]:
    """Give what the controllers of multi-cluster Gateways need, and the Deployment that watches.

    As cloud.google.com/kubernetes-engine/docs/how-to/prepare-environment-multi-cluster-gateways asks. Agents and the
    workload identity pool exist once their feature or the first cluster does.
    """
    ingress = f"service-{names.number}@gcp-sa-multiclusteringress.iam.gserviceaccount.com"
    importer = f"serviceAccount:{names.pool}[gke-mcs/gke-mcs-importer]"
    return (
        replace(project_binding(names, "roles/container.admin", ingress, _FEATURES), follows=_FEATURES[0]),
        replace(project_binding(names, "roles/compute.networkViewer", importer, _FEATURES), follows=_FEATURES[1]),
        _workload_identity(names),
    )


def project_binding(names: Names, role: str, member: str, needs: tuple[str, ...]) -> Part:
    """Give the binding of a role in the project. member: an account's email, or with its kind before a colon."""
    full = member if member.startswith("serviceAccount:") else f"serviceAccount:{member}"
    return bound(
        f"{_short(role)} of {_short_member(full)}",
        Binding(
            "cloudresourcemanager",
            Call("POST", f"/v1/projects/{names.project}:getIamPolicy", {"options": {"requestedPolicyVersion": 3}}),
            Call("POST", f"/v1/projects/{names.project}:setIamPolicy"),
            role,
            full,
            f"project {names.project}",
        ),
        needs,
        command=("projects",),
        on=(names.project,),
        options=("--condition=None",),
        permissions="resourcemanager.projects",
    )


def bound(
    name: str,
    binding: Binding,
    needs: tuple[str, ...],
    *,
    command: tuple[str, ...],
    on: tuple[str, ...],
    options: tuple[str, ...] = (),
    permissions: str,
) -> Part:
    """Give the part of a binding.

    command: gcloud's group for what is bound on, which `on` names; options: what is said besides member and role.
    permissions: what those to read and write the policy begin with.
    """
    words = (*on, f"--member={binding.member}", f"--role={binding.role}", *options)
    return Part(
        name,
        binding,
        needs,
        (gcloud(*command, "add-iam-policy-binding", *words),),
        (gcloud(*command, "remove-iam-policy-binding", *words),),
        permissions=(f"{permissions}.getIamPolicy", f"{permissions}.setIamPolicy"),
    )


def _on_account(names: Names, name: str, email: str, needs: tuple[str, ...], *, role: str, member: str) -> Part:
    """Give the binding of a role on one service account alone."""
    path = f"/v1/projects/{names.project}/serviceAccounts/{email}"
    return bound(
        name,
        Binding(
            "iam",
            Call("POST", f"{path}:getIamPolicy"),
            Call("POST", f"{path}:setIamPolicy"),
            role,
            f"serviceAccount:{member}",
            account_part(email),
        ),
        needs,
        command=("iam", "service-accounts"),
        on=(email,),
        options=(f"--project={names.project}",),
        permissions="iam.serviceAccounts",
    )


def _short(role: str) -> str:
    return f"role {role.removeprefix('roles/').rpartition('/')[2]}"


def _short_member(member: str) -> str:
    return member.removeprefix("serviceAccount:").partition("@")[0]


def _gateway_roles(names: Names) -> tuple[str, ...]:
    """Through the Connect gateway, an account needs two roles more: https://cloud.google.com/kubernetes-engine/fleet-management/docs/gateway."""
    return GATEWAY_ROLES if names.fleet.endpoint.value == "connectGateway" else ()


def _account(names: Names, name: str, title: str, apis: str) -> Part:
    email, where = names.email(name), f"--project={names.project}"
    path = f"/v1/projects/{names.project}/serviceAccounts"
    fields = {"displayName": title, "description": MARK}
    return Part(
        account_part(name),
        Rest(
            "iam",
            f"{path}/{email}",
            Call("POST", path, {"accountId": name, "serviceAccount": fields}),
            {},
            ("description", MARK),
        ),
        (apis,),
        (gcloud("iam", "service-accounts", "create", name, f"--display-name={title}", f"--description={MARK}", where),),
        (gcloud("iam", "service-accounts", "delete", email, where, "--quiet"),),
        permissions=("iam.serviceAccounts.create", "iam.serviceAccounts.delete", "iam.serviceAccounts.get"),
    )


def _on_demand(names: Names, apis: str) -> tuple[Part, ...]:
    """Give what passes need that make clusters: a role of its own, and the use of the account that nodes run as.

    That account is Compute Engine's own, as clusters name no other; the binding is on it alone, not on the project.
    """
    if names.fleet.on_demand is None:
        return ()
    role = _role(names, GROWTH_ROLE, "google-cloud-role-growth", apis)
    nodes = f"{names.number}-compute@developer.gserviceaccount.com"
    return (
        role,
        project_binding(names, f"projects/{names.project}/roles/{GROWTH_ROLE}", names.account, (_HUNTER, role.name)),
        _on_account(
            names,
            f"role iam.serviceAccountUser of {NAME}",
            nodes,
            (_HUNTER,),
            role="roles/iam.serviceAccountUser",
            member=names.account,
        ),
    )


def _role(names: Names, name: str, file: str, apis: str) -> Part:
    role: Json = role_definition(file)
    path, where = f"/v1/projects/{names.project}/roles", f"--project={names.project}"
    description = f"{role['description']} {MARK}"
    wanted = {"includedPermissions": role["includedPermissions"], "stage": role["stage"]}
    body = {"title": role["title"], "description": description, **wanted}
    return Part(
        f"role {name}",
        Rest(
            "iam",
            f"{path}/{name}",
            Call("POST", path, {"roleId": name, "role": body}),
            wanted,
            ("title", role["title"]),
            update=Call("PATCH", f"{path}/{name}?updateMask=title,description,includedPermissions,stage", body),
            undelete=Call("POST", f"{path}/{name}:undelete", {}),
        ),
        (apis,),
        (gcloud("iam", "roles", "create", name, where, f"--file=regional_deploy/rbac/{file}.yaml"),),
        (gcloud("iam", "roles", "delete", name, where, "--quiet"),),
        permissions=("iam.roles.create", "iam.roles.delete", "iam.roles.get", "iam.roles.undelete",
                     "iam.roles.update"),
    )  # fmt: skip


def _workload_identity(names: Names) -> Part:
    """Let the Deployment of `runner watch` act as the account of the passes."""
    return _on_account(
        names,
        f"workload identity of {NAME}",
        names.account,
        (_HUNTER, cluster_part(names.fleet.config)),
        role="roles/iam.workloadIdentityUser",
        member=f"{names.pool}[{NAME}/{NAME}]",
    )
