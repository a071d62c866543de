"""Events of the lab's own addresses from a recording of the kernel's tracepoints (compose/witness/witness.c)."""

from __future__ import annotations

import ipaddress
import re
import struct
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter
from pathlib import Path

from testbed.capture.arrivals import Arrivals
from testbed.capture.directions import FrameRun
from testbed.model import Endpoint, Host
from testbed.model.errors import CaptureError
from testbed.model.kernel_log import Departure, KernelEvent, KernelLog, TimerRun
from testbed.observe.kernel.call_stacks import STACK, CallStacks
from testbed.observe.kernel.departures import Interfaces
from testbed.observe.kernel.frame_order import Passing
from testbed.observe.kernel.observed_interface import SeenInterface
from testbed.observe.kernel.part_departures import PartlyCaptured
from testbed.observe.kernel.recorded_frames import RecordedFrames, frames
from testbed.observe.kernel.trace_drops import Came, WaysIn
from testbed.observe.kernel.trace_format import Field, Format, PageHeader

STATES = (
    *("", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"),
    *("CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)
"""Names of TCP's states by number (include/net/tcp_states.h)."""
CONGESTION_STATES = ("Open", "Disorder", "CWR", "Recovery", "Loss")
"""Names of congestion states by number (enum tcp_ca_state)."""

KEPT: Mapping[str, tuple[str, ...]] = {
    "inet_sock_set_state": ("oldstate", "newstate"),
    "tcp_retransmit_skb": ("state", "err"),
    "tcp_retransmit_synack": (),
    "tcp_send_reset": ("state", "reason"),
    "tcp_receive_reset": (),
    "tcp_cong_state_set": ("cong_state",),
    "tcp_probe": ("data_len", "snd_nxt", "snd_una", "snd_cwnd", "ssthresh", "snd_wnd", "srtt", "rcv_wnd"),
    "tcp_bad_csum": (),
    "tcp_destroy_sock": (),
    "kfree_skb": ("protocol", "reason"),
}
"""What of each tracepoint is kept besides addresses, socket and packet; a drop also has ``place``, the function, and
``arrived``, where its packet is known: the time that the host's capture has of it."""
WAYS_IN = ("netif_rx", "netif_receive_skb")
"""Tracepoints of which nothing is kept: they tell which packet is dropped, and which one is answered."""
LEAVES, QUEUES, WAITS = "net_dev_start_xmit", "net_dev_queue", "neigh_event_send_done"
TIMERS = ("timer_expire_entry", "hrtimer_expire_entry")

_STATE_FIELDS = frozenset({"oldstate", "newstate", "state"})
_INTERRUPT = 0x08 | 0x10  # TRACE_FLAG_HARDIRQ, TRACE_FLAG_SOFTIRQ
_INET, _INET6, _TCP = 2, 10, 6
_ETHERTYPES = (0x0800, 0x86DD)  # of IPv4 and of IPv6
_FREED = frozenset({"NOT_SPECIFIED", "CONSUMED", "QUEUE_PURGE"})
"""Reasons of packets that are freed without having been dropped on arrival, or for no stated reason."""
_WAITED = frozenset({"NEIGH_FAILED", "NEIGH_QUEUEFULL", "NEIGH_DEAD"})
"""Reasons of packets that waited for a hardware address."""
_FREEING = ("kfree_skb", "sk_skb_reason_drop", "__kfree_skb", "0x")
_POINTER = (1 << 64) - 1
_NO_NAME = "its interface has the same name as others (Linux 6.2 renames one that is up)"
_SOCKET = 4096  # more bytes than struct tcp_sock or tcp6_sock has, and no more than two of them
_OVERRUN = re.compile(r"^(overrun|commit overrun|dropped events): (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class RunSources:
    """What the hosts' captures have, and this machine's kernel, read when it is asked for.

    ``arrivals``: what came to each host. ``frames``: what each host's interface sent and received, or why it is not
    known. ``symbols``: the text of this machine's ``/proc/kallsyms``.
    """

    arrivals: Callable[[], Mapping[Host, Arrivals]] = dict
    frames: Callable[[], Mapping[Host, tuple[FrameRun, FrameRun] | str]] = dict
    symbols: Callable[[], str] = str


def decode(
    path: Path,
    addresses: Mapping[Host, Iterable[str]],
    devices: Mapping[Host, str] | None = None,
    sources: RunSources = RunSources(),
    *,
    queued: Collection[Host] = (),
    seen: Mapping[Host, SeenInterface] | None = None,
) -> KernelLog:
    """Read a recording and keep the events of the lab; ``addresses`` are its hosts'.

    ``devices`` are the first names of their interfaces, where no other on the machine has the same; ``seen`` are they
    where captures have only some of what passes them. ``queued`` are the hosts whose interface has a queue. Raises
    CaptureError where the recording makes no sense.
    """
    recording = RecordedFrames()
    try:
        with path.open("rb") as data:
            for kind, payload in frames(data):
                recording.take(kind, payload)
        interfaces = Interfaces(devices or {}, queued) if seen is None else PartlyCaptured(seen)
        return _Decoder(recording, addresses, devices or {}, interfaces).log(sources)
    except (OSError, ValueError, KeyError, IndexError, struct.error) as error:
        raise CaptureError(f"the witness's record cannot be read: {error!r}") from error


class _Decoder:
    def __init__(
        self,
        recording: RecordedFrames,
        addresses: Mapping[Host, Iterable[str]],
        devices: Mapping[Host, str],
        interfaces: Interfaces | PartlyCaptured,
    ) -> None:
        self._recording = recording
        self._hosts: dict[str, Host] = {address: host for host, own in addresses.items() for address in own}
        known = {*KEPT, *WAYS_IN, *TIMERS, LEAVES, QUEUES, WAITS, STACK}
        self._formats = {made.id: made for made in recording.formats.values() if made.name in known}
        self._stacks = CallStacks(recording.names)
        self._interfaces = interfaces
        self._timers: list[TimerRun] = []
        self._timer_functions: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._owners: dict[int, tuple[Host, Endpoint, Endpoint]] = {}
        self._handled: dict[int, tuple[str, int, tuple[Host, Endpoint, Endpoint]]] = {}
        self._ways_in = WaysIn(frozenset(devices.values()))
        self._came: dict[int, Came] = {}  # by the drop's place among the events

    def log(self, sources: RunSources) -> KernelLog:
        recording = self._recording
        if recording.header is None or not recording.clocks:
            raise ValueError("it has no beginning")
        problems = [] if recording.ended else ["the witness's record has no end"]
        lost = sum(int(count) for _, count in _OVERRUN.findall(recording.statistics))
        if lost or any(recording.header.missed(page) for *_, page in recording.pages):
            problems.append(f"the kernel's buffer was too small: {lost or 'some'} events were lost")
        found = sorted(self._records(recording.header), key=itemgetter(0, 1))
        self._stacks.look_up(sources.symbols, self._timer_functions)
        events: list[KernelEvent] = []
        for record in found:
            event, came = self._event(*record)
            if came is not None:
                self._came[len(events)] = came
            if event is not None:
                events.append(event)
        error = max((width + 1) // 2 for _, _, width in recording.clocks)
        if self._came:
            self._find_packets(events, sources.arrivals() if not problems else {}, error)
        departures = {} if problems else self._departures(sources, error, problems)
        return KernelLog(
            tuple(_with_ports([event for event in events if event.host is not None])),
            tuple(sorted(recording.formats)),
            tuple(recording.missing),
            lost,
            error,
            tuple(problems),
            tuple(self._stacks.all),
            departures,
            tuple(self._timers),
        )

    def _departures(self, sources: RunSources, error: int, problems: list[str]) -> dict[Host, tuple[Departure, ...]]:
        """Return the departure of every frame; what cannot be matched is a problem."""
        if not any(name.endswith((LEAVES, WAYS_IN[0])) for name in self._recording.formats):
            return {}
        found = {}
        for host, known in sources.frames().items():
            matched: tuple[Departure, ...] | str = known if isinstance(known, str) else _NO_NAME
            if not isinstance(known, str) and host in self._interfaces.hosts:
                matched = self._interfaces.departures(host, known, error)
            if isinstance(matched, str):
                problems.append(f"the kernel's reports of what left the {host} do not match its capture: {matched}")
            else:
                found[host] = matched
        return found

    def _find_packets(self, events: list[KernelEvent], arrivals: Mapping[Host, Arrivals], error: int) -> None:
        """Find the packet of each drop; one that nothing names and no capture holds was not the lab's."""
        packets = self._ways_in.packets(self._came.values(), arrivals, error)
        for at, came in self._came.items():
            event, packet = events[at], packets.get(came)
            if packet is None or event.local not in (None, packet.local) or event.peer not in (None, packet.peer):
                continue
            if not _fits(packet.local, int(event.fields["protocol"])):
                continue
            fields = {**event.fields, "arrived": packet.time}
            events[at] = replace(event, host=packet.host, local=packet.local, peer=packet.peer, fields=fields)

    def _records(self, header: PageHeader) -> list[tuple[int, int, memoryview, int | None]]:
        """Return time, processor, record and number of the call stack of each event."""
        found: list[tuple[int, int, memoryview, int | None]] = []
        waiting: dict[tuple[int, int], list[int]] = defaultdict(list)  # an interrupt's comes between one and its stack
        for instance, cpu, page in self._recording.pages:
            own = waiting[instance, cpu]
            for time, record in header.records(page):
                made = self._formats.get(int.from_bytes(record[:2], "little"))
                if made is not None and made.name == STACK:
                    if own:
                        at = own.pop()
                        found[at] = (*found[at][:3], self._stacks.number(made, record))
                elif made is not None:
                    if made.name in TIMERS:
                        self._name_timer(made, record)
                    if instance:
                        own.append(len(found))
                    found.append((time, cpu, record, None))
        return found

    def _on_wall(self, time: int) -> int:
        """Return a time of the trace's clock on CLOCK_REALTIME: by a line through both measurements."""
        (wall0, mono0, width0), (wall1, mono1, width1) = self._recording.clocks[0], self._recording.clocks[-1]
        first, last = wall0 + width0 // 2 - mono0, wall1 + width1 // 2 - mono1
        span = mono1 - mono0
        return time + (first + (last - first) * (time - mono0) // span if span > 0 else first)

    def _event(
        self, time: int, cpu: int, record: memoryview, stack: int | None
    ) -> tuple[KernelEvent | None, Came | None]:
        """Return an event that is kept, and of a drop how its packet came in, where that is known.

        A drop that is nobody's so far has no host.
        """
        made = self._formats[int.from_bytes(record[:2], "little")]
        fields, came = made.fields, None
        if made.name in TIMERS:
            self._timer(made, time, cpu, record)
            return None, None
        if made.name in (LEAVES, QUEUES, WAITS) or (made.name == WAYS_IN[0] and stack is not None):
            self._passes(made, self._on_wall(time), cpu, record, stack)
            return None, None
        sk = next((fields[name].number(record) for name in ("skaddr", "rx_sk") if name in fields), 0)
        skb = fields["skbaddr"].number(record) if "skbaddr" in fields else 0
        if made.name in WAYS_IN:
            self._takes_in(made, self._on_wall(time), cpu, skb, record)
            return None, None
        drop = made.name == "kfree_skb"
        where = self._dropped(cpu, sk, skb, made, record) if drop else self._ours(made, record)
        if where is None or made.name == "tcp_destroy_sock":
            self._owners.pop(sk, None)  # the socket's memory is used again, by others' as well
        if where is None and not drop:
            return None, None  # another lab's, or the machine's own
        values = {name: _value(made, name, fields[name], record) for name in KEPT[made.name] if name in fields}
        interrupt = bool(fields["common_flags"].number(record) & _INTERRUPT)
        if drop:
            wall, reason = self._on_wall(time), str(values.get("reason"))
            came = self._ways_in.dropped(cpu, skb, wall, reason, interrupt=interrupt)
            if reason in _WAITED:
                self._interfaces.gives_up_waiting()
            if values.get("reason") in _FREED:
                return None, None
            values["place"] = self._place(stack)
            if stack is not None:
                values["stack"] = stack
        elif where is not None:
            if sk and made.name != "tcp_destroy_sock":
                self._owners[sk] = where
            if skb:
                self._handled[cpu] = made.name, skb, where
        if where is None and came is None:
            return None, None
        host, local, peer = where or (None, None, None)
        numbers = self._number(sk), self._number(skb)
        event = KernelEvent(self._on_wall(time), made.name, cpu, interrupt, host, local, peer, *numbers, values)
        return event, came

    def _takes_in(self, made: Format, time: int, cpu: int, skb: int, record: memoryview) -> None:
        if made.name == "netif_rx":
            self._ways_in.arrives(skb, time)
        else:
            self._handled.pop(cpu, None)
            fields = made.fields
            length, device = fields["len"].number(record), fields["name"].text(record)
            self._ways_in.begins(cpu, skb, time, length, device)
            self._interfaces.begins(device, Passing(time, cpu, length))

    def _passes(self, made: Format, time: int, cpu: int, record: memoryview, stack: int | None) -> None:
        """Take what is on its way out of an interface."""
        fields = made.fields
        length, protocol, skb = (
            fields[name].number(record) if name in fields else 0 for name in ("len", "protocol", "skbaddr")
        )
        interrupt = bool(fields["common_flags"].number(record) & _INTERRUPT)
        passing = Passing(time, cpu, length, protocol, fields["common_pid"].number(record), interrupt, stack)
        functions = self._stacks.all[stack] if stack is not None else ()
        if made.name == WAITS:
            self._interfaces.waits(fields["dev"].text(record), passing)
        elif made.name == QUEUES:
            self._interfaces.queues(fields["name"].text(record), skb, passing, functions)
        else:
            self._interfaces.leaves(fields["name"].text(record), skb, passing, functions)

    def _name_timer(self, made: Format, record: memoryview) -> None:
        """Note a timer's function: the trace's text names it in one of its events."""
        function, now = (made.fields[name].number(record) for name in ("function", "now"))
        self._timer_functions.add(function)
        name = self._recording.timers.get((_timer_pointer(made, record), now))
        if name is not None:
            self._stacks.learn(function, name)

    def _timer(self, made: Format, time: int, cpu: int, record: memoryview) -> None:
        """Note a timer of one of the lab's sockets, in whose memory it is."""
        pointer = _timer_pointer(made, record)
        sk = max((sk for sk in self._owners if sk <= pointer), default=0)
        if sk and pointer - sk < _SOCKET:
            function = self._stacks.name(made.fields["function"].number(record))
            self._timers.append(TimerRun(self._on_wall(time), cpu, function, *self._owners[sk]))

    def _ours(self, made: Format, record: memoryview) -> tuple[Host, Endpoint, Endpoint] | None:
        if made.name == "inet_sock_set_state" and made.fields["protocol"].number(record) != _TCP:
            return None
        local, peer = _ends(made.fields, record)
        if made.name == "tcp_bad_csum":  # its addresses are the packet's, which came from the peer
            local, peer = peer, local
        host = self._hosts.get(local.address)
        return (host, local, peer) if host is not None else None

    def _dropped(
        self, cpu: int, sk: int, skb: int, made: Format, record: memoryview
    ) -> tuple[Host, Endpoint, Endpoint] | None:
        """Return whose packet a drop was: the socket's that it was meant for, or that of the event right before.

        The memory of a packet is used again at once, so only the packet that this processor was handling counts, and no
        socket's where the kernel found none.
        """
        name, handled, where = self._handled.pop(cpu, ("", 0, None))
        if sk in self._owners:
            return self._owners[sk]
        if where is None or handled != skb or not _fits(where[1], made.fields["protocol"].number(record)):
            return None
        none_found = _value(made, "reason", made.fields["reason"], record) == "NO_SOCKET"
        return where if (name == "tcp_probe") != none_found else None

    def _number(self, pointer: int) -> int:
        return self._numbers.setdefault(pointer, len(self._numbers) + 1) if pointer else 0

    def _place(self, stack: int | None) -> str:
        """Return the function that dropped a packet: the first that is not about freeing, empty if unknown."""
        functions = self._stacks.all[stack] if stack is not None else ()
        return next((name for name in functions if not name.startswith(_FREEING)), "")


def _timer_pointer(made: Format, record: memoryview) -> int:
    return made.fields["hrtimer" if "hrtimer" in made.fields else "timer"].number(record) & _POINTER


def _fits(end: Endpoint, ethertype: int) -> bool:
    """Say whether a packet of this protocol can have gone to this address."""
    return ethertype == _ETHERTYPES[":" in end.address]


def _value(made: Format, name: str, where: Field, record: memoryview) -> int | str:
    number = where.number(record)
    if name in _STATE_FIELDS and number < len(STATES):
        return STATES[number]
    if name == "cong_state" and number < len(CONGESTION_STATES):
        return CONGESTION_STATES[number]
    return made.symbols.get(name, {}).get(number, number)


def _ends(fields: Mapping[str, Field], record: memoryview) -> tuple[Endpoint, Endpoint]:
    """Return source and destination as a tracepoint has them: two sockaddr, or address and port fields."""
    if fields["saddr"].size > 16:
        return _sockaddr(fields["saddr"].raw(record)), _sockaddr(fields["daddr"].raw(record))
    version6 = fields["family"].number(record) == _INET6
    names = ("saddr_v6", "daddr_v6") if version6 else ("saddr", "daddr")
    source, destination = (_address(fields[name].raw(record)) for name in names)
    return (
        Endpoint(source, fields["sport"].number(record)),
        Endpoint(destination, fields["dport"].number(record)),
    )


def _sockaddr(data: bytes) -> Endpoint:
    family, port = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4])
    return Endpoint(_address(data[8:24] if family == _INET6 else data[4:8]), port)


@lru_cache(1024)
def _address(data: bytes) -> str:
    found = ipaddress.ip_address(data)
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def _with_ports(events: list[KernelEvent]) -> list[KernelEvent]:
    """Give events from before the kernel had chosen a port the port of their socket's next event (tcp_v4_connect)."""
    later: dict[int, Endpoint] = {}
    done = []
    for event in reversed(events):
        if event.sk and event.local is not None:
            known = later.get(event.sk)
            if event.local.port:
                later[event.sk] = event.local
            elif known is not None and known.address == event.local.address:
                event = replace(event, local=known)  # noqa: PLW2901 - the event as it is from here on
        done.append(event)
    return done[::-1]
