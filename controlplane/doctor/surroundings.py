"""Checks of this machine and what lies between: the clock, names, proxies."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path

from controlplane.doctor.finding import Asker, Finding, State, command, well
from controlplane.gateways.sanitise import sanitise
from controlplane.model.service import IngressKind, ServiceSpec

Resolve = Callable[[str], Iterable[str]]
"""Gives the addresses of a host name. Raises OSError for one that has none."""
TOLERATED, REFUSED = timedelta(seconds=5), timedelta(seconds=60)
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_BUNDLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE")
_METADATA = ("metadata.google.internal", "169.254.169.254")


def clock(offsets: Mapping[str, timedelta]) -> list[Finding]:
    """Compare this machine's clock with what time the servers' answers say it is."""
    mend = "sudo timedatectl set-ntp true && timedatectl status"
    if not offsets:
        breaks = "a clock that is off goes unnoticed"
        return [Finding("clock", "this machine", State.WARN, "no server told its time", breaks, mend)]
    found = []
    for server, ahead in sorted(offsets.items()):
        off = abs(ahead)
        if off <= TOLERATED:
            continue
        what = f"{server} is {off.total_seconds():.0f} s {'ahead' if ahead > timedelta(0) else 'behind'}"
        breaks = "the lease may pass on early, and beyond five minutes Google refuses signed tokens"
        found.append(Finding("clock", server, State.FAIL if off > REFUSED else State.WARN, what, breaks, mend))
    return found or [
        well("clock", "this machine", f"within {TOLERATED.total_seconds():.0f} s of {len(offsets)} servers")
    ]


def names(services: Iterable[ServiceSpec], live: Mapping[str, str], asker: Asker, resolve: Resolve) -> list[Finding]:
    """Look at whether each service's host name leads to its address. `live`: addresses that statuses tell."""
    found = []
    for service in services:
        host = service.ingress.host
        if host is None:
            continue
        # A Gateway is given the name of its address, so the status alone tells that.
        own = service.ingress.kind is IngressKind.MULTI_CLUSTER_INGRESS and service.ingress.static_address
        address = own or live.get(service.key, "")
        breaks = f"nobody reaches the service as {host}"
        record = (f"{host}.", "--zone=ZONE", "--type=A", "--ttl=300", f"--rrdatas={address or 'ADDRESS'}")
        place = f"--project={asker.project}"
        try:
            has = sorted(set(resolve(host)))
        except OSError as error:
            mend = command("gcloud", "dns", "record-sets", "create", *record, place)
            what = f"{host} has no address: {sanitise(error, 80)}"
            found.append(Finding("dns", service.key, State.FAIL, what, breaks, mend))
            continue
        if not address:
            what = f"{host} leads to {', '.join(has)}; the service has no address yet"
            mend = asker.gpuhunter("status")
            found.append(Finding("dns", service.key, State.WARN, what, "whether that is right cannot be told", mend))
        elif address not in has:
            mend = command("gcloud", "dns", "record-sets", "update", *record, place)
            what = f"{host} leads to {', '.join(has)}, not to {address}"
            found.append(Finding("dns", service.key, State.FAIL, what, breaks, mend))
        else:
            found.append(well("dns", service.key, f"{host} leads to {address}"))
    return found


def egress(environ: Mapping[str, str]) -> list[Finding]:
    """Look at the variables that turn calls elsewhere, or change whom they trust."""
    given = {name: value for name, value in environ.items() if value}
    found = []
    for name in _BUNDLES:
        if name in given and not Path(given[name]).is_file():
            what = f"names {sanitise(given[name], 120)}, which is no file"
            found.append(
                Finding("egress", name, State.FAIL, what, "no server's certificate is trusted", f"unset {name}")
            )
    proxies = {name: value for name in _PROXIES for key, value in given.items() if key.upper() == name}
    if proxies:
        past = [word.strip() for word in (given.get("NO_PROXY") or given.get("no_proxy") or "").split(",")]
        told = ", ".join(f"{name}={sanitise(value, 120)}" for name, value in proxies.items())
        if "*" not in past and not all(host in past for host in _METADATA):
            mend = f"export NO_PROXY={','.join([*filter(None, past), *_METADATA])}"
            breaks = "on Google Cloud, tokens come from the metadata server, which no proxy reaches"
            found.append(Finding("egress", "NO_PROXY", State.WARN, f"calls go through {told}", breaks, mend))
        else:
            found.append(well("egress", "proxy", f"calls go through {told}"))
    return found or [well("egress", "this machine", "calls go out directly")]
