"""Select flows with an expression like tcpdump's: ``host 10.0.0.5 and (port 80 or port 443) and not udp``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from testbed.model.errors import UsageError
from testbed.model.ip import ICMP, ICMPV6, TCP, UDP
from testbed.pairing.packet_table import ConversationEnds

Wanted = Callable[[ConversationEnds], bool]

_PROTOCOLS = {"tcp": (TCP,), "udp": (UDP,), "icmp": (ICMP, ICMPV6)}
_WORD = re.compile(r"\s*(\(|\)|[^\s()]+)")


def parse_filter(text: str) -> Wanted:
    """Return a predicate of a flow's ends. Raises UsageError for an expression that cannot be read.

    Known are ``host ADDRESS``, ``net ADDRESS/BITS``, ``port NUMBER``, ``tcp``, ``udp``, ``icmp``, ``ip``, ``ip6``,
    ``and``, ``or``, ``not`` and parentheses. Either end of a flow may match: there is no ``src`` or ``dst``. ICMP
    errors match as what they are, and as the flow that they quote.
    """
    return _Parser(_WORD.findall(text), text).whole()


class _Parser:
    def __init__(self, words: list[str], text: str) -> None:
        self.words, self.text, self.at = words, text, 0

    def whole(self) -> Wanted:
        wanted = self.either()
        if self.at < len(self.words):
            raise self.error(f"{self.words[self.at]!r} is not expected")
        return wanted

    def error(self, what: str) -> UsageError:
        return UsageError(
            f"--filter {self.text!r}: {what}",
            hint="host ADDRESS, net ADDRESS/BITS, port NUMBER, tcp, udp, icmp, ip, ip6, and, or, not, ( )",
        )

    def take(self) -> str:
        if self.at >= len(self.words):
            raise self.error("something is missing at the end")
        self.at += 1
        return self.words[self.at - 1]

    def next_is(self, *words: str) -> bool:
        if self.at < len(self.words) and self.words[self.at] in words:
            self.at += 1
            return True
        return False

    def either(self) -> Wanted:
        terms = [self.both()]
        while self.next_is("or", "||"):
            terms.append(self.both())
        return lambda ends: any(term(ends) for term in terms)

    def both(self) -> Wanted:
        terms = [self.one()]
        while self.next_is("and", "&&"):
            terms.append(self.one())
        return lambda ends: all(term(ends) for term in terms)

    def one(self) -> Wanted:
        if self.next_is("not", "!"):
            inner = self.one()
            return lambda ends: not inner(ends)
        if self.next_is("("):
            inner = self.either()
            if not self.next_is(")"):
                raise self.error("a ')' is missing")
            return inner
        fits = self.term(self.take())
        # an ICMP error belongs to what it quotes as well
        return lambda ends: fits(ends) or (ends.quoted is not None and fits(ends.quoted))

    def term(self, word: str) -> Wanted:
        if word in _PROTOCOLS:
            return lambda ends: ends.protocol in _PROTOCOLS[word]
        if word in ("ip", "ip6"):
            return lambda ends: ends.version == (4 if word == "ip" else 6)
        if word == "port":
            number = self.take()
            if not number.isdecimal() or int(number) > 0xFFFF:
                raise self.error(f"{number!r} is no port")
            return lambda ends: int(number) in ends.ports
        if word in ("host", "net"):
            return self.network(self.take(), host=word == "host")
        raise self.error(f"{word!r} is unknown")

    def network(self, text: str, *, host: bool) -> Wanted:
        try:
            network = (
                ipaddress.ip_network(ipaddress.ip_address(text)) if host else ipaddress.ip_network(text, strict=False)
            )
        except ValueError:
            raise self.error(f"{text!r} is no address") from None
        return lambda ends: any(ipaddress.ip_address(each) in network for each in ends.addresses)
