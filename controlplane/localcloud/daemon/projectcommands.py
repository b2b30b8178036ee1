"""Commands of the admin endpoint that concern the project: who needed which permission, who is whom, how builds end."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from controlplane.localcloud.control.errors import LocalCloudError
from controlplane.localcloud.daemon.admin import Command
from controlplane.localcloud.daemon.cloud import LocalCloud


class ProjectCommands:
    """The commands over one cloud's project."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud

    def table(self) -> dict[str, Command]:
        """Give the commands by name."""
        return {
            "build-fail": self.build_fail,
            "deny-permissions": self.deny_permissions,
            "executions": self.executions,
            "notify": self.notify,
            "notices": self.notices,
            "permissions": self.permissions,
            "token": self.token,
        }

    async def deny_permissions(self, permissions: Iterable[str] = ()) -> dict[str, Any]:
        """Deny permissions of the project's to everybody, and grant all others again."""
        denied = sorted(permissions)
        self._cloud.google().deny(denied)
        return {"denied": denied}

    async def permissions(self, account: str = "") -> dict[str, Any]:
        """List which permissions were needed by whom since the start, granted or not, and how often."""
        rows = [{**asdict(use), "calls": count} for use, count in sorted(self._cloud.google().uses.items())]
        return {"permissions": [row for row in rows if account in ("", row["account"])]}

    async def build_fail(self, why: str = "the build was told to fail") -> dict[str, Any]:
        """Have the next build of Cloud Build fail."""
        self._cloud.google().fail_build(why)
        return {"why": why}

    async def executions(self) -> dict[str, Any]:
        """List the executions of Cloud Run jobs, oldest first, with the files of their containers' output."""
        return {"executions": self._cloud.google().executions()}

    async def notify(self, url: str, bucket: str) -> dict[str, Any]:
        """Have an address called, as Eventarc does, for every object that comes into a bucket from now on."""
        self._cloud.google().notify(url, bucket)
        return await self.notices()

    async def notices(self) -> dict[str, Any]:
        """List who is told of which bucket, how often that went well, and what went wrong last."""
        return {"notices": self._cloud.google().notices()}

    async def token(self, account: str) -> dict[str, Any]:
        """Give an access token of a service account, as its workloads get from the metadata server."""
        if not self._cloud.google().has_account(account):
            raise LocalCloudError(f"there is no service account {account}; make one, or correct the name")
        return {"token": self._cloud.tokens.issue(account)}
