"""What a kernel's trace must show for a cause to be confirmed. Pure data; ``analysis/kernel/agreement.py`` judges.

Reasons are names of the kernel's enumerations (include/net/rstreason.h, include/net/dropreason-core.h), states those of
its congestion control (``Open``, ``Disorder``, ``CWR``, ``Recovery``, ``Loss``) or of RFC 9293 section 3.3.2.
"""

from __future__ import annotations

from typing import NamedTuple


class Untraced:
    """No tracepoint reports it."""


class NotRetransmitted:
    """Nothing confirms it, and the event of a retransmission contradicts it."""


class Retransmitted(NamedTuple):
    """The event of a retransmission.

    ``states`` are the congestion states in which it can be, any if empty; ``timeout``: whether the Loss state must have
    been entered right before it, None if either will do.
    """

    states: tuple[str, ...] = ()
    timeout: bool | None = None


class SynRetransmitted:
    """The event of a retransmission; of a SYN+ACK it is ``tcp_retransmit_synack``."""


class SynAnswered:
    """The event of a retransmission only if the SYN that it answers came again (tcp_check_req, tcp_rtx_synack)."""


class StateEntered(NamedTuple):
    """A change of the sender's connection to one of these states, made by a call."""

    states: tuple[str, ...]


class ResetSent(NamedTuple):
    """The event of a RST with one of these reasons, any if empty.

    ``by_listener``: a listener may send it, and then the event names no connection.
    """

    reasons: tuple[str, ...] = ()
    by_listener: bool = False


class AnsweredDropped(NamedTuple):
    """The packet that it answers was dropped where it came, for one of these reasons."""

    reasons: tuple[str, ...]


class DroppedAsOld(NamedTuple):
    """No retransmission, and where it came it was dropped for one of these reasons."""

    reasons: tuple[str, ...]


Requirement = (
    Untraced
    | NotRetransmitted
    | Retransmitted
    | SynRetransmitted
    | SynAnswered
    | StateEntered
    | ResetSent
    | AnsweredDropped
    | DroppedAsOld
)
