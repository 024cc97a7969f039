// SPDX-License-Identifier: GPL-2.0-only
/* More parts: what any order of actors' steps gives, and a race that is run again and again. */

//@ cells race
/*
 * What is not the same in every order of the actors' steps: cells, each with all that it may be.
 * Of what was seen, shared->fits has a bit for each of these that it is. A row of orders[] is what
 * some orders give, for each cell its number in words; ANY: they leave it open.
 */
#define ANY 255

/* True when a fault is to be told: no order gives this. */
static int fits_none(int cell, u64 fits)
{
	shared->fits[cell] = fits;
	if (fits || cells[cell].open)
		return 0;
	faults++;
	printf("%s: %s: expected ", *place, cells[cell].name);
	for (int i = 0; i < WORDS_MAX && cells[cell].words[i]; i++)
		printf("%s%s", i ? "; or " : "", cells[cell].words[i]);
	printf("; saw ");
	return 1;
}

static const char *seen_in(int cell)
{
	if (!shared->fits[cell])
		return "something else";
	return cells[cell].words[__builtin_ctzl(shared->fits[cell])];
}

static int misfits(const unsigned char *order)
{
	int count = 0;

	for (int cell = 0; cell < CELLS; cell++)
		count += order[cell] != ANY && !(shared->fits[cell] >> order[cell] & 1);
	return count;
}

/* Is there one order that gives all of what was seen? */
static void expect_order(const char *rule)
{
	int nearest = 0;

	for (int i = 0; i < ORDERS; i++)
		if (misfits(orders[i]) < misfits(orders[nearest]))
			nearest = i;
	if (!misfits(orders[nearest]))
		return;
	faults++;
	printf("no order of the actors' steps gives all of this [%s]:\n", rule);
	for (int cell = 0; cell < CELLS; cell++)
		printf("\t%s: %s\n", cells[cell].name, seen_in(cell));
	printf("The nearest of %d outcomes that are allowed has instead:\n", ORDERS);
	for (int cell = 0; cell < CELLS; cell++) {
		int word = orders[nearest][cell];

		if (word != ANY && !(shared->fits[cell] >> word & 1))
			printf("\t%s: %s\n", cells[cell].name, cells[cell].words[word]);
	}
}

//@ result_cell cells result
static void result_by_order(int cell, long saw, const char *rule, const long *values, size_t count)
{
	u64 fits = 0;

	for (size_t i = 0; i < count; i++)
		fits |= (u64)(saw == values[i]) << i;
	if (!fits && saw == -ENOSYS)
		lacking("this kernel does not have the call");
	if (!fits_none(cell, fits))
		return;
	print_result(saw);
	printf(" [%s]\n", rule);
}

#define VALUES(...) \
	(const long[]){ __VA_ARGS__ }, sizeof((const long[]){ __VA_ARGS__ }) / sizeof(long)

//@ vma_cell cells expect_vmas
struct vma_list {
	const struct vma *vmas;
	size_t count;
};

static int fits_list(const struct vma_list *list)
{
	size_t i = 0;

	while (i < list->count && i < n_seen_vmas && same_vma(&list->vmas[i], &seen_vmas[i]))
		i++;
	return i == list->count && i == n_seen_vmas;
}

static void vmas_by_order(int cell, const char *rule, const struct vma_list *lists, size_t count)
{
	u64 fits = 0;

	read_vmas(LISTED_LOW, LISTED_HIGH);
	for (size_t i = 0; i < count; i++)
		fits |= (u64)fits_list(&lists[i]) << i;
	if (!fits_none(cell, fits))
		return;
	printf("[%s]\n", rule);
	for (size_t i = 0; i < n_seen_vmas; i++)
		print_vma(&seen_vmas[i]);
}

//@ page_cell cells pages
/* After expect_pages(). */
static void page_by_order(int cell, const struct row *rows, size_t count)
{
	u64 saw = states[rows->first], fits = 0;

	for (size_t i = 0; i < count; i++)
		fits |= (u64)page_fits(&rows[i], rows[i].word, saw) << i;
	if (!fits_none(cell, fits))
		return;
	print_page(saw);
	printf(" [%s]\n", rows->rule);
}

//@ struct_cell cells copy
struct bytes {
	u64 size;
	const unsigned char *data;
};

static void struct_by_order(int cell, u64 at, u64 whole, const char *rule,
			    const struct bytes *structs, size_t count)
{
	static unsigned char saw[1 << 16];
	u64 readable = copy((u64)saw, at, whole), fits = 0;

	for (size_t i = 0; i < count; i++)
		fits |= (u64)(structs[i].size == readable &&
			      !memcmp(structs[i].data, saw, readable)) << i;
	if (!fits_none(cell, fits))
		return;
	printf("%lu readable bytes [%s]\n", readable, rule);
	for (u64 i = 0; i < readable; i += 8)
		printf("\t%lu: %#lx\n", i, *(u64 *)(saw + i));
}

//@ rounds frame race
#ifndef ROUNDS
#define ROUNDS 1000
#endif
#define SECONDS_ALL 30 /* after which no round is begun */

static int watch_rounds(void)
{
	time_t end = time(NULL) + SECONDS_ALL;
	u64 tainted = taint();
	int round = 0, shown = 0, status = 0, ended = 1, code = AS_EXPECTED;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (prepare_watch() || shared == MAP_FAILED)
		return CANNOT_TELL;
	while (ended && code <= FAULT_SHOWS && round < ROUNDS && time(NULL) < end) {
		pid_t pid;

		memset(shared, 0, sizeof(*shared));
		shared->round = round;
		shared->shown = shown;
		pid = start_run();
		if (pid < 0)
			return CANNOT_TELL;
		round++;
		ended = wait_for(pid, &status);
		code = told(ended, status, !shown);
		if (taint() != tainted)
			break;
		if (code == FAULT_SHOWS && !shown++)
			printf("That was round %d.\n", round);
	}
	if (code <= FAULT_SHOWS)
		code = shown ? FAULT_SHOWS : AS_EXPECTED;
	if (tainted_since(tainted))
		code = FAULT_SHOWS;
	printf("%d of %d rounds showed it\n%s\n", shown, round, ends[code]);
	return code;
}

/* In the process of a round. What was told once is not told again. */
static void begin_round(void)
{
	signal(SIGTTOU, SIG_IGN);
	setpgid(0, 0); /* to be killed with all that it starts */
	if (shared->shown && !freopen("/dev/null", "w", stdout))
		finish(CANNOT_TELL);
}
