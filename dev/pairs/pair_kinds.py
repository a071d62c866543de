"""The kinds of pairs: what lies between two taps, or that nothing does, each with its exact truth.

It is long because it is one list: a function for each kind.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from dev.pairs.made_packets import ACK, ICMP, PSH, SYN, TCP, UDP, Packet, Seen, quote
from dev.pairs.talkers import MS, START, US, Exchange, Host, Sent, a_host, an_exchange, numbers, pings, tcp, udp
from dev.pairs.tapped_path import Path, Tap, a_path

CLIENT, SERVER, OUTSIDE = "10.0.0.5", "198.51.100.7", "203.0.113.9"
Seens = tuple[list[Seen], list[Seen]]


@dataclass(frozen=True, slots=True)
class KnownPair:
    """What two taps captured; two packets are the same where their ``ids`` share a number."""

    kind: str
    one: list[Seen]
    two: list[Seen]


def _trip(path: Path) -> int:
    return path.delay + path.spread + 50 * US


def _connections(chance: Random, path: Path, count: int, **says: object) -> list[Sent]:
    """Return connections of one client to one server."""
    client, server = a_host(chance, CLIENT), a_host(chance, SERVER)
    sent = []
    for k in range(count):
        exchange = replace(an_exchange(chance), **says)  # type: ignore[arg-type]
        start = START + chance.randrange(200 * MS)
        sent += tcp(client, server, (40000 + k, 443), exchange, start, _trip(path))
    return sent


def plain(chance: Random) -> Seens:
    """Have a routed path that loses, delays and copies."""
    path = a_path(chance)
    return path.carry(_connections(chance, path, chance.randint(1, 4)))


def beginning_missing(chance: Random) -> Seens:
    """Have connections that were open before: no SYN, some of bare ACKs only."""
    path = a_path(chance)
    sent = _connections(chance, path, chance.randint(1, 3), handshake=False, close="none")
    if chance.random() < 0.3:
        sent = [each for each in sent if not each.packet.payload]
    return path.carry(sent)


def terminated(chance: Random) -> Seens:
    """Have a proxy: one connection at each tap, the same bytes in both; some keep addresses and ports."""
    client, server = a_host(chance, CLIENT), a_host(chance, SERVER)
    inner, outer = a_host(chance, SERVER), a_host(chance, CLIENT if chance.random() < 0.4 else OUTSIDE)
    path = a_path(chance)
    sent: tuple[list[Sent], list[Sent]] = ([], [])
    keeps = chance.random() < 0.5
    for k in range(chance.randint(1, 3)):
        says, seed, start = an_exchange(chance), chance.getrandbits(32), START + chance.randrange(100 * MS)
        size = says.size if chance.random() < 0.6 else 700
        for which, (near, far) in enumerate(((client, inner), (outer, server))):
            same = replace(says, size=says.size if not which else size, content=Random(seed), pace=Random(seed + 1))
            port = 40000 + k if keeps or not which else 51000 + k
            sent[which].extend(tcp(near, far, (port, 443), same, start + which * path.delay, _trip(path)))
    return _taps(path, sent)


def _taps(path: Path, sent: tuple[list[Sent], list[Sent]]) -> Seens:
    """Return two taps that have no packet in common."""
    one, two = ([Seen(tap.stamp(each.time), each.packet) for each in packets if path.chance.random() >= path.loss]
                for tap, packets in zip((path.one, path.two), sent, strict=True))  # fmt: skip
    return one, two


def alike(chance: Random) -> Seens:
    """Two machines' own checks of one service, seconds apart: the same requests and answers."""
    path = a_path(chance)
    sent: tuple[list[Sent], list[Sent]] = ([], [])
    seed, says = chance.getrandbits(32), an_exchange(chance, most=2)
    for which, address in enumerate((CLIENT, chance.choice((OUTSIDE, "10.0.0.6")))):
        client, server = a_host(chance, address), a_host(chance, SERVER)
        for k in range(chance.randint(1, 4)):
            same = replace(says, content=Random(seed))
            start = START + (k * 30_000 + which * chance.choice((3, 700, 11_000))) * MS
            sent[which].extend(tcp(client, server, (40000 + 7 * k + which, 80), same, start, _trip(path)))
    return _taps(path, sent)


def in_line(chance: Random) -> Seens:
    """Two taps in one device: packets of both directions pass the first one first."""
    path = replace(
        a_path(chance), in_line=True, delay=20 * US, spread=chance.choice((5, 40)) * US, hops=chance.choice((0, 1)),
        two=Tap(), late=0.0,
    )  # fmt: skip
    return path.carry(_connections(chance, path, chance.randint(1, 3)))


def one_way(chance: Random) -> Seens:
    """One tap lacks one direction."""
    path = a_path(chance)
    (path.one if chance.random() < 0.5 else path.two).lacks = (chance.random() < 0.5,)
    return path.carry(_connections(chance, path, chance.randint(1, 3)))


def nat(chance: Random) -> Seens:
    """Addresses rewritten; ports, sequence numbers, IP identifications, time stamps by chance."""
    path = a_path(chance)
    ports = {40000 + k: chance.randrange(1024, 65536) if chance.random() < 0.6 else 40000 + k for k in range(4)}
    shift = chance.getrandbits(32) if chance.random() < 0.4 else 0
    new_ids, stripped = chance.random() < 0.2, chance.random() < 0.15
    other = Random(chance.getrandbits(32))

    def outside(packet: Packet, there: bool) -> Packet:
        new = replace(packet, ident=other.getrandbits(16)) if new_ids else packet
        if stripped and len(packet.options) >= 10:
            new = replace(new, options=packet.options[:-10].ljust(len(packet.options), b"\x01"))
        if there:
            return replace(new, src=OUTSIDE, sport=ports[packet.sport], seq=(packet.seq + shift) % 2**32)
        ack = (packet.ack + shift) % 2**32 if packet.flags & ACK else 0
        return replace(new, dst=OUTSIDE, dport=ports[packet.dport], ack=ack)

    path.outside = outside
    sent = _connections(chance, path, chance.randint(1, 4))
    if new_ids and (stripped or min(each.packet.seq for each in sent) < 1 << 16):
        return [], []  # then nothing is left that says which is which
    return path.carry(sent)


def balanced(chance: Random) -> Seens:
    """Clients behind one balancer that ask the same of servers that answer the same."""
    path = a_path(chance)
    inside = [f"10.1.0.{k}" for k in range(3)]
    seed, says = chance.getrandbits(32), an_exchange(chance, most=2)
    places: dict[int, str] = {}

    def outside(packet: Packet, there: bool) -> Packet:
        if there:
            return replace(packet, dst=places[packet.sport])
        return replace(packet, src=places[packet.dport])

    path.outside = outside
    sent = []
    for k in range(chance.randint(2, 5)):
        places[41000 + k] = inside[k % 3]
        same = replace(says, content=Random(seed))
        start = START + chance.randrange(50 * MS)
        client = a_host(chance, f"10.0.0.{10 + k}")
        sent += tcp(client, a_host(chance, SERVER), (41000 + k, 443), same, start, _trip(path))
    return path.carry(sent)


def remarked(chance: Random) -> Seens:
    """Have a firewall that changes all packets of a flow: DSCP, ECN, MSS, window scale, time stamps."""
    path = a_path(chance)
    what = chance.sample(("dscp", "ecn", "mss", "scale", "stamps"), chance.randint(1, 3))

    def remark(packet: Packet, there: bool) -> Packet:
        del there
        tos, options = packet.tos, packet.options
        tos = 46 << 2 | tos & 3 if "dscp" in what else tos
        tos = tos & ~3 if "ecn" in what else tos
        if packet.flags & SYN:
            options = options.replace(b"\x02\x04\x05\xb4", b"\x02\x04\x05\x5a") if "mss" in what else options
            options = options.replace(b"\x03\x03\x07", b"\x01\x01\x01") if "scale" in what else options
        if "stamps" in what and b"\x08\x0a" in options:
            at = options.rindex(b"\x08\x0a")
            options = options[:at] + b"\x01" * 10 + options[at + 10 :]
        return replace(packet, tos=tos, options=options)

    path.remark = remark
    ect = "ecn" in what
    sent = _connections(chance, path, chance.randint(1, 3))
    return path.carry([replace(each, packet=replace(each.packet, tos=2)) if ect else each for each in sent])


def bounced(chance: Random) -> Seens:
    """Have a routing loop bring some packets by the first tap again, their TTL two lower."""
    path = replace(a_path(chance, clean=True), loops=0.2)
    return path.carry(_connections(chance, path, chance.randint(1, 3)))


def identical(chance: Random) -> Seens:
    """Datagrams that are all equal, far apart; delays vary little."""
    path = replace(a_path(chance), delay=chance.choice((300 * US, 2 * MS)), spread=200 * US, late=0.0)
    path.loss = chance.choice((0.0, 0.05))
    for tap in (path.one, path.two):
        tap.ppm, tap.misses = 0.0, 0.0
    client, server = (replace_ids(a_host(chance, each)) for each in (CLIENT, SERVER))
    payload = chance.randbytes(chance.choice((0, 1, 20, 160)))
    time, said = START, []
    for _ in range(chance.randint(5, 120)):
        time += 124 * MS + chance.randrange(-8, 8) * MS
        said.append((time, True, payload))
        if chance.random() < 0.3:
            said.append((time + 30 * MS, False, payload))
    sent = udp(client, server, (5000, 6000), said)
    if chance.random() < 0.5:  # something else whose clock is certain
        sent += _connections(chance, path, 1)
    return path.carry(sent)


def replace_ids(host: Host) -> Host:
    """Make a host number no packet."""
    host.ids = "zero"
    return host


def reused(chance: Random) -> Seens:
    """Reset a connection and open it again from the same port, some with the same initial numbers."""
    path = replace(a_path(chance, clean=True), loss=0.0)
    client, server = a_host(chance, CLIENT), a_host(chance, SERVER)
    if chance.random() < 0.6:
        client.isn = server.isn = lambda: 1000
    sent, start = [], START
    for _ in range(chance.randint(2, 4)):
        says = replace(an_exchange(chance, most=1), close="rst")
        sent += tcp(client, server, (40000, 80), says, start, _trip(path))
        start = max(each.time for each in sent) + 200 * MS
    if chance.random() < 0.5:  # one tap began when the first was over
        path.one.lacks = path.two.lacks = ()
        one, two = path.carry(sent)
        edge = min(each.time for each in two) + chance.randrange(200 * MS)
        return one, [each for each in two if each.time >= edge]
    return path.carry(sent)


def doubled(chance: Random) -> Seens:
    """One tap captures each packet twice, as ``-i any`` on a bridge does."""
    path = a_path(chance, clean=True)
    one, two = path.carry(_connections(chance, path, chance.randint(1, 3)))
    return one, [again for each in two for again in (each, replace(each, time=each.time + chance.randint(1, 20) * US))]


def passed_on(chance: Random) -> Seens:
    """One tap is on all interfaces of a machine that passes some packets on: a router, or a bridge (no lower TTL).

    The capture says which way each copy went. Other connections end on the machine.
    """
    path = a_path(chance)
    path.hops = max(path.hops, 1)
    one, two = path.carry(_connections(chance, path, chance.randint(1, 4)))
    through, lower = {40000 + k for k in range(4) if chance.random() < 0.6}, chance.choice((0, 1))
    seen = []
    for each in two:
        port = each.packet.sport if each.packet.dport == 443 else each.packet.dport
        here = each.packet.dport == 443  # what a server on the machine sends goes out
        if port not in through:
            seen.append(replace(each, way=1 if here else 2))
            continue
        later = replace(each, time=each.time + chance.randint(1, 30) * US, way=2)
        out = replace(later, packet=replace(each.packet, ttl=each.packet.ttl - lower))
        seen += [replace(each, way=1), out]
    return one, seen


def multicast(chance: Random) -> Seens:
    """Both hosts' own mDNS, and reports from ``::``, which no router carries; and a connection."""
    path = a_path(chance, clean=True)
    path.hops = max(path.hops, 1)
    sent = _connections(chance, path, 1)
    one, two = path.carry(sent)
    query = chance.randbytes(40)
    for which, (seen, tap, source) in enumerate(((one, path.one, "10.0.0.5"), (two, path.two, "10.0.1.9"))):
        for _ in range(chance.randint(1, 5)):
            time = tap.stamp(START + chance.randrange(300 * MS))
            mdns = Packet(source, "224.0.0.251", UDP, (next(numbers),), 5353, 5353, ttl=255, payload=query)
            seen.append(Seen(time, mdns))
            kind, rest = (143, 0), 1
            report = Packet("::", "ff02::16", 58, (next(numbers),), ttl=1, kind=kind, rest=rest, payload=bytes(20))
            seen.append(Seen(time + 5 * MS * (which + 1), report))
    return one, two


def echoes(chance: Random) -> Seens:
    """Pings over IPv4 and IPv6 whose payload is always the same."""
    path = a_path(chance)
    sent = []
    for k in range(chance.randint(1, 3)):
        ends = ("fd00::5", "fd01::7") if chance.random() < 0.5 else (CLIENT, SERVER)
        client, server = (a_host(chance, each) for each in ends)
        times = [START + j * 200 * MS + chance.randrange(100 * MS) for j in range(chance.randint(2, 12))]
        sent += pings(client, server, 100 + k, times, _trip(path))
    return path.carry(sent)


def offloaded(chance: Random) -> Seens:
    """Give the sender's tap large segments, the receiver's the pieces of them."""
    path = a_path(chance)
    one, two = path.carry(_connections(chance, path, chance.randint(1, 2)))
    return _joined(one), two


def _joined(seen: list[Seen]) -> list[Seen]:
    """Put segments together that follow each other."""
    result: list[Seen] = []
    for before, each in pairwise([None, *sorted(seen, key=lambda one: one.time)]):
        assert each is not None  # noqa: S101 - for the type checker
        last = result[-1].packet if result and before else None
        now = each.packet
        if (
            last and last.protocol == TCP and len(last.payload) > 1 and now.payload and last.src == now.src
            and last.sport == now.sport and (last.seq + len(last.payload)) % 2**32 == now.seq
            and last.ack == now.ack and last.flags == ACK and len(last.ids) < 8 and last.dport == now.dport
            and last.dst == now.dst
        ):  # fmt: skip
            whole = replace(last, payload=last.payload + now.payload, ids=last.ids + now.ids, flags=now.flags | PSH & 0)
            result[-1] = replace(result[-1], packet=whole)
        else:
            result.append(each)
    return result


def several_hops(chance: Random) -> Seens:
    """Take the first and the last of three taps, a firewall after the second."""
    first, second = a_path(chance), a_path(chance)
    first.outside = lambda packet, there: replace(packet, src=OUTSIDE) if there else replace(packet, dst=OUTSIDE)
    trip = _trip(first) + _trip(second)
    client, server = a_host(chance, CLIENT), a_host(chance, SERVER)
    sent = tcp(client, server, (40000, 443), an_exchange(chance), START, trip)
    whole = replace(
        first, delay=first.delay + second.delay, spread=first.spread + second.spread, hops=first.hops + second.hops,
        loss=first.loss + second.loss, two=second.two,
    )  # fmt: skip
    return whole.carry(sent)


def datagrams(chance: Random) -> Seens:
    """UDP whose payloads differ, through a NAT or not, with IP identifications or not."""
    path = a_path(chance)
    client, server = a_host(chance, CLIENT), a_host(chance, SERVER)
    if chance.random() < 0.5:
        path.outside = _behind_port
    said = []
    for k in range(chance.randint(3, 60)):
        payload = struct.pack(">I", k) + chance.randbytes(chance.choice((0, 20, 200)))
        said.append((START + k * chance.choice((1, 20)) * MS, chance.random() < 0.6, payload))
    return path.carry(udp(client, server, (5000, 53), said))


def _behind_port(packet: Packet, there: bool) -> Packet:
    if there:
        return replace(packet, src=OUTSIDE, sport=7777)
    return replace(packet, dst=OUTSIDE, dport=7777)


def quoting(chance: Random) -> Seens:
    """Have ICMP errors about datagrams and segments, from hosts and routers; some through a NAT.

    The NAT rewrites what they quote, or forgets to, as programs do that rewrite captures.
    """
    path = a_path(chance)
    translates, forgets = chance.random() < 0.7, chance.random() < 0.3
    hosts = [a_host(chance, f"10.0.0.{5 + k}") for k in range(chance.randint(1, 4))]
    server, size = a_host(chance, SERVER), chance.choice((8, 8, 28, 200))
    ports = {5000 + k: 20000 + 7 * k for k in range(len(hosts))}
    about: dict[tuple[int, ...], Packet] = {}  # what errors quote

    def outside(packet: Packet, there: bool) -> Packet:
        if not translates:
            return packet
        if packet.protocol == ICMP:
            quoted = about[packet.ids]
            return replace(packet, dst=OUTSIDE, payload=quote(outside(quoted, there=True), size))
        if there:
            return replace(packet, src=OUTSIDE, sport=ports[packet.sport])
        return replace(packet, dst=OUTSIDE, dport=ports[packet.dport])

    path.outside = outside
    sent: list[Sent] = []
    for k, host in enumerate(hosts):
        time, length = START + chance.randrange(50 * MS), chance.choice((8, 30, 600))
        if chance.random() < 0.3:
            sent += tcp(host, server, (5000 + k, 443), an_exchange(chance, most=1), time, _trip(path))
        else:
            said = [(time + j * 20 * MS, True, chance.randbytes(length)) for j in range(chance.randint(1, 4))]
            sent += udp(host, server, (5000 + k, 53), said)
    for each in [one for one in sent if one.there and chance.random() < 0.4]:
        kind = chance.choice(((3, 3), (3, 4), (11, 0)))
        by, rest = (SERVER, 0) if kind == (3, 3) else ("198.51.100.1", 1400 if kind == (3, 4) else 0)
        quoted = replace(each.packet, ttl=max(each.packet.ttl - path.hops - 1, 1))
        shown = outside(quoted, there=True) if forgets else quoted
        error = Packet(
            by, each.packet.src, ICMP, (next(numbers),), ident=server.next_id(), kind=kind, rest=rest,
            payload=quote(shown, size),
        )  # fmt: skip
        about[error.ids] = quoted
        sent.append(Sent(each.time + _trip(path), False, error))
    return path.carry(sent)


KINDS: dict[str, Callable[[Random], Seens]] = {
    each.__name__: each
    for each in (
        plain, beginning_missing, terminated, alike, in_line, one_way, nat, balanced, remarked, bounced, identical,
        reused, doubled, multicast, echoes, offloaded, several_hops, datagrams, quoting, passed_on,
    )
}  # fmt: skip


def known_pair(kind: str, seed: int) -> KnownPair:
    """Return the pair of a kind and a seed."""
    one, two = KINDS[kind](Random(f"{kind} {seed}"))
    return KnownPair(kind, one, two)


__all__ = ["KINDS", "Exchange", "KnownPair", "known_pair"]
