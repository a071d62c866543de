"""Compare two captures of the same traffic: what `invoke compare` calls."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.model.errors import UsageError
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.compare_captures import compare as compare_tracks
from testbed.pairing.fates import RowFate
from testbed.pairing.flow_filter import parse_filter
from testbed.pairing.flow_summary import flow_mapping, protocol_name
from testbed.pairing.same import CATEGORIES, USUAL, count_differences, inconclusive, nothing_to_compare
from testbed.run.compiled_passes import BY_C
from testbed.run.read_captures import Read, read_both

if TYPE_CHECKING:
    from testbed.diagnosis.capture_facts import CaptureFindings

_PIPE_WIDTH = 10_000
"""Columns: what reads a pipe needs no line cut to a terminal's width."""


@dataclass(frozen=True, slots=True)
class ComparedFlow:
    """A flow that both captures have; counts are packets of both directions, or ranges of them.

    ``at_client`` and ``at_server`` are its two ends (``address:port`` of the opener, then of the other end) as each
    capture shows them: they differ where addresses were rewritten on the way.
    """

    protocol: str
    at_client: tuple[str, str]
    at_server: tuple[str, str]
    lost: int
    altered: int
    reordered: int


@dataclass(frozen=True)
class CaptureComparison:
    """What became of the packets between two captures; the first is called the client's, the second the server's."""

    comparison: Comparison
    """The comparison as columns: for those who work with NumPy."""
    paths: tuple[str, str]
    differs: tuple[str, ...]
    """The categories that were asked for and in which the captures differ; empty if they are the same."""
    thorough: bool = False
    """Whether more packets of large captures are looked at one by one, and shown, which takes seconds."""

    @property
    def same(self) -> bool:
        """Whether the captures differ in nothing that was asked for."""
        return not self.differs and not self.inconclusive and not nothing_to_compare(self.comparison)

    @cached_property
    def inconclusive(self) -> int:
        """How many packets and flows are ambiguous where nothing that was asked for differs; they may differ."""
        return 0 if self.differs else inconclusive(self.comparison)

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How much there is of each category (:data:`testbed.pairing.same.CATEGORIES`): flows or packets."""
        return count_differences(self.comparison)

    @property
    def lost(self) -> int:
        """Packets that only the sender's capture has."""
        return self.counts["lost"]

    @property
    def altered(self) -> int:
        """Packets of which a header field or the payload changed on the way."""
        return self.counts["altered"]

    @cached_property
    def flows(self) -> tuple[ComparedFlow, ...]:
        """The flows that both captures have, in the order in which they began."""
        return tuple(self._flow(pair) for pair in range(len(self.comparison.pairs)))

    def _flow(self, pair: int) -> ComparedFlow:
        compared, statistics = self.comparison, self.comparison.statistics
        ways = slice(2 * pair, 2 * pair + 2)
        ends = flow_mapping(compared, pair).ends
        return ComparedFlow(
            protocol=protocol_name(int(compared.flows[0].protocol[compared.pairs.a[pair]])),
            at_client=ends[0],
            at_server=ends[1],
            lost=int(statistics.fates[ways, RowFate.LOST].sum()),
            altered=int(statistics.altered[ways].sum()),
            reordered=int(statistics.reordered[ways].sum()),
        )

    @cached_property
    def diagnosed(self) -> CaptureFindings | None:
        """What both captures show to be wrong (``diagnosis``); None where they have nothing in common.

        Of captures with many packets fewer are looked at one by one than by `invoke diagnose`, unless ``thorough``.
        """
        from testbed.diagnosis.capture_facts import THOROUGH, UNASKED, diagnose_captures

        if not len(self.comparison.pairs):
            return None
        return diagnose_captures(self.comparison, both_ends=True, depth=THOROUGH if self.thorough else UNASKED)

    def summary(self, width: int = _PIPE_WIDTH) -> str:
        """Return the summary that `invoke compare` prints, without colours; tables are ``width`` columns at most."""
        from rich.console import Console

        from testbed.report.text.comparison_text import render

        out = io.StringIO()
        console = Console(file=out, width=width, color_system=None)
        render(self.comparison, self.paths, self.differs, console, lambda: self.diagnosed)
        return out.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Return what `invoke compare --json` prints (docs/compare.md): all but the single packets."""
        from testbed.report.json.comparison_json import to_json

        diagnosis = None if self.diagnosed is None else self.diagnosed.diagnosis
        return to_json(self.comparison, self.paths, self.differs, diagnosis)

    def write_csv(self, path: Path) -> None:
        """Write what became of every packet, a row each. Raises UsageError where the file cannot be written."""
        from testbed.report.text.comparison_csv import write_csv

        try:
            with path.open("wb") as out:
                write_csv(self.comparison, out)
        except OSError as problem:
            raise UsageError(f"{path}: {problem.strerror or problem}") from problem

    def write_merged(self, path: Path) -> None:
        """Write both captures to one pcapng file, on one clock. Raises UsageError where it cannot be written."""
        from testbed.report.captures.merged_pcapng import write_merged

        write_merged(self.comparison, self.paths, path)

    def write_different(self, path: Path) -> None:
        """Write the packets that differ, of both captures, to one pcapng file. Raises as :meth:`write_merged`."""
        from testbed.report.captures.merged_pcapng import write_merged

        write_merged(self.comparison, self.paths, path, only_different=True)

    def write_page(self, path: Path) -> None:
        """Write a page with both captures as a ladder. Raises UsageError where the file cannot be written."""
        from testbed.report.html.comparison_page import render

        try:
            page = render(self.comparison, self.paths, self.differs, self.diagnosed, thorough=self.thorough)
            path.write_text(page, encoding="utf-8")
        except OSError as problem:
            raise UsageError(f"{path}: {problem.strerror or problem}") from problem


def compare_captures(
    client: str | Path,
    server: str | Path,
    *,
    one_clock: bool = False,
    flow_filter: str = "",
    fail_on: Sequence[str] = USUAL,
    thorough: bool = False,
) -> CaptureComparison:
    """Compare two captures of the same traffic, made at different places.

    ``client`` and ``server`` are pcap or pcapng files, also compressed with gzip or zstd; one may be ``-``, standard
    input. ``one_clock``: both were made with one clock, so that delays are exact. ``flow_filter`` chooses flows:
    ``host 10.0.0.5 and port 80``. ``fail_on`` are the categories that make the captures differ. ``thorough`` looks at
    more packets of large captures one by one, and puts more into a page, which takes seconds.

    Raises CaptureError for a file that cannot be read, UsageError for a filter or a category that does not exist.
    """
    read = partial(read_both, str(client), str(server))
    return compare_read(
        read, (str(client), str(server)), one_clock=one_clock, flow_filter=flow_filter, fail_on=fail_on,
        thorough=thorough,
    )  # fmt: skip


def compare_read(
    read: Callable[[], tuple[Read, Read]],
    paths: tuple[str, str],
    *,
    one_clock: bool = False,
    flow_filter: str = "",
    fail_on: Sequence[str] = USUAL,
    thorough: bool = False,
) -> CaptureComparison:
    """Do what :func:`compare_captures` does with what ``read`` returns; it is not called where an option is wrong."""
    unknown = [name for name in fail_on if name not in CATEGORIES]
    if unknown:
        raise UsageError(f"`{unknown[0]}` is no category of differences", hint=f"known are {', '.join(CATEGORIES)}")
    wanted = parse_filter(flow_filter) if flow_filter else None
    (one, first), (two, second) = read()
    compared = compare_tracks(one, first, two, second, one_clock=one_clock, wanted=wanted, passes=BY_C)
    counts = count_differences(compared)
    differs = tuple(name for name in fail_on if counts[name])
    if not (len(compared.pairs) or nothing_to_compare(compared) or differs) and "alone" in fail_on:
        differs = ("nothing in common",)
    return CaptureComparison(compared, paths, differs, thorough)
