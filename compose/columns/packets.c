/* Link, IP and transport headers of the usual kinds. What testbed/capture/layers says of them, to the bit. */

#include <string.h>

#include "columns/hashes.h"
#include "columns/packets.h"
#include "common/bytes.h"

enum { ETHERNET = 1, RAW = 101, COOKED = 113, COOKED_2 = 276 };
enum { IPV4 = 0x0800, IPV6 = 0x86dd };
enum { TCP = 6, UDP = 17 };
enum { L2TP = 1701, GTP = 2152, VXLAN = 4789, GENEVE = 6081 };
enum { MOST_TAGS = 4 };
enum { AT_ONCE = 4 }; /* records: the bytes of one are the way to the next, which is near then */
enum { END = 0, NOP = 1, WINDOW_SCALE = 3, SACK = 5, TIMESTAMPS = 8, MPTCP = 30 };
static const uint32_t USUAL_OPTIONS = 0x0101080A;          /* two NOPs, then timestamps */
static const int64_t FARTHEST = (INT64_C(1) << 62) - 1;    /* ns */
static const uint64_t MAPPED = UINT64_C(0xFFFF00000000);   /* ::ffff:0:0 */

/* One packet while its headers are read: `at` moves on, `end` is where captured bytes end; `length` is what follows on the wire.
 * `ends` are written with the IP header, `edges` with `blocks`: neither needs to be cleared for each packet. */
struct packet {
	const uint8_t *at, *end;
	int64_t length;
	struct ends *ends;
	uint32_t (*edges)[2];
	uint32_t seq, ack, ip_id, tsval, tsecr, options;
	uint16_t flags, window, urgent, checksum;
	uint8_t ttl, tos, dont_fragment, header, blocks;
	int16_t vlan, wscale;
};

static inline uint64_t get64(const uint8_t *at)
{
	return (uint64_t)get32(at) << 32 | get32(at + 4);
}

/* The EtherType of a frame, 0 for one that is not usual. */
static int read_link(struct packet *p, int32_t link)
{
	int type_at = link == ETHERNET ? 12 : link == COOKED ? 14 : 0, header = link == ETHERNET ? 14 : link == COOKED ? 16 : 20;
	if (link == RAW)
		return p->end - p->at < 1 ? 0 : p->at[0] >> 4 == 4 ? IPV4 : p->at[0] >> 4 == 6 ? IPV6 : 0;
	if ((link != ETHERNET && link != COOKED && link != COOKED_2) || p->end - p->at < header)
		return 0;
	int type = get16(p->at + type_at);
	p->at += header;
	for (int tags = 0; type == 0x8100 || type == 0x88a8 || type == 0x9100; tags++) {
		if (p->end - p->at < 4 || tags == MOST_TAGS)
			return 0;
		if (!tags)
			p->vlan = (int16_t)(get16(p->at) & 0x0fff);
		type = get16(p->at + 2);
		p->at += 4;
	}
	return type;
}

static int read_ipv4(struct packet *p)
{
	if (p->end - p->at < 20)
		return 0;
	const uint8_t *ip = p->at;
	int size = (ip[0] & 15) * 4, length = get16(ip + 2), fragment = get16(ip + 6);
	if (ip[0] >> 4 != 4 || size < 20 || length < size || fragment & 0x3fff) /* 0: the frame says how long it is */
		return 0;
	p->tos = ip[1];
	p->ip_id = get16(ip + 4);
	p->dont_fragment = (fragment & 0x4000) != 0;
	p->ttl = ip[8];
	*p->ends = (struct ends){{0, MAPPED | get32(ip + 12), 0, MAPPED | get32(ip + 16)}, {0, 0}, ip[9], 4, 0, 0};
	if (p->end - ip < size)
		return 0;
	if (p->end - ip > length)
		p->end = ip + length;
	p->at += size;
	p->length = length - size;
	return 1;
}

static int read_ipv6(struct packet *p)
{
	if (p->end - p->at < 40)
		return 0;
	const uint8_t *ip = p->at;
	int length = get16(ip + 4);
	if (ip[0] >> 4 != 6 || !length) /* a jumbogram, or segmentation offload */
		return 0;
	p->tos = (uint8_t)(get16(ip) >> 4);
	p->ttl = ip[7];
	*p->ends = (struct ends){{get64(ip + 8), get64(ip + 16), get64(ip + 24), get64(ip + 32)}, {0, 0}, ip[6], 6, 0, 0};
	if (p->end - ip > 40 + length)
		p->end = ip + 40 + length;
	p->at += 40;
	p->length = length;
	return 1;
}

static void read_sack(struct packet *p, const uint8_t *option, int size)
{
	memset(p->edges, 0, 4 * sizeof *p->edges); /* of two options the last counts */
	p->blocks = (uint8_t)((size - 2) / 8);
	for (int k = 0; k < p->blocks; k++) {
		p->edges[k][0] = get32(option + 2 + 8 * k);
		p->edges[k][1] = get32(option + 6 + 8 * k);
	}
}

/* Returns 0 for options that are not usual. */
static int read_options(struct packet *p, const uint8_t *options, int length)
{
	int at = 0, stamped = 0;
	if (length >= 12 && get32(options) == USUAL_OPTIONS) {
		p->tsval = get32(options + 4);
		p->tsecr = get32(options + 8);
		stamped = 1;
		at = 12;
	}
	while (at < length && options[at] != END) {
		if (options[at] == NOP) {
			at++;
			continue;
		}
		int room = length - at, size = room >= 2 ? options[at + 1] : 0;
		if (size < 2 || size > room)
			break;
		if (options[at] == MPTCP)
			return 0;
		if (options[at] == WINDOW_SCALE && size == 3) {
			p->wscale = options[at + 2];
		} else if (options[at] == TIMESTAMPS && size == 10) {
			p->tsval = get32(options + at + 2);
			p->tsecr = get32(options + at + 6);
			stamped = 1;
		} else if (options[at] == SACK && size >= 10 && size % 8 == 2) {
			read_sack(p, options + at, size);
		}
		at += size;
	}
	uint64_t hash = length == 12 && stamped ? hash_pair((uint64_t)p->tsval << 32 | p->tsecr, 12)
	                                        : digest_of(options, (size_t)length);
	p->options = (uint32_t)(hash >> 32);
	return 1;
}

static int read_tcp(struct packet *p)
{
	if (p->length < 20 || p->end - p->at < 20)
		return 0;
	const uint8_t *tcp = p->at;
	int header = (tcp[12] >> 4) * 4;
	if (header < 20 || header > p->length)
		return 0;
	p->ends->port[0] = get16(tcp);
	p->ends->port[1] = get16(tcp + 2);
	p->seq = get32(tcp + 4);
	p->ack = get32(tcp + 8);
	p->flags = get16(tcp + 12) & 0xfff;
	p->window = get16(tcp + 14);
	p->checksum = get16(tcp + 16);
	p->urgent = get16(tcp + 18);
	p->header = (uint8_t)header;
	p->length -= header;
	return header == 20 || read_options(p, tcp + 20, (int)(p->end - tcp < header ? p->end - tcp : header) - 20);
}

static int read_udp(struct packet *p)
{
	if (p->length < 8 || p->end - p->at < 8)
		return 0;
	const uint8_t *udp = p->at;
	int length = get16(udp + 4), port = get16(udp + 2);
	if (length < 8 || port == L2TP || port == GTP || port == VXLAN || port == GENEVE)
		return 0;
	p->ends->port[0] = get16(udp);
	p->ends->port[1] = (uint16_t)port;
	p->checksum = get16(udp + 6);
	p->header = 8;
	p->length = (length < p->length ? length : p->length) - 8;
	return 1;
}

static int read_packet(struct packet *p, int32_t link)
{
	int type = read_link(p, link);
	if (type == IPV4 ? !read_ipv4(p) : type == IPV6 ? !read_ipv6(p) : 1)
		return 0;
	return p->ends->protocol == TCP ? read_tcp(p) : p->ends->protocol == UDP ? read_udp(p) : 0;
}

static inline int64_t least(int64_t one, int64_t two)
{
	return one < two ? one : two;
}

static void write_row(const struct rows *rows, int64_t row, const struct frames *frames, int64_t k, struct packet *p)
{
	int64_t at = p->at - frames->data + p->header; /* header bytes may be missing at the end of a frame */
	int64_t there = p->end - frames->data - at, room = frames->wire[k] - (at - frames->offset[k]);
	int64_t time = frames->time[k], captured = there < 0 ? 0 : least(there, p->length);
	rows->frame[row] = (int32_t)(frames->first_frame + k);
	rows->time[row] = time < -FARTHEST ? -FARTHEST : least(time, FARTHEST);
	rows->side[row] = p->ends->turned;
	rows->protocol[row] = p->ends->protocol;
	rows->decoded[row] = 1;
	rows->seq[row] = p->seq;
	rows->ack[row] = p->ack;
	rows->flags[row] = p->flags;
	rows->window[row] = p->window;
	if (p->urgent)
		rows->urgent[row] = p->urgent;
	rows->checksum[row] = p->checksum;
	rows->ttl[row] = p->ttl;
	rows->tos[row] = p->tos;
	rows->ip_id[row] = p->ip_id;
	rows->dont_fragment[row] = p->dont_fragment;
	rows->length[row] = (int32_t)p->length;
	rows->framed[row] = (int32_t)least(p->length, room < -1 ? -1 : room);
	rows->captured[row] = (int32_t)captured;
	rows->payload_at[row] = at;
	rows->header[row] = p->header;
	rows->payload[row] = digest_of(frames->data + (captured ? at : 0), (size_t)captured);
	rows->options[row] = p->options;
	rows->tsval[row] = p->tsval;
	rows->tsecr[row] = p->tsecr;
	rows->wscale[row] = p->wscale;
	rows->vlan[row] = p->vlan;
}

/* Read the frames from `first` on; `*row` is the next row, the left ones are written from `left` on. */
static int read_frames(const struct frames *frames, int64_t first, struct conversations *all, const struct rows *rows, int64_t *row,
                       struct sacks *sacks, int64_t *left)
{
	struct ends ends;
	uint32_t edges[4][2];
	for (int64_t k = first; k < frames->count; k++) {
		int64_t offset = frames->offset[k], captured = frames->captured[k];
		int32_t interface = frames->interface[k];
		struct packet p = {.ends = &ends, .edges = edges, .vlan = -1, .wscale = -1};
		int good = offset >= 0 && captured >= 0 && offset <= frames->size && captured <= frames->size - offset &&
		           interface >= 0 && interface < frames->interfaces;
		if (good) {
			p.at = frames->data + offset;
			p.end = p.at + captured;
			good = read_packet(&p, frames->link_types[interface]);
		}
		if (!good) {
			*left++ = k;
			continue;
		}
		int32_t number = conversation_between(all, &ends);
		if (number < 0)
			return 0;
		rows->conversation[*row] = number;
		write_row(rows, (*row)++, frames, k, &p);
		if (p.blocks) {
			sacks->frame[sacks->count] = frames->first_frame + k;
			sacks->blocks[sacks->count] = p.blocks;
			memcpy(sacks->edges[sacks->count++], edges, sizeof edges);
		}
	}
	return 1;
}

int64_t usual_packets(const struct frames *frames, struct conversations *all, const struct rows *rows, struct sacks *sacks,
                      int64_t *left)
{
	int64_t row = 0;
	return read_frames(frames, 0, all, rows, &row, sacks, left) ? row : -1;
}

int64_t usual_records(struct walk *walk, int64_t longest, int64_t tick, const struct records *found, struct frames *frames,
                      struct conversations *all, const struct rows *rows, struct sacks *sacks, int64_t *left)
{
	int64_t row = 0, room = walk->room;
	for (int64_t first = 0; first < room; first = frames->count) {
		const struct records some = {found->offset + first, found->captured + first, found->wire + first, found->time + first};
		walk->room = room - first < AT_ONCE ? room - first : AT_ONCE;
		int64_t count = walk_pcap(walk, longest, tick, &some);
		frames->count = first + count;
		if (!read_frames(frames, first, all, rows, &row, sacks, left + (first - row)))
			return -1;
		if (count < walk->room)
			break;
	}
	return row;
}
