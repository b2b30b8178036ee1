"""Checks of the project: credentials, APIs, permissions, the ingress feature, reserved addresses."""

from dataclasses import dataclass, replace

from controlplane.doctor.finding import LOGIN, Asker, Finding, State, command, missing_permission, well
from controlplane.gateways import errors
from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.inquiry import INGRESS, Inquiry, ReservedAddress
from controlplane.gateways.retrying import guarded
from controlplane.model.offering import ClusterRef
from controlplane.model.service import IngressKind, ServiceSpec
from regional_deploy.runner import permissions

NEEDED_APIS = {
    "container.googleapis.com": "no cluster is found",
    "compute.googleapis.com": "GPU types, quotas and the load balancer's health are unknown",
    "gkehub.googleapis.com": "no cluster can be a member of the fleet",
    "multiclusteringress.googleapis.com": "no global address is wired",
}
JOB_APIS = ("run.googleapis.com", "cloudscheduler.googleapis.com")
_USAGE, _MANAGER, _HUB = "serviceusage.googleapis.com", "cloudresourcemanager.googleapis.com", "gkehub.googleapis.com"


@dataclass(frozen=True, slots=True)
class Account:
    """The check of the credentials, and in whose name all else is asked."""

    findings: list[Finding]
    asker: Asker
    usable: bool


def credentials(access: GoogleAccess, nobody: Asker) -> Account:
    """Get a token, and look at whose it is. `nobody`: who asks as long as that is not known."""
    project = nobody.project
    nothing = "nothing can be asked of Google Cloud, and nothing of the clusters"
    try:
        guarded(access.token, write=False)
    except GatewayError as error:
        file = access.project.credentials_file
        account = f"--iam-account=gpu-hunter@{project}.iam.gserviceaccount.com"
        mend = (
            LOGIN
            if file is None
            else command("gcloud", "iam", "service-accounts", "keys", "create", str(file), account)
        )
        found = Finding("credentials", project, State.FAIL, error.message, nothing, mend)
        return Account([found], nobody, usable=False)
    identity = access.identity()
    asker = replace(nobody, email=identity.email)
    who = identity.email or "an account that does not tell its name"
    if identity.project not in ("", project):
        what = f"{who} belongs to project {identity.project}, and {project} is asked"
        breaks = f"if {project} did not grant it access, every call is refused"
        return Account([Finding("credentials", project, State.WARN, what, breaks, asker.grant())], asker, usable=True)
    if identity.quota_project not in ("", project):
        what = f"calls are billed to project {identity.quota_project}, not to {project}"
        mend = command("gcloud", "auth", "application-default", "set-quota-project", project)
        breaks = "its quota of API calls is used up, and its APIs must be enabled"
        return Account([Finding("credentials", project, State.WARN, what, breaks, mend)], asker, usable=True)
    return Account([well("credentials", project, f"{who} was given a token")], asker, usable=True)


def apis(inquiry: Inquiry, asker: Asker) -> list[Finding]:
    """Ask which APIs are enabled."""
    try:
        enabled = inquiry.enabled_apis()
    except GatewayError as error:
        breaks = "which APIs are enabled cannot be told; the calls themselves tell"
        return [asker.refused("apis", asker.project, error, api=_USAGE, breaks=breaks, optional=True)]
    found = [
        Finding("apis", api, State.FAIL, "is not enabled", breaks, _enable(asker, api))
        for api, breaks in NEEDED_APIS.items()
        if api not in enabled
    ]
    if absent := [api for api in JOB_APIS if api not in enabled]:
        breaks = "the reconciler cannot run as a scheduled Cloud Run job"
        what = "not enabled"
        found.append(Finding("apis", " ".join(absent), State.WARN, what, breaks, _enable(asker, *absent)))
    return found or [well("apis", asker.project, f"all {len(NEEDED_APIS) + len(JOB_APIS)} that are used are enabled")]


def _enable(asker: Asker, *names: str) -> str:
    return command("gcloud", "services", "enable", *names, f"--project={asker.project}")


def granted(inquiry: Inquiry, asker: Asker) -> list[Finding]:
    """Ask for every permission that the reconciler uses, by name."""
    wanted = permissions()
    try:
        has = inquiry.granted(wanted)
    except GatewayError as error:
        if missing_permission(error) or isinstance(error, errors.Gone):
            breaks = "the project cannot be seen at all: it does not exist, or nothing in it is granted"
            mend = command("gcloud", "projects", "describe", asker.project)
            return [Finding("permissions", asker.project, State.FAIL, error.message, breaks, mend)]
        breaks = "which permissions are granted cannot be told; the calls themselves tell"
        return [asker.refused("permissions", asker.project, error, api=_MANAGER, breaks=breaks, optional=True)]
    if missing := [name for name in wanted if name not in has]:
        breaks = "what needs them stays unknown, and no write rests on the unknown"
        what = f"missing: {', '.join(missing)}"
        return [Finding("permissions", asker.project, State.FAIL, what, breaks, asker.custom_role())]
    return [well("permissions", asker.project, f"all {len(wanted)} are granted")]


def feature(inquiry: Inquiry, asker: Asker, config: ClusterRef) -> list[Finding]:
    """Look at the fleet's ingress feature, and at whether the config cluster is its config membership."""
    breaks = "no global address is wired, whatever serves in the regions"
    try:
        found = inquiry.feature(INGRESS)
    except GatewayError as error:
        return [asker.refused("feature", "multiclusteringress", error, api=_HUB, breaks=breaks, optional=True)]
    membership = f"projects/{asker.project}/locations/{config.region}/memberships/{config.name}"
    change = f"--config-membership={membership}", f"--project={asker.project}"
    if found is None:
        mend = command("gcloud", "container", "fleet", "ingress", "enable", *change)
        return [Finding("feature", "multiclusteringress", State.FAIL, "is not enabled", breaks, mend)]
    mend = command("gcloud", "container", "fleet", "ingress", "update", *change)
    # An older membership is global, and its project may be given by number: the name at the end tells.
    if found.config_membership.rpartition("/")[2] != config.name:
        what = f"its config membership is {found.config_membership or 'none'}, not {config.name}"
        return [Finding("feature", "multiclusteringress", State.FAIL, what, breaks, mend)]
    if found.code not in ("", "OK"):
        state = State.WARN if found.code == "WARNING" else State.FAIL
        what = f"{found.code}: {found.description}"
        describe = command("gcloud", "container", "fleet", "ingress", "describe", f"--project={asker.project}")
        return [Finding("feature", "multiclusteringress", state, what, breaks, describe)]
    if bad := found.not_well:
        what = f"not OK for {', '.join(bad)}"
        describe = command("gcloud", "container", "fleet", "ingress", "describe", f"--project={asker.project}")
        return [
            Finding("feature", "multiclusteringress", State.WARN, what, "no traffic is led to these clusters", describe)
        ]
    return [well("feature", "multiclusteringress", f"enabled, with config membership {config.name}")]


def addresses(inquiry: Inquiry, asker: Asker, services: list[ServiceSpec]) -> list[Finding]:
    """Look at whether each service's address is reserved, and global."""
    found = [_no_address(asker, service) for service in services if _asked_for(service) is None]
    wanted = [(service, asked) for service in services if (asked := _asked_for(service)) is not None]
    if not wanted:
        return found
    try:
        listed = inquiry.addresses()
    except GatewayError as error:
        breaks = "whether the addresses are reserved cannot be told"
        refused = asker.refused(
            "address", asker.project, error, api="compute.googleapis.com", breaks=breaks, optional=True
        )
        return [*found, refused]
    return [*found, *(_reserved(asker, service, asked, listed) for service, asked in wanted)]


def _gateway(service: ServiceSpec) -> bool:
    return service.ingress.kind is IngressKind.MULTI_CLUSTER_GATEWAY


def _asked_for(service: ServiceSpec) -> str | None:
    """Give what the service's kind of ingress takes: the name of a reserved address, or the address itself."""
    ingress = service.ingress
    return ingress.static_address_name if _gateway(service) else ingress.static_address


def _reserve(asker: Asker, service: ServiceSpec) -> str:
    """Give the command that reserves an address, and what of it belongs into the service."""
    place = ("--global", f"--project={asker.project}")
    name = (_gateway(service) and service.ingress.static_address_name) or "gpu-hunter"
    create = command("gcloud", "compute", "addresses", "create", name, *place)
    if _gateway(service):
        return f"{create}  # for spec.ingress.staticAddressName: {name}"
    describe = command("gcloud", "compute", "addresses", "describe", name, *place, "--format=value(address)")
    return f"{create} && {describe}  # for spec.ingress.staticAddress"


def _no_address(asker: Asker, service: ServiceSpec) -> Finding:
    breaks = "the address changes when the ingress is made anew, and HTTPS needs a reserved one"
    what = "asks for no reserved address"
    return Finding("address", service.key, State.WARN, what, breaks, _reserve(asker, service))


def _reserved(asker: Asker, service: ServiceSpec, asked: str, listed: list[ReservedAddress]) -> Finding:
    there = [each for each in listed if asked == (each.name if _gateway(service) else each.address)]
    for each in there:
        if each.scope == "global":
            return well("address", service.key, f"{each.address} ({each.name}) is reserved and global")
    what = f"{asked} is not reserved in {asker.project}"
    if there:
        what = f"{there[0].address} ({there[0].name}) is reserved in {there[0].scope}; a global address is needed"
    breaks = "the load balancer does not take it, and nothing answers there"
    return Finding("address", service.key, State.FAIL, what, breaks, _reserve(asker, service))
