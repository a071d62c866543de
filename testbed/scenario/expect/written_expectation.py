"""What every expectation has as it is written, and the list of their kinds.

One class for each kind; the key that names the kind is a field of the same name, so that a model mirrors its YAML.
Each compiles itself into one value of :mod:`testbed.model.expect`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from testbed.model import expect
from testbed.scenario.language.base import Frozen, Opt
from testbed.scenario.language.kernel_ranges import KernelRangeText
from testbed.scenario.language.values import Share


class Conditions(Frozen):
    """When an expectation applies; all must be met. Settings of the matrix are written as they are there."""

    model_config = ConfigDict(extra="allow")

    kernel: Opt[KernelRangeText] = None
    """On which kernels: "<6.5", "6.1-6.12". On others it is shown as not applicable, and neither holds nor fails."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the matrix that are named, and their values."""
        return self.model_extra or {}


EXPECTATIONS: dict[str, type[WrittenExpectation]] = {}
"""The model of each kind of expectation by the key that names it, in the order of definition."""


class WrittenExpectation(Frozen):
    """One expectation of any kind."""

    key: ClassVar[str]

    when: Opt[Conditions] = None
    """Only for the variants in which these settings of the matrix have these values, or for some kernels:
    {observe.client: probe}, {kernel: "<6.5"}."""
    share: Opt[Share] = Field(default=None, alias="in")
    """In how many of a scenario's repeats it must hold: 99%. In a single run the result is shown but does not count."""

    def applies(self, settings: Mapping[str, Any]) -> bool:
        """Whether it is about the variant with these settings."""
        wanted = self.when.settings if self.when else {}
        return all(path in settings and settings[path] == value for path, value in wanted.items())

    def compiled(self, text: str = "", where: str = "") -> expect.Expectation:
        """Return the expectation as the analysis checks it; ``text`` and ``where`` are what its check shows."""
        return expect.Expectation(self._wanted(), text, where, self.share, self.when.kernel if self.when else None)

    def _wanted(self) -> expect.Wanted:
        raise NotImplementedError

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 - pydantic's own
        super().__pydantic_init_subclass__(**kwargs)
        EXPECTATIONS[cls.key] = cls
