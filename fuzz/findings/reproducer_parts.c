// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parts that reproducers in C are made of: see c_runtime.py. Each begins with a line that names
 * it, and the parts that it needs; only what a program uses goes into its reproducer.
 */

//@ core
typedef uint64_t u64;

#define PAGE 4096UL
#define ARENA 0x10000000UL /* where the layout lies */
#define ARENA_PAGES 2048UL
#define AT(page) ((void *)(ARENA + (page) * PAGE))
#define LISTED_LOW (ARENA - 16 * PAGE) /* what is listed reaches a little beyond it */
#define LISTED_HIGH (ARENA + (ARENA_PAGES + 16) * PAGE)
#define SECONDS_MAX 20

enum { AS_EXPECTED, FAULT_SHOWS, CANNOT_TELL = 3, LACKING };

/* Shared with the process that waits: where the other one is. */
static const char *volatile *place;
static int faults;

static void begin(const char *what)
{
	*place = what;
}

static __attribute__((noreturn)) void finish(int code)
{
	fflush(NULL);
	_exit(code);
}

static __attribute__((noreturn, unused)) void lacking(const char *what)
{
	printf("%s: this machine lacks what it needs: %s\n", *place, what);
	finish(LACKING);
}

static __attribute__((noreturn, unused)) void broken(const char *what)
{
	printf("%s: %s: %s\n", *place, what, strerror(errno));
	finish(CANNOT_TELL);
}

/* After each step: what comes behind a fault may only follow from it. */
static __attribute__((unused)) void settle(void)
{
	if (faults)
		finish(FAULT_SHOWS);
}

/* What a system call returns, or -errno. */
static __attribute__((unused)) long returned(long value)
{
	return value == -1 ? -errno : value;
}

#define RETURNED(call) returned((long)(call))

//@ result
static void print_result(long result)
{
	if (result < 0 && result > -4096)
		printf("%ld (%s)", result, strerror(-result));
	else if (result < -4096)
		printf("signal %ld after %ld pages", -result >> 16, -result & 0xffff);
	else if (result >= 1 << 24)
		printf("%#lx", result);
	else
		printf("%ld", result);
}

static __attribute__((unused)) void expect_result(long saw, long expected, const char *rule)
{
	if (saw == -ENOSYS && expected != -ENOSYS)
		lacking("this kernel does not have the call");
	if (saw == expected)
		return;
	faults++;
	printf("%s: expected the result ", *place);
	print_result(expected);
	printf(", saw ");
	print_result(saw);
	printf(" [%s]\n", rule);
}

//@ need result
/* Of the steps that only make the layout ready. */
static void need_result(long saw, long expected)
{
	if (saw == expected)
		return;
	printf("%s: expected the result ", *place);
	print_result(expected);
	printf(", saw ");
	print_result(saw);
	printf("; without it nothing can be told\n");
	finish(LACKING);
}

//@ allowed result
/* A result that is allowed beside the usual one. What comes after it is not known. */
static void allow_result(long saw, long allowed, const char *reason)
{
	if (saw != allowed)
		return;
	printf("%s: ", *place);
	print_result(saw);
	printf(" is allowed too: %s. What comes after it is not looked at.\n", reason);
	finish(AS_EXPECTED);
}

//@ guarded
/* Memory that may fault: a fault ends what was begun with sigsetjmp(), and is no death. */
#define FAULT(number, pages) (-((long)(number) << 16 | (pages))) /* a result: which, after how many */

static sigjmp_buf landing;
static volatile sig_atomic_t guarded;

static void on_fault(int number)
{
	if (guarded)
		siglongjmp(landing, number);
	signal(number, SIG_DFL); /* the instruction runs again, and kills */
}

static void catch_faults(void)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

//@ content
/*
 * What is written to a page: one number, in three of its words. It names the step and the page.
 * Pages of files start with one of their own.
 */
#define WRITTEN(step, page) ((u64)(step) << 16 | ((page) + 1))
#define FILE_PAGE(file, page) (0x80000000UL | (u64)(file) << 16 | ((page) + 1))
#define MIXED 0xffffffffUL

static const unsigned int tagged_words[] = { 0, 255, 511 };

//@ touch guarded content
/* Access pages in order; how many, or FAULT(). */
static long touch(u64 page, u64 pages, int write, int step)
{
	static volatile u64 done;
	int number = sigsetjmp(landing, 1);

	if (number) {
		guarded = 0;
		return FAULT(number, done);
	}
	guarded = 1;
	for (done = 0; done < pages; done++) {
		volatile u64 *words = (volatile u64 *)AT(page + done);

		for (int i = 0; write && i < 3; i++)
			words[tagged_words[i]] = WRITTEN(step, page + done);
		if (!write)
			(void)words[0];
	}
	guarded = 0;
	return done;
}

//@ vmas
/* A line of /proc/self/smaps with its VmFlags. file_page: -1 without a file. */
struct vma {
	u64 start, end;
	long file_page;
	char flags[192];
};

#define VMAS_MAX 512

static struct vma seen_vmas[VMAS_MAX];
static size_t n_seen_vmas;

/*
 * Of the names after "VmFlags:" those that are compared, in one order: "sd" (soft-dirty) is set by
 * chance, others may be new.
 */
static void take_flags(char *flags, const char *line)
{
	static const char names[] = COMPARED_FLAGS;

	flags[0] = 0;
	for (const char *name = names; *name; name += 3) {
		char spaced[] = { ' ', name[0], name[1], ' ', 0 };

		if (strstr(line, spaced))
			sprintf(flags + strlen(flags), flags[0] ? " %.2s" : "%.2s", name);
	}
}

static void read_vmas(u64 low, u64 high)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[4096];
	int inside = 0;

	if (!smaps)
		broken("cannot read /proc/self/smaps");
	n_seen_vmas = 0;
	while (fgets(line, sizeof(line), smaps)) {
		struct vma *vma = &seen_vmas[inside ? n_seen_vmas - 1 : n_seen_vmas];
		unsigned int major, minor;
		u64 start, end, offset, inode;

		if (sscanf(line, "%lx-%lx %*s %lx %x:%x %lu", &start, &end, &offset, &major, &minor,
			   &inode) == 6) {
			inside = end > low && start < high;
			if (!inside)
				continue;
			if (n_seen_vmas == VMAS_MAX)
				break;
			vma = &seen_vmas[n_seen_vmas++];
			vma->start = start;
			vma->end = end;
			vma->file_page = major || minor || inode ? (long)(offset / PAGE) : -1;
		} else if (inside && !strncmp(line, "VmFlags:", 8)) {
			take_flags(vma->flags, line + 8);
		}
	}
	fclose(smaps);
}

//@ expect_vmas vmas
static void print_vma(const struct vma *vma)
{
	printf("\tpages %ld..%ld", (long)(vma->start - ARENA) / (long)PAGE,
	       (long)(vma->end - ARENA) / (long)PAGE - 1);
	if (vma->file_page >= 0)
		printf(", page %ld of a file", vma->file_page);
	printf(": %s\n", vma->flags);
}

static int same_vma(const struct vma *a, const struct vma *b)
{
	return a->start == b->start && a->end == b->end && a->file_page == b->file_page &&
	       !strcmp(a->flags, b->flags);
}

static __attribute__((unused)) void expect_vmas(const struct vma *expected, size_t count,
						const char *rule)
{
	size_t i;

	read_vmas(LISTED_LOW, LISTED_HIGH);
	for (i = 0; i < count && i < n_seen_vmas && same_vma(&expected[i], &seen_vmas[i]); i++)
		;
	if (i == count && i == n_seen_vmas)
		return;
	faults++;
	printf("%s: expected the mappings (those before are equal) [%s]\n", *place, rule);
	for (size_t j = i; j < count; j++)
		print_vma(&expected[j]);
	printf("saw\n");
	for (size_t j = i; j < n_seen_vmas; j++)
		print_vma(&seen_vmas[j]);
}
