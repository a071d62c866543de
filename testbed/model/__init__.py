"""The words of the house as values (see docs/architecture.md): pure data, no I/O, no clock. Imports nothing of ours.

Times are integers, nanoseconds since the Unix epoch, on the captures' clock. Stream offsets count payload bytes of one
direction of one connection from 0; relative sequence numbers count as Wireshark's do (SYN = 0, first data byte = 1).

Each name is imported from its module when it is first used: the classes of all modules take 60 ms to make.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.model.analyses import Analysis, Check, Inputs
    from testbed.model.calls import DATA_PREFIX, Call, SocketInfo
    from testbed.model.causes import CAUSES, Cause, CauseKind, CauseName
    from testbed.model.crossings import (
        Change,
        Crossing,
        Delay,
        Fate,
        FieldChange,
        Flow,
        HeaderField,
        Joined,
        Labels,
        OptionBytes,
        PayloadChange,
    )
    from testbed.model.evidence import Evidence
    from testbed.model.hosts import HOSTS, Endpoint, Host, peer_of
    from testbed.model.ledgers import ConnectionEnd, ContentDifference, Count, LedgerPoint, LedgerRow
    from testbed.model.link_journals import LinkAction, LinkEffect, LinkFault, LinkJournal, LinkOrigin, LinkRecord
    from testbed.model.outcomes import Outcome
    from testbed.model.programs import Program, ProgramEnd, StopReason
    from testbed.model.references import CallRef, PacketRef, call_ref, call_refs, packet_refs

__all__ = [
    "CAUSES",
    "DATA_PREFIX",
    "HOSTS",
    "Analysis",
    "Call",
    "CallRef",
    "Cause",
    "CauseKind",
    "CauseName",
    "Change",
    "Check",
    "ConnectionEnd",
    "ContentDifference",
    "Count",
    "Crossing",
    "Delay",
    "Endpoint",
    "Evidence",
    "Fate",
    "FieldChange",
    "Flow",
    "HeaderField",
    "Host",
    "Inputs",
    "Joined",
    "Labels",
    "LedgerPoint",
    "LedgerRow",
    "LinkAction",
    "LinkEffect",
    "LinkFault",
    "LinkJournal",
    "LinkOrigin",
    "LinkRecord",
    "OptionBytes",
    "Outcome",
    "PacketRef",
    "PayloadChange",
    "Program",
    "ProgramEnd",
    "SocketInfo",
    "StopReason",
    "call_ref",
    "call_refs",
    "packet_refs",
    "peer_of",
]

_HOME = {
    "Analysis": "testbed.model.analyses",
    "CAUSES": "testbed.model.causes",
    "Call": "testbed.model.calls",
    "CallRef": "testbed.model.references",
    "Cause": "testbed.model.causes",
    "CauseKind": "testbed.model.causes",
    "CauseName": "testbed.model.causes",
    "Change": "testbed.model.crossings",
    "Check": "testbed.model.analyses",
    "ConnectionEnd": "testbed.model.ledgers",
    "ContentDifference": "testbed.model.ledgers",
    "Count": "testbed.model.ledgers",
    "Crossing": "testbed.model.crossings",
    "DATA_PREFIX": "testbed.model.calls",
    "Delay": "testbed.model.crossings",
    "Endpoint": "testbed.model.hosts",
    "Evidence": "testbed.model.evidence",
    "Fate": "testbed.model.crossings",
    "FieldChange": "testbed.model.crossings",
    "Flow": "testbed.model.crossings",
    "HOSTS": "testbed.model.hosts",
    "HeaderField": "testbed.model.crossings",
    "Host": "testbed.model.hosts",
    "Inputs": "testbed.model.analyses",
    "Joined": "testbed.model.crossings",
    "Labels": "testbed.model.crossings",
    "LedgerPoint": "testbed.model.ledgers",
    "LedgerRow": "testbed.model.ledgers",
    "LinkAction": "testbed.model.link_journals",
    "LinkEffect": "testbed.model.link_journals",
    "LinkFault": "testbed.model.link_journals",
    "LinkJournal": "testbed.model.link_journals",
    "LinkOrigin": "testbed.model.link_journals",
    "LinkRecord": "testbed.model.link_journals",
    "OptionBytes": "testbed.model.crossings",
    "Outcome": "testbed.model.outcomes",
    "PacketRef": "testbed.model.references",
    "PayloadChange": "testbed.model.crossings",
    "Program": "testbed.model.programs",
    "ProgramEnd": "testbed.model.programs",
    "SocketInfo": "testbed.model.calls",
    "StopReason": "testbed.model.programs",
    "call_ref": "testbed.model.references",
    "call_refs": "testbed.model.references",
    "packet_refs": "testbed.model.references",
    "peer_of": "testbed.model.hosts",
}


def __getattr__(name: str) -> object:
    """Import an exported name from its module (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
