"""Bytes as a scenario writes them: text, hex, or only how many."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from testbed.model.expect import ExpectedBytes, bytes_text
from testbed.scenario.language.base import Opt, Short
from testbed.scenario.language.values import Hex, Size, Text


class Data(Short):
    """Some bytes: text (as UTF-8) or hex. Exactly one of ``text`` and ``bytes``."""

    short = "text"
    text: Opt[Text] = None
    """The bytes as text, encoded in UTF-8."""
    hex: Opt[Hex] = Field(default=None, alias="bytes")
    """The bytes as pairs of hex digits, quoted: "00ff"."""

    _choices: ClassVar[tuple[str, ...]] = ("text", "hex")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, choice) is not None for choice in self._choices) != 1:
            names = [type(self).model_fields[choice].alias or choice for choice in self._choices]
            raise ValueError(f"exactly one of {', '.join(names)} is needed")
        return self

    @property
    def content(self) -> bytes | None:
        """The bytes, or None where only their number is given."""
        if self.text is not None:
            return self.text.encode()
        return None if self.hex is None else bytes.fromhex(self.hex)

    def compiled(self) -> ExpectedBytes:
        """Return the bytes as the analysis compares them."""
        content = self.content or b""
        return ExpectedBytes(content, len(content), bytes_text(content))


class Payload(Data):
    """Some bytes, or only how many. Exactly one of ``text``, ``bytes`` and ``size``."""

    size: Opt[Size] = None
    """How many bytes of the pattern that the scenario's seed determines."""

    _choices: ClassVar[tuple[str, ...]] = ("text", "hex", "size")

    @property
    def length(self) -> int:
        """How many bytes."""
        content = self.content
        if content is not None:
            return len(content)
        assert self.size is not None  # noqa: S101 - one of them is there
        return self.size

    def compiled(self) -> ExpectedBytes:
        """Return the bytes, or how many, as the analysis compares them."""
        return ExpectedBytes(None, self.length, f"{self.length} bytes") if self.content is None else super().compiled()
