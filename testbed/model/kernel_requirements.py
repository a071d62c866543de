"""What a kernel's trace must show for a cause to be confirmed. Pure data; ``analysis/kernel/agreement.py`` judges.

Reasons are names of the kernel's enumerations (include/net/rstreason.h, include/net/dropreason-core.h), states those of
its congestion control (``Open``, ``Disorder``, ``CWR``, ``Recovery``, ``Loss``) or of RFC 9293 section 3.3.2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Untraced:
    """No tracepoint reports it."""


@dataclass(frozen=True, slots=True)
class NotRetransmitted:
    """Nothing confirms it, and the event of a retransmission contradicts it."""


@dataclass(frozen=True, slots=True)
class Retransmitted:
    """The event of a retransmission.

    ``states`` are the congestion states in which it can be, any if empty; ``timeout``: whether the Loss state must have
    been entered right before it, None if either will do.
    """

    states: tuple[str, ...] = ()
    timeout: bool | None = None


@dataclass(frozen=True, slots=True)
class SynRetransmitted:
    """The event of a retransmission; of a SYN+ACK it is ``tcp_retransmit_synack``."""


@dataclass(frozen=True, slots=True)
class SynAnswered:
    """The event of a retransmission only if the SYN that it answers came again (tcp_check_req, tcp_rtx_synack)."""


@dataclass(frozen=True, slots=True)
class StateEntered:
    """A change of the sender's connection to one of these states, made by a call."""

    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResetSent:
    """The event of a RST with one of these reasons, any if empty.

    ``by_listener``: a listener may send it, and then the event names no connection.
    """

    reasons: tuple[str, ...] = ()
    by_listener: bool = False


@dataclass(frozen=True, slots=True)
class AnsweredDropped:
    """The packet that it answers was dropped where it came, for one of these reasons."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DroppedAsOld:
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
