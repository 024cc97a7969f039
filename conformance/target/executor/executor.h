// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the files of the executor share.
 *
 * One server process (main.c, batch.c) reads doorbells and forks children;
 * a child (child.c) runs programs, one op after the other, and leaves each
 * outcome in the ring. After the fork a child allocates no memory and calls
 * nothing in the C library that might.
 */
#ifndef MADVET_EXECUTOR_H
#define MADVET_EXECUTOR_H

#include <errno.h>
#include <sys/types.h>

#include "generated/wire.h"
#include "sys.h"

#define PROTOCOL_VERSION 2
#define HELLO_BPF 1 /* the BPF reader of VmFlags works */
#define HELLO_LEAKS 2 /* leaks are looked for */
#define TAINT_SHIFT 32 /* of a reply's last word: above the number of programs */
#define BELL_QUICK (1ul << 32) /* of a doorbell's first word: no look for leaks */
#define SIGN_OF_LIFE 0x4556494c41ul /* first word of what is no reply */
#define PROGRAMS_PER_CHILD 64
#define FDS_MAX 512
#define DEADLINE_MS 2000

#define EXIT_USAGE 2
#define EXIT_HARNESS 3

struct options {
	int ring_fd;
	size_t ring_bytes;
	const char *tmp; /* folder for files on disk */
	bool serve; /* standard input is a parent: end with it */
	bool guest; /* it is a line to a host, and the ring a device */
	bool shim; /* RANGES calls shim.c, not the kernel */
	bool no_bpf;
	bool poison; /* let MADV_HWPOISON and MADV_SOFT_OFFLINE through: guests */
	const char *slabs; /* folder where the kernel counts its objects; NULL: no look at leaks */
	int mutant; /* fault switched on in the shim, 0 for none */
	unsigned int deadline_ms;
};

extern struct options options;

/* decode.c: the words of one program */

struct program {
	u64 ident;
	u32 observe;
	u32 arena_pages;
	u32 n_ops;
	u32 n_words; /* of the whole record */
	const u64 *ops;
};

struct op {
	u32 code;
	u32 words; /* including the head */
	const u64 *word; /* the words after the head */
};

static inline struct op op_at(const u64 *head)
{
	return (struct op){
		.code = *head & 0xff,
		.words = *head >> 8 & 0xffffff,
		.word = head + 1,
	};
}

const char *program_decode(const u64 *words, size_t n_words, struct program *program);

/*
 * record.c: the outcome in the making, in memory that the server shares with
 * its children, so that what a child saw outlives the child.
 */

#define RECORD_RESULTS 65535
#define RECORD_PEEK_WORDS (1u << 17)
#define RECORD_SNAPSHOT_WORDS (1u << 19)
#define RECORD_OUTSIDE_WORDS (1u << 12)

struct record {
	volatile u64 tick; /* moves with every op: the server's sign of life */
	volatile u32 finished; /* programs of this child with an outcome */
	u8 *out; /* this batch's part of the ring */
	u64 out_size, out_used; /* bytes */

	u64 ident;
	u32 n_results, n_peeks, n_snapshots, n_outside;
	u32 peek_words, snapshot_words;
	bool unable; /* something the program needs is lacking: NOT_RUN */
	bool residue_due; /* look at what the programs of this batch leave behind */
	u32 poisonings; /* calls with advice that poisons memory, so far: there is only so much */
	volatile u32 remote_wanted; /* futex: 1 when the second process is to look */
	volatile u32 remote_stands; /* futex: 1 when it is what it is to be */
	volatile u32 remote_refused; /* it could not become that */
	const u64 *race_words; /* of the race at hand */
	volatile u32 race_actors;
	volatile u32 race_ready; /* actors that stand at the start */
	volatile u32 race_left; /* futex: actors that still run */
	volatile bool race_second_ends; /* the second process is one of them, and ends in the race */
	s64 race_results[RACE_RESULTS_MAX];
	s64 results[RECORD_RESULTS];
	u64 peeks[RECORD_PEEK_WORDS];
	u64 snapshots[RECORD_SNAPSHOT_WORDS];
	u64 outside[RECORD_OUTSIDE_WORDS];
};

extern struct record *record;

/* decode.c has seen to it that there is room. */
static inline void record_result(s64 result)
{
	record->results[record->n_results] = result;
	record->n_results++;
}

/* The step that the last result belongs to. */
static inline u32 record_step(void)
{
	return record->n_results ? record->n_results - 1 : 0;
}

void record_create(void);
void record_begin(u64 ident);
u64 *record_peek(u32 bytes);
void record_peek_done(u32 bytes, u32 readable);
bool record_finish(u32 status, u32 signal, u32 step);

/*
 * shared.c: memory that the server and its children share. A process that may
 * do anything to its address space gives it up first.
 */

void *shared_create(size_t bytes, const char *what);
void shared_add(void *at, size_t bytes);
void shared_leave(void);

/* ring.c: where programs come from and outcomes go */

void ring_open(void);
u64 ring_part_bytes(void);
const u8 *ring_programs(u64 part, u64 bytes);
u8 *ring_outcomes(u64 part);
void ring_publish(u64 part, u64 bytes);

/* alive.c */

void alive_begin(void);
void alive(void);

/* batch.c: the server's side of a batch */

int batch_run(const u8 *in, u64 in_bytes, u32 count, u8 *out, u64 out_size, u64 *out_used);

/* child.c: the process that runs programs */

_Noreturn void child_main(const struct program *programs, u32 count);
void child_open_proc(void);
int child_smaps(void);
pid_t fork_raw(int *pidfd);
void die_with_parent(pid_t parent);
_Noreturn void child_fail(const char *what, long err);

/* calls.c: ops that make system calls */

void calls_end(void);
s64 call_syscall(const u64 *word);
void call_noted(const u64 *word);
s64 call_syscall32(const u64 *word);
s64 call_ranges(u64 ctl);
s64 call_uffd(u64 start, u64 length, bool wp);
s64 call_clear_soft_dirty(void);
s64 call_move_vvar(u64 address);
extern bool vvar_moved;
s64 call_map_perf(u64 start, u64 length, u64 prot);
s64 call_map_secret(u64 start, u64 length, u64 prot, bool shared);
bool call_possible(const struct op *op);
bool ilp32_works(void);
void ilp32_find(void);
void vvar_find(void);

/* zone.c: memory for control structs */

void zone_create(void);
void zone_fresh(void);
void zone_open(void);
void zone_close(void);
void zone_present(void);
bool zone_poke(u64 address, u32 bytes, const u64 *data);
void zone_peek(u64 address, u32 bytes);
u64 zone_check(void);
void zone_reset(void);
const u8 *arena_mask(u32 page);

/* touch.c: access to memory that may fault */

extern volatile u32 memory_errors; /* SIGBUS that came for poisoned memory */

void fault_init(void);
u64 content_of(const void *page, const u8 *mask);
bool guarded_content(u64 address, const u8 *mask, u64 *content);

/*
 * Memory of the process that runs the program: this one, or one that is traced
 * (sandbox.c). load() says how many bytes could be read, page by page up to the
 * first fault; store() whether all could be written.
 */
struct memory {
	u32 (*load)(void *to, u64 from, u32 bytes);
	bool (*store)(u64 to, const void *from, u32 bytes);
};

extern const struct memory own_memory;
extern const struct memory *memory;

/* sandbox.c: programs that may harm the process they run in */

u32 sandbox_run(const struct program *program);

/* snapshot_vmas.c, bpf_vmas.c, snapshot_pages.c */

struct subject {
	pid_t pid; /* 0: this process */
	int smaps, pagemap; /* descriptors of its files in /proc */
};

struct vma { /* as on the wire */
	u64 start, end, flags, pgoff;
};

#define PGOFF_FILE (1UL << 63)

#define SMAPS_NAMES 192 /* the names of 64 flags and their spaces */

void vmas_init(void);
bool smaps_next_flag(const char **names, u64 *flag);
long smaps_read(int fd, u64 low, u64 high, struct vma *vmas, u32 max, char (*names)[SMAPS_NAMES]);
void bpf_create(void);
long bpf_read(struct vma *vmas, u32 max);
long vmas_read(const struct subject *subject, bool smaps, struct vma *vmas, u32 max);
bool bpf_works(void);
void pages_init(int pagemap);
long pages_read(const struct subject *subject, u64 *pages, u32 n_pages,
		const struct vma *vmas, u32 n_vmas, bool read_all);

/* snapshot.c: one snapshot into the record */

void snapshot_take(const struct subject *subject, const struct program *program, u32 step,
		   bool child, bool last);
extern struct subject myself;

/* files.c: file slots */

extern u32 fds_limit; /* every descriptor is below; FDS_MAX at most */
void files_create(void);
void files_group(void);
bool files_prepare(const struct program *program);
bool files_use(u32 slot, u32 backing, u32 pages);
void files_mapped(s64 fd, bool shared);
void files_sealed(s64 fd);
void files_poisoned(void);
int reopen_read_only(int fd);

/* remote.c: other processes and their descriptors */

void remote_create(void);
void remote_open_self(void);
s64 remote_fork_snapshot(const struct program *program);
bool remote_start(const struct program *program);
void remote_race(void);
int remote_process(void);
void remote_finish(void);

/* race.c: calls made at the same time */

void race_init(void);
u32 race_results(const u64 *word, const u64 *end);
void race_run(const struct op *op, bool placed);
void race_remote(void);

/* rights.c: programs with fewer rights */

bool rights_limit(u32 limit);
bool rights_become_other(void);
bool rights_other_user(void);
bool rights_limited(void);

/* heirs.c: what new VMAs start with */

#define HEIR_ARGUMENT "--heir"

void heirs_reserve(void);
void heirs_create(void);
bool heap_exec(void);
int heir_main(void);
s64 call_fork_exec(void);

bool memcg_reclaim(void);
void reclaim_open(void);
s64 call_reclaim(void);
void heirs_forget(void);
void heirs_report(void);

/* cover.c: which paths of the kernel a program's calls take */

enum { COVER_OWN, COVER_VICTIM, COVER_BUFFERS }; /* of whom a buffer is */

void cover_batch(bool again);
void cover_prepare(const struct program *program);
bool cover_enable(u32 buffer);
void cover_begin(const struct program *program);
void cover_open(u32 buffer);
void cover_close(void);
u32 cover_words_max(void);
u64 *cover_tell(u64 *at);

/* leaks.c: kernel memory that a batch leaves behind */

bool leaks_create(const char *folder);
bool leaks_due(u32 programs);
void leaks_begin(void);
u64 leaks_look(void);
void leaks_end(void);
void leaks_tell(u64 grown, u32 runs, u32 programs);

/* fault.c: allocations that fail */

extern u32 fault_due;

void fault_forget(void);
bool fault_prepare(u32 count);
void fault_arm(void);
void fault_disarm(void);
u64 fault_left(void);
bool fault_works(void);

/* residue.c: what programs leave behind in the process that ran them */

void residue_expect(int fds);
void residue_begin(void);
void residue_end(u32 programs);

/* interrupt.c: signals that come while a call sleeps */

extern u32 interrupt_due;

bool interrupt_prepare(u32 how, u64 start, u64 bytes);
void interrupt_begin(void);
void interrupt_end(void);
void interrupt_forget(void);
u64 interrupt_seen(void);

/* selftest.c */

void selftest(void);

/* bench.c */

int bench(void);

/* main.c */

void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
