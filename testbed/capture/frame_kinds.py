"""Names for what a frame is: one integer code in a column, its name here.

Codes below 0x10000 are EtherTypes (IEEE 802.3: 0x0600 and above), 0x10000 + n is IP protocol n, 0x20000 + n is PPP
protocol n, 0x30000 + n is a link type this reader does not decode; the rest are the constants below.
"""

from __future__ import annotations

from testbed.model.ip import AH, ESP, GRE

DECODED = 0
"""TCP, UDP or ICMP with its whole header captured."""

IPV4 = 0x0800
IPV6 = 0x86DD
MPLS = (0x8847, 0x8848)
PPPOE = 0x8864
VLAN_TAGS = (0x8100, 0x88A8, 0x9100)

IP_PROTOCOL = 0x10000
PPP_PROTOCOL = 0x20000
LINK_TYPE = 0x30000

IEEE_8023 = 0x40000
LINK_CUT = 0x40001
IPV4_CUT = 0x40002
IPV4_MALFORMED = 0x40003
IPV6_CUT = 0x40004
IPV6_MALFORMED = 0x40005
IPV4_FRAGMENT = 0x40006
IPV6_FRAGMENT = 0x40007
TRANSPORT_CUT = 0x40008
TRANSPORT_MALFORMED = 0x40009
NOT_IP = 0x4000A
VLAN_DEEP = 0x4000B
WIFI_MANAGEMENT = 0x4000C
WIFI_CONTROL = 0x4000D
WIFI_NO_DATA = 0x4000E
WIFI_ENCRYPTED = 0x4000F
WIFI_FRAGMENT = 0x40010
WIFI_AGGREGATE = 0x40011

_NAMES = {
    DECODED: "",
    IPV4: "IPv4",
    IPV6: "IPv6",
    0x0806: "ARP",
    0x8035: "RARP",
    0x0842: "Wake-on-LAN",
    0x8809: "LACP",
    MPLS[0]: "MPLS",
    MPLS[1]: "MPLS",
    0x8863: "PPPoE discovery",
    PPPOE: "PPPoE",
    0x886F: "MS NLB",
    0x888E: "EAPOL",
    0x88CC: "LLDP",
    0x88E5: "MACsec",
    0x88F7: "PTP",
    0x8902: "CFM",
    0x9000: "loopback test",
    IP_PROTOCOL + 0: "IPv6 hop-by-hop",
    IP_PROTOCOL + 2: "IGMP",
    IP_PROTOCOL + 4: "IP in IP",
    IP_PROTOCOL + 41: "IPv6 in IP",
    IP_PROTOCOL + GRE: "GRE",
    IP_PROTOCOL + ESP: "ESP",
    IP_PROTOCOL + AH: "AH",
    IP_PROTOCOL + 59: "IPv6 no next header",
    IP_PROTOCOL + 88: "EIGRP",
    IP_PROTOCOL + 89: "OSPF",
    IP_PROTOCOL + 103: "PIM",
    IP_PROTOCOL + 112: "VRRP",
    IP_PROTOCOL + 115: "L2TPv3",
    IP_PROTOCOL + 132: "SCTP",
    PPP_PROTOCOL + 0x8021: "PPP IPCP",
    PPP_PROTOCOL + 0xC021: "PPP LCP",
    PPP_PROTOCOL + 0xC023: "PPP PAP",
    PPP_PROTOCOL + 0xC223: "PPP CHAP",
    IEEE_8023: "802.3",
    LINK_CUT: "cut in the link header",
    IPV4_CUT: "cut in the IPv4 header",
    IPV4_MALFORMED: "malformed IPv4",
    IPV6_CUT: "cut in the IPv6 header",
    IPV6_MALFORMED: "malformed IPv6",
    IPV4_FRAGMENT: "IPv4 fragment",
    IPV6_FRAGMENT: "IPv6 fragment",
    TRANSPORT_CUT: "cut in the transport header",
    TRANSPORT_MALFORMED: "malformed transport header",
    NOT_IP: "not IP",
    VLAN_DEEP: "too many VLAN tags",
    WIFI_MANAGEMENT: "802.11 management",
    WIFI_CONTROL: "802.11 control",
    WIFI_NO_DATA: "802.11 without data",
    WIFI_ENCRYPTED: "802.11 encrypted",
    WIFI_FRAGMENT: "802.11 fragment",
    WIFI_AGGREGATE: "802.11 A-MSDU",
}


def name(code: int) -> str:
    """Return the short name of a code, the empty string for a decoded packet."""
    known = _NAMES.get(code)
    if known is not None:
        return known
    if code < IP_PROTOCOL:
        return f"EtherType 0x{code:04x}"
    if code < PPP_PROTOCOL:
        return f"IP protocol {code - IP_PROTOCOL}"
    if code < LINK_TYPE:
        return f"PPP 0x{code - PPP_PROTOCOL:04x}"
    return f"link type {code - LINK_TYPE}"


_LINKS = {
    **dict.fromkeys((0, 108), "loopback"),
    1: "Ethernet",
    9: "PPP",
    **dict.fromkeys((12, 14, 101, 228, 229), "raw IP"),
    104: "Cisco HDLC",
    105: "802.11",
    127: "802.11 with radiotap",
    113: "Linux cooked",
    276: "Linux cooked 2",
}


def link_name(link_type: int) -> str:
    """Return the name of a link type: ``Ethernet``, ``raw IP``, ``link type 147``."""
    return _LINKS.get(link_type, f"link type {link_type}")
