"""Every limit of a target, with the arithmetic behind it, and what happens at the limit."""

from __future__ import annotations

from typing import Final, NamedTuple

from conformance.program.places import ARENA_PAGES_MAX

# The ring: four equal parts, two of programs, two of outcomes.
#
# The largest outcome that a program can have: 8 steps, a snapshot after each, 8 forked
# children and the remote process make 17 snapshots, each at most one word, and for every
# arena page one page word and one VMA of four words: 17 * 8 * (1 + 5 * 2048) = 1.33 MiB;
# 8 calls read back 4096 + 1025 * 24 + 72 + 1025 * 32 + 8 bytes of structs each: 0.47 MiB.
# Results and VMAs outside the arena stay under 0.1 MiB. 4 MiB hold two of them; only pages
# that are written cost memory. A program that could exceed a part is refused by name. Of longer
# programs see program.STEP_PAGES_MAX.
RING_PARTS: Final = 4
PART_BYTES: Final = 4 << 20
RING_BYTES: Final = RING_PARTS * PART_BYTES
SNAPSHOT_BYTES_PER_PAGE: Final = 8 * (1 + 4)  # a page word, and its own VMA at the worst
OUTCOME_HEAD_BYTES: Final = 32
OUTSIDE_BYTES_MAX: Final = 32 * 1024  # 1024 VMAs outside the arena; a static executor has 30
assert 17 * (8 + SNAPSHOT_BYTES_PER_PAGE * ARENA_PAGES_MAX) < PART_BYTES // 2

# A batch. 64 programs share a child of the executor (68 us to fork over 64 programs is 1 us
# each); a caller that has more at hand sends more, and a longer batch is cut.
BATCH_PROGRAMS: Final = 64
BATCH_PROGRAMS_MAX: Final = 1024  # bounds how long one answer may take; see batch_deadline_s

# Deadlines. A typical program takes 0.1 ms, one that walks the whole address space under
# ptrace 5 ms, a COLLAPSE that waits for every CPU of a loaded machine some 100 ms, one that
# looks at 500 pages of secretmem under ptrace 2.5 s, four times that on a loaded machine. At
# the deadline the executor kills its child and answers HUNG.
PROGRAM_DEADLINE_MS: Final = 10_000
KILL_AND_FORK_S: Final = 0.05  # measured: 185 us; 250 times that on a loaded machine
ANSWER_SLACK_S: Final = 5.0  # scheduling of the executor itself


def batch_deadline_s(programs: int, program_deadline_ms: int) -> float:
    """Seconds after which an executor that has not answered is itself taken to hang: every
    program of the batch may legitimately run into its own deadline first."""
    return ANSWER_SLACK_S + programs * (program_deadline_ms / 1000 + KILL_AND_FORK_S)


# Losing the executor itself. The batch that it had is cut in half and run again, down to a
# single program; one program on which it died three times in a row is answered for by
# KILLED or HUNG. A kill from outside with probability p of hitting the same program blames
# it wrongly with p**3.
DEATHS_ALONE_MAX: Final = 3
# Cutting 1024 programs down to one takes 10 deaths, blaming it 2 more. An executor that dies
# 30 times without answering for a single program is broken, not a program: TargetError.
DEATHS_IN_A_ROW_MAX: Final = 30
START_SECONDS_MAX: Final = 20.0  # hello came after 40 ms; BPF verification and a loaded machine
FACTS_SECONDS_MAX: Final = 60.0  # probing took 0.02 s; each probe has 5 s of its own
EXIT_SECONDS_MAX: Final = 3.0  # after its input is closed; then SIGKILL
# A kernel that goes down by itself while it comes up, before any program: of the debug guest, under
# emulation, 1 boot in 40 does. Three in a row are then 1 in 64,000, else it is broken.
BOOTS_MAX: Final = 3
LOG_TAIL_LINES: Final = 10  # of the executor's stderr, quoted in an error


class Pace(NamedTuple):
    """How long to wait for a guest, in seconds. boot: until /init is ready. start: until the
    executor says hello. facts: until it has found out everything. silence: for a sign of life
    while a batch runs, which its executor gives each 0.25 s of its own time."""

    boot: float
    start: float
    facts: float
    silence: float


# Guests. Boots took 0.3 s (uml), 0.9 s (lean) and 8 s (debug) on an idle machine; a loaded one is
# given twenty times that, and forty times the 0.25 s between signs of life.
UML_PACE: Final = Pace(boot=20.0, start=20.0, facts=60.0, silence=10.0)
LEAN_PACE: Final = Pace(boot=40.0, start=20.0, facts=60.0, silence=15.0)
STOCK_PACE: Final = Pace(boot=120.0, start=40.0, facts=120.0, silence=20.0)  # boots took 3 to 6 s
DEBUG_PACE: Final = Pace(boot=160.0, start=60.0, facts=240.0, silence=40.0)
# The program that takes 2.5 s on a host (see PROGRAM_DEADLINE_MS) needs secretmem, which uml does
# not have; under emulation it takes ten times as long, with sanitizers on top fifty times.
UML_DEADLINE_MS: Final = 10_000
LEAN_DEADLINE_MS: Final = 30_000
DEBUG_DEADLINE_MS: Final = 120_000
