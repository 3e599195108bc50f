/* SPDX-License-Identifier: GPL-2.0-only */
/* A writer of capture files in pcapng. Errors are stdio's: they stay with the stream until somebody asks. */
#include "pcapng.h"

#include <string.h>

#define SECTION_HEADER 0x0a0d0d0au
#define INTERFACE_DESCRIPTION 1u
#define INTERFACE_STATISTICS 5u
#define ENHANCED_PACKET 6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du

#define OPTION_END 0u
#define SHB_USERAPPL 4u
#define IF_NAME 2u
#define IF_TSRESOL 9u
#define NANOSECONDS 9u          /* 10^-9 */
#define EPB_DROPCOUNT 4u
#define ISB_STARTTIME 2u
#define ISB_ENDTIME 3u
#define ISB_IFRECV 4u
#define ISB_IFDROP 5u

#define BLOCK_MAX 512u
#define TEXT_MAX 128u

/* A block under construction; everything in it is a multiple of four bytes. */
struct block {
	uint32_t used;
	uint8_t bytes[BLOCK_MAX];
};

static void put(struct block *b, const void *bytes, uint32_t count)
{
	memcpy(b->bytes + b->used, bytes, count);
	b->used += count;
	while (b->used % 4)
		b->bytes[b->used++] = 0;
}

static void put32(struct block *b, uint32_t value)
{
	put(b, &value, sizeof(value));
}

static void put_pair(struct block *b, uint16_t low, uint16_t high)
{
	put32(b, low | (uint32_t)high << 16);
}

static void put64(struct block *b, uint64_t value)
{
	put(b, &value, sizeof(value));
}

/* The format's times are two halves, the upper one first. */
static void put_time(struct block *b, uint64_t time)
{
	put32(b, (uint32_t)(time >> 32));
	put32(b, (uint32_t)time);
}

static void put_option(struct block *b, uint16_t code, const void *value, uint32_t bytes)
{
	put_pair(b, code, (uint16_t)bytes);
	put(b, value, bytes);
}

static void put_text(struct block *b, uint16_t code, const char *text)
{
	size_t bytes = strlen(text);

	put_option(b, code, text, (uint32_t)(bytes < TEXT_MAX ? bytes : TEXT_MAX));
}

static void put_count(struct block *b, uint16_t code, uint64_t value)
{
	put_option(b, code, &value, sizeof(value));
}

static void put_moment(struct block *b, uint16_t code, uint64_t time)
{
	put_pair(b, code, sizeof(time));
	put_time(b, time);
}

static void begin(struct block *b, uint32_t type)
{
	b->used = 0;
	put32(b, type);
	put32(b, 0); /* the length, which end() knows */
}

static void end(struct block *b, FILE *out)
{
	uint32_t length;

	put_pair(b, OPTION_END, 0);
	length = b->used + 4;
	put32(b, length);
	memcpy(b->bytes + 4, &length, sizeof(length));
	fwrite(b->bytes, 1, b->used, out);
}

void uw_pcapng_begin(struct uw_pcapng *p, FILE *out, uint16_t linktype, uint32_t snaplen, const char *program,
		     const char *interface, uint64_t now)
{
	const uint8_t resolution = NANOSECONDS;
	struct block b;

	memset(p, 0, sizeof(*p));
	p->out = out;
	p->begun = now;
	begin(&b, SECTION_HEADER);
	put32(&b, BYTE_ORDER_MAGIC);
	put_pair(&b, 1, 0);              /* version 1.0 */
	put64(&b, UINT64_MAX);           /* the section's length is not known */
	put_text(&b, SHB_USERAPPL, program);
	end(&b, out);
	begin(&b, INTERFACE_DESCRIPTION);
	put_pair(&b, linktype, 0);
	put32(&b, snaplen);
	put_text(&b, IF_NAME, interface);
	put_option(&b, IF_TSRESOL, &resolution, sizeof(resolution));
	end(&b, out);
}

void uw_pcapng_packet(struct uw_pcapng *p, const struct uw_pcapng_packet *packet)
{
	static const uint8_t zeros[4];
	uint32_t captured = packet->head_bytes + packet->body_bytes, padding = -captured & 3;
	/* Block header, interface, time, lengths; what was lost, the end of options; the length again. */
	uint32_t length = 28 + captured + padding + (p->lost ? 12 + 4 : 0) + 4;
	struct block b = { 0 };

	put32(&b, ENHANCED_PACKET);
	put32(&b, length);
	put32(&b, 0);                    /* the one interface */
	put_time(&b, packet->time);
	put32(&b, captured);
	put32(&b, packet->original);
	fwrite(b.bytes, 1, b.used, p->out);
	fwrite(packet->head, 1, packet->head_bytes, p->out);
	fwrite(packet->body, 1, packet->body_bytes, p->out);
	fwrite(zeros, 1, padding, p->out);
	b.used = 0;
	if (p->lost) {
		put_count(&b, EPB_DROPCOUNT, p->lost);
		put_pair(&b, OPTION_END, 0);
	}
	put32(&b, length);
	fwrite(b.bytes, 1, b.used, p->out);
	p->lost = 0;
	p->packets++;
}

void uw_pcapng_lost(struct uw_pcapng *p, uint64_t packets)
{
	p->lost += packets;
	p->dropped += packets;
}

void uw_pcapng_end(struct uw_pcapng *p, uint64_t now)
{
	struct block b;

	begin(&b, INTERFACE_STATISTICS);
	put32(&b, 0);
	put_time(&b, now);
	put_moment(&b, ISB_STARTTIME, p->begun);
	put_moment(&b, ISB_ENDTIME, now);
	put_count(&b, ISB_IFRECV, p->packets + p->dropped);
	put_count(&b, ISB_IFDROP, p->dropped);
	end(&b, p->out);
}
