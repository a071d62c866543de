"""The words of the house as values (see docs/architecture.md): pure data, no I/O, no clock. Imports nothing of ours.

Times are integers, nanoseconds since the Unix epoch, on the captures' clock. Stream offsets count payload bytes of one
direction of one connection from 0; relative sequence numbers count as Wireshark's do (SYN = 0, first data byte = 1).
"""

from testbed.model.analyses import Analysis, Check, Inputs, Outcome
from testbed.model.calls import DATA_PREFIX, Call, SocketInfo
from testbed.model.causes import Cause, CauseKind
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
from testbed.model.evidence import CallRef, Evidence, PacketRef
from testbed.model.hosts import HOSTS, Endpoint, Host, peer_of
from testbed.model.ledgers import ConnectionEnd, ContentDifference, Count, LedgerPoint, LedgerRow
from testbed.model.link_journals import LinkAction, LinkEffect, LinkFault, LinkJournal, LinkOrigin, LinkRecord
from testbed.model.programs import Program, ProgramEnd, StopReason

__all__ = [
    "DATA_PREFIX",
    "HOSTS",
    "Analysis",
    "Call",
    "CallRef",
    "Cause",
    "CauseKind",
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
    "peer_of",
]
