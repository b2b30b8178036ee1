"""Lifecycle hooks: what a container asks to be done after its start and before its end."""

import asyncio

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.kubelet.http import HttpError, http_status
from controlplane.localcloud.kubelet.probes import Target, run_command


class HookError(Exception):
    """A hook did not do what it should."""


async def run_hook(hook: Object, target: Target, clock: Clock, seconds: float) -> None:
    """Run one hook for at most so long; HookError says what went wrong."""
    work = asyncio.ensure_future(_run(hook, target, clock, seconds))
    limit = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait([work, limit], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise HookError(f"timed out after {seconds:g}s")
        work.result()
    finally:
        work.cancel()
        limit.cancel()


async def _run(hook: Object, target: Target, clock: Clock, seconds: float) -> None:
    if sleep := hook.get("sleep"):
        await clock.sleep(sleep.get("seconds") or 0)
    elif http := hook.get("httpGet"):
        headers = {header["name"]: header["value"] for header in http.get("httpHeaders") or []}
        host, port = http.get("host") or target.ip, target.port(http["port"])
        try:
            status = await http_status(
                http.get("scheme") or "HTTP", host, port, http.get("path") or "/", headers=headers, seconds=seconds
            )
        except HttpError as failure:
            raise HookError(str(failure)) from failure
        if not 200 <= status < 400:
            raise HookError(f"HTTP status {status}")
    elif command := (hook.get("exec") or {}).get("command"):
        code, output = await run_command(command, target, seconds)
        if code != 0:
            raise HookError(f"command '{' '.join(command)}' exited with {code}: {output}")
