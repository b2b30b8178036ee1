"""Who makes the call that is being answered. Both transports set it once the token is good."""

from contextvars import ContextVar

# Who shows no token, as policies name everybody. Only Cloud Storage answers them at all.
ANONYMOUS = "allUsers"

caller: ContextVar[str] = ContextVar("caller", default="")
