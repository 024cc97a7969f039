// SPDX-License-Identifier: GPL-2.0-only
/*
 * Signs of life of a guest's executor while a batch runs: a kernel that stands still is then
 * found out long before every program of the batch could have hit its deadline.
 */

#include <time.h>
#include <unistd.h>

#include "executor.h"

#define INTERVAL_NS 250000000L

static s64 last_ns; /* 0: no batch has come yet */

static s64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* A batch has come: that was heard of, and silence begins. */
void alive_begin(void)
{
	if (options.guest)
		last_ns = now_ns();
}

/* Called now and then. */
void alive(void)
{
	const u64 sign[] = { SIGN_OF_LIFE, record->finished, 0 };

	if (!last_ns || now_ns() - last_ns < INTERVAL_NS)
		return;
	last_ns = now_ns();
	if (write(STDOUT_FILENO, sign, sizeof(sign)) != sizeof(sign))
		fail("cannot give a sign of life: %m");
}
