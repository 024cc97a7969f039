// SPDX-License-Identifier: GPL-2.0-only
/* A process that does only what it is told, one instruction at a time; see trace.c. */
#ifndef MADVET_TRACE_H
#define MADVET_TRACE_H

#include <sys/user.h>

#include "executor.h"

struct tracee {
	pid_t pid;
	struct user_regs_struct regs; /* as when it first stopped: a good stack pointer */
	u32 died_of; /* signal; it can run no more */
};

void trace_child(void);
bool trace_start(struct tracee *tracee, pid_t pid);
void trace_end(struct tracee *tracee);
bool trace_syscall(struct tracee *tracee, const u64 *word, s64 *result);
bool trace_syscall32(struct tracee *tracee, const u64 *word, s64 *result);
bool trace_function(struct tracee *tracee, u64 function, const u64 arguments[4], s64 *result);
u32 trace_access(struct tracee *tracee, u64 address, bool write, u32 bytes, u64 *value);
pid_t trace_clone(struct tracee *tracee);

#endif
