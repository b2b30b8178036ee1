"""Checks of the Fleet: what keeps a cluster out of it or from being called, with the command that brings it in."""

from controlplane.doctor.finding import Asker, Finding, State, command, well
from controlplane.gateways.fleet import IGNORE, LABEL, NO_AUTOPILOT
from controlplane.model.fleet import ClusterStanding, EndpointChoice, FleetSpec

_OPENS = {
    EndpointChoice.AUTO: "--enable-dns-access",
    EndpointChoice.DNS: "--enable-dns-access",
    EndpointChoice.IP: "--enable-ip-access",
    EndpointChoice.CONNECT_GATEWAY: "--enable-fleet",
}
"""What makes a cluster callable by the endpoint that the Fleet chooses."""
_CALLABLE = ("RUNNING", "RECONCILING")


def outside(each: ClusterStanding, wanted: FleetSpec, asker: Asker) -> Finding:
    """Tell of a cluster in which nothing is placed, and why; one that is kept out on purpose is as it should be."""
    what = each.why if each.belongs else f"does not belong: {each.why}"
    if not each.belongs and not each.leaving and each.labels.get(LABEL) == IGNORE:
        return well("fleet", each.ref.link, what)
    breaks = "nothing is placed there" + ("; what stands there is moved away" if each.leaving else "")
    return Finding("fleet", each.ref.link, State.WARN, what, breaks, _remedy(each, wanted, asker))


def nothing_selected(standings: tuple[ClusterStanding, ...], wanted: FleetSpec, asker: Asker) -> Finding | None:
    """Tell that the labels of the Fleet select no cluster although there are some; None when that is not why."""
    lacking = [each for each in standings if _lacks(each, wanted)]
    if not lacking or any(each.belongs for each in standings):
        return None
    labels = ", ".join(f"{key}={value}" for key, value in sorted(wanted.labels.items()))
    what = f"members.labels select nothing: no cluster carries {labels}, of {len(standings)} that there are"
    breaks = "there is no cluster in which GPUs could be asked for"
    return Finding("fleet", "default", State.FAIL, what, breaks, _remedy(lacking[0], wanted, asker))


def _lacks(each: ClusterStanding, wanted: FleetSpec) -> bool:
    carried = all(each.labels.get(key) == value for key, value in wanted.labels.items())
    return not carried and each.why != NO_AUTOPILOT


def _remedy(each: ClusterStanding, wanted: FleetSpec, asker: Asker) -> str:
    """Give what takes away the first thing that keeps a cluster out; where a person must look, how to look."""
    place = f"--location={each.ref.location}", f"--project={asker.project}"
    update = ("gcloud", "container", "clusters", "update", each.ref.name, *place)
    if not each.belongs and _lacks(each, wanted):
        labels = ",".join(f"{key}={value}" for key, value in sorted(wanted.labels.items()))
        return command(*update, f"--update-labels={labels}")
    if not each.belongs and not each.membership and each.why != NO_AUTOPILOT:
        return command(*update, "--enable-fleet")
    if each.belongs and not each.endpoint and each.state in _CALLABLE:
        return command(*update, _OPENS[wanted.endpoint])
    return command("gcloud", "container", "clusters", "describe", each.ref.name, *place)
