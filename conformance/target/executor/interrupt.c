// SPDX-License-Identifier: GPL-2.0-only
/*
 * Op SIGNAL: a signal comes while the next call sleeps. What it sleeps on is memory that this
 * process watches by userfaultfd for as long as the call takes: a page that is missing, or one that
 * is to be removed. A second thread waits until the call sleeps there, sends the signal, sees
 * whether it woke the call, and then lets it go on. Or signals come all the time, by a timer.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "executor.h"
#include "thread.h"

#define STACK_BYTES (32 * 1024)
#define LOOK_MS 1
#define ASLEEP_LOOKS 200 /* the call has made its event known, and goes to sleep */
#define WOKEN_NS 3000000 /* a call that a signal wakes has returned by then */
#define STORM_US 20
#define STORM_SIGNALS 16 /* or a slow machine would do nothing else */

u32 interrupt_due HOT_DATA; /* SIGNAL_*, for the next call */

static u64 watched, watched_bytes;
static int watch_fd = -1;
static long caller; /* thread */
static u32 running;
static u8 stack[STACK_BYTES] __attribute__((aligned(64)));
static volatile u32 handled, returned, slept, woken;

static void next_of_storm(void)
{
	struct itimerval once = { .it_value = { .tv_usec = STORM_US } };

	sys(SYS_setitimer, ITIMER_REAL, &once, NULL);
}

static void on_signal(int number)
{
	handled++;
	if (number == SIGALRM && !returned && handled < STORM_SIGNALS)
		next_of_storm();
}

static bool handle(int number)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	return !sigaction(number, &action, NULL); /* without SA_RESTART: EINTR would show */
}

/* Missing pages stop whoever wants them, and so does taking pages away. */
static bool watch(u64 start, u64 bytes)
{
	struct uffdio_register range = {
		.range = { .start = start, .len = bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_EVENT_REMOVE };

	/* Faults of the kernel, too: UFFD_USER_MODE_ONLY would not do. */
	watch_fd = sys(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (watch_fd < 0)
		return false;
	if (!sys(SYS_ioctl, watch_fd, UFFDIO_API, &api) &&
	    !sys(SYS_ioctl, watch_fd, UFFDIO_REGISTER, &range))
		return true;
	interrupt_forget();
	return false;
}

/* False when this kernel, or this memory, is not made for it. */
bool interrupt_prepare(u32 how, u64 start, u64 bytes)
{
	interrupt_due = how;
	watched = start;
	watched_bytes = bytes;
	if (how == SIGNAL_STORM)
		return handle(SIGALRM);
	return handle(SIGUSR1) && watch(start, bytes);
}

static char state_of_caller(void)
{
	char path[64] = "/proc/self/task/", text[128];
	u32 at = strlen(path), digits = 0;
	long got, fd;

	for (long n = caller; n; n /= 10)
		digits++;
	for (long n = caller, i = digits; n; n /= 10)
		path[at + --i] = '0' + n % 10;
	memcpy(path + at + digits, "/stat", 6);
	fd = sys(SYS_open, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return '?';
	got = sys(SYS_read, fd, text, sizeof(text) - 1);
	sys(SYS_close, fd);
	for (long i = 0; i + 2 < got; i++)
		if (text[i] == ')')
			return text[i + 2];
	return '?';
}

static bool asleep(void)
{
	char state = state_of_caller();

	return !returned && (state == 'S' || state == 'D');
}

static void wait_ns(u64 ns)
{
	struct timespec time = { .tv_nsec = ns };

	sys(SYS_nanosleep, &time, NULL);
}

/* The call has come to where it sleeps, or will in a moment. */
static void send_signal(void)
{
	long self = sys(SYS_getpid);

	for (u32 looks = 0; !asleep() && looks < ASLEEP_LOOKS; looks++)
		wait_ns(LOOK_MS * 1000000);
	slept = asleep();
	if (!slept)
		return;
	sys(SYS_tgkill, self, caller, interrupt_due == SIGNAL_FATAL ? SIGKILL : SIGUSR1);
	wait_ns(WOKEN_NS);
	woken = !asleep();
}

static void let_go_on(void)
{
	struct uffd_msg message;

	while (sys(SYS_read, watch_fd, &message, sizeof(message)) == sizeof(message)) {
		struct uffdio_zeropage page = { .range = { .len = PAGE } };

		if (message.event != UFFD_EVENT_PAGEFAULT)
			continue; /* to have read it is enough */
		page.range.start = message.arg.pagefault.address & -(u64)PAGE;
		sys(SYS_ioctl, watch_fd, UFFDIO_ZEROPAGE, &page);
		sys(SYS_ioctl, watch_fd, UFFDIO_WAKE, &page.range);
	}
}

static void watcher(u64 unused)
{
	struct pollfd fd = { .fd = watch_fd, .events = POLLIN };
	bool sent = false;

	(void)unused;
	while (!returned) {
		if (sys(SYS_poll, &fd, 1, LOOK_MS) != 1)
			continue;
		if (!sent)
			send_signal();
		sent = true;
		let_go_on();
	}
	for (;;)
		sys(SYS_exit, 0);
}

/* Right before and right after the call. */
void interrupt_begin(void)
{
	struct clone_args args = {
		.flags = THREAD_FLAGS,
		.stack = (u64)stack,
		.stack_size = STACK_BYTES,
	};
	long err;

	handled = returned = slept = woken = 0;
	caller = sys(SYS_gettid);
	if (interrupt_due == SIGNAL_STORM) {
		next_of_storm();
		return;
	}
	err = thread_start(&args, &running, watcher, 0);
	if (err < 0)
		child_fail("cannot start a thread", err);
}

void interrupt_end(void)
{
	struct uffdio_range range = { .start = watched, .len = watched_bytes };
	struct itimerval none = { 0 };

	returned = 1;
	if (interrupt_due == SIGNAL_STORM) {
		sys(SYS_setitimer, ITIMER_REAL, &none, NULL);
	} else {
		thread_wait(&running);
		sys(SYS_ioctl, watch_fd, UFFDIO_UNREGISTER, &range);
		sys(SYS_close, watch_fd);
		watch_fd = -1;
	}
	interrupt_due = 0;
}

/* It was prepared, but the call cannot be made here, or nothing be watched. */
void interrupt_forget(void)
{
	if (watch_fd >= 0)
		sys(SYS_close, watch_fd);
	watch_fd = -1;
	interrupt_due = 0;
}

/* What came of the last signal: SIGNAL_SLEPT, SIGNAL_WOKEN, and how often it was handled, if once. */
u64 interrupt_seen(void)
{
	return slept * SIGNAL_SLEPT | woken * SIGNAL_WOKEN | (u64)handled * SIGNAL_HANDLED_ONE;
}
