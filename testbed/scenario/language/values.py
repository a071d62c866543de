"""The small types of which scenario models are made: durations, sizes, endpoints, names.

Each is written one way in YAML and checked by one function here, whose ``ValueError`` holds the message and, as a
second argument, an optional hint. The schema fragment beside it is what an editor sees.
"""

from __future__ import annotations

import re
import shlex
from enum import StrEnum
from typing import Annotated, Any

from pydantic import StrictInt

from testbed.model import CauseName
from testbed.model.absences import NoPacketReason
from testbed.model.findings import Culprit, FindingName, Severity
from testbed.model.tcp import FLAG_LETTERS
from testbed.model.verdicts import FACT_NAMES
from testbed.scenario.allowed_sysctls import SYSCTLS, is_known
from testbed.scenario.language.absence_phrases import reasons_named
from testbed.scenario.language.base import Parsed, nearest, shown
from testbed.scenario.language.endpoints import NUMBER, names_in
from testbed.scenario.language.kernel_names import (
    CALLS,
    ERRNOS,
    LABELS,
    OPTIONS,
    RECV_FLAGS,
    SEND_FLAGS,
    SIGNALS,
)


def as_text(value: object) -> str:
    """Return a value that must be text. Raises ValueError (message, hint)."""
    if value is None:
        raise ValueError("a value is missing here")
    if not isinstance(value, str):
        hint = f'quote it: "{str(value).lower()}"' if isinstance(value, int) else ""
        hint = "quote it" if isinstance(value, float) else hint
        raise ValueError(f"expected text, not {shown(value)}", hint)  # noqa: TRY004 - pydantic reads ValueError
    return value


def _one_of(known: tuple[str, ...], what: str, *extra: str) -> Parsed:
    """Return validators for a text that is one of ``known``, or one of the words ``extra``."""
    words = (*extra, *known)

    def check(value: object) -> str:
        name = as_text(value)
        if name not in words:
            listed = f"; known: {', '.join(words)}" if len(words) <= 12 else ""
            raise ValueError(f"`{name}` is not a known {what}{nearest(name, words) or listed}")
        return name

    return Parsed(check, {"type": "string", "enum": list(words)})


def _matching(pattern: str, what: str, hint: str = "") -> Any:  # noqa: ANN401 - metadata for Annotated
    compiled = re.compile(pattern)

    def check(value: object) -> str:
        if not compiled.fullmatch(as_text(value)):
            raise ValueError(f"{shown(value)} is not {what}", hint)
        return str(value)

    return Parsed(check, {"type": "string", "pattern": f"^(?:{pattern})$"})


_DURATION_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNITS = "|".join(_DURATION_MS)
_SIZE_BYTES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
MOST_BYTES = 64 << 30
LONGEST_MS = 7 * 86_400_000


def duration_ms(value: object) -> int:
    """Return a duration such as 5ms, 2s or 1m in milliseconds. Raises ValueError (message, hint)."""
    match = re.fullmatch(f"({NUMBER})({_UNITS})", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a duration", "a whole number with its unit: 5ms, 2s, 1m, 2h or 1d")
    length = int(match[1]) * _DURATION_MS[match[2]]
    if length > LONGEST_MS:
        raise ValueError(f"{shown(value)} is longer than a week")
    return length


def _seconds(value: object) -> float:
    return duration_ms(value) / 1000


def size_bytes(value: object) -> int:
    """Return a size such as 8, 64KiB or 8MiB in bytes. Raises ValueError (message, hint)."""
    if type(value) is int and value >= 0:
        size = value
    else:
        match = re.fullmatch(f"({NUMBER})(KiB|MiB|GiB)", value) if isinstance(value, str) else None
        if match is None:
            hint = "a whole number of bytes, or with a unit: 8, 64KiB, 8MiB or 1GiB"
            raise ValueError(f"{shown(value)} is not a size", hint)
        size = int(match[1]) * _SIZE_BYTES[match[2]]
    if size > MOST_BYTES:
        raise ValueError(f"{shown(value)} is more than 64 GiB")
    return size


def _share(value: object) -> float:
    match = re.fullmatch(r"(100|[1-9]?[0-9](?:\.[0-9]{1,3})?)\s*%", value) if isinstance(value, str) else None
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{shown(value)} is not a share", "a percentage of the repeats: 99% or 99.5%")
    return float(match[1]) / 100


def port_number(value: object) -> int:
    """Return a port. Raises ValueError (message, hint)."""
    if type(value) is not int or not 1 <= value <= 65535:
        raise ValueError(f"{shown(value)} is not a port", "a number from 1 to 65535")
    return value


def _hex(value: object) -> str:
    text = "".join(as_text(value).split())
    if not re.fullmatch("(?:[0-9a-fA-F]{2})*", text):
        raise ValueError(f"{shown(value)} is not hexadecimal", 'pairs of hex digits, quoted: "00ff"')
    return text.lower()


def flag_letters(value: object) -> str:
    """Return TCP flags in tcpdump's order. Raises ValueError (message, hint)."""
    text = as_text(value)
    if not text or len(set(text)) != len(text) or not set(text) <= set(FLAG_LETTERS):
        hint = "tcpdump's letters: S SYN, . ACK, P PSH, F FIN, R RST, U URG, E ECE, W CWR; for instance S. or P."
        raise ValueError(f"{shown(value)} are not TCP flags", hint)
    return "".join(sorted(text, key=FLAG_LETTERS.index))


def _exit_status(value: object) -> int | str:
    if type(value) is int and 0 <= value <= 255:
        return value
    if not isinstance(value, str) or value not in SIGNALS:
        guess = nearest(value, SIGNALS) if isinstance(value, str) else ""
        hint = "a number from 0 to 255, or a signal's name: SIGSEGV"
        raise ValueError(f"{shown(value)} is not an exit status{guess}", hint)
    return value


def _wanted_exit(value: object) -> int | str:
    return "any" if value == "any" else _exit_status(value)


def _word(value: object) -> str:
    """Return a command's argument or a variable's value; a whole number is taken as written."""
    text = str(value) if type(value) is int else as_text(value)
    if "\0" in text:
        raise ValueError("an argument or a variable cannot hold a NUL byte")
    names_in(text)
    return text


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"the command cannot be split: {str(error).lower()}") from error
    if not isinstance(value, list):
        raise ValueError(f"a command is text or a list, not {shown(value)}")  # noqa: TRY004 - pydantic reads ValueError
    words = tuple(_word(item) for item in value)
    if not words or not words[0]:
        raise ValueError("the command names no program")
    return words


def _sysctl(value: object) -> str:
    name = as_text(value)
    if not is_known(name):
        hint = "the whole name, such as net.ipv4.tcp_syncookies; settings of the whole machine cannot be changed"
        raise ValueError(f"{shown(name)} is not a sysctl of a network namespace{nearest(name, SYSCTLS)}", hint)
    return name


def _raw_option(value: object) -> int | str | tuple[int, int]:
    if isinstance(value, (int, str)):
        return int(value) if isinstance(value, int) else value
    if isinstance(value, (list, tuple)) and [type(item) for item in value] == [int, int]:
        return (value[0], value[1])
    raise ValueError(f"an option's value is a number, true, text or two numbers, not {shown(value)}")


_SHORT_SCHEMA: dict[str, object] = {"type": "integer", "minimum": 0}
Duration = Annotated[int, Parsed(duration_ms, {"type": "string", "pattern": f"^{NUMBER}({_UNITS})$"})]
"""Milliseconds, written 5ms, 2s or 1m."""
Seconds = Annotated[float, Parsed(_seconds, {"type": "string", "pattern": f"^{NUMBER}({_UNITS})$"})]
"""Seconds, written as a duration: 5ms, 2s or 1m."""
Size = Annotated[
    int,
    Parsed(size_bytes, {"anyOf": [_SHORT_SCHEMA, {"type": "string", "pattern": f"^{NUMBER}(KiB|MiB|GiB)$"}]}),
]
"""Bytes, written 8, 64KiB or 8MiB."""
Share = Annotated[float, Parsed(_share, {"type": "string", "pattern": r"^(100|[1-9]?[0-9](\.[0-9]{1,3})?)\s*%$"})]
"""A share of the repeats, written 99%; a number up to 1 once loaded."""
Port = Annotated[int, Parsed(port_number, {"type": "integer", "minimum": 1, "maximum": 65535})]
Hex = Annotated[str, Parsed(_hex, {"type": "string", "pattern": r"^(\s*[0-9a-fA-F]\s*[0-9a-fA-F])*\s*$"})]
"""Bytes as pairs of hex digits."""
Text = Annotated[str, Parsed(as_text, {"type": "string"})]
Line = Annotated[str, _matching(r"[^\s](?:[^\r\n]*[^\s])?", "a line of text", "one line, not empty")]
Name = Annotated[str, _matching("[A-Za-z][A-Za-z0-9_-]*", "a name", "a letter, then letters, digits, - and _")]
Tag = Annotated[str, _matching("[a-z0-9][a-z0-9-]*", "a tag", "small letters, digits and -")]
Image = Annotated[
    str,
    _matching(
        r"[a-z0-9][a-z0-9._/:@-]*|\.{1,2}/.*",
        "an image",
        "one of ours, an image reference, or a folder of your own: ./app",
    ),
]
Version = Annotated[str, _matching(r"[0-9]+(\.[0-9]+){1,2}", "a version of Linux", 'quoted: "6.10" is no number')]
Sysctl = Annotated[str, Parsed(_sysctl, {"type": "string", "pattern": r"^net\.(core|ipv4|ipv6|unix)\."})]
"""The name of a kernel setting that a network namespace has to itself."""
Setting = Annotated[
    str,
    _matching(
        r"[a-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_*-]+)+|[a-z_]+",
        "the path of a setting",
        "keys joined by dots: observe.client",
    ),
]
Variable = Annotated[str, _matching("[A-Za-z_][A-Za-z0-9_]*", "the name of a variable", "letters, digits and _")]
Flags = Annotated[str, Parsed(flag_letters, {"type": "string", "pattern": f"^[{FLAG_LETTERS}]+$"})]
"""TCP flags in tcpdump's letters and order."""
_EXIT_SCHEMA: dict[str, object] = {"type": "integer", "minimum": 0, "maximum": 255}
ExitStatus = Annotated[
    int | str, Parsed(_exit_status, {"anyOf": [_EXIT_SCHEMA, {"type": "string", "enum": list(SIGNALS)}]})
]
WantedExit = Annotated[
    int | str, Parsed(_wanted_exit, {"anyOf": [_EXIT_SCHEMA, {"type": "string", "enum": ["any", *SIGNALS]}]})
]
_WORD_SCHEMA: dict[str, object] = {"type": ["string", "integer"]}
Word = Annotated[str, Parsed(_word, _WORD_SCHEMA)]
Words = Annotated[
    tuple[str, ...],
    Parsed(_words, {"anyOf": [{"type": "string"}, {"type": "array", "items": _WORD_SCHEMA, "minItems": 1}]}),
]
Errno = Annotated[str, _one_of(ERRNOS, "errno")]
_CAUSE = _one_of(tuple(CauseName), "cause")


def _cause(value: object) -> CauseName:
    return CauseName(str(_CAUSE.parse(value)))


CauseRule = Annotated[CauseName, Parsed(_cause, _CAUSE.schema)]
CauseRules = Annotated[
    tuple[CauseName, ...],
    Parsed(
        lambda value: tuple(map(_cause, value)) if isinstance(value, list) and value else (_cause(value),),
        {"anyOf": [_CAUSE.schema, {"type": "array", "items": _CAUSE.schema, "minItems": 1}]},
    ),
]
"""One rule, or several of which one explains a packet."""
FactName = Annotated[str, _one_of(tuple(FACT_NAMES), "fact of a verdict")]


def _named(names: type[StrEnum], what: str) -> Parsed:
    """Return validators for a text that is the value of a member of ``names``; the member is what it becomes."""
    words = _one_of(tuple(names), what)
    return Parsed(lambda value: names(str(words.parse(value))), words.schema)


FindingWord = Annotated[FindingName, _named(FindingName, "finding")]
SeverityWord = Annotated[Severity, _named(Severity, "severity")]
CulpritWord = Annotated[Culprit, _named(Culprit, "one who can have done it")]
LabelName = Annotated[str, _one_of(LABELS, "label of Wireshark")]
WhyNoPacket = Annotated[
    tuple[NoPacketReason, ...],
    Parsed(
        lambda value: reasons_named(as_text(value)),
        {"anyOf": [{"type": "string", "enum": list(NoPacketReason)}, {"type": "string"}]},
    ),
]
"""A reason for which a call caused no packet, by its name; the reasons that a phrase of old scenarios meant."""
ExpectedError = Annotated[str, _one_of(ERRNOS, "error", "any", "EOF", "TIMEOUT")]
Call = Annotated[str, _one_of(CALLS, "socket call")]
SendFlag = Annotated[str, _one_of(SEND_FLAGS, "flag of send")]
RecvFlag = Annotated[str, _one_of(RECV_FLAGS, "flag of recv")]
Option = Annotated[str, _one_of(OPTIONS, "socket option")]
OptionValue = Annotated[
    int | str | tuple[int, int],
    Parsed(
        _raw_option,
        {
            "anyOf": [
                {"type": ["integer", "boolean", "string"]},
                {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
            ]
        },
    ),
]
Whole = StrictInt
