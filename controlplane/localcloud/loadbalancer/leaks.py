"""Network endpoint groups that nobody owns any more.

A cluster's groups are taken away by the controller that made them, when no service names the cluster any longer. If the
cluster is deleted, or taken out of the fleet, before that, nobody is left to do it: as on Google Cloud the groups stay,
and cost quota, until somebody deletes them by hand.
"""

from collections.abc import Iterable
from dataclasses import replace

from controlplane.localcloud.loadbalancer import cloud_resources
from controlplane.localcloud.loadbalancer.resources import GroupHealth
from controlplane.localcloud.loadbalancer.state import State


def note(state: State, present: Iterable[str]) -> None:
    """Write down the groups of clusters that are gone while they are still wired; one that is back owns its groups."""
    here = set(present)
    for service in cloud_resources.backend_services(state.wanted, state.members, {}):
        for group in service.groups:
            if group.cluster in here:
                state.leaked.pop((group.zone, group.name), None)
            else:
                state.leaked[group.zone, group.name] = replace(group, endpoints=())


def left(state: State) -> list[GroupHealth]:
    """Give them, by zone and name."""
    return [state.leaked[key] for key in sorted(state.leaked)]
