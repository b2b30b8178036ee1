"""Who makes the call that is being answered. Both transports set it once the token is good."""

from contextvars import ContextVar

caller: ContextVar[str] = ContextVar("caller", default="")
