"""Foreign text made harmless: no control characters, no credentials, a bounded length.

Messages of API servers, autoscalers and libraries end up in logs, status, Events and terminals. They are data of
somebody else: they may carry terminal escapes, forged log lines, or the bearer token of the very request that failed.
"""

import re

LIMIT = 256
"""How much of a foreign message is kept."""

_MASK = "[redacted]"
_SECRETS = (
    re.compile(r"-----BEGIN [A-Z ]+-----.*?(-----END [A-Z ]+-----|\Z)", re.DOTALL),
    re.compile(r"(?i)\b(authorization|proxy-authorization|x-goog-iam-authorization-token)\b\W{0,4}[^\r\n,}]+"),
    re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"\bya29\.[A-Za-z0-9._-]+"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.?[A-Za-z0-9_-]*"),
    re.compile(r"\bAIza[A-Za-z0-9_-]{20,}"),
    re.compile(r"\b1//[A-Za-z0-9_-]{20,}"),
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}"),
    re.compile(
        r"(?i)([\"']?\b(?:[a-z0-9_-]*(?:password|passwd|secret|token|private_key|api[_-]?key|assertion|credential))"
        r"[\"']?\s*[=:]\s*)(\"[^\"]*\"?|'[^']*'?|[^\s,;&}]+)"
    ),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")


def scrub(text: str) -> str:
    """Mask what looks like a credential and leave all else as it is."""
    for pattern in _SECRETS[:-2]:
        text = pattern.sub(_MASK, text)
    text = _SECRETS[-2].sub(lambda match: match.group(1) + _MASK, text)
    return _SECRETS[-1].sub(_MASK, text)


def sanitise(text: object, limit: int = LIMIT) -> str:
    """Give the text on one line, without control characters and credentials, at most `limit` characters long.

    Credentials go first: cutting a text could leave a token that no pattern recognises any more.
    """
    raw = text if isinstance(text, str) else str(text)
    clean = " ".join(_CONTROL.sub(" ", scrub(raw[: limit * 64])).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
