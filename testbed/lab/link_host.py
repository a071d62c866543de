"""The link host at work: its queue, its program, the changes during a run, and the journal. The same on every engine.

The program (compose/link) decides what becomes of each packet that the link host forwards. Its plan goes in at its
standard input, its journal comes out at its standard output and is ``link.jsonl`` in the run directory. ``link.plan``
keeps what it was given, line by line: a plan that gives the same packets the same fate again.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from testbed.lab.agent import Agent, AgentProcess
from testbed.lab.engine import LinkHost
from testbed.model import Host
from testbed.model.errors import LabError, LabTimeout, Unsupported
from testbed.rundir.layout import JOURNAL, PLAN
from testbed.scenario.link.link_plan import LinkChange, LinkPlan, Settings

PROGRAM = "link"
ANSWER_TIMEOUT = 10.0
"""Seconds to wait for an answer that takes the program microseconds."""
FILTERS = {4: ("iptables", "iptables-legacy"), 6: ("ip6tables", "ip6tables-legacy")}
"""Which of the two speaks to this kernel differs: it may have been built with only one of the interfaces."""
_EVENT = b'{"event":'


class LinkDied(LabError):  # noqa: N818 - it is what happened
    """The link program ended by itself: from then on no packet passed."""


class RunningLink:
    """The link of one routed lab, between the two hosts that are its ends.

    ``on_death`` is called from another thread if its program ends by itself.
    """

    def __init__(self, host: LinkHost, directory: Path, on_death: Callable[[], None]) -> None:
        self._host = host
        self._agent: Agent = host.agent
        self._versions = next(iter(host.addresses.values())).of
        self._path = directory / JOURNAL
        self._plan_path = directory / PLAN
        self._on_death = on_death
        self._settings: dict[Host, Settings] = {end: {} for end in host.addresses}
        self._process: AgentProcess | None = None
        self._file: BinaryIO | None = None
        self._write_error: OSError | None = None
        self._line = b""
        self._stderr = b""
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._asked_to_end = False
        self._packets = -1
        self.totals: dict[str, Any] = {}

    def prepare(self) -> None:
        """Make the kernel hand over what it forwards. Unsupported if it cannot."""
        interfaces = self._host.interfaces
        if not interfaces:
            interfaces = self._interfaces()
            for version in self._versions:
                self._agent.run(["ip", f"-{version}", "route", "flush", "exact", "default"])
            self._end_waiting()
        for interface in interfaces.values():
            self._agent.turn_off_offloads(interface)
        rules = [
            f"-A FORWARD -i {interfaces[host]} -j NFQUEUE --queue-num {number}"
            for number, host in enumerate(self._host.addresses)
        ]
        for version in self._versions:
            self._hand_over("\n".join(["*filter", *rules, "COMMIT", ""]), version)

    def _end_waiting(self) -> None:
        """Let addresses of IPv6 be used that wait to be proved unique (RFC 4862), as an engine's link-local ones do.

        Until then the kernel would ask for no neighbour of a packet that it forwards, and the packet would wait too.
        """
        waiting = self._agent.run(["ip", "-6", "-o", "address", "show", "tentative"]).splitlines()
        lines = []
        for _, name, _, address, *_ in map(str.split, waiting):
            lines += [f"address del {address} dev {name}", f"address add {address} dev {name} nodad"]
        if lines:
            self._agent.begin(["ip", "-batch", "-"], text="\n".join([*lines, ""]))()

    def _hand_over(self, text: str, version: int) -> None:
        refusals = []
        for tool in FILTERS[version]:
            try:
                self._agent.begin([f"{tool}-restore", "--noflush"], text=text)()
            except LabError as error:
                refusals.append(f"{tool}: {(error.last_output or error.what).strip().splitlines()[-1]}")
            else:
                return
        raise Unsupported(
            "this kernel has no NFQUEUE, with which the link takes packets",
            last_output="\n".join(refusals),
            hint="a kernel with CONFIG_NETFILTER_XT_TARGET_NFQUEUE; `invoke doctor` says what is there",
        )

    def _interfaces(self) -> dict[Host, str]:
        """Return the link host's interface on each host's side, found by its address."""
        found = {}
        for line in self._agent.run(["ip", "-o", "address"]).splitlines():
            _, name, _, address, *_ = line.split()
            for host, own in self._host.addresses.items():
                if address.partition("/")[0] == own.first:
                    found[host] = name
        if len(found) < len(self._host.addresses):
            raise LabError("the link host is not on every host's network", state=f"it has {found}")
        return found

    def start(self, plan: LinkPlan) -> None:
        """Start the program and return when packets pass."""
        self._file = self._path.open("wb")
        self._settings = {host: dict(plan.settings[host]) for host in self._host.addresses}
        self._process = self._agent.start(
            [PROGRAM], out=self._take, err=self._take_error, on_end=self._note_end, stdin=True
        )
        lines = [f"link seed={plan.seed} copy={'payload' if plan.payload else 'headers'}"]
        lines += [
            f"end from={host} address={address}" for host, own in self._host.addresses.items() for address in own.all
        ]
        lines += [_set_line(host, settings) for host, settings in self._settings.items()]
        lines += [f"fault {fault}" for fault in plan.faults]
        self._give([*lines, "start"])

    def change(self, change: LinkChange) -> None:
        """Change what happens to packets; return when it holds."""
        for host, settings in change.settings.items():
            self._settings[host] |= settings
            self._give([_set_line(host, self._settings[host])])
        for host, length in change.down.items():
            self._give([f"down from={host} for={length}"])

    def pass_barrier(self, name: str) -> None:
        """Say that both hosts have come to a barrier and wait at it; return when the link knows."""
        self._give([f"barrier name={name}"])

    def is_quiet(self) -> bool:
        """Whether nothing waits in the link and nothing has come to it since this was last asked."""
        answer = self._ask(["count"])
        before, self._packets = self._packets, int(answer["packets"])
        return not answer["waiting"] and self._packets == before

    def stop(self) -> None:
        """Let everything go and end the program; the journal is then complete."""
        try:
            if self._process is not None and not self._process.ended.is_set():
                self._asked_to_end = True
                self.totals = self._ask(["stop"])
                if self._process.wait(ANSWER_TIMEOUT) is None:
                    raise LabTimeout(f"the link program did not end in {ANSWER_TIMEOUT:g} s")
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None

    def problems(self) -> list[str]:
        """Say why the journal cannot be shown to be complete; empty when it is."""
        found = []
        if self._write_error is not None:
            found.append(f"the link's plan or journal could not be written: {self._write_error}")
        if not self.totals:
            found.append("the link's journal has no end")
        if self.totals.get("refused"):
            found.append(f"the link could not send {self.totals['refused']} packets: {self._last_words()}")
        return found

    def death(self) -> LinkDied:
        """Return the error that says how the program ended."""
        ended = self._process.exit if self._process else None
        state = str(ended) if ended else "its container is gone"
        return LinkDied("the link program died", state=state, last_output=self._last_words())

    def _give(self, lines: list[str]) -> None:
        """Write lines of the plan that have one answer, and keep them."""
        try:
            with self._plan_path.open("a", encoding="utf-8") as plan:
                plan.writelines(f"{line}\n" for line in lines)
        except OSError as error:
            self._write_error = error
        self._ask(lines)

    def _ask(self, lines: list[str]) -> dict[str, Any]:
        """Write lines that have one answer, and return it."""
        assert self._process is not None  # noqa: S101 - started before it is asked
        if self._process.ended.is_set():
            raise self.death()
        self._process.write("".join(f"{line}\n" for line in lines).encode())
        try:
            answer = self._answers.get(timeout=ANSWER_TIMEOUT)
        except queue.Empty:
            raise LabTimeout(
                f"the link program did not answer `{lines[-1].split()[0]}` in {ANSWER_TIMEOUT:g} s",
                last_output=self._last_words(),
            ) from None
        if answer is None:
            raise self.death()
        return answer

    def _last_words(self) -> str:
        return self._stderr.decode(errors="replace")

    def _note_end(self) -> None:
        self._answers.put(None)
        if not self._asked_to_end:
            self._on_death()

    def _take(self, data: bytes) -> None:
        """Keep the journal; what is no packet is an answer (or news of packets that the kernel lost)."""
        if self._file is not None and self._write_error is None:
            try:
                self._file.write(data)
                self._file.flush()
            except OSError as error:
                self._write_error = error
        if _EVENT not in data and not self._line:
            start = data.rfind(b"\n") + 1
            self._line = data[start:]
            return
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if line.startswith(_EVENT):
                event = json.loads(line)
                if event["event"] != "overflow":
                    self._answers.put(event)

    def _take_error(self, data: bytes) -> None:
        self._stderr = (self._stderr + data)[-4096:]


def _set_line(host: Host, settings: Mapping[str, str]) -> str:
    return " ".join([f"set from={host}", *(f"{key}={value}" for key, value in settings.items())])
