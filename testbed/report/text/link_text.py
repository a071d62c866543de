"""What the link did to a packet, as people read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from testbed.analysis.link_check import origin_evidence
from testbed.model import Fate, Joined, LinkAction, LinkEffect, LinkOrigin
from testbed.report.evidence_text import sentence
from testbed.report.text.terminal_text import escape

_DONE = {
    LinkAction.HOLD: "held back",
    LinkAction.REORDER: "passed by others",
    LinkAction.CORRUPT: "corrupted",
    LinkAction.TRUNCATE: "truncated",
    LinkAction.MARK: "marked: congestion experienced",
    LinkAction.REWRITE: "its header rewritten",
    LinkAction.DUPLICATE: "sent twice",
    LinkAction.DROP: "dropped",
    LinkAction.FORGET: "dropped: the link had forgotten its connection",
    LinkAction.LOSS: "lost by chance",
    LinkAction.DOWN: "lost: the link was down",
    LinkAction.TOO_BIG: "dropped: larger than the link's MTU",
    LinkAction.OVERFLOW: "dropped: the link's queue was full",
}


def link_texts(effects: Iterable[LinkEffect | LinkOrigin]) -> tuple[str, ...]:
    """Return a text for each thing that the link did to a packet; that one of its own followed is said of that one."""
    return tuple(_text(effect) for effect in effects if isinstance(effect, LinkOrigin) or effect.action in _TOLD)


def impaired_packets(joined: Joined) -> Iterator[str]:
    """Yield a line for each packet that met more than a delay: which it is, and what it met."""
    for crossing in joined.crossings:
        met = link_texts(
            each for each in crossing.link if isinstance(each, LinkOrigin) or each.action is not LinkAction.DELAY
        )
        if met:
            about = escape(f"{crossing.sender} {crossing.flags or crossing.protocol}")
            note = f"; {sentence(crossing.note)}" if crossing.note and crossing.fate is Fate.LOST else ""
            yield f"link      #{crossing.n} {about}: {escape('; '.join(met) + note)}"


def _text(effect: LinkEffect | LinkOrigin) -> str:
    if isinstance(effect, LinkOrigin):
        return sentence(origin_evidence(effect))
    if effect.delay is not None:
        return f"delayed {effect.delay / 1e6:.3f} ms"
    faults = "; ".join(fault.text for fault in effect.faults)
    return _DONE[effect.action] + (f" ({faults})" if faults else "")


_TOLD = frozenset({*_DONE, LinkAction.DELAY})
