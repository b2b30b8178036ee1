"""Which refusal an Event, condition or admission error means. Unknown text is Unclassified, never a stock-out.

The autoscaler's message is cut at 250 characters, its zone list may be empty, several reasons may stand in one message
and repeated Events get a prefix; so substrings are matched, never whole texts. Events that are normal while a node is
on its way (FailedScheduling, TriggeredScaleUp, most of NotTriggerScaleUp) are no refusals at all.
"""

import re
from dataclasses import dataclass

from controlplane.gateways.translate import QUOTA, STOCK_OUT, WARDEN
from controlplane.model.offering import RefusalClass

_PROJECT_QUOTA = re.compile(r"GPUS[_-]ALL[_-]REGIONS")
_IP = re.compile(r"IP space exhausted|IP_SPACE_EXHAUSTED")
_TIMEOUT = re.compile(r"failed to appear in time|waiting\.for\.instances\.timeout")
_BACKOFF = re.compile(r"in backoff after failed scale-up")
_ZONES = re.compile(r"Node scale up in zones ([a-z0-9, -]*?) ?associated")
_COMBINED = re.compile(r"^\(combined from similar events\): ?")
_FORBIDDEN = re.compile(r"is forbidden: (?!violates PodSecurity|exceeded quota|maximum|minimum).*cannot \w+ resource")


@dataclass(frozen=True, slots=True)
class Classified:
    """A refusal's class and the zones that the message names."""

    refusal: RefusalClass
    zones: tuple[str, ...] = ()


def classify_event(reason: str, message: str) -> Classified | None:
    """Classify an Event on a Pod or ReplicaSet; None when it refuses nothing."""
    text = _COMBINED.sub("", message)
    if reason == "FailedScaleUp":
        return Classified(_scale_up(text), _zones(text))
    if reason == "NotTriggerScaleUp":
        # Normal while other node groups are considered; only the back-off tells of an earlier refusal, not its cause.
        return Classified(RefusalClass.BACKING_OFF) if _BACKOFF.search(text) else None
    if reason == "FailedCreate":
        return Classified(classify_create(text))
    return None


def classify_create(message: str) -> RefusalClass:
    """Classify why a ReplicaSet could not create its Pods: nothing about capacity is learnt from it."""
    if WARDEN.search(message):
        return RefusalClass.REJECTED_SPEC
    if _FORBIDDEN.search(message):
        return RefusalClass.UNAUTHORISED
    if "exceeded quota:" in message:
        return RefusalClass.QUOTA_REGION if "nvidia.com/gpu" in message else RefusalClass.REJECTED_SPEC
    if re.search(r"admission webhook|violates PodSecurity|is invalid:|Invalid value|is forbidden", message):
        return RefusalClass.REJECTED_SPEC
    return RefusalClass.UNCLASSIFIED


def _scale_up(text: str) -> RefusalClass:
    """Several reasons in one message: the one that waiting helps least comes first."""
    if QUOTA.search(text):
        return RefusalClass.QUOTA_PROJECT if _PROJECT_QUOTA.search(text) else RefusalClass.QUOTA_REGION
    if _IP.search(text):
        return RefusalClass.IP_SPACE
    if STOCK_OUT.search(text):
        return RefusalClass.STOCK_OUT
    if _TIMEOUT.search(text):
        return RefusalClass.PROVISIONING_TIMEOUT
    return RefusalClass.UNCLASSIFIED


def _zones(text: str) -> tuple[str, ...]:
    found = _ZONES.search(text)
    return tuple(sorted({zone.strip() for zone in found.group(1).split(",") if zone.strip()})) if found else ()
