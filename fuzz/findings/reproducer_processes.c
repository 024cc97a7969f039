// SPDX-License-Identifier: GPL-2.0-only
/* More parts: rights, forks, the second process, and main(). */

//@ rights
/* Give up capabilities, a bit for each. */
static void give_up(u64 capabilities)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];
	long result = syscall(SYS_capget, &header, sets);

	for (int i = 0; !result && i < 2; i++) {
		sets[i].effective &= ~(capabilities >> 32 * i);
		sets[i].permitted &= ~(capabilities >> 32 * i);
		sets[i].inheritable &= ~(capabilities >> 32 * i);
	}
	if (result || syscall(SYS_capset, &header, sets))
		broken("cannot give up capabilities");
}

//@ other_user
#define OTHER_USER 65534

/* It goes on to look at itself in /proc, which is its own only while it is dumpable. */
static void become_other_user(void)
{
	if (geteuid() || setresgid(OTHER_USER, OTHER_USER, OTHER_USER) ||
	    setresuid(OTHER_USER, OTHER_USER, OTHER_USER) || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
		lacking("the right to become another user (root)");
}

//@ child_end
/* What a child found is found. */
static void child_ended(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) > FAULT_SHOWS)
		finish(WEXITSTATUS(status));
	if (!WIFEXITED(status)) {
		printf("%s: the other process was killed by signal %d [process-survives]\n", *place,
		       WTERMSIG(status));
	}
	faults += !WIFEXITED(status) || WEXITSTATUS(status);
}

//@ fork child_end
/* A child looks at its memory, while this process waits. */
static long fork_and_look(void (*look)(void))
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		look();
		finish(faults ? FAULT_SHOWS : AS_EXPECTED);
	}
	child_ended(pid);
	return 0;
}

//@ second child_end
/*
 * A child that waits, is advised, and looks at its memory in the end. race: what it does when it is
 * sent a byte, if anything.
 */
static pid_t second_pid;
static int second_ends[2];

static void wait_to_end(void (*race)(void))
{
	ssize_t got;
	char byte;

	while ((got = read(second_ends[0], &byte, 1)) > 0)
		if (race)
			race();
	if (got < 0)
		finish(CANNOT_TELL);
}

static int start_second(void (*become)(void), void (*race)(void), void (*look)(void))
{
	int ready[2], fd;
	char byte;

	fflush(NULL);
	if (pipe2(second_ends, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		broken("cannot make a pipe");
	second_pid = fork();
	if (!second_pid) {
		close(second_ends[1]);
		faults = 0;
		if (become)
			become();
		if (write(ready[1], "", 1) != 1)
			finish(CANNOT_TELL);
		wait_to_end(race);
		look();
		finish(faults ? FAULT_SHOWS : AS_EXPECTED);
	}
	close(ready[1]);
	fd = second_pid < 0 ? -1 : syscall(434 /* pidfd_open */, second_pid, 0);
	if (fd < 0)
		lacking("a second process, or pidfd_open()");
	if (read(ready[0], &byte, 1) != 1)
		child_ended(second_pid);
	close(ready[0]);
	return fd;
}

static void end_second(void)
{
	close(second_ends[1]);
	child_ended(second_pid);
}

//@ heirs vmas
/* With which VmFlags do new mappings start: here, in a child, in a program that it executes? */
static int heirs[2];

static void tell_flags(const void *at)
{
	u64 page = (u64)at & ~(PAGE - 1);

	read_vmas(page, page + PAGE);
	if (write(heirs[1], seen_vmas[0].flags, sizeof(seen_vmas[0].flags)) < 0)
		broken("cannot tell flags");
}

static void tell_new_mapping(void)
{
	tell_flags(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* A page behind the heap; it is given back. */
static void tell_new_heap(void)
{
	u64 end = syscall(SYS_brk, 0), page = (end + PAGE - 1) & ~(PAGE - 1);

	if ((u64)syscall(SYS_brk, page + PAGE) != page + PAGE)
		lacking("room for the heap to grow by a page");
	tell_flags((void *)page);
	syscall(SYS_brk, end);
}

/* main() of the program that is executed. */
static int be_heir(char *const *argv)
{
	int here;

	heirs[1] = atoi(argv[2]);
	place = (const char *volatile *)&argv[1];
	tell_new_mapping();
	tell_new_heap();
	tell_flags(&here);
	return 0;
}

static long fork_and_exec(void)
{
	char number[16];
	char *arguments[] = { "reproducer", "--heir", number, NULL };
	int status = 0;
	pid_t pid;

	if (pipe(heirs))
		broken("cannot make a pipe");
	snprintf(number, sizeof(number), "%d", heirs[1]);
	tell_new_heap();
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		tell_new_mapping();
		tell_new_heap();
		execve("/proc/self/exe", arguments, NULL);
		_exit(CANNOT_TELL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	close(heirs[1]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == LACKING)
		finish(LACKING);
	return status ? -ECHILD : 0;
}

static void expect_heir(const char *what, const char *expected, const char *rule)
{
	char saw[sizeof(seen_vmas[0].flags)] = "";

	if (read(heirs[0], saw, sizeof(saw)) < 0)
		broken("cannot read flags");
	if (!strcmp(saw, expected))
		return;
	faults++;
	printf("%s: %s: expected the flags %s, saw %s [%s]\n", *place, what, expected, saw, rule);
}

//@ frame
#define LOWEST 0x10000UL /* what a process may map without rights */

static const char *const ends[] = { "as expected", "THE FAULT SHOWS", "", "cannot tell",
				    "this machine lacks what it needs" };

static u64 taint(void)
{
	FILE *file = fopen("/proc/sys/kernel/tainted", "re");
	u64 value = 0;

	if (file && fscanf(file, "%lu", &value) != 1)
		value = 0;
	if (file)
		fclose(file);
	return value;
}

/* Nothing of the program itself may lie below the layout, or where it will be. */
static void check_room(void)
{
	void *at = (void *)LOWEST;

	if (mmap(at, ROOM_END - LOWEST, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != at) {
		printf("addresses below %#lx are in use; a static program is to be linked above them: "
		       "-static -no-pie -Wl,-Ttext-segment=0x38000000\n", ROOM_END);
		finish(CANNOT_TELL);
	}
	munmap(at, ROOM_END - LOWEST);
}

/* That a child ended is to be waited for; where it is, it tells. */
static int prepare_watch(void)
{
	sigset_t set;

	setlinebuf(stdout);
	place = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	signal(SIGCHLD, SIG_DFL);
	return place == MAP_FAILED || sigprocmask(SIG_BLOCK, &set, NULL);
}

static pid_t start_run(void)
{
	pid_t pid;

	begin("at the start");
	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	check_room();
	run();
	finish(faults ? FAULT_SHOWS : AS_EXPECTED);
}

/* True when it ended in time; it is killed with all that it started when not. */
static int wait_for(pid_t pid, int *status)
{
	struct timespec pause = { .tv_nsec = 250 * 1000 * 1000 };
	time_t end = time(NULL) + SECONDS_MAX;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(pid, status, WNOHANG) != pid) {
		if (time(NULL) > end) {
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			return 0;
		}
		sigtimedwait(&set, NULL, &pause);
	}
	return 1;
}

/* The exit code that a run stands for; what the run could not say itself is said. */
static int told(int ended, int status, int aloud)
{
	if (!ended) {
		printf("%s: did not return within %d s [call-returns]\n", *place, SECONDS_MAX);
		return FAULT_SHOWS;
	}
	if (WIFSIGNALED(status)) {
		if (*place == dies_at && (!DIES_OF || WTERMSIG(status) == DIES_OF))
			return AS_EXPECTED;
		if (aloud)
			printf("%s: killed by %s [process-survives]\n", *place,
			       strsignal(WTERMSIG(status)));
		return FAULT_SHOWS;
	}
	if (dies_at && WEXITSTATUS(status) == AS_EXPECTED) {
		if (aloud)
			printf("%s: expected to be killed by a signal, went on\n", dies_at);
		return FAULT_SHOWS;
	}
	return WEXITSTATUS(status);
}

static int tainted_since(u64 before)
{
	if (taint() == before)
		return 0;
	printf("the kernel says in its log that something is wrong [kernel-quiet]\n");
	return 1;
}

//@ main frame
static int watch(void)
{
	u64 tainted = taint();
	int status = 0, ended, code;
	pid_t pid;

	if (prepare_watch())
		return CANNOT_TELL;
	pid = start_run();
	if (pid < 0)
		return CANNOT_TELL;
	ended = wait_for(pid, &status);
	code = told(ended, status, 1);
	if (tainted_since(tainted))
		code = FAULT_SHOWS;
	printf("%s\n", ends[code]);
	return code;
}
