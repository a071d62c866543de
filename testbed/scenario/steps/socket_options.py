"""The values of socket options, as the actor reads them."""

from __future__ import annotations

import ipaddress
import re

from testbed.scenario.language.base import shown
from testbed.scenario.language.kernel_names import (
    BLOB_OPTIONS,
    DURATION_OPTIONS,
    GROUP_OPTIONS,
    INT_OPTIONS,
    INTERFACE_OPTIONS,
    LINGER_OPTIONS,
    TEXT_OPTIONS,
)
from testbed.scenario.language.values import duration_ms


def option_value(option: str, value: int | str | tuple[int, int]) -> str:
    """Return an option's value in the actor's form.

    Raises ValueError (message, hint) where it is not of the option's kind.
    """
    if option in INT_OPTIONS:
        if isinstance(value, int) and -(1 << 31) <= value < 1 << 31:
            return str(value)
        raise ValueError(f"`{option}` takes a number or true, not {shown(value)}")
    if option in DURATION_OPTIONS:
        return str(duration_ms(value))
    if option in TEXT_OPTIONS or option in INTERFACE_OPTIONS:
        if isinstance(value, str) and value.isascii() and value.isprintable() and value and " " not in value:
            return value
        raise ValueError(f"`{option}` takes a name, not {shown(value)}")
    if option in GROUP_OPTIONS:
        return _group(option, value)
    if option in BLOB_OPTIONS:
        text = "".join(value.split()) if isinstance(value, str) else ""
        if re.fullmatch("(?:[0-9a-fA-F]{2})+", text):
            return text.lower()
        raise ValueError(f"`{option}` takes pairs of hex digits, not {shown(value)}", 'quoted: "0001 0104 0000 0000"')
    if option in LINGER_OPTIONS:
        if isinstance(value, tuple):
            return f"{value[0]},{value[1]}"
        hint = "l_onoff and l_linger in seconds: [1, 0]"
        raise ValueError(f"`{option}` takes two numbers, not {shown(value)}", hint)
    raise ValueError(f"`{option}` can only be read")


def _group(option: str, value: object) -> str:
    """Return a group's address, perhaps with an interface; one of the family that the option is of."""
    version = 6 if option.startswith("IPV6_") else 4
    address, _, interface = value.partition("%") if isinstance(value, str) else ("", "", "")
    try:
        group = ipaddress.ip_address(address)
    except ValueError:
        group = ipaddress.ip_address("0.0.0.0")  # noqa: S104 - no group
    if not group.is_multicast or group.version != version or not re.fullmatch(r"[\w.-]*", interface):
        example = "ff02::123" if version == 6 else "239.1.2.3"
        hint = f"for instance {example}, or {example}%eth0 with an interface of the host"
        raise ValueError(f"`{option}` takes an IPv{version} group, not {shown(value)}", hint)
    return str(value)
