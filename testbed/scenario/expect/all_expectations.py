"""All expectations together: the list of their kinds, and the type of any of them.

A new kind is a class in one of the modules below, nothing else here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.scenario.expect import expectations, finding_expectations
from testbed.scenario.expect.written_expectation import EXPECTATIONS, Conditions, WrittenExpectation
from testbed.scenario.language.base import one_of

__all__ = ["EXPECTATIONS", "FAMILIES", "AnyExpectation", "Conditions", "WrittenExpectation"]

FAMILIES = (expectations, finding_expectations)
"""The modules that define them, in the order in which they are listed."""

if TYPE_CHECKING:
    AnyExpectation = WrittenExpectation
else:
    # `call` may have `packets` beside it, and comes first.
    AnyExpectation = one_of(WrittenExpectation, EXPECTATIONS, several=True)
"""An expectation of any kind, as pydantic reads it."""
