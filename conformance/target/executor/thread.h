/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MADVET_THREAD_H
#define MADVET_THREAD_H

#include <linux/sched.h>

#include "sys.h"

#define THREAD_FLAGS (CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM)

long thread_start(struct clone_args *args, u32 *running, void (*enter)(u64), u64 argument);
void thread_wait(u32 *running);

#endif
