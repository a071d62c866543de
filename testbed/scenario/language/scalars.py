"""What an unquoted word of YAML means, and where the versions of YAML do not agree."""

from __future__ import annotations

import re
from typing import Any

_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9].*)?")
_OTHER_INT = re.compile(r"[-+]?(?:[0-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+)")
_OTHER_FLOAT = re.compile(
    r"[-+]?(?=[.0-9])(?=.*[0-9])[0-9_]*\.?[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def resolve(text: str) -> tuple[Any, str, str]:
    """Return what an unquoted scalar means, and a message and a hint where YAML's versions do not agree.

    YAML 1.1 (https://yaml.org/type/) and the core schema of YAML 1.2 (section 10.3.2).
    """
    if text in ("", "~", "null", "Null", "NULL"):
        return None, "", ""
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true", "", ""
    if _INT.fullmatch(text):
        return int(text), "", ""
    quoted = f'write "{text}" with quotes for the text'
    if text.lower() in _WORDS and text in (text.lower(), text.title(), text.upper()):
        meant = _WORDS[text.lower()]
        return text, f"`{text}` is {meant} to some YAML parsers and text to others", f"{quoted}, or {meant}"
    if _BASE_60.fullmatch(text):
        return text, f"`{text}` is a number in base 60 to some YAML parsers", quoted
    if _DATE.fullmatch(text):
        return text, f"`{text}` is a date to some YAML parsers", quoted
    if re.fullmatch(r"[-+]?0[0-9_]+", text):
        message = f"`{text}` is an octal number to some YAML parsers, a decimal or text to others"
        return text, message, f"{quoted}, or the number without the leading zero"
    if _FLOAT.fullmatch(text):
        return float(text), "", ""
    if _OTHER_INT.fullmatch(text) or _OTHER_FLOAT.fullmatch(text):
        return text, f"`{text}` is not the same number to all YAML parsers", f"{quoted}, or the plain decimal number"
    return text, "", ""
