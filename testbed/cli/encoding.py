"""What a terminal cannot show is shown as its code point, so that no output ends in an error of its encoding."""

from __future__ import annotations

import codecs
import io
from typing import TextIO

_NAME = "bothends.code-points"


def code_points(error: UnicodeError) -> tuple[str, int]:
    r"""Replace what cannot be encoded by ``\u20ac``, beyond U+FFFF by a surrogate pair: so JSON stays the same JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end


def never_fail(*streams: TextIO) -> None:
    """Let streams take any text, whatever their encoding."""
    codecs.register_error(_NAME, code_points)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_NAME)
