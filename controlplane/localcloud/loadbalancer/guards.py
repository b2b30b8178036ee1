"""What stands in front of a backend service: Cloud Armor's rules and Identity-Aware Proxy, as one script for Envoy.

Envoy's own filters know no priorities among addresses and rates, and none of Google's pages, so the script does both,
in Google's order: Cloud Armor at the edge, then IAP. A client is who the connection comes from, as Envoy sees it.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Any

_DENY = re.compile(r"deny\((403|404|429|502)\)")
_RATES = (10, 30, 60, 120, 180, 240, 300, 600, 900, 1200, 1800, 2700, 3600)
_FORBIDDEN = (
    '<!doctype html><meta charset="utf-8"><meta name=viewport content="width=device-width, initial-scale=1">'
    "<title>{code}</title>{code} {text}"
)
_TEXTS = {403: "Forbidden", 404: "Not Found", 429: "Too Many Requests", 502: "Bad Gateway"}
_SIGN_IN = "https://accounts.google.com/o/oauth2/v2/auth?client_id={client}&response_type=code&scope=openid+email"
_SCRIPT = """
local rules = {rules}
local pages = {pages}
local sign_in = {sign_in}
local seen = {{}}

local function number(address)
  local a, b, c, d = string.match(address, "^(%d+)%.(%d+)%.(%d+)%.(%d+)")
  if not a then return nil end
  return ((tonumber(a) * 256 + tonumber(b)) * 256 + tonumber(c)) * 256 + tonumber(d)
end

local function inside(rule, client)
  if rule.all then return true end
  for _, range in ipairs(rule.ranges) do
    if client and client >= range[1] and client <= range[2] then return true end
  end
  return false
end

local function exceeded(place, rule, client, now)
  local key = place .. "/" .. (rule.each and tostring(client) or "")
  local window = seen[key]
  if not window or now - window.began >= rule.interval then
    window = {{began = now, count = 0}}
    seen[key] = window
  end
  window.count = window.count + 1
  return window.count > rule.count
end

local function refuse(handle, code)
  handle:respond({{[":status"] = tostring(code), ["content-type"] = "text/html; charset=utf-8"}}, pages[code])
end

function envoy_on_request(handle)
  local client = number(handle:streamInfo():downstreamDirectRemoteAddress())
  for place, rule in ipairs(rules) do
    if inside(rule, client) then
      if rule.deny then return refuse(handle, rule.deny) end
      if rule.count and exceeded(place, rule, client, handle:timestamp() / 1000) then
        return refuse(handle, rule.exceed)
      end
      break
    end
  end
  if not sign_in then return end
  local headers = handle:headers()
  local answer = {{["x-goog-iap-generated-response"] = "true", ["content-type"] = "text/html; charset=utf-8"}}
  if headers:get("authorization") then
    answer[":status"] = "401"
    return handle:respond(answer, "Invalid IAP credentials: JWT signature is invalid")
  end
  if headers:get("x-requested-with") == "XMLHttpRequest" then
    answer[":status"] = "401"
    return handle:respond(answer, "Invalid IAP credentials: empty token")
  end
  answer[":status"], answer["location"] = "302", sign_in
  return handle:respond(answer, "")
end
"""


def script(policy: Mapping[str, Any] | None, client_id: str) -> str:
    """Give the script for a backend service; empty where nothing guards it. `client_id` empty: no IAP."""
    if policy is None and not client_id:
        return ""
    rules = sorted((policy or {}).get("rules", ()), key=lambda rule: int(rule["priority"]))
    return _SCRIPT.format(
        rules=_lua([_rule(rule) for rule in rules if not rule.get("preview")]),
        pages=_lua({code: _FORBIDDEN.format(code=code, text=text) for code, text in _TEXTS.items()}),
        sign_in=_lua(_SIGN_IN.format(client=client_id)) if client_id else "nil",
    )


def checked(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Give a rule of a security policy as it is kept. Raises ValueError for what is wrong or not imitated here."""
    priority, action = rule.get("priority"), str(rule.get("action") or "")
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= 2147483647:
        raise ValueError("Invalid value for field 'resource.rules[].priority'")
    _rule(rule)
    return {**rule, "action": action, "kind": "compute#securityPolicyRule"}


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    match = rule.get("match") or {}
    if match.get("versionedExpr") != "SRC_IPS_V1":
        raise ValueError("only rules by address (versionedExpr SRC_IPS_V1) are imitated by the local cloud")
    ranges = [str(each) for each in (match.get("config") or {}).get("srcIpRanges") or ()]
    if not ranges:
        raise ValueError("Invalid value for field 'resource.rules[].match.config.srcIpRanges'")
    made: dict[str, Any] = {"all": "*" in ranges, "ranges": [_range(each) for each in ranges if each != "*"]}
    action = str(rule.get("action") or "")
    if action == "allow":
        return made
    if denied := _DENY.fullmatch(action):
        return {**made, "deny": int(denied[1])}
    if action == "throttle":
        return {**made, **_rate(rule.get("rateLimitOptions") or {})}
    raise ValueError(f"the action '{action}' is not imitated by the local cloud; use allow, deny(CODE) or throttle")


def _rate(options: Mapping[str, Any]) -> dict[str, Any]:
    threshold, exceed = options.get("rateLimitThreshold") or {}, _DENY.fullmatch(str(options.get("exceedAction") or ""))
    count, interval = int(threshold.get("count") or 0), int(threshold.get("intervalSec") or 0)
    if count < 1 or interval not in _RATES or exceed is None or options.get("conformAction") != "allow":
        raise ValueError("Invalid value for field 'resource.rules[].rateLimitOptions'")
    each = {"ALL": False, "IP": True}.get(str(options.get("enforceOnKey") or "ALL"))
    if each is None:
        raise ValueError("rates are kept for ALL or by IP by the local cloud (enforceOnKey)")
    return {"count": count, "interval": interval, "exceed": int(exceed[1]), "each": each}


def _range(text: str) -> list[int]:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"Invalid value for field 'resource.rules[].match.config.srcIpRanges': '{text}'") from error
    if network.version == 6:
        return [1, 0]  # nobody comes by IPv6 here
    return [int(network.network_address), int(network.broadcast_address)]


def _lua(value: Any) -> str:
    """Write a value as Lua does; JSON's quoting of text is Lua's for what stands in these."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"[{_lua(key)}] = {_lua(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(_lua, value)) + "}"
    return json.dumps(value)
