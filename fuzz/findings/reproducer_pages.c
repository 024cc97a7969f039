// SPDX-License-Identifier: GPL-2.0-only
/* More parts: what is in the page tables, and in the pages. */

//@ writer
static void print_writer(long serial)
{
	printf("step %ld", serial - LAYOUT_STEPS);
}

//@ race_writer
/* A number for each call of each actor, beside those of steps. */
static void print_writer(long serial)
{
	long call = serial / SERIALS - 1, step = serial % SERIALS - LAYOUT_STEPS;

	if (call >= 0)
		printf("call %ld of actor %ld in ", call % ACTOR_STEPS_MAX + 1,
		       call / ACTOR_STEPS_MAX + 1);
	printf("step %ld", step);
}

//@ pages guarded vmas content
/* A page: how /proc/self/pagemap shows it, and what was read from it, its content below. */
#define PRESENT (1UL << 32)
#define SWAPPED (1UL << 33)
#define GUARD (1UL << 34)
#define UNREADABLE (1UL << 35)
#define READ (1UL << 36)
#define CONTENT 0xffffffffUL

/* The content of the next page in the same row is one more, unless it is 0 or MIXED. */
struct row {
	u64 first, pages, word;
	const char *rule;
	u64 not_compared;
	u64 or[2]; /* as good as word */
	int ors;
};

static u64 states[ARENA_PAGES];

/* Words that structs were stored in are not looked at: a bit each. */
static unsigned char covered[ARENA_PAGES][64];

static u64 content_of(u64 page, const u64 *words)
{
	u64 tag = 0, rest = 0;
	int tags = 0;

	for (unsigned int i = 0; i < PAGE / 8; i++) {
		if (covered[page][i / 8] & 1 << i % 8)
			continue;
		if (i != tagged_words[0] && i != tagged_words[1] && i != tagged_words[2]) {
			rest |= words[i];
			continue;
		}
		if (tags++ && words[i] != tag)
			return MIXED;
		tag = words[i];
	}
	return rest || tag > MIXED ? MIXED : tag;
}

static u64 read_page(u64 page)
{
	static u64 words[PAGE / 8];

	if (sigsetjmp(landing, 1)) {
		guarded = 0;
		return UNREADABLE;
	}
	guarded = 1;
	for (unsigned int i = 0; i < PAGE / 8; i++)
		words[i] = ((volatile u64 *)AT(page))[i];
	guarded = 0;
	return READ | content_of(page, words);
}

/* With the list of mappings at hand. all: read pages that are not present, too. */
static void read_states(u64 count, int all)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t size = count * sizeof(u64);

	if (fd < 0 || pread(fd, states, size, ARENA / PAGE * sizeof(u64)) != size)
		broken("cannot read /proc/self/pagemap");
	close(fd);
	for (u64 page = 0; page < count; page++) {
		u64 word = states[page];

		states[page] = word >> 58 & 1 ? GUARD :
			       (word >> 63 ? PRESENT : 0) | (word >> 62 & 1 ? SWAPPED : 0);
	}
	for (size_t i = 0; i < n_seen_vmas; i++) {
		const struct vma *vma = &seen_vmas[i];
		u64 page = vma->start < ARENA ? 0 : (vma->start - ARENA) / PAGE;
		int special = strstr(vma->flags, "pf") || strstr(vma->flags, "io");

		for (; page < count && ARENA + page * PAGE < vma->end; page++) {
			if (special)
				states[page] = 0;
			else if (strstr(vma->flags, "rd") && (all || states[page] & PRESENT))
				states[page] |= read_page(page);
		}
	}
}

static int same_page(u64 expected, u64 saw, u64 not_compared)
{
	u64 bits = (expected ^ saw) & ~not_compared;

	if (!(expected & saw & READ))
		bits &= ~CONTENT;
	return !bits;
}

static void print_page(u64 word)
{
	u64 tag = word & CONTENT;

	printf("%s%s%s%s", word & PRESENT ? "present" : "not present",
	       word & SWAPPED ? ", swapped out" : "", word & GUARD ? ", a guard" : "",
	       word & UNREADABLE ? ", unreadable" : "");
	if (!(word & READ))
		return;
	if (!tag || tag == MIXED) {
		printf(tag ? ", neither zeros nor one write" : ", zeros");
	} else if (tag >> 31) {
		printf(", page %lu of file %lu as made", (tag & 0xffff) - 1, tag >> 16 & 0x7fff);
	} else {
		printf(", what ");
		print_writer(tag >> 16);
		printf(" wrote to page %lu", (tag & 0xffff) - 1);
	}
}

static int page_fits(const struct row *row, u64 expected, u64 saw)
{
	int same = same_page(expected, saw, row->not_compared);

	for (int k = 0; k < row->ors; k++)
		same |= same_page(row->or[k], saw, row->not_compared);
	return same;
}

static void print_expected(const struct row *row, u64 expected)
{
	print_page(expected);
	for (int k = 0; k < row->ors; k++) {
		printf("; or ");
		print_page(row->or[k]);
	}
}

static void expect_page(const struct row *row, u64 i)
{
	u64 tag = row->word & CONTENT, page = row->first + i, saw = states[page];
	u64 expected = row->word + (tag && tag != MIXED ? i : 0);

	if (page_fits(row, expected, saw))
		return;
	faults++;
	printf("%s: page %lu: expected ", *place, page);
	print_expected(row, expected);
	printf("; saw ");
	print_page(saw);
	printf(" [%s]\n", row->rule);
}

/* After expect_vmas(). */
static void expect_pages(const struct row *rows, size_t count, int all)
{
	u64 pages = rows[count - 1].first + rows[count - 1].pages;

	read_states(pages, all);
	for (size_t row = 0; row < count; row++)
		for (u64 i = 0; i < rows[row].pages; i++)
			expect_page(&rows[row], i);
}
