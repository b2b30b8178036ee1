"""`fleet`: the project's clusters, which of them belong and why not, how they are reached, what is not known."""

from collections.abc import Mapping
from typing import Any

import typer
from rich.text import Text

from controlplane.cli.connect import settings_of, target_of
from controlplane.cli.growth import show_regions
from controlplane.cli.logs import set_up_logs
from controlplane.cli.output import PHASE_STYLES, Output, OutputOption, console, emit, table

_SOURCES = {
    "config cluster": "the Fleet there",
    "file": "the Fleet file",
    "defaults": "the defaults, for there is no Fleet",
}


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(fleet)


def fleet(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show the project's clusters: which belong and why the others do not, state, endpoint, ingress. Writes nothing.

    It goes by the Fleet in the config cluster; without one by that of --fleet, without either by the defaults.
    """
    from controlplane.wiring import build

    settings = settings_of(context)
    set_up_logs(settings)
    found = build(target_of(settings)).fleet()
    data = fleet_data(found)
    emit(data, output, lambda: _show(data))


def fleet_data(found: Any) -> dict[str, Any]:
    """Give what was found as plain data."""
    spec, seen = found.spec, found.seen
    grown = spec.on_demand
    return {
        "project": spec.project,
        "configCluster": spec.config.link,
        "source": found.source,
        "labels": dict(spec.labels),
        "endpoint": spec.endpoint.value,
        "clustersOnDemand": None if grown is None else {"regions": list(grown.regions), "max": grown.max_clusters},
        "clusters": [cluster_row(each) for each in seen.standings] if seen else [],
        "unlisted": list(seen.unlisted) if seen else [],
        "memberships": _fact(seen.memberships, lambda told: f"{told} known") if seen else "",
        "ingressFeature": _fact(seen.feature, _feature) if seen else "",
        "warnings": list(found.warnings),
    }


def cluster_row(each: Any) -> dict[str, Any]:
    """Give a cluster as plain data."""
    return {
        "cluster": each.ref.link,
        "region": each.ref.region,
        "belongs": each.belongs,
        "leaving": each.leaving,
        "state": each.state,
        "version": each.version,
        "endpoint": each.endpoint,
        "membership": each.membership,
        "ingress": each.ingress,
        "why": each.why,
    }


def left_out(seen: Any) -> list[dict[str, str]]:
    """Give the clusters in which nothing can be placed, and why; none where that is not known."""
    standings = getattr(getattr(seen, "value", None), "standings", ())
    return [{"cluster": each.ref.link, "why": each.why} for each in standings if not each.usable]


def show_stored(status: Mapping[str, Any]) -> None:
    """Show what the last pass wrote of the fleet: how many clusters belong, which are left out, what is amiss."""
    console.rule("[bold]fleet[/bold]", align="left")
    console.print(f"clusters [bold]{status.get('clusters', '-')}[/bold]   on demand {status.get('onDemand', '-')}")
    members = [each for each in status.get("members", ()) if each.get("reason")]
    rows = [[each.get("cluster"), each.get("reason")] for each in (*members, *status.get("others", ()))]
    if rows:
        table(("LEFT OUT", "WHY"), rows)
    show_regions(status.get("growth", ()))
    amiss = [each for each in status.get("conditions", ()) if each.get("status") != "True"]
    if amiss:
        cells = [[each["type"], _styled(each["status"]), each["reason"], each["message"]] for each in amiss]
        table(("CONDITION", "STATUS", "REASON", "MESSAGE"), cells)


def _show(data: dict[str, Any]) -> None:
    console.print(f"project {data['project']}, config cluster {data['configCluster']}, by {_SOURCES[data['source']]}")
    rows = [
        [_belongs(each), _cluster(each), each["state"], each["endpoint"], each["version"]] for each in data["clusters"]
    ]
    table(("BELONGS", "CLUSTER AND WHY NOT", "STATE", "ENDPOINT", "VERSION"), rows)
    if not rows:
        console.print("no cluster besides the config cluster")
    console.print(f"memberships: {data['memberships']}\ningress feature: {data['ingressFeature']}")
    if data["unlisted"]:
        console.print(
            f"[yellow]not told[/yellow]: {', '.join(data['unlisted'])}; clusters there are not taken to be gone"
        )
    for warning in data["warnings"]:
        console.print(f"[yellow]fleet[/yellow] {warning}", soft_wrap=True)


def _belongs(row: Mapping[str, Any]) -> Text:
    word = "leaving" if row["leaving"] else "yes" if row["belongs"] else "no"
    return Text(word, style={"yes": "green", "leaving": "magenta", "no": "dim"}[word])


def _cluster(row: Mapping[str, Any]) -> Text:
    """Give the cluster, and below it why it is not used, so that both are whole on 80 columns."""
    told = f"the ingress feature says {row['ingress']} of it" if row["ingress"] else ""
    shown = Text(row["cluster"])
    for line in (row["why"], told):
        shown.append(f"\n{line}" if line else "", style="dim")
    return shown


def _fact(fact: Any, show: Any) -> str:
    if hasattr(fact, "reason"):
        return f"not known ({fact.reason.value}{': ' if fact.message else ''}{fact.message})"
    return str(show(fact.value))


def _feature(feature: Any) -> str:
    if not feature.enabled:
        return "not enabled"
    ours = {True: "the config cluster's", False: "not the config cluster's", None: "whose is not known"}[feature.ours]
    amiss = f"; {feature.code}: {feature.says}" if feature.code else ""
    return f"enabled, config membership {feature.membership.rpartition('/')[2] or 'none'} ({ours}){amiss}"


def _styled(word: str) -> Text:
    return Text(word, style=PHASE_STYLES.get(word, ""))
