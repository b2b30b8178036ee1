"""The project that the endpoints serve: who it is, what it is called in resource names, and which places answer."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from controlplane.localcloud.gcp.callers import caller
from controlplane.localcloud.gcp.disturbances import partial_list
from controlplane.localcloud.gcp.errors import GoogleError, denied, error_info, invalid, unavailable
from controlplane.localcloud.scenario import Scenario, region_of
from controlplane.localcloud.stock.ledger import Stock

_NAME = re.compile(r"projects/([^/]+)/locations/([^/]+)(?:/[a-zA-Z]+/([^/]+))?")
# A permission begins with its API's name, but for this one.
_APIS = {"resourcemanager": "cloudresourcemanager"}
# An API that is off can be switched on, Service Usage itself included.
_ALWAYS = ("serviceusage.services.enable", "serviceusage.services.disable")


class Access(Protocol):
    """Who knows the policies."""

    def allows(self, account: str, permission: str, resource: str = "") -> bool:
        """Say whether an account has a permission on the project, or on one resource of it."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """A permission that an account needed, and whether it had it."""

    account: str
    permission: str
    granted: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A parsed resource name: `projects/P/locations/L`, with the id of the resource when there is one."""

    project: str
    location: str
    id: str = ""


class Project:
    """Checks requests against the one project that exists here."""

    def __init__(self, scenario: Scenario, stock: Stock) -> None:
        self.scenario = scenario
        self.stock = stock
        self.name = scenario.project
        self.number = scenario.project_number
        self.disabled: set[str] = set()
        self.denied: set[str] = set()
        self.access: Access | None = None
        # Every permission that a call needed, with how often.
        self.uses: Counter[Use] = Counter()

    def place(self, name: str, permission: str) -> Place:
        """Read a resource name; another project's is refused as Google refuses it, for want of a permission."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise invalid(f'"{name}" is not a resource name of the form projects/PROJECT/locations/LOCATION.')
        self.check(match[1], permission)
        return Place(match[1], match[2], match[3] or "")

    def check(self, project: str, permission: str, resource: str = "") -> None:
        """Refuse any project but ours, an API that is not enabled in it, and what the caller may not do.

        resource: the full name of what is asked about, where that has a policy of its own.
        """
        ours = project in (self.name, str(self.number))
        if ours and permission not in _ALWAYS:
            self.check_enabled(permission.partition(".")[0])
        if not ours or not self.allows(caller.get(), permission, resource):
            raise denied(permission, resource or f"projects/{project}")

    def allows(self, account: str, permission: str, resource: str = "") -> bool:
        """Say whether an account may do this, and note that it needed to."""
        known = self.access is None or self.access.allows(account, permission, resource)
        granted = known and permission not in self.denied
        self.uses[Use(account, permission, granted)] += 1
        return granted

    def check_enabled(self, service: str) -> None:
        """Refuse what belongs to an API that is not enabled."""
        api = f"{_APIS.get(service, service)}.googleapis.com"
        if api in self.disabled:
            consumer = f"projects/{self.number}"
            raise GoogleError(
                "PERMISSION_DENIED",
                f"{api} API has not been used in project {self.number} before or it is disabled. Enable it by visiting "
                f"https://console.developers.google.com/apis/api/{api}/overview?project={self.number} then retry.",
                "SERVICE_DISABLED",
                [error_info("SERVICE_DISABLED", "googleapis.com", service=api, consumer=consumer)],
            )

    def is_down(self, location: str) -> bool:
        """Say whether a location's region is gone."""
        return self.stock.is_down(region_of(location))

    def is_missing(self, location: str) -> bool:
        """Say whether a list leaves a location out: its region is gone, or a fault asks for a partial list."""
        scenario = self.scenario
        first = scenario.clusters[0].region if scenario.clusters else scenario.client_region
        hidden = partial_list.get() and region_of(location) == first
        return hidden or self.is_down(location)

    def check_up(self, location: str) -> None:
        """Answer for a region that is gone: its services do not answer."""
        if location != "-" and self.is_down(location):
            raise unavailable(f"The service is currently unavailable in location {location}.")

    def knows(self, location: str) -> bool:
        """Say whether a region or zone exists."""
        regions = self.scenario.regions
        return any(location == region.name or location in region.zones for region in regions)
