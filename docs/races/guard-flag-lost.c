// SPDX-License-Identifier: GPL-2.0-only
/*
 * MADV_GUARD_INSTALL beside mprotect(): the kernel forgets that a mapping has guards, and a fork of
 * file memory leaves them out. Built with: cc -Wall -Werror -pthread guard-flag-lost.c
 *
 * Exits 1 when it shows, 0 when it did not within ROUNDS, 2 when it could not be tried. With two
 * emulated processors, whose windows are wide, it showed in round 211.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define ROUNDS 200000
#define PAGES 3

static char *memory;
static size_t bytes;
static pthread_barrier_t start, end;
static volatile int failed;

static void *install(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_barrier_wait(&start);
		if (madvise(memory, bytes, MADV_GUARD_INSTALL))
			failed = 1;
		pthread_barrier_wait(&end);
	}
	return NULL;
}

/* What a child finds behind the guard: 1 if it may read it. */
static int child_reads(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		_exit(*(volatile char *)memory & 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		exit(2);
	return WIFEXITED(status);
}

int main(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	int fd = memfd_create("guarded", 0);
	pthread_t thread;

	bytes = PAGES * page;
	if (fd < 0 || ftruncate(fd, bytes) || pthread_barrier_init(&start, NULL, 2) ||
	    pthread_barrier_init(&end, NULL, 2) || pthread_create(&thread, NULL, install, NULL))
		return 2;
	for (int round = 1; round <= ROUNDS; round++) {
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
		if (memory == MAP_FAILED)
			return 2;
		pthread_barrier_wait(&start);
		if (mprotect(memory, bytes, PROT_READ))
			failed = 1;
		pthread_barrier_wait(&end);
		if (failed) {
			puts("this kernel knows no guards in file memory");
			return 2;
		}
		if (child_reads()) {
			printf("round %d: expected: the child of a process with a guard has the guard; "
			       "seen: it reads the memory\n", round);
			return 1;
		}
		munmap(memory, bytes);
	}
	printf("%d rounds: every child had the guard\n", ROUNDS);
	return 0;
}
