"""Pages to test, written once each: name -> how its source is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dev.bench.long_run import START, long_run
from testbed.analysis.link_check import origin_evidence
from testbed.model import Cause, CauseName, Flow, LinkAction, LinkEffect, LinkFault, LinkOrigin
from testbed.pairing.clock import Clock, ClockPiece
from testbed.report.html import comparison_page
from testbed.report.html.fit import LIMIT
from testbed.report.html.page_source import PageSource
from testbed.report.html.run_page import render
from testbed.report.run_files import source
from testbed.run.evaluate import evaluate
from testbed.rundir.layout import RunDirectory
from tests.builders.eventful_run import eventful_source, hostile_source, witnessed_source
from tests.builders.runs import CLIENT, SERVER, with_joined
from tests.builders.transfers import MS, Transfer, moved, transfer

OLD_RUN = next((Path(__file__).parents[1] / "data/run-v1/server-reads-once").iterdir())
WITNESSED_RUN = next((Path(__file__).parents[1] / "data/witness-v1/keepalive-lookalike").iterdir())
OFFSET = 421_000_000
"""ns by which the server's clock is ahead in the page `clocks`."""


def _of(path: Path) -> PageSource:
    directory = RunDirectory(path)
    return source(directory, evaluate(directory))


def _long() -> PageSource:
    analysis, captures = long_run(10_000)
    return PageSource(analysis, {"scenario": "long"}, captures)


def _linked() -> PageSource:
    """The eventful run with the link's journal, and its end on a connection of its own."""
    made = eventful_source()
    crossings = list(made.analysis.inputs.joined.crossings)
    causes = list(made.analysis.causes)
    drop, forge = LinkFault(0, LinkAction.DROP, "drop: client data 2"), LinkFault(1, LinkAction.FORGE, "forge: rst")
    crossings[5] = replace(crossings[5], link=(LinkEffect(LinkAction.DROP, faults=(drop,)),))
    late = LinkEffect(LinkAction.DELAY, 1_000_000)
    crossings[7] = replace(crossings[7], link=(late, LinkEffect(LinkAction.CORRUPT)))
    forged = LinkOrigin("forged", of=10, faults=(forge,))
    crossings[11] = replace(crossings[11], link=(forged,), made="forged")
    causes[11] = Cause(CauseName.LINK_FORGED, origin_evidence(forged))
    for n in (12, 13):
        crossings[n] = replace(crossings[n], flow=1)
    flows = (
        Flow(0, "tcp", CLIENT, SERVER, 1, 2),
        Flow(1, "tcp", replace(CLIENT, port=CLIENT.port + 1), SERVER, 3, 4),
    )
    analysis = replace(with_joined(made.analysis, tuple(crossings), flows), causes=tuple(causes))
    return replace(made, analysis=analysis)


SOURCES: dict[str, Callable[[], PageSource]] = {
    "run": lambda: _of(OLD_RUN),
    "witnessed": witnessed_source,
    "witnessed-run": lambda: _of(WITNESSED_RUN),
    "eventful": eventful_source,
    "labelled": lambda: eventful_source(labels=True),
    "linked": _linked,
    "clocks": lambda: eventful_source(clock=Clock((ClockPiece(0, 0, START, OFFSET, 0.0, 50_000, None),))),
    "hostile": hostile_source,
    "long": _long,
    "cut": _long,
}
LIMITS = {"cut": 300_000}
"""Bytes that a page may have, where that is not the usual limit."""


FAULTS = {3: "lost", 5: "duplicated", 7: "late", 8: "window", 10: "split", 12: "payload"}
HOSTILE = "<script>alert(1)</script>\x00\x1b[31m\u202eevil.pcap"


def _compared() -> str:
    """Two captures on two clocks, with all kinds of differences."""
    made = transfer(FAULTS)
    return comparison_page.render(
        Transfer(made.client, moved(made.server, offset=OFFSET)).compare(), ("a", "b"), ("lost",)
    )


def _compared_unclear() -> str:
    """Identical packets of which one is missing, one that no host sent, and a capture that began late."""
    made = transfer(segments=10)
    data = next(one for one in made.server if one.number == 7)
    made.server.append(
        replace(
            data,
            time=data.time + MS,
            payload=b"",
            number=-1,
            fields={**data.fields, "flags": 4, "ident": 777, "ttl": 200},
        )
    )
    ack = next(one for one in made.client if one.number < 0 and one.fields["flags"] == 16 and not one.from_client)
    fields = {**ack.fields, "ident": 0, "options": b"", "window": 400}
    for k in range(6):
        made.server.append(replace(ack, time=START + 40 * MS + k * 1000, fields=fields))
        if k != 3:
            made.client.append(replace(ack, time=START + 45 * MS + k * 1000, fields={**fields, "ttl": 61}))
    late = [one for one in made.server if one.time > made.server[0].time + 14 * MS]
    return comparison_page.render(Transfer(made.client, late).compare(), ("a", "b"), ("appeared", "ambiguous"))


def _compared_hostile() -> str:
    """Hostile payloads, in files with hostile names."""
    made = transfer({3: "lost"})
    dirty = [
        [replace(one, payload=HOSTILE.encode()[: len(one.payload)]) for one in end]
        for end in (made.client, made.server)
    ]
    return comparison_page.render(Transfer(*dirty).compare(), (HOSTILE, HOSTILE), ("lost",))


def _compared_late() -> str:
    """Both captures lack the handshake, the server's began later still."""
    made = transfer()
    late = [one for one in made.server if one.time > made.server[0].time + 25 * MS]
    return comparison_page.render(Transfer(made.client[3:], late).compare(), ("a", "b"), ())


COMPARED: dict[str, Callable[[], str]] = {
    "compared": _compared,
    "compared-unclear": _compared_unclear,
    "compared-hostile": _compared_hostile,
    "compared-late": _compared_late,
}


def write(name: str, place: Path) -> Path:
    """Write a page below a directory, unless it is there."""
    path = place / f"{name}.html"
    if not path.exists():
        page = COMPARED[name]() if name in COMPARED else render(SOURCES[name](), limit=LIMITS.get(name, LIMIT))
        path.write_text(page, encoding="utf-8")
    return path
