"""How long a pass and its parts may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds. A member that does not answer costs `member` and nothing more; everything ends at `whole_pass`."""

    member: float = 10.0
    signals: float = 10.0
    config: float = 15.0
    whole_pass: float = 120.0


@dataclass(frozen=True, slots=True)
class LeaseName:
    """Where the Lease is and how long it holds without renewal. `margin` is kept free of writes at its end."""

    namespace: str = "gpu-hunter"
    name: str = "gpu-hunter"
    seconds: int = 60
    margin: float = 10.0
