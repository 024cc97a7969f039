// SPDX-License-Identifier: GPL-2.0-only
/*
 * Raw system calls: no errno, no locking, no allocation, so that nothing but
 * the program under test changes the address space between two snapshots.
 */
#ifndef MADVET_SYS_H
#define MADVET_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t u64;
typedef int64_t s64;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint16_t u16;
typedef uint8_t u8;

#ifndef __x86_64__
#error "the executor knows the system call convention of x86-64 only"
#endif

/* The return value, or -errno. */
static inline long sys6(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	register u64 r10 asm("r10") = d;
	register u64 r8 asm("r8") = e;
	register u64 r9 asm("r9") = f;
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return ret;
}

/* As a 32-bit process calls: its numbers, and of each argument the low half. */
static inline long sys32(long nr, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	long ret;

	asm volatile("int $0x80"
		     : "=a"(ret)
		     : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
		     : "r8", "r9", "r10", "r11", "memory"); /* zero after some kernels */
	return ret;
}

#define SYS_PICK(nr, a, b, c, d, e, f, ...)                                    \
	sys6((nr), (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), (u64)(f))
#define sys(nr, ...) SYS_PICK(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/*
 * What runs for every op lies together, code and data: each system call may
 * cost the address translations of every page that is touched between two.
 */
#define HOT __attribute__((hot))
#define HOT_DATA __attribute__((section(".data.hot")))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define WORDS_OF(bytes) (((bytes) + 7) / 8)

/* Numbers that C libraries of a few years ago do not have yet. */
#define NR_PIDFD_SEND_SIGNAL 424
#define NR_PIDFD_OPEN 434
#define NR_CLONE3 435

#endif
