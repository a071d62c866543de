"""A cause in words: its name with those of its alternatives, and what it rests on."""

from __future__ import annotations

from testbed.model import CAUSES, Cause, Evidence


def cause_names(cause: Cause) -> str:
    """Return ``tail-loss-probe or timeout``."""
    return " or ".join((cause.rule, *cause.alternatives))


def full_evidence(cause: Cause) -> Evidence:
    """Return a cause's evidence, and what else it may be."""
    if not cause.alternatives:
        return cause.evidence
    others = " or ".join(f"`{name}`: {CAUSES[name].meaning}" for name in cause.alternatives)
    return (*cause.evidence, f"; it may as well be {others}")
