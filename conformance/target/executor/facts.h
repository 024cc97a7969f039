// SPDX-License-Identifier: GPL-2.0-only
/*
 * The facts that `executor --facts` prints: each probed by doing the thing in a forked child.
 *
 * One row of a table for each field of conformance/program/kernel_facts.py. A probe gives its
 * answer by found() or found_text(), or says by unfound() why it has none; one that dies, or
 * does neither, is reported as undetermined too.
 */
#ifndef MADVET_FACTS_H
#define MADVET_FACTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "generated/wire.h"

#define ADVICE_UNKNOWN 12345 /* of no kernel */

struct ground {
	const char *tmp_dir; /* where backing "disk" lies */
	int shim;	     /* madvise_ranges() is answered in user space */
	int poison;	     /* memory may be poisoned: this machine is a guest */
};

enum fact_kind { FACT_BOOL, FACT_NUMBER, FACT_TEXT, FACT_LIST };

struct finding {
	int known;
	long long number;
	char text[256]; /* of a FACT_LIST: the JSON between its brackets */
	char why[160];	/* if not known */
};

struct fact {
	const char *name;
	enum fact_kind kind;
	void (*probe)(struct finding *f, const struct ground *ground);
};

/* Each table ends with a row without a name. */
extern const struct fact facts_of_calls[];
extern const struct fact facts_of_behaviour[];
extern const struct fact facts_of_mapping[];
extern const struct fact facts_of_remote[];
extern const struct fact facts_of_machine[];

/* Prints the facts as one JSON object on stdout; the exit status. */
int facts_main(const struct ground *ground);

/* facts_ground.c: what probes stand on. */
void found(struct finding *f, long long number);
void found_text(struct finding *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void unfound(struct finding *f, long long assumed, const char *why, ...)
	__attribute__((format(printf, 3, 4)));
char *window(size_t pages);
char *map_anon(char *at, size_t pages, int prot);
char *map_file(char *at, size_t pages, int prot, int flags, int fd);
int open_backing(int backing, const char *tmp_dir, size_t pages);
void touch(volatile char *page);
int vma_count(const void *start, const void *end);
int vm_flags(const void *at, uint64_t *flags);
int vma_named(const char *name, uintptr_t *start, uintptr_t *end);
int read_text(const char *path, char *text, size_t size);
int read_number(const char *path, long long *number);
int has_capability(int number);
long call_process_madvise(int pidfd, void *start, size_t length, int advice);

#endif
