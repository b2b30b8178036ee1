"""How long things take, when somebody wants it otherwise."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from controlplane.localcloud.control.errors import LocalCloudError
from controlplane.localcloud.scenario import Delays


def checked_delays(changes: Mapping[str, Any]) -> dict[str, float]:
    """Give changes to how long things take, as seconds by name; LocalCloudError for what is none."""
    known = {field.name for field in fields(Delays)}
    for name, value in changes.items():
        if name not in known:
            raise LocalCloudError(f"unknown delay {name!r}; use one of {', '.join(sorted(known))}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < float("inf"):
            raise LocalCloudError(f"delay {name}: {value!r} is not a number of seconds; give 0 or more")
    return {name: float(value) for name, value in changes.items()}
