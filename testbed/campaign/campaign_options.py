"""What may be asked of a campaign on the command line. Light: every `invoke run` imports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from testbed.model.errors import UsageError

KEEP_DIFFERING, KEEP_ALL = "differing", "all"
KEEPS = (KEEP_DIFFERING, KEEP_ALL)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line besides scenarios; zeros and empty text where it was not.

    ``witness``: whether to record the kernel's trace, and then to require it; None: as the scenario says. ``fixed``:
    settings of every run, which make no variants.
    """

    repeat: int = 1
    jobs: int = 0
    keep: str = KEEPS[0]
    settings: Sequence[str] = ()
    resume: str = ""
    on: str = ""
    witness: bool | None = None
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether they alone ask for a campaign."""
        return self.repeat != 1 or bool(self.settings) or bool(self.resume) or self.jobs != 0 or bool(self.on)

    def check(self) -> None:
        """Raise UsageError for what is no option's value."""
        if self.repeat < 1 or self.jobs < 0:
            raise UsageError("--repeat and --jobs must be at least 1")
        if self.keep not in KEEPS:
            raise UsageError(f"--keep must be {' or '.join(KEEPS)}, not `{self.keep}`")
