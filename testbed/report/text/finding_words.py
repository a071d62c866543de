"""The words of each finding: its sentence, what would disprove it, what to do. Names in braces are its facts.

A name with a variant, ``name/variant``, has its own sentence. Someone who knows sockets but not TCP's insides must
know what to change. It is long because it is one table.
"""

from __future__ import annotations

from typing import NamedTuple

from testbed.model.findings import FindingName

F = FindingName


class Words(NamedTuple):
    """A finding's words; ``sentences`` are by variant."""

    sentences: dict[str, str]
    disproof: str
    remedy: str


WORDS: dict[FindingName, Words] = {
    F.CONNECTION_REFUSED: Words(
        {
            "": "{connects} to {endpoint} failed: nothing listens there, and the {host}'s kernel refused ({answer},"
            " RST)",
            "busy": "{connects} to {endpoint} failed although a socket listens there: the {host}'s kernel refused"
            " ({answer}, RST)",
            "ended": "{connects} to {endpoint} failed: the answer came after the connection had ended ({answer}, RST)",
        },
        "a socket that listens on this address and port at that time (`ss -ltn`)",
        "start the server first, and have it listen on this address and port (not only on 127.0.0.1, nor for IPv6"
        " alone)",
    ),
    F.FILTERED: Words(
        {
            "": "{connects} to {endpoint} got no answer for {waited}: {syns} left, none reached the {host}, and nothing"
            " said why. Something on the path drops them",
            "one-end": "{connects} to {endpoint} got no answer for {waited} ({syns}): a filter drops them, or no such"
            " host is there. A closed port would have refused at once",
        },
        "a SYN that arrives at the {host}, or a RST or ICMP error that comes back",
        "open the port in the firewalls between the two; check the address and the route",
    ),
    F.ACCEPT_QUEUE_FULL: Words(
        {
            "": "{connects} to {endpoint} waited up to {waited} without an answer: {waiting} {waiting|was|were} open"
            " that the {host}"
            " program had not accepted, its backlog is {backlog}, so its kernel dropped {syns}",
            "never": "{connects} to {endpoint} got no answer: {waiting} {waiting|was|were} open that the {host}"
            " program had"
            " not accepted, its backlog is {backlog}, so its kernel dropped {syns}",
            "counted": "{connects} to {endpoint} waited up to {waited} without an answer: the {host} program did not"
            " call accept in time, so its kernel dropped {syns} as the accept queue was full",
        },
        "an accept of the {host} program that had made room before these SYNs came",
        "call accept faster (a thread or a loop of its own), or give listen a larger backlog (and net.core.somaxconn)",
    ),
    F.SYN_BACKLOG_FULL: Words(
        {
            "": "{connects} to {endpoint} waited up to {waited} without an answer: too many connections were half open,"
            " so the {host}'s kernel dropped {syns}",
        },
        "half-open connections of the {host} below net.ipv4.tcp_max_syn_backlog (`ss -n state syn-recv`)",
        "raise net.ipv4.tcp_max_syn_backlog and the backlog of listen, or leave net.ipv4.tcp_syncookies on",
    ),
    F.SYN_COOKIES: Words(
        {
            "": "the {host}'s kernel opened the connection by a SYN cookie ({answer}), which keeps none of its options:"
            " the window is at most 64 KiB and there is no SACK, so it is slow over long paths and under loss",
        },
        "a SYN+ACK with the options that the SYN offered",
        "leave timestamps on (they carry the options), or avoid the overload: a larger backlog, faster accepts",
    ),
    F.TIME_WAIT_EXHAUSTION: Words(
        {
            "": "{connects} of the {host} program to {endpoint} failed (the first: {call}): EADDRNOTAVAIL, all {ports}"
            " were still in TIME-WAIT from connections that it had closed first within the last minute",
        },
        "a free port in net.ipv4.ip_local_port_range for this address (`ss -tan state time-wait`)",
        "keep connections and use them again; or let the other end close first; or widen net.ipv4.ip_local_port_range",
    ),
    F.SLOW_CONNECT: Words(
        {
            "": "connect took {waited} longer: the {what} ({packet}) was lost {times} on the path, and TCP waits a"
            " second before it tries again",
            "one-end": "connect took {waited} longer: the {what} ({packet}) had to be sent again, {times}",
        },
        "the first {what} in the capture of its receiver",
        "find what drops packets on the path; a shorter timeout around connect and a second try is a way around",
    ),
    F.SLOW_NAME_RESOLUTION: Words(
        {
            "": "the {peer} waited {waited} for a name ({query}, {tries} to {endpoint})",
            "unanswered": "the name server {endpoint} did not answer the {peer} ({query}, {tries} in {waited})",
        },
        "an answer to the first query",
        "use a name server that answers, keep names that were resolved, or set shorter timeouts (resolv.conf)",
    ),
    F.CONNECTION_PER_REQUEST: Words(
        {
            "": "the {host} program opened {connections} to {endpoint}, one for each request: {waited} of their"
            " time went into opening them",
        },
        "a second request on one of these connections",
        "keep the connection open and send the next request on it",
    ),
    F.NEVER_ACCEPTED: Words(
        {
            "": "{connections} to {endpoint} {connections|was|were} open, and the {host} program had not accepted"
            " {connections|it|them} when its listening socket was closed ({closer}): its kernel sent a RST, and"
            " {unread} of the {peer} {unread|was|were} thrown away unread",
            "nothing-lost": "{connections} to {endpoint} {connections|was|were} open, and the {host} program had not"
            " accepted {connections|it|them} when its listening socket was closed ({closer}): its kernel sent a RST",
        },
        "an accept that returned these connections",
        "accept until EAGAIN before the listening socket is closed; connect and send succeed without an accept, so"
        " have the {peer} wait for an answer",
    ),
    F.UNREAD_DATA_RESET: Words(
        {
            "": "the {host} program left {unread} unread at {closer}, so its kernel sent a RST instead of the"
            " rest: of {written} that it had written the {peer} got {got}, {thrown} {thrown|was|were} thrown away",
            "nothing-lost": "the {host} program left {unread} unread at {closer}, so its kernel sent a RST: the"
            " {peer} gets an error, and what it had sent was never processed",
        },
        "a read of all that had arrived before the close",
        "read until the end of the stream before close: shutdown(SHUT_WR), then recv until it returns 0",
    ),
    F.LINGER_ZERO_ABORT: Words(
        {
            "": "the {host} program ended the connection with SO_LINGER 0 ({option}, {closer}): its kernel sent a RST,"
            " and {thrown} of {written} that it had written {thrown|was|were} thrown away",
            "nothing-lost": "the {host} program ended the connection with SO_LINGER 0 ({option}, {closer}): its kernel"
            " sent a RST; nothing was lost this time",
        },
        "all bytes read by the {peer} before the RST",
        "leave SO_LINGER alone: close sends the rest; wait for the {peer}'s end with shutdown(SHUT_WR) and recv",
    ),
    F.KEEP_ALIVE_RACE: Words(
        {
            "": "request {number} left {after} after the {closer} had closed the idle connection ({close}) and before"
            " its FIN had come: it was not processed ({answer}, RST) and is safe to repeat",
            "late": "request {number} left {after} after the {closer} had closed the connection ({close}), whose FIN"
            " had come: it was not processed ({answer}, RST) and is safe to repeat",
        },
        "a read of the request by the {closer} program",
        "repeat the request on a new connection; let the client close idle connections sooner than the server does",
    ),
    F.SENT_AFTER_CLOSE: Words(
        {
            "": "{late} of the {peer} came when the {host} program had closed the socket ({close}): nobody read them,"
            " and its kernel answered with a RST ({answer})",
        },
        "a read of these bytes by the {host} program",
        "read until the end of the stream before close; have the {peer} stop sending when its recv returns 0, unless"
        " the protocol goes on after one end's FIN",
    ),
    F.PROCESS_DIED: Words(
        {
            "": "the {host} program was ended by {signal} with {connections} open: its kernel sent the FIN ({end}), and"
            " to the {peer} that looks like an orderly end",
            "reset": "the {host} program was ended by {signal} with {connections} open: its kernel sent a RST ({end})",
        },
        "an exit of the {host} program by itself",
        "find out what ended it; let the protocol say where a message ends (a length), so that a cut one is noticed",
    ),
    F.FORGED_RESET: Words(
        {
            "": "a RST in the {host}'s name broke the connection off ({reset}), and the {host} never sent it: something"
            " on the path made it",
            "ignored": "a RST in the {host}'s name came ({reset}) that the {host} never sent; the {peer}'s kernel did"
            " not take it",
        },
        "the RST in the {host}'s own capture",
        "look for a firewall, a NAT or a load balancer that ends connections; keep-alive helps against idle limits",
    ),
    F.CLOSE_WAIT_FORGOTTEN: Words(
        {
            "": "the {peer} ended its side ({fin}), and for {waited} the {host} program neither sent anything nor"
            " closed: its socket stays in CLOSE-WAIT",
            "exit": "the {peer} ended its side ({fin}), and the {host} program never closed its socket: only its own"
            " end,"
            " {waited} later, did; a program that runs on keeps it in CLOSE-WAIT",
            "closed-late": "the {peer} ended its side ({fin}), and the {host} program closed only {waited} later,"
            " without sending anything",
        },
        "a write or close of the {host} program after the end of the stream",
        "close the socket when recv returns 0",
    ),
    F.FIN_WAIT_FORGOTTEN: Words(
        {
            "": "the {peer} ended its side ({fin}) and waited {waited} for the {host}, which neither sent anything nor"
            " closed",
            "closed-late": "the {peer} ended its side ({fin}), and the {host} closed only {waited} later, without"
            " sending anything",
        },
        "a FIN or data of the {host} after that",
        "have the {host} close the socket when recv returns 0; a timeout on the {peer}'s wait is a way around",
    ),
    F.IDLE_FORGOTTEN: Words(
        {
            "": "after {silence} of silence all that the {host} sent was lost ({lost}, the first {first}): the path has"
            " forgotten the connection, and nobody tells the {peer}",
            "both": "after {silence} of silence all that both sent was lost ({lost} of the {host}, the first {first}):"
            " the path has forgotten the connection",
            "reset": "after {silence} of silence the {host} sent again ({first}): that did not reach the {peer}, and"
            " a RST"
            " came in its name ({reset}) that it never sent. The path has forgotten the connection",
            "other-passes": "after {silence} of silence all that the {host} sends is lost ({lost}, the first {first}),"
            " while what the {peer} sends passes: the path has forgotten the connection, and the {peer} never learns",
        },
        "a packet of this connection that passes later, or loss of every other connection too (then the path is down)",
        "switch SO_KEEPALIVE on with TCP_KEEPIDLE below the path's limit, or send something more often than that",
    ),
    F.KEEP_ALIVE_TOO_LATE: Words(
        {
            "timeout": "the {keeper} program had switched keep-alive on ({call}), but its first probe went after"
            " {idle} of"
            " silence ({first}) and was lost, while what the {peer} sends passes: the path had forgotten the"
            " connection",
            "": "the {keeper} program had switched keep-alive on ({call}), but its first probe would have gone after"
            " {idle} of silence; the path forgot the connection within {silence}",
        },
        "a probe before the path forgot the connection",
        "setsockopt TCP_KEEPIDLE to less than the path's limit",
    ),
    F.PATH_DOWN: Words(
        {
            "": "from {first} on nothing passed any more: {lost} of the {host} and {theirs} of the {peer} were lost."
            " The path is down, or the other machine is gone, and no packet tells the programs",
            "one-way": "from {first} on nothing of the {host} reached the {peer} any more: {lost} in {lasted}, one try"
            " after the other. The path is down, or the other machine is gone, and no packet tells the programs",
            "back": "for {lasted} nothing of the {host} reached the {peer}: {lost} from {first} on, tried again at"
            " growing intervals, the last of {pause}, so that the path may have been back long before {back}",
        },
        "a packet that arrives in that time",
        "find out what broke; to notice sooner: a timeout on reads, TCP_USER_TIMEOUT for what is sent, SO_KEEPALIVE for"
        " who only waits",
    ),
    F.REQUEST_NEVER_READ: Words(
        {
            "": "the {host} program never read the {bytes} that had come ({packet}), while the {peer} program waited"
            " {waited} for an answer ({call}{how})",
        },
        "a read of the {host} program on this connection",
        "have the {host} program read from the socket: accept it, wait for it with poll, and call recv",
    ),
    F.ZERO_WINDOW: Words(
        {
            "": "the {host} program did not read: its receive buffer was full for {closed} ({packet}, {times}), and the"
            " {peer} had to wait",
            "blocked": "the {host} program did not read: its receive buffer was full for {closed} ({packet}, {times}),"
            " and the {peer}'s {call} waited {blocked}{how}",
            "-for-good": "the {host} program did not read any more: its receive buffer stayed full for {closed}"
            " ({packet}) until the end",
            "blocked-for-good": "the {host} program did not read any more: its receive buffer stayed full for {closed}"
            " ({packet}) until the end, and the {peer}'s {call} waited {blocked}{how}",
        },
        "a read of the {host} program in that time",
        "read faster at the {host} (a thread of its own, or poll); a larger SO_RCVBUF only for short peaks",
    ),
    F.WRITE_DEADLOCK: Words(
        {
            "": "dead-lock: both programs are in a write (client {client_call}, server {server_call}), both receive"
            " buffers are full, and neither reads",
            "no-calls": "dead-lock: for {waited} both receive buffers were full and both ends had more to send: neither"
            " program reads",
        },
        "a read of either program in that time",
        "read while writing: non-blocking sockets with poll, or a thread for each direction",
    ),
    F.NAGLE_DELAYED_ACK: Words(
        {
            "": "{waits} of {turns} messages of the {host} program waited up to {longest}: Nagle's algorithm held"
            " {call} until the {peer}'s delayed ACK ({ack}) for the small write before it",
        },
        "TCP_NODELAY on this socket, or an ACK that came at once",
        "set TCP_NODELAY, or write each message with one call (writev, or one buffer)",
    ),
    F.TINY_WRITES: Words(
        {
            "": "the {host} program wrote {bytes} with {writes} of {mean} on average (the first {call}), which became"
            " {packets}",
        },
        "larger writes",
        "gather in a buffer and write it whole, or use TCP_CORK or MSG_MORE",
    ),
    F.SMALL_BUFFER: Words(
        {
            "set": "the {host} program set its receive buffer too small ({call}): its window of {window} at a round"
            " trip"
            " of {rtt} allows {rate} per second, and the {peer} waited {waited} for room. {better} would do for twice"
            " as much",
            "": "the {host}'s receive window of {window} is too small for a round trip of {rtt}: it allows {rate} per"
            " second, and the {peer} waited {waited} for room. {better} would do for twice as much",
        },
        "a window that was not used up",
        "do not set SO_RCVBUF (the kernel then adapts it), or set it larger before connect or listen;"
        " net.ipv4.tcp_rmem",
    ),
    F.SLOW_START_AFTER_IDLE: Words(
        {
            "": "after a pause of {pause} the {host}'s kernel began slowly again ({packet}): {packets} instead of"
            " {before} at once, although all had been written",
        },
        "as many packets at once as before the pause",
        "set net.ipv4.tcp_slow_start_after_idle=0 at the {host}, or keep the connection busy",
    ),
    F.MTU_BLACK_HOLE: Words(
        {
            "": "{lost} of the {host} with {least} or more {lost|was|were} lost, each time, while those up to {most}"
            " passed, and no"
            " ICMP error came: a path MTU black hole",
            "overcome": "{lost} of the {host} with {least} or more {lost|was|were} lost, each time, while those up to"
            " {most}"
            " passed, and no ICMP error came: a path MTU black hole, which cost {waited} until smaller ones were tried",
        },
        "a packet of {least} or more that arrives, or an ICMP error",
        "let ICMP pass on the path, or lower the MTU of the interface; net.ipv4.tcp_mtu_probing=1 is a way around",
    ),
    F.MSS_CLAMPED: Words(
        {
            "": "something on the path lowered the largest segment that the {host} takes from {before} to {after} bytes"
            " ({packet})",
        },
        "the same value at both ends",
        "nothing, if a tunnel is on the path; else look for what does it",
    ),
    F.RANDOM_LOSS: Words(
        {
            "never": "the path lost {lost} of the {host}'s {of}, one at a time, and {missing} never arrived ({first})",
            "": "the path lost {lost} of the {host}'s {of}, one at a time; the worst ({first}) came {waited} late",
            "free": "the path lost {lost} of the {host}'s {of}, one at a time, and that cost no time ({first})",
            "counted": "the path lost {lost} of the {host}'s {of}, one at a time (the first {first})",
        },
        "the packets in the {peer}'s capture",
        "find where the path loses packets: compare captures of points between the two",
    ),
    F.BURST_LOSS: Words(
        {
            "never": "the path lost {lost} of the {host}'s {of}, several in a row, and {missing} never arrived"
            " ({first})",
            "": "the path lost {lost} of the {host}'s {of}, several in a row: a full queue or a break; the worst"
            " ({first}) came {waited} late",
            "free": "the path lost {lost} of the {host}'s {of}, several in a row ({first})",
            "counted": "the path lost {lost} of the {host}'s {of}, several in a row (the first {first}): a full queue"
            " or a break",
        },
        "the packets in the {peer}'s capture",
        "look for a full queue (a slower link, a rate limit) or a break of the path at that time",
    ),
    F.TAIL_LOSS: Words(
        {
            "never": "the path lost the last that the {host} had sent ({first}) and all that it sent again ({lost} in"
            " all): {missing} never arrived",
            "": "the path lost the last that the {host} had sent ({first}, {lost} in all), and as nothing"
            " came after it, it took {waited} until it was sent again",
            "free": "the path lost the last that the {host} had sent ({first}), and it was never sent again",
        },
        "the packet in the {peer}'s capture",
        "find where the path loses packets; SACK and timestamps left on let the kernel find it sooner",
    ),
    F.ACK_LOSS: Words(
        {
            "": "the path lost {lost} by which the {host} acknowledges what came ({first}): the"
            " {peer} sent again what had arrived, after {waited}",
            "counted": "the path lost {lost} by which the {host} acknowledges what came (the first {first})",
            "free": "the path lost {lost} by which the {host} acknowledges what came ({first});"
            " later ones made up for it",
        },
        "these packets in the {peer}'s capture",
        "find where the path loses packets from the {host} to the {peer}",
    ),
    F.SPURIOUS_RETRANSMISSION: Words(
        {
            "": "the {host}'s kernel sent {bytes} again ({packets}, the first {first}) that had already arrived: it"
            " took"
            " them for lost too early",
        },
        "loss of the packets, or of their ACKs",
        "nothing, if it is rare; a delay that jumps is the usual reason",
    ),
    F.REORDERING: Words(
        {
            "": "{packets} of the {host} arrived after later ones ({first}): the path reorders",
            "again": "{packets} of the {host} arrived after later ones ({first}): the path reorders, and the {host}'s"
            " kernel took that for loss and sent {again} again",
        },
        "the same order at both ends",
        "look for several ways that packets of one connection take (link aggregation, multipath)",
    ),
    F.DUPLICATED: Words(
        {
            "": "{packets} of the {host} arrived twice and {packets|was|were} sent once ({first}): something on the"
            " path doubles them"
        },
        "two such packets in the {host}'s capture",
        "look for a loop, a mirror port, or a capture that sees packets twice",
    ),
    F.BUFFERBLOAT: Words(
        {
            "": "the delay from the {host} to the {peer} grew from {least} to {most} ({packet}, with {out} on their"
            " way): a queue on the path"
            " fills up, and everything else waits in it",
        },
        "a delay that does not follow what is on its way",
        "have the bottleneck keep its queue short (fq_codel, CAKE), or send less than its rate",
    ),
    F.RATE_LIMIT: Words(
        {
            "": "the path carried {rate} per second from the {host} to the {peer} and no more: whatever is sent faster"
            " waits or is lost",
        },
        "a faster stretch of the same transfer",
        "nothing in the programs: send less, or find the limit on the path",
    ),
    F.PAYLOAD_ALTERED: Words(
        {
            "": "{bytes} in {packets} of the {host} {bytes|was|were} changed on the way and arrived with a checksum"
            " that fits"
            " ({first}, from byte {offset}): something on the path writes into the data",
        },
        "the same bytes at both ends",
        "find what changes the data (a proxy, a gateway, bad memory); TLS finds and refuses such changes",
    ),
    F.ADDRESS_REWRITTEN: Words(
        {"": "addresses or ports were rewritten on the way: {before} arrives as {after}"},
        "the same addresses at both ends",
        "nothing, if a NAT is meant to be there",
    ),
    F.TTL_REWRITTEN: Words(
        {"": "the TTL was set anew on the way ({change}): hops only lower it, by one each"},
        "a TTL that only hops lowered",
        "nothing; something on the path makes the packets anew (a proxy, a load balancer)",
    ),
    F.CHECKSUM_ERROR: Words(
        {
            "": "{packets} of the {host} {packets|was|were} damaged on the way ({first}): the {peer}'s kernel dropped"
            " what came as its"
            " checksum was wrong",
        },
        "the same bytes at both ends, with a checksum that was only not computed yet",
        "find the cable, the network card or the memory that damages them",
    ),
    F.CLOCK_WRONG: Words(
        {"": "the clocks of the two captures differ by {offset}, and by {drift} more each hour"},
        "captures of one clock",
        "synchronise the clocks (NTP) before logs of both are compared",
    ),
    F.DATAGRAM_TOO_LARGE: Words(
        {
            "": "{calls} of the {host} program could not be sent (the first: {call}): EMSGSIZE, too large for one"
            " datagram"
        },
        "a smaller datagram that fails the same way",
        "send smaller datagrams (1,200 bytes pass almost everywhere), or a stream",
    ),
    F.FRAGMENTS_LOST: Words(
        {
            "": "{datagrams} of {of} of the {host} did not arrive ({first}, {size}): each was sent as several"
            " fragments,"
            " and with one of them all are lost",
        },
        "all fragments in the {peer}'s capture",
        "send datagrams that fit into one packet (1,200 bytes pass almost everywhere)",
    ),
    F.UDP_RECEIVE_OVERRUN: Words(
        {
            "counted": "{dropped} of {of} that reached the {host} {dropped|was|were} never given to its program: its"
            " socket's"
            " receive buffer was full, as its kernel counted",
            "": "{dropped} of {of} that reached the {host} {dropped|was|were} never given to its program ({first}):"
            " it read too slowly,"
            " and its socket's receive buffer was full",
        },
        "a read of these datagrams",
        "read faster, or set a larger SO_RCVBUF (and net.core.rmem_max)",
    ),
    F.PORT_UNREACHABLE: Words(
        {
            "": "{datagrams} of the {peer} to {endpoint} {datagrams|was|were} thrown away: nothing takes datagrams on"
            " that port, and the"
            " {host}'s kernel said so ({error}, ICMP)",
            "unheard": "{datagrams} of the {peer} to {endpoint} {datagrams|was|were} thrown away: nothing takes"
            " datagrams on that port;"
            " the {host}'s kernel said so ({error}, ICMP), but that was lost",
        },
        "a socket that is bound to this port (`ss -lun`)",
        "start the receiver first, and bind it to this address and port; connect the sender's socket to be told",
    ),
}
"""Every finding's words."""
