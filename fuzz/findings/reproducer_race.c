// SPDX-License-Identifier: GPL-2.0-only
/* More parts: actors that make their calls at the same time. */

//@ race
typedef uint32_t u32;

#define ACTORS_MAX 4
#define RESULTS_MAX 256
#define CELLS_MAX 1024
#define PROCESSORS_MAX 64
#define STACK_BYTES (64 * 1024UL)
#define SPINS_MAX 65536 /* 0.1 ms; then others may run */
#define LAGS 14 /* up to 2^13 turns of an empty loop: 3 us, under emulation 30 */
#define SPINS_ALONE 64 /* the same where one processor is all there is */

enum who { THREAD, PROCESS, REMOTE }; /* another process in this memory, or the second one */

struct actor {
	void (*act)(int self, long *result);
	enum who who;
	int first; /* of its results */
};

/* With the process that waits, and with the second one. */
static struct shared {
	const struct actor *race;
	volatile u32 started;
	u32 actors, ready, second_done;
	int processors;
	int round, shown; /* shown: in a round before this one */
	long results[RESULTS_MAX];
	u64 fits[CELLS_MAX]; /* see expect_order() */
} *shared;

static unsigned char stacks[ACTORS_MAX][STACK_BYTES] __attribute__((aligned(64)));
static u32 running[ACTORS_MAX]; /* cleared by the kernel when a thread ends */
static pid_t processes[ACTORS_MAX];

/*
 * Actors are made by clone(), threads and processes alike, and have no errno and no thread-local
 * memory of their own: they call the kernel and nothing else.
 */
static long kernel_call(long number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	register u64 r10 __asm__("r10") = d;
	register u64 r8 __asm__("r8") = e;
	register u64 r9 __asm__("r9") = f;
	long value;

	__asm__ volatile("syscall"
			 : "=a"(value)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return value;
}

#define CALL(...) CALL_OF(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_OF(number, a, b, c, d, e, f, ...) \
	kernel_call(number, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), (u64)(f))

/* What an actor waits before each of its calls. */
static void idle(u64 rounds)
{
	for (; rounds; rounds--)
		__asm__ volatile("" ::: "memory");
}

/*
 * Whose calls meet depends on who comes first, by how little: in every second round one actor comes
 * later than the others.
 */
static u64 lag(int self)
{
	u32 dice = shared->round * 2654435761U;

	if (shared->round % 2 == 0 || (dice >> 24) % shared->actors != (u32)self)
		return 0;
	return 1UL << (dice >> 16) % LAGS;
}

/* The life of an actor: its calls, from the moment that all stand ready. */
static int act(void *argument)
{
	const struct actor *actor = argument;
	int self = actor - shared->race;
	u64 processor = 1UL << self % shared->processors;
	u32 most = shared->processors > 1 ? SPINS_MAX : SPINS_ALONE, spins = 0;

	CALL(SYS_sched_setaffinity, 0, sizeof(processor), &processor); /* only for more speed */
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < shared->actors)
		if (!shared->started || ++spins % most == 0)
			CALL(SYS_sched_yield, 0);
	idle(lag(self));
	actor->act(self, shared->results + actor->first);
	return 0;
}

static void prepare_race(const struct actor *race, int actors)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	shared->race = race;
	shared->actors = actors;
	shared->started = 0;
	shared->ready = 0;
	shared->second_done = 0;
	shared->processors = processors < 1 ? 1 : processors > PROCESSORS_MAX ? PROCESSORS_MAX :
									   processors;
}

static void start_actor(int self)
{
	const struct actor *actor = &shared->race[self];
	int flags = CLONE_VM | SIGCHLD;
	pid_t pid;

	if (actor->who == THREAD)
		flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
	running[self] = actor->who == THREAD;
	pid = clone(act, stacks[self] + STACK_BYTES, flags, (void *)actor, NULL, NULL,
		    &running[self]);
	if (pid < 0)
		broken("cannot start an actor");
	processes[self] = actor->who == PROCESS ? pid : 0;
}

static void wait_for_actor(int self)
{
	u32 left;
	int status = 0;

	while ((left = __atomic_load_n(&running[self], __ATOMIC_SEQ_CST)))
		syscall(SYS_futex, &running[self], FUTEX_WAIT, left, NULL, NULL, 0);
	if (!processes[self])
		return;
	while (waitpid(processes[self], &status, 0) < 0 && errno == EINTR)
		;
	if (status) {
		printf("%s: actor %d was killed by signal %d [process-survives]\n", *place,
		       self + 1, WTERMSIG(status));
		finish(FAULT_SHOWS);
	}
}

static void run_actors(void)
{
	int actors = shared->actors;

	memset(running, 0, sizeof(running));
	memset(processes, 0, sizeof(processes));
	for (int self = 0; self < actors; self++)
		if (shared->race[self].who != REMOTE)
			start_actor(self);
	__atomic_store_n(&shared->started, 1, __ATOMIC_SEQ_CST);
	for (int self = 0; self < actors; self++)
		wait_for_actor(self);
}

//@ race_here race
static long run_race(const struct actor *race, int actors)
{
	prepare_race(race, actors);
	run_actors();
	return 0;
}

//@ race_second race second
static int second_self = -1;

/* In the second process. */
static void race_in_second(void)
{
	const struct actor *actor = shared->race;

	while (actor->who != REMOTE)
		actor++;
	second_self = actor - shared->race;
	act((void *)actor);
	__atomic_store_n(&shared->second_done, 1, __ATOMIC_SEQ_CST);
}

/* It may end in its race. */
static int second_acts(void)
{
	siginfo_t info = { .si_pid = 0 };

	return !__atomic_load_n(&shared->second_done, __ATOMIC_SEQ_CST) &&
	       !waitid(P_PID, second_pid, &info, WEXITED | WNOHANG | WNOWAIT) && !info.si_pid;
}

static long run_race_with_second(const struct actor *race, int actors)
{
	struct timespec pause = { .tv_nsec = 20 * 1000 };

	prepare_race(race, actors);
	if (write(second_ends[1], "", 1) != 1)
		broken("cannot tell the second process");
	run_actors();
	while (second_acts())
		nanosleep(&pause, NULL);
	return 0;
}

//@ no_second
static const int second_self = -1;

//@ race_faults race guarded
/* Each actor lands by itself. Whose fault it is tells the stack. */
static sigjmp_buf landings[ACTORS_MAX];
static volatile int lands[ACTORS_MAX];

static void on_actor_fault(int number)
{
	u64 at = (u64)&number - (u64)stacks;
	int self = second_self;

	if (self < 0 && at < sizeof(stacks))
		self = at / STACK_BYTES;
	if (self >= 0 && lands[self])
		siglongjmp(landings[self], number);
	on_fault(number);
}

static void catch_actor_faults(void)
{
	struct sigaction action = { .sa_handler = on_actor_fault, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

//@ race_touch race_faults content
/* As touch(), for an actor. */
static long touch_as(int self, u64 page, u64 pages, int write, int step)
{
	static volatile u64 done[ACTORS_MAX];
	int number = sigsetjmp(landings[self], 0);

	if (number) {
		lands[self] = 0;
		return FAULT(number, (long)done[self]);
	}
	lands[self] = 1;
	for (done[self] = 0; done[self] < pages; done[self]++) {
		volatile u64 *words = (volatile u64 *)AT(page + done[self]);

		for (int i = 0; write && i < 3; i++)
			words[tagged_words[i]] = WRITTEN(step, page + done[self]);
		if (!write)
			(void)words[0];
	}
	lands[self] = 0;
	return done[self];
}

//@ race_store race_faults
/* One 64-bit word; 0, or what a touch that faults gives. */
static long store_as(int self, u64 at, u64 value)
{
	int number = sigsetjmp(landings[self], 0);

	if (!number) {
		lands[self] = 1;
		*(volatile u64 *)at = value;
	}
	lands[self] = 0;
	return FAULT(number, 0);
}

//@ race_fork race
/* A child that ends at once: what it is made of is all that matters. */
static long fork_and_reap(void)
{
	long pid = CALL(SYS_clone, SIGCHLD);

	if (!pid)
		CALL(SYS_exit_group, 0);
	if (pid < 0)
		return pid;
	while (CALL(SYS_wait4, pid, NULL, 0, NULL) == -EINTR)
		;
	return 0;
}
