"""Findings in sentences: what is wrong, who did it, what it cost, what would disprove it and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from testbed.model import Flow
from testbed.model.evidence import Evidence, Part, Quantity
from testbed.model.findings import (
    FINDINGS,
    Certainty,
    Cost,
    Culprit,
    Diagnosis,
    Distrust,
    Doubt,
    Finding,
    Severity,
    TimeAccount,
    Undecided,
    Unknown,
)
from testbed.report.evidence_text import sentence, span
from testbed.report.text.finding_words import WORDS
from testbed.report.text.terminal_text import escape, paragraph

_FACT = re.compile(r"\{(\w+)(?:\|(\w+)\|(\w+))?\}")
"""A fact's name; with two words, the first for one of it and the second for several."""


def evidence_of(finding: Finding) -> Evidence:
    """Return a finding's one sentence, with its references."""
    words = WORDS[finding.name].sentences
    return _filled(words.get(finding.variant, words[""]), finding)


def finding_sentence(finding: Finding) -> str:
    """Return a finding's one sentence."""
    return sentence(evidence_of(finding))


def disproof(finding: Finding) -> str:
    """Return what would disprove a finding."""
    return sentence(_filled(WORDS[finding.name].disproof, finding))


def remedy(finding: Finding) -> str:
    """Return what to do about a finding."""
    return sentence(_filled(WORDS[finding.name].remedy, finding))


def culprit(finding: Finding) -> str:
    """Return who did it, and where that is not decidable, why."""
    if finding.who is Culprit.UNDECIDED and finding.unknown is not Unknown.NONE:
        return finding.unknown.value
    return f"the {finding.who.value}" if finding.who is not Culprit.UNDECIDED else finding.who.value


def cost_text(cost: Cost) -> str:
    """Return ``2,310 of 4,000 bytes lost, 1.02 s of 3.10 s waited``; empty where it cost nothing."""
    parts = []
    if cost.bytes:
        of = f" of {cost.of_bytes:,}" if cost.of_bytes > cost.bytes else ""
        parts.append(f"{cost.bytes:,}{of} {'byte' if cost.bytes == 1 and not of else 'bytes'} lost")
    if cost.wait:
        of = f" of {span(cost.of_wait)}" if cost.of_wait > cost.wait else ""
        parts.append(f"{span(cost.wait)}{of} waited")
    return ", ".join(parts)


def headline(finding: Finding) -> str:
    """Return severity, name and sentence in one line."""
    return f"{finding.severity}: {_marked(finding)}"


def details(finding: Finding) -> Iterator[tuple[str, str]]:
    """Yield what stands below the sentence: a title and a text."""
    yield "who", culprit(finding)
    if cost := cost_text(finding.cost):
        yield "cost", cost
    if finding.counters:
        yield "counted", ", ".join(f"{name} +{number:,}" for name, number in finding.counters.items())
    yield "do", remedy(finding)
    yield "disproved by", disproof(finding)
    row = FINDINGS[finding.name]
    shown = f"; `invoke run {row.scenario}`" if row.scenario else ""
    yield "see", f"{row.reference}{shown}"


def undecided_text(undecided: Undecided) -> str:
    """Return what may be one of several findings, and why that is not decidable."""
    names = [name.value for name in undecided.names]
    packets = f" (#{undecided.packets[0]})" if undecided.packets else ""
    return f"{', '.join(names[:-1])} or {names[-1]}{packets}: {undecided.why.value}"


_DOUBTS = {
    Distrust.TRUNCATED: "packets were cut as they were captured",
    Distrust.DROPPED: "the observation is not complete",
    Distrust.ONE_DIRECTION: "of some connections only one direction was captured",
    Distrust.OFFLOADS: "segments are larger than a packet of the path: captured before the card cut or after it joined",
    Distrust.DUPLICATED: "packets were captured twice",
    Distrust.CLOCK_STEP: "a clock was set while it was captured",
    Distrust.BEGAN_LATE: "captures began in the middle of connections",
    Distrust.CALLS_INCOMPLETE: "the log of calls is not complete",
}


def doubt_text(doubt: Doubt) -> str:
    """Return a reason for distrust and which findings therefore cannot be made."""
    of = f"{doubt.host}: " if doubt.host else ""
    names = ", ".join(doubt.prevents[:3]) + (", ..." if len(doubt.prevents) > 3 else "")
    prevents = f"; cannot be told then: {names}" if names else ""
    return f"{of}{_DOUBTS[doubt.what]} ({doubt.count:,}){prevents}"


def time_text(account: TimeAccount) -> str:
    """Return where a connection's time went: ``3.10 s: connecting 1.02 s, server program 2.00 s, link 80 ms``."""
    parts = ", ".join(f"{kind.value} {span(ns)}" for kind, ns in account.parts.items() if ns)
    return f"{span(account.total)}: {parts}" if parts else span(account.total)


def nothing_found(diagnosis: Diagnosis) -> str:
    """Say that nothing was found, how much was looked for and what could not be seen."""
    hidden = len(diagnosis.not_visible)
    needs = ", ".join(dict.fromkeys(need.value for need in diagnosis.not_visible.values()))
    rest = f"; {hidden} more cannot be seen without {needs}" if hidden else ""
    return f"nothing found of the {len(diagnosis.looked_for)} conditions that were looked for{rest}"


def looked_at_text(looked_at: int, of: int) -> str:
    """Say how much of large captures was looked at packet by packet."""
    return (
        f"large captures: looked at every packet of {looked_at:,} of {of:,} connections, those on which most went"
        " wrong, and at the beginning of the longest; of all others counted what was lost, doubled, late, sent again; "
        "`invoke diagnose --thorough` looks at more"
    )


def finding_lines(finding: Finding, flows: Sequence[Flow]) -> list[str]:
    """Return a finding as lines: its headline, then its details."""
    return [
        f"{named(flows, finding.flow)}{headline(finding)}",
        *(f"  {title}: {text}" for title, text in details(finding)),
    ]


def named(flows: Sequence[Flow], index: int | None) -> str:
    """Return how a connection is called before a sentence; nothing where there is only one."""
    if index is None or len(flows) < 2:
        return ""
    return f"#{index + 1} {flows[index].client} - {flows[index].server}: "


def summary_lines(
    diagnosis: Diagnosis, flows: Sequence[Flow], width: int, most: int | None = None
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong as lines of at most ``width`` characters, each with its style; ``most`` findings."""
    shown = diagnosis.findings if most is None else diagnosis.findings[:most]
    if not diagnosis.looked_for:
        return
    if not shown:
        yield from ((line, "") for line in paragraph(f"findings  {nothing_found(diagnosis)}", width, indent_next=10))
    for finding in shown:
        text = f"{finding.severity:<9} {named(flows, finding.flow)}{_marked(finding)}"
        yield from ((line, _STYLES[finding.severity]) for line in paragraph(text, width, indent_next=10, lines=None))
        more = "; ".join(each for each in (f"who: {culprit(finding)}", cost_text(finding.cost)) if each)
        about = f"{more}; do: {remedy(finding)}"
        lines = paragraph(about, width, indent=" " * 10, indent_next=10, lines=None if most is None else 2)
        yield from ((line, "") for line in lines)
    if diagnosis.looked_at:
        text = f"          {looked_at_text(*diagnosis.looked_at)}"
        yield from ((line, "folded") for line in paragraph(text, width, indent_next=10))
    rest = len(diagnosis.findings) - len(shown)
    if rest:
        yield f"  ... {rest:,} more findings: `invoke diagnose` ...", "folded"
    for undecided in diagnosis.undecided[: None if most is None else 1]:
        text = f"undecided {named(flows, undecided.flow)}{undecided_text(undecided)}"
        yield from ((line, "") for line in paragraph(text, width, indent_next=10))


_STYLES = {Severity.ERROR: "lost", Severity.WARNING: "failed", Severity.NOTE: ""}


def _marked(finding: Finding) -> str:
    sure = "" if finding.certainty is Certainty.PROVEN else ", inferred"
    return f"{finding_sentence(finding)} [{finding.name}{sure}]"


def _filled(template: str, finding: Finding) -> Evidence:
    """Put a finding's facts into words."""
    parts: list[Part] = []
    at = 0
    for match in _FACT.finditer(template):
        parts.append(template[at : match.start()])
        fact = finding.facts[match[1]]
        if match[2]:
            fact = match[2] if isinstance(fact, Quantity) and fact.number == 1 else match[3]
        parts.append(f" {fact}" if match[1] == "how" and fact else fact)
        at = match.end()
    parts.append(template[at:])
    return tuple(part for part in parts if part != "")


def report_lines(diagnosis: Diagnosis, flows: Sequence[Flow]) -> Iterator[str]:
    """Yield all of a diagnosis: can it be trusted, what is wrong, what is not decidable, where the time went."""
    for doubt in diagnosis.doubts:
        yield f"trust: {doubt_text(doubt)}"
    for finding in diagnosis.findings:
        yield from map(escape, finding_lines(finding, flows))
    if not diagnosis.findings:
        yield nothing_found(diagnosis)
    for undecided in diagnosis.undecided:
        yield f"undecided: {named(flows, undecided.flow)}{undecided_text(undecided)}"
    if diagnosis.looked_at:
        yield looked_at_text(*diagnosis.looked_at)
    if diagnosis.findings:
        hidden = ", ".join(diagnosis.not_visible)
        yield f"looked for {len(diagnosis.looked_for)} conditions" + (
            f"; cannot be seen here: {hidden}" if hidden else ""
        )
    for account in diagnosis.time:
        yield f"time: {named(flows, account.flow)}{time_text(account)}"
