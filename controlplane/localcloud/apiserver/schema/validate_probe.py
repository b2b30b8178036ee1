"""Validation of probes and lifecycle handlers."""

from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import names
from controlplane.localcloud.apiserver.schema.errors import FieldError, forbidden, invalid, not_supported, required

_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_SCHEMES = ("HTTP", "HTTPS")


def probes(field: str, container: Object, *, allowed: bool) -> list[FieldError]:
    """Complain about a container's probes; plain init containers may have none."""
    found: list[FieldError] = []
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is None:
            continue
        here = f"{field}.{name}"
        if not allowed:
            found.append(forbidden(here, "may not be set for init containers without restartPolicy=Always"))
            continue
        found += _probe(here, probe)
        if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
            found.append(invalid(f"{here}.successThreshold", probe["successThreshold"], "must be 1"))
    return found


def _probe(field: str, probe: Object) -> list[FieldError]:
    found = _handler(field, probe, ("exec", "httpGet", "tcpSocket", "grpc"))
    for key in _NUMBERS:
        found += names.not_negative(f"{field}.{key}", probe.get(key))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        found.append(invalid(f"{field}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    return found


def lifecycle(field: str, value: Any, *, allowed: bool) -> list[FieldError]:
    """Complain about postStart and preStop."""
    if value is None:
        return []
    if not allowed:
        return [forbidden(field, "may not be set for init containers without restartPolicy=Always")]
    found: list[FieldError] = []
    for name in ("postStart", "preStop"):
        if name in value:
            found += _handler(f"{field}.{name}", value[name], ("exec", "httpGet", "tcpSocket", "sleep"))
    return found


def _handler(field: str, handler: Object, kinds: tuple[str, ...]) -> list[FieldError]:
    present = [kind for kind in kinds if kind in handler]
    if not present:
        return [required(field, "must specify a handler type")]
    found = [forbidden(f"{field}.{kind}", "may not specify more than 1 handler type") for kind in present[1:]]
    kind = present[0]
    action = handler[kind]
    here = f"{field}.{kind}"
    if kind == "exec" and not action.get("command"):
        found.append(required(f"{here}.command"))
    if kind == "httpGet":
        if not action.get("path"):
            found.append(required(f"{here}.path"))
        found += names.port_reference(f"{here}.port", action.get("port", 0))
        if action.get("scheme") not in _SCHEMES:
            found.append(not_supported(f"{here}.scheme", action.get("scheme", ""), _SCHEMES))
    if kind == "tcpSocket":
        found += names.port_reference(f"{here}.port", action.get("port", 0))
    if kind == "grpc":
        found += names.port_number(f"{here}.port", action.get("port", 0))
    if kind == "sleep" and action.get("seconds", 0) < 0:
        found.append(invalid(f"{here}", action.get("seconds"), names.NOT_NEGATIVE))
    return found
