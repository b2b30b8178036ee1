"""The rules for names, labels, ports and the like, with the reference's explanations."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Any

from controlplane.localcloud.apiserver.schema.errors import FieldError, forbidden, invalid, required

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_DNS1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = rf"({_QUALIFIED})?"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"
_ENV_NAME = r"[ -<>-~]+"
_PERCENT = r"[0-9]+%"
LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
DNS1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    f"'{_DNS1035}')"
)
QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{_QUALIFIED}')"
)
LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
CONFIG_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
ENV_TEXT = "a valid environment variable name must consist only of printable ASCII characters other than '='"
PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)
NOT_NEGATIVE = "must be greater than or equal to 0"
PORT_RANGE = "must be between 1 and 65535, inclusive"
IMMUTABLE = "field is immutable"


def too_long_text(limit: int) -> str:
    """Say that a text is longer than allowed."""
    return f"must be no more than {limit} bytes"


def _checked(value: str, pattern: str, text: str, limit: int) -> list[str]:
    found = [] if len(value.encode()) <= limit else [too_long_text(limit)]
    return found if re.fullmatch(pattern, value) else [*found, text]


def dns1123_label(value: str) -> list[str]:
    """Check one label of a DNS name."""
    return _checked(value, _LABEL, LABEL_TEXT, 63)


def dns1123_subdomain(value: str) -> list[str]:
    """Check a DNS name."""
    return _checked(value, _SUBDOMAIN, SUBDOMAIN_TEXT, 253)


def dns1035_label(value: str) -> list[str]:
    """Check a DNS label that begins with a letter, as Services need."""
    return _checked(value, _DNS1035, DNS1035_TEXT, 63)


def path_segment(value: str) -> list[str]:
    """Check a name that only has to fit into a URL, as roles have."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{sign}'" for sign in ("/", "%") if sign in value]


def label_value(value: str) -> list[str]:
    """Check the value of a label."""
    return _checked(value, _LABEL_VALUE, LABEL_VALUE_TEXT, 63)


def config_key(value: str) -> list[str]:
    """Check a key of a ConfigMap or Secret."""
    found = _checked(value, _CONFIG_KEY, CONFIG_KEY_TEXT, 253)
    return [*found, f"must not be '{value}'"] if value in (".", "..") else found


def env_name(value: str) -> list[str]:
    """Check the name of an environment variable."""
    return [] if re.fullmatch(_ENV_NAME, value) else [ENV_TEXT]


def qualified_name(value: str) -> list[str]:
    """Check `name` or `prefix/name`."""
    prefix, slash, name = value.rpartition("/")
    found: list[str] = []
    if "/" in prefix:
        text = (
            "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            f"'{_QUALIFIED}') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )
        return [text]
    if slash and not prefix:
        found.append("prefix part must be non-empty")
    elif slash:
        found += [f"prefix part {text}" for text in dns1123_subdomain(prefix)]
    if not name:
        found.append("name part must be non-empty")
    elif len(name.encode()) > 63:
        found.append(f"name part {too_long_text(63)}")
    return found if re.fullmatch(_QUALIFIED, name) else [*found, QUALIFIED_TEXT]


def port_name(value: str) -> list[str]:
    """Check a named port as probes and containers have it."""
    found = []
    if len(value) > 15:
        found.append(too_long_text(15))
    if not re.fullmatch(r"[-a-z0-9]+", value):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", value):
        found.append("must contain at least one letter (a-z)")
    if "--" in value:
        found.append("must not contain consecutive hyphens")
    if value and (value[0] == "-" or value[-1] == "-"):
        found.append("must not begin or end with a hyphen")
    return found


def is_ip(value: Any) -> bool:
    """Say whether it is an IP address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def not_negative(field: str, value: Any) -> list[FieldError]:
    """Complain about a number below zero."""
    return [invalid(field, value, NOT_NEGATIVE)] if isinstance(value, int) and value < 0 else []


def port_number(field: str, value: Any) -> list[FieldError]:
    """Complain about a number that is no port."""
    return [] if isinstance(value, int) and 1 <= value <= 65535 else [invalid(field, value, PORT_RANGE)]


def port_reference(field: str, value: Any) -> list[FieldError]:
    """Complain about a target that is neither a port's number nor its name."""
    if isinstance(value, str):
        return [invalid(field, value, text) for text in port_name(value)]
    return port_number(field, value)


def int_or_percent(field: str, value: Any) -> list[FieldError]:
    """Complain about what is neither a natural number nor a percentage."""
    if isinstance(value, str):
        return [] if re.fullmatch(_PERCENT, value) else [invalid(field, value, PERCENT_TEXT)]
    return not_negative(field, value)


def labels(field: str, values: Any) -> list[FieldError]:
    """Complain about labels."""
    found: list[FieldError] = []
    for key, value in sorted((values or {}).items()):
        found += [invalid(field, key, text) for text in qualified_name(key)]
        found += [invalid(field, value, text) for text in label_value(value)]
    return found


def selector(field: str, value: Any) -> list[FieldError]:
    """Complain about a label selector."""
    if value is None:
        return []
    found = labels(f"{field}.matchLabels", value.get("matchLabels"))
    for index, expression in enumerate(value.get("matchExpressions") or ()):
        found += _requirement(f"{field}.matchExpressions[{index}]", expression)
    return found


def set_operands(field: str, operator: str, values: Sequence[Any]) -> list[FieldError]:
    """Complain about the operator of a requirement and the number of its values, as label and node selectors do."""
    if operator in ("In", "NotIn"):
        text = "must be specified when `operator` is 'In' or 'NotIn'"
        return [] if values else [required(f"{field}.values", text)]
    if operator in ("Exists", "DoesNotExist"):
        text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        return [forbidden(f"{field}.values", text)] if values else []
    return [invalid(f"{field}.operator", operator, "not a valid selector operator")]


def _requirement(field: str, expression: Any) -> list[FieldError]:
    operator, values = expression.get("operator", ""), expression.get("values") or []
    found = set_operands(field, operator, values)
    key = expression.get("key", "")
    found += [invalid(f"{field}.key", key, text) for text in qualified_name(key)]
    for index, value in enumerate(values):
        found += [invalid(f"{field}.values[{index}]", value, text) for text in label_value(value)]
    return found
