// SPDX-License-Identifier: GPL-2.0-only
/* The outcome in the making, and its way into the ring. */

#include <string.h>

#include "executor.h"

struct record *record HOT_DATA;

void record_create(void)
{
	record = shared_create(sizeof(*record), "the record of an outcome");
}

HOT void record_begin(u64 ident)
{
	record->ident = ident;
	record->n_results = 0;
	record->n_peeks = 0;
	record->n_snapshots = 0;
	record->n_outside = 0;
	record->peek_words = 0;
	record->snapshot_words = 0;
	record->unable = false;
	record->remote_wanted = 0;
}

/* Where the bytes of the next peek go. */
u64 *record_peek(u32 bytes)
{
	u64 *data = record->peeks + record->peek_words + 1;

	if (bytes)
		data[WORDS_OF(bytes) - 1] = 0;
	return data;
}

void record_peek_done(u32 bytes, u32 readable)
{
	record->peeks[record->peek_words] = (u64)readable << 32 | bytes;
	record->peek_words += 1 + WORDS_OF(bytes);
	record->n_peeks++;
}

static u64 *append(u64 *at, const void *words, u32 n_words)
{
	memcpy(at, words, n_words * 8ul);
	return at + n_words;
}

/*
 * Put the outcome into the ring; it may be that of a child which died. False
 * when it does not fit and only its head was written, as NOT_RUN.
 */
HOT bool record_finish(u32 status, u32 signal, u32 step)
{
	struct record *r = record;
	u64 *head = (u64 *)(r->out + r->out_used), *at = head;
	u32 n_outside_words = r->n_outside * 4;
	u64 words = 4 + (u64)r->n_results + r->peek_words + r->snapshot_words + n_outside_words;
	bool fits = r->out_size - r->out_used >= (words + cover_words_max()) * 8;

	if (!fits || r->unable) {
		if (r->out_size - r->out_used < 32)
			return false;
		at[0] = (u64)MAGIC_OUTCOME << 32 | 4;
		at[1] = r->ident;
		at[2] = STATUS_NOT_RUN;
		at[3] = 0;
		r->out_used += 32;
		return fits;
	}
	at[1] = r->ident;
	at[2] = status | (u64)signal << 8 | (u64)step << 16 | (u64)r->n_results << 32 |
		(u64)r->n_snapshots << 48;
	at[3] = r->n_peeks | (u64)r->n_outside << 32;
	at = append(at + 4, r->results, r->n_results);
	at = append(at, r->peeks, r->peek_words);
	at = append(at, r->snapshots, r->snapshot_words);
	at = append(at, r->outside, n_outside_words);
	words = cover_tell(at) - head;
	head[0] = (u64)MAGIC_OUTCOME << 32 | words;
	r->out_used += words * 8;
	return true;
}
