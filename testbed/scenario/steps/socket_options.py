"""The values of socket options, as the actor reads them."""

from __future__ import annotations

from testbed.scenario.language.base import shown
from testbed.scenario.language.kernel_names import DURATION_OPTIONS, INT_OPTIONS, LINGER_OPTIONS, TEXT_OPTIONS
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
    if option in TEXT_OPTIONS:
        if isinstance(value, str) and value.isascii() and value.isprintable() and value and " " not in value:
            return value
        raise ValueError(f"`{option}` takes a name, not {shown(value)}")
    if option in LINGER_OPTIONS:
        if isinstance(value, tuple):
            return f"{value[0]},{value[1]}"
        hint = "l_onoff and l_linger in seconds: [1, 0]"
        raise ValueError(f"`{option}` takes two numbers, not {shown(value)}", hint)
    raise ValueError(f"`{option}` can only be read")
