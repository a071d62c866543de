"""Write the reports for CI systems that are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.model.errors import BothendsError

if TYPE_CHECKING:  # every `invoke run` imports this module, few write reports
    from testbed.report.ci.ci_cases import Reported


@dataclass(frozen=True, slots=True)
class CiFiles:
    """Where reports are to be written; None: nowhere. ``tap`` is the Test Anything Protocol."""

    junit: Path | None = None
    tap: Path | None = None
    markdown: Path | None = None

    @property
    def any(self) -> bool:
        """Whether anything is to be written."""
        return any((self.junit, self.tap, self.markdown))


def write_ci_files(records: Sequence[Reported], files: CiFiles) -> None:
    """Write the files that are asked for; BothendsError where one cannot be written."""
    if files.junit:
        from testbed.report.ci.junit import junit

        _write(files.junit, junit(records))
    if files.tap:
        from testbed.report.ci.test_anything import tap_report

        _write(files.tap, tap_report(records))
    if files.markdown:
        from testbed.report.ci.markdown_summary import markdown

        _write(files.markdown, markdown(records))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BothendsError(f"cannot write {path}: {error.strerror}") from error
