"""Diagnose captures: what `invoke diagnose` calls for files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.run.read_captures import BeingRead

if TYPE_CHECKING:
    from testbed.model.crossings import Flow
    from testbed.model.findings import Diagnosis, Finding


@dataclass(frozen=True, slots=True)
class CaptureDiagnosis:
    """What two captures, or one, show to be wrong; ``flows`` are those that findings name."""

    diagnosis: Diagnosis
    flows: Sequence[Flow]
    paths: tuple[str, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, the dearest first."""
        return self.diagnosis.findings

    def to_json(self) -> dict[str, Any]:
        """Return what `invoke diagnose --json` prints."""
        from testbed.report.json.diagnosis_json import diagnosis_report

        return diagnosis_report(self.diagnosis, ", ".join(self.paths))


def diagnose_files(client: str | Path, server: str | Path | None = None, *, thorough: bool = False) -> CaptureDiagnosis:
    """Diagnose two captures of the same traffic, or one: pcap or pcapng files, also compressed.

    ``thorough`` looks at more packets of large captures one by one, which takes seconds. Raises CaptureError for a file
    that cannot be read.
    """
    paths = (str(client),) if server is None else (str(client), str(server))
    files = BeingRead(paths[0], paths[-1])  # while what follows is loaded
    from testbed.diagnosis.capture_facts import THOROUGH, USUAL, diagnose_captures
    from testbed.pairing.compare_captures import compare
    from testbed.run.compiled_passes import BY_C

    (one, first), (two, second) = files.both()
    compared = compare(one, first, two, second, one_clock=server is None, passes=BY_C)
    found = diagnose_captures(compared, both_ends=server is not None, depth=THOROUGH if thorough else USUAL)
    return CaptureDiagnosis(found.diagnosis, found.flows, paths)
