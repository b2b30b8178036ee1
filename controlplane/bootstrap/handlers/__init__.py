"""What does the looking, making and removing, by kind of part."""

from collections.abc import Mapping

from controlplane.bootstrap.handlers.clusters import Clusters, Registrations
from controlplane.bootstrap.handlers.images import Images
from controlplane.bootstrap.handlers.objects import ClusterObjects
from controlplane.bootstrap.handlers.policies import Bindings
from controlplane.bootstrap.handlers.resources import EnabledApis, Resources
from controlplane.bootstrap.handlers.wiring import Addresses, Features
from controlplane.bootstrap.ports import Gateways, Handler
from controlplane.bootstrap.values import (
    Address,
    Apis,
    Binding,
    Cluster,
    Feature,
    Image,
    Objects,
    Registration,
    Rest,
    Thing,
)


def handlers(gateways: Gateways) -> Mapping[type[Thing], Handler]:
    """Give the handler of every kind of part."""
    rest = gateways.administration
    return {
        Apis: EnabledApis(rest),
        Rest: Resources(rest),
        Binding: Bindings(rest),
        Cluster: Clusters(gateways.provisioning),
        Registration: Registrations(gateways.memberships, gateways.provisioning),
        Feature: Features(gateways.features),
        Address: Addresses(gateways.addresses),
        Objects: ClusterObjects(gateways.connect),
        Image: Images(rest, gateways.source),
    }
