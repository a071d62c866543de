"""``invoke step``: one host's program under gdb, one call at a time, as a person or a script lets it go on.

Before each call it is shown with its source line and arguments. Enter lets it run; then the packets that it caused
are printed as both captures have them, each with its cause. The captures are read while they grow.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from testbed.cli.host_argument import host_named
from testbed.cli.progress import say_why, show_progress, show_run
from testbed.lab.observers.hold_rules import Dialogue, wait_quiet
from testbed.model import HOSTS, Analysis, Call, Cause, Crossing, Host, Inputs, peer_of
from testbed.model.errors import CaptureError
from testbed.report.cause_words import full_evidence
from testbed.report.evidence_text import sentence
from testbed.report.no_packet_text import no_packet
from testbed.report.text.terminal_text import duration, escape, quote
from testbed.run.interruption import ended_by_signals
from testbed.rundir.layout import RunDirectory

if TYPE_CHECKING:
    from testbed.lab.engine import LiveLab
    from testbed.scenario.scenario import Scenario

Event = dict[str, Any]

HELP = "Enter: make this call; c(ontinue): all the rest; s(kip to) NAME: go on to the next NAME; q(uit): end the run"
_DAY = 86400.0
_BEHIND = 1.0
"""Seconds by which the capture of one end may be behind that of the other on a busy machine."""


def step(name: str, *, host: str, catalogue: Path, runs: Path, engine: str) -> int:
    """Run a scenario with one host's calls let go one by one; answers come from standard input."""
    from testbed.api.runs import run_scenario
    from testbed.lab.choose_engine import choose
    from testbed.run.through_lab import Stepping
    from testbed.scenario.catalogue import find
    from testbed.scenario.load import load

    loaded = load(find(name, catalogue))
    chosen = host_named(host, loaded.hosts)
    scenario = stepped(loaded, chosen)
    dialogue = StreamDialogue(sys.stdin, sys.stdout)
    stepping = Stepping(partial(PromptStepper, chosen), dialogue)
    choice = choose(engine)
    say_why(choice)
    sys.stdout.write(f"{HELP}\n")
    with show_progress(quiet=not sys.stderr.isatty()) as progress, ended_by_signals():
        result = run_scenario(scenario, engine=choice, runs=runs, progress=progress, stepping=stepping)
    if dialogue.quit:
        sys.stdout.write(f"ended; what was captured is in {RunDirectory(result.directory)}\n")
        return 0
    show_run(result, as_json=False)
    return result.outcome.exit_code


def stepped(scenario: Scenario, host: Host) -> Scenario:
    """Return the scenario with this host under gdb, time to think, and nothing expected: stepping changes the wire."""
    observe = scenario.observe.model_copy(update={host: "gdb"})
    loose = scenario.hosts[host].model_copy(update={"exit": "any"})
    return scenario.without_expectations().model_copy(update={"observe": observe, "timeout": _DAY, host: loose})


class StreamDialogue:
    """A person at two streams; ``quit`` once they want the run to end."""

    def __init__(self, answers: TextIO, out: TextIO) -> None:
        self.quit = False
        self._answers = answers
        self._out = out

    def say(self, text: str) -> None:
        """Write text."""
        self._out.write(text)
        self._out.flush()

    def ask(self) -> str:
        """Read a line."""
        line = self._answers.readline()
        self.quit = self.quit or _wants_end(line)
        return line


def _places(crossing: Crossing) -> tuple[int | None, int | None]:
    """Return a packet's places in both captures."""
    return crossing.at_client, crossing.at_server


def _wants_end(line: str) -> bool:
    return line.split()[:1] in (["q"], ["quit"])


class PromptStepper:
    """Holds each call until a person (or a script) lets it go."""

    def __init__(self, host: Host, live: LiveLab, directory: Path, dialogue: Dialogue) -> None:
        self._host: Host = host
        self._live = live
        self._directory = directory
        self._dialogue = dialogue
        self._free = False
        self._until = ""
        self._lines = ['{"event": "attached"}']
        self._shown: set[tuple[int | None, int | None]] = set()
        self._started: int | None = None

    def before(self, event: Event) -> None:
        """Show the call; wait for an answer unless the program runs freely."""
        from testbed.observe.gdb.gdb_calls import describe, name_of

        self._lines.append(json.dumps(event))
        self._lines.append(json.dumps({"event": "released", "id": event["id"], "time": event["time"]}))
        if self._until and name_of(event) == self._until:
            self._until = ""
        self._say(f"{self._host}: {escape(describe(event))}")
        while not self._free and not self._until and not self._obey():
            self._say(f"  {HELP}")

    def after(self, event: Event) -> None:
        """Print what the call returned and which packets are new."""
        from testbed.observe.gdb.gdb_calls import decode

        self._lines.append(json.dumps(event))
        wait_quiet(self._captured)
        calls = decode(self._lines, self._host).calls
        # A call on something else than an Internet socket is not among them.
        call = next((call for call in reversed(calls) if call.end == event["time"]), None)
        if call is not None:
            self._say(f"  = {call.errno or call.result}")
            self._show_packets(calls, call)

    def finish(self) -> None:
        """Print the packets that came after the last call (a process's end sends some too)."""
        from testbed.observe.gdb.gdb_calls import decode

        self._show_packets(decode(self._lines, self._host).calls, None)

    def _obey(self) -> bool:
        """Read one answer; False if it is none that is known."""
        self._dialogue.say("> ")
        line = self._dialogue.ask()
        answer, _, rest = line.strip().partition(" ")
        if not line or answer in ("c", "continue"):
            self._free = True
        elif _wants_end(line):
            self._free = True
            for agent in self._live.hosts.values():  # the other program may wait for what never comes now
                agent.signal_all(signal.SIGKILL)
        elif answer in ("s", "skip") and rest:
            self._until = rest.removeprefix("to ").strip()
        elif answer:
            return False
        return True

    def _show_packets(self, calls: tuple[Call, ...], call: Call | None) -> None:
        deadline = time.monotonic() + _BEHIND
        while True:
            analysis = self._analyse(calls)
            fresh = self._fresh(analysis) if analysis else []
            if all(None not in _places(crossing) for crossing, _ in fresh) or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        for crossing, cause in fresh:
            self._shown.add(_places(crossing))
            self._say(self._packet(crossing, cause))
        if analysis and call is not None and not fresh:
            absence = analysis.no_packet.get((self._host, call.n))
            reason = f": {escape(sentence(no_packet(absence)))}" if absence else ""
            self._say(f"  no packet{reason}")

    def _fresh(self, analysis: Analysis) -> list[tuple[Crossing, Cause]]:
        """Return the packets that were not shown yet, with their causes."""
        each = zip(analysis.inputs.joined.crossings, analysis.causes, strict=True)
        return [(crossing, cause) for crossing, cause in each if _places(crossing) not in self._shown]

    def _packet(self, crossing: Crossing, cause: Cause) -> str:
        if self._started is None:
            self._started = crossing.time
        content = f" {quote(crossing.payload, 24, crossing.length)}" if crossing.length else ""
        way = f"{crossing.sender} {crossing.flags or crossing.protocol.upper()}{content}"
        fate: str = crossing.fate
        if crossing.sent is not None and crossing.arrived is not None:
            fate = f"at the {peer_of(crossing.sender)} after {duration(crossing.arrived - crossing.sent)}"
        at = (crossing.time - self._started) / 1e6
        return f"  {at:10.3f} ms  {way:<28} {fate:<30} {cause.kind.value}: {escape(sentence(full_evidence(cause)))}"

    def _analyse(self, calls: tuple[Call, ...]) -> Analysis | None:
        """Analyse what there is so far; None while a capture has not begun."""
        from testbed.analysis.analyse import analyse
        from testbed.analysis.join.join import join
        from testbed.capture.read_file import read

        link = self._live.link.addresses if self._live.link is not None else {}
        try:
            captures = {host: read((self._directory / f"{host}.pcap").read_bytes()) for host in self._live.hosts}
        except CaptureError:
            return None
        places = {
            host: [*own.all, *(address for other, there in link.items() if other != host for address in there.all)]
            for host, own in self._live.addresses.items()
        }
        one_end, other_end = (captures[end] for end in HOSTS)  # packets are joined between two captures
        joined = join(one_end, other_end, places)
        hosts = self._live.hosts
        observed = {host: "gdb" if host == self._host else "none" for host in hosts}
        by_host = {host: calls if host == self._host else () for host in hosts}
        return analyse(Inputs(joined, by_host, observed, (), dict.fromkeys(hosts, "")))

    def _captured(self) -> int:
        return sum((self._directory / f"{host}.pcap").stat().st_size for host in self._live.hosts)

    def _say(self, text: str) -> None:
        self._dialogue.say(text + "\n")
