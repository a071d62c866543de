"""``result.json``: all that was found out about a run, for programs. Its JSON Schema is ``result.schema.json``.

Times are integers, ns since the Unix epoch (they need 64 bits: a double is not exact); delays are ns. Bytes are
hex; payloads and call data are cut to their first 64 bytes, with the true length beside them; what was changed of a
payload is whole. Crossings, calls and flows are referred to by their ``n`` and ``index``. A member that is not known is
null, never absent. A reader must check ``format``; members may be added within one version, none is removed or changes
its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from testbed.analysis.calls.streams import build_streams
from testbed.analysis.label_check import labels_of
from testbed.model import (
    DATA_PREFIX,
    HOSTS,
    Analysis,
    Call,
    Cause,
    CauseKind,
    Change,
    Count,
    Crossing,
    Delay,
    Endpoint,
    Flow,
    Host,
    LedgerRow,
    LinkEffect,
    LinkOrigin,
    OptionBytes,
    PayloadChange,
    Program,
)
from testbed.model.crossings import FieldValue
from testbed.model.loopback import Loopback
from testbed.model.verdicts import (
    BrokenOff,
    ConnectionRefused,
    ConnectsFailed,
    DatagramsRefused,
    DeadLock,
    FlowTotals,
    GivenUp,
    NeverOpened,
    NoData,
    NoFlows,
    NoPackets,
    ProgramFailed,
    SenderTotals,
    SocketEvents,
    Transfer,
    VerdictFact,
)
from testbed.report.cause_words import full_evidence
from testbed.report.evidence_text import sentence
from testbed.report.json import kernel_json
from testbed.report.json.diagnosis_json import diagnosis_to_json
from testbed.report.no_packet_text import no_packet
from testbed.report.text.change_text import change_text
from testbed.report.text.ledger_text import close_text, difference_text
from testbed.report.text.link_text import link_texts
from testbed.report.text.verdict_text import verdict_text
from testbed.rundir.manifest import program_members

FORMAT: Final = "bothends-result/1"

_Object = dict[str, Any]


def to_json(analysis: Analysis, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Turn an analysis into what ``result.json`` holds.

    ``meta`` names the run: ``scenario``, ``summary``, ``run_id``, ``engine``, ``started`` (ISO 8601) and ``notes``
    (a list of sentences); what it lacks is empty.
    """
    inputs = analysis.inputs
    return {
        "format": FORMAT,
        "scenario": {"name": meta.get("scenario", ""), "summary": meta.get("summary", "")},
        "run": {"id": meta.get("run_id", ""), "engine": meta.get("engine", ""), "started": meta.get("started", "")},
        "outcome": analysis.outcome.value,
        "exit_code": analysis.outcome.exit_code,
        "reasons": list(analysis.reasons),
        "verdict": list(verdict_text(analysis)),
        "diagnosis": diagnosis_to_json(analysis.diagnosis),
        "verdict_facts": [_fact(fact) for fact in analysis.verdict],
        "incomplete": list(inputs.incomplete),
        "failures": list(inputs.failures),
        "notes": list(meta.get("notes", ())),
        "hosts": {
            host: {
                "observer": inputs.observed.get(host, "none"),
                "calls_proven": host in inputs.proven,
                "packets": inputs.joined.packets.get(host, 0),
                "other_frames": dict(inputs.joined.other.get(host, {})),
                "delay": _delay(analysis.delays.get(host)),
                "counters": _counters(inputs.counters.get(host)),
                "loopback": _loopback(inputs.loopback.get(host)),
                "calls": calls,
            }
            for host, calls in _calls(analysis).items()
        },
        "programs": [_program(program) for program in inputs.programs],
        "flows": [_flow(flow) for flow in inputs.joined.flows],
        "crossings": [
            {
                **_crossing(crossing, cause, labels_of(crossing, inputs.labels)),
                "kernel": kernel_json.crossing_to_json(analysis.kernel, number, cause),
            }
            for number, (crossing, cause) in enumerate(zip(inputs.joined.crossings, analysis.causes, strict=True))
        ],
        "kernel": kernel_json.run_to_json(analysis.kernel),
        "ledger": [_ledger(row, analysis.causes) for row in analysis.ledger],
        "checks": [{**asdict(check), "actual": sentence(check.actual)} for check in analysis.checks],
    }


def _loopback(looped: Loopback | None) -> _Object | None:
    if looped is None:
        return None
    return {
        "total": looped.total,
        "bytes": looped.length,
        "packets": [
            {
                "frame": packet.frame,
                "time": packet.time,
                "source": str(packet.source),
                "destination": str(packet.destination),
                "protocol": packet.protocol,
                "flags": packet.flags,
                "length": packet.length,
                "payload": packet.payload.hex(),
            }
            for packet in looped.packets
        ],
    }


def _counters(changed: Mapping[str, int] | None) -> _Object | None:
    return None if changed is None else dict(changed)


def _calls(analysis: Analysis) -> dict[Host, list[_Object]]:
    inputs = analysis.inputs
    packets: dict[tuple[Host, int], list[int]] = {}
    for crossing, cause in zip(inputs.joined.crossings, analysis.causes, strict=True):
        if cause.kind is CauseKind.CALL:
            for n in cause.calls:
                packets.setdefault((crossing.sender, n), []).append(crossing.n)
    ranges: dict[tuple[Host, int], _Object] = {}
    streams = build_streams(inputs.joined, inputs.calls, inputs.observed)
    for (flow, host, _), stream in streams.streams.items():
        for share in stream.shares:
            ranges[host, share.call.n] = {
                "flow": flow,
                "start": share.start,
                "end": share.end,
                "ambiguous": share.ambiguous,
            }
    return {
        host: [
            {
                **_call(call),
                "stream": ranges.get((host, call.n)),
                "packets": packets.get((host, call.n), []),
                "silent": None if absence is None else sentence(no_packet(absence)),
                "no_packet": None if absence is None else absence.reason.value,
            }
            for call in inputs.calls.get(host, ())
            for absence in (analysis.no_packet.get((host, call.n)),)
        ]
        for host in HOSTS
    }


def _call(call: Call) -> _Object:
    socket = call.socket
    return {
        "n": call.n,
        "pid": call.pid,
        "tid": call.tid,
        "program": call.program,
        "name": call.name,
        "fd": call.fd,
        "args": _value(call.args),
        "start_ns": call.start,
        "end_ns": call.end,
        "result": call.result,
        "errno": call.errno,
        "socket": None
        if socket is None
        else {
            "cookie": socket.cookie,
            "protocol": socket.protocol,
            "local": _endpoint(socket.local),
            "peer": _endpoint(socket.peer),
        },
        "direction": call.direction,
        "length": call.length,
        "data": call.data[:DATA_PREFIX].hex(),
        "digest": call.digest,
        "caller": call.caller,
        "source": call.source,
        "kernel_only": call.kernel_only,
    }


def _crossing(crossing: Crossing, cause: Cause, labels: Mapping[Host, tuple[str, ...]]) -> _Object:
    return {
        "n": crossing.n,
        "flow": crossing.flow,
        "sender": crossing.sender,
        "fate": crossing.fate.value,
        "protocol": crossing.protocol,
        "flags": crossing.flags,
        "seq": crossing.seq,
        "ack": crossing.ack,
        "raw_seq": crossing.raw_seq,
        "window": crossing.window,
        "start": crossing.start,
        "length": crossing.length,
        "payload": crossing.payload[:DATA_PREFIX].hex(),
        "sent_ns": crossing.sent,
        "arrived_ns": crossing.arrived,
        "at_client": crossing.at_client,
        "at_server": crossing.at_server,
        "ttl": crossing.ttl,
        "options": _value(crossing.options),
        "changes": [_change(change) for change in crossing.changes],
        "note": sentence(crossing.note),
        "link": list(link_texts(crossing.link)),
        "link_effects": [_link_effect(effect) for effect in crossing.link],
        "made": crossing.made,
        "labels": {host: list(labels.get(host, ())) for host in HOSTS},
        "cause": {
            "kind": cause.kind.value,
            "rule": cause.rule.value,
            "evidence": sentence(full_evidence(cause)),
            "calls": list(cause.calls),
            "packets": list(cause.packets),
            "basis": cause.basis.value,
            "alternatives": [name.value for name in cause.alternatives],
        },
    }


def _link_effect(effect: LinkEffect | LinkOrigin) -> _Object:
    faults = [fault.index for fault in effect.faults]
    if isinstance(effect, LinkOrigin):
        return {"action": None, "delay_ns": None, "of": effect.of, "faults": faults}
    return {"action": effect.action.value, "delay_ns": effect.delay, "of": None, "faults": faults}


def _change(change: Change) -> _Object:
    """All of a change: of a payload every byte from the first that differs to the last."""
    what, sent, arrived = change_text(change)
    payload = change if isinstance(change, PayloadChange) else None
    return {
        "what": what,
        "at_sender": sent,
        "at_receiver": arrived,
        "before": _changed(change.before),
        "after": _changed(change.after),
        "offset": payload.offset if payload else None,
        "count": payload.count if payload else None,
    }


def _changed(value: FieldValue | bytes) -> int | str:
    if isinstance(value, bytes):
        return value.hex()
    return value.raw.hex() if isinstance(value, OptionBytes) else value


def _flow(flow: Flow) -> _Object:
    return {
        "index": flow.index,
        "protocol": flow.protocol,
        "client": _endpoint(flow.client),
        "server": _endpoint(flow.server),
        "client_isn": flow.client_isn,
        "server_isn": flow.server_isn,
    }


def _endpoint(endpoint: Endpoint | None) -> _Object | None:
    return None if endpoint is None else {"address": endpoint.address, "port": endpoint.port}


def _fact(fact: VerdictFact) -> _Object:
    """Return a fact of the verdict with its name; a row of the ledger is referred to by flow and sender."""
    if isinstance(fact, Transfer):
        return {
            "fact": "transfer",
            "flow": fact.row.flow,
            "sender": fact.row.sender,
            "refused": fact.refused,
            "unread_end": fact.unread_end.value,
        }
    if isinstance(fact, BrokenOff):
        reset = _value(asdict(fact.reset))
        return {"fact": "broken-off", "flow": fact.flow, "reset": reset, "evidence": sentence(fact.evidence)}
    return {"fact": _FACTS[type(fact)], **_value(asdict(fact))}


_FACTS: Final[Mapping[type[VerdictFact], str]] = {
    DeadLock: "dead-lock",
    SocketEvents: "socket-events",
    ProgramFailed: "program-failed",
    NoPackets: "no-packets",
    NoFlows: "no-flows",
    ConnectionRefused: "connection-refused",
    NeverOpened: "never-opened",
    NoData: "no-data",
    GivenUp: "given-up",
    ConnectsFailed: "connects-failed",
    DatagramsRefused: "datagrams-refused",
    FlowTotals: "flow-totals",
    SenderTotals: "sender-totals",
}


def _count(count: Count) -> _Object:
    return {"bytes": count.bytes, "digest": count.digest, "datagrams": count.datagrams}


def _ledger(row: LedgerRow, causes: Sequence[Cause]) -> _Object:
    return {
        "flow": row.flow,
        "sender": row.sender,
        "written": _count(row.written),
        "sent": _count(row.sent),
        "arrived": _count(row.arrived),
        "acknowledged": _count(row.acknowledged),
        "read": _count(row.read),
        "unseen": list(row.unseen),
        "unread": row.unread,
        "unlogged_read": row.unlogged_read,
        "difference": difference_text(row) or None,
        "lost_at": row.lost_at,
        "close": close_text(row, causes),
        "content_difference": None if row.difference is None else _value(asdict(row.difference)),
        "connection_end": None if row.close is None else _value(asdict(row.close)),
    }


def _delay(delay: Delay | None) -> _Object:
    return {
        "count": delay.count if delay else 0,
        "minimum_ns": delay.minimum if delay else None,
        "median_ns": delay.median if delay else None,
        "maximum_ns": delay.maximum if delay else None,
    }


def _program(program: Program) -> _Object:
    return {
        **program_members(program),
        "started_ns": program.started,
        "ended_ns": program.ended,
    }


def _value(value: object) -> Any:  # noqa: ANN401 - what an observer or a decoder put into args and options
    """Arguments and options as JSON: bytes as hex, what JSON has no word for as its text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(key): _value(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(member) for member in value]
    return str(value)
