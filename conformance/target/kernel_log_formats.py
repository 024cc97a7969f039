"""Reports that a kernel prints, a row each: how it begins, its title, where its function stands.

Titles are made as syzkaller makes them, so that a finding can be looked up among its reports: the
kind of report and the function that did wrong, no address, no offset, no number. The texts were
read from the kernel's own printing code (lib/bug.c, kernel/panic.c, kernel/locking/lockdep.c,
mm/kasan/report.c, ...) and recorded from guests. A new one is a row here and a log in
corpus/console/ headed by the title it must get; a test fails for a row without a log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from conformance.target.kernel_stack import (
    FUNCTION,
    first_place,
    frames,
    instruction_pointer,
    places,
)

Finder = Callable[[Sequence[str]], Iterator[str]]

STACK: Final[tuple[Finder, ...]] = (frames,)
RIP: Final[tuple[Finder, ...]] = (instruction_pointer, frames)
TAKEN: Final[tuple[Finder, ...]] = (first_place, frames)  # lockdep: who takes the lock
HELD: Final[tuple[Finder, ...]] = (places, frames)  # who holds it
NOWHERE: Final[tuple[Finder, ...]] = ()  # the title names no function


class Format(NamedTuple):
    """One kind of report.

    name: of the row. line: found in the line it begins with; what its groups hold goes into
    the title by name. title: with {func} for the function, which group `func` of the line
    holds, or else the first interesting one that `where` finds. detail: found somewhere in
    the report, its groups go into the title too; without it the report is cut short.
    """

    name: str
    line: re.Pattern[str]
    title: str
    where: tuple[Finder, ...] = STACK
    detail: re.Pattern[str] | None = None


_ROWS: Final[list[Format]] = []


def _row(
    name: str,
    line: str,
    title: str,
    where: tuple[Finder, ...] = STACK,
    detail: str = "",
) -> None:
    found = re.compile(detail) if detail else None
    _ROWS.append(Format(name, re.compile(line.replace("FUNCTION", FUNCTION)), title, where, found))


# Of two that match in one report the one that stands first here names it: what says more first.
# -- what madvet's own executor prints
_row("leak", r"^executor: leak: (?P<what>\w+): ", "leak: {what}", NOWHERE)
# -- sanitizers
_row(
    "kasan-free",
    r"^BUG: KASAN: (?P<kind>double-free|invalid-free) in FUNCTION",
    "KASAN: {kind} in {func}",
)
_row(
    "kasan",
    r"^BUG: KASAN: (?P<kind>[\w-]+) in FUNCTION",
    "KASAN: {kind} {access} in {func}",
    STACK,
    r"^(?P<access>Read|Write) of size \d+ at addr",
)
_row("kasan-nowhere", r"^BUG: KASAN: (?P<kind>[\w-]+)", "KASAN: {kind} in {func}")
_row(
    "kfence-access",
    r"^BUG: KFENCE: (?P<kind>[\w -]+?) (?P<access>read|write) in FUNCTION",
    "KFENCE: {kind} {access} in {func}",
)
_row("kfence", r"^BUG: KFENCE: (?P<kind>[\w -]+?)(?: in FUNCTION)?$", "KFENCE: {kind} in {func}")
_row("ubsan", r"^UBSAN: (?P<kind>[\w-]+) in \S+", "UBSAN: {kind} in {func}")
_row("kmemleak", r"^kmemleak: \d+ new suspected memory leaks", "memory leak in {func}")
_row("kmemleak-object", r"^unreferenced object 0x[0-9a-f]+ ", "memory leak in {func}")
# -- checks of data structures
_row("refcount", r"^refcount_t: (?P<kind>[\w; -]+)\.", "WARNING: refcount bug in {func}", RIP)
_row("list", r"^list_(?:add|del) corruption", "BUG: corrupted list in {func}", RIP)
_row(
    "slab",
    r"^BUG (?P<cache>[\w-]+) \([^)]*\): (?P<kind>[A-Za-z][A-Za-z ]*?)(?: 0x| @|\.|$)",
    "BUG: {kind} in {cache}",
    NOWHERE,
)
_row(
    "page-state",
    r"^BUG: Bad page (?P<what>state|map|cache) in process",
    "BUG: Bad page {what}",
    NOWHERE,
)
_row("rss", r"^BUG: Bad rss-counter state mm:", "BUG: Bad rss-counter state", NOWHERE)
_row(
    "pgtables",
    r"^BUG: non-zero pgtables_bytes on freeing mm",
    "BUG: non-zero pgtables_bytes on freeing mm",
    NOWHERE,
)
_row("maple", r"^(?P<what>BUG|WARN) at (?P<func>[a-z]\w+):\d+ \(\d+\)", "{what} in {func}")
# -- lockdep
_row(
    "deadlock",
    r"^WARNING: possible (?:recursive locking|circular locking dependency) detected",
    "possible deadlock in {func}",
    TAKEN,
)
_row(
    "irq-inversion",
    r"^WARNING: possible irq lock inversion dependency detected",
    "possible deadlock in {func}",
    TAKEN,
)
_row(
    "irq-unsafe",
    r"^WARNING: \w+-safe -> \w+-unsafe lock order detected",
    "possible deadlock in {func}",
    TAKEN,
)
_row("lock-state", r"^WARNING: inconsistent lock state", "inconsistent lock state in {func}", TAKEN)
_row(
    "unlock",
    r"^WARNING: bad unlock balance detected",
    "WARNING: bad unlock balance in {func}",
    TAKEN,
)
_row("lock-freed", r"^WARNING: held lock freed", "WARNING: held lock freed in {func}", HELD)
_row(
    "lock-kept",
    r"^WARNING: lock held when returning to user space",
    "WARNING: lock held when returning to user space in {func}",
    HELD,
)
_row(
    "lock-at-exit",
    r"^WARNING: \S+/\d+ still has locks held",
    "WARNING: still has locks held in {func}",
    HELD,
)
_row("rcu-usage", r"^WARNING: suspicious RCU usage", "WARNING: suspicious RCU usage in {func}")
_row(
    "lockdep-full",
    r"^BUG: (?P<limit>MAX_LOCK\w+|MAX_STACK_TRACE_ENTRIES) too low",
    "BUG: {limit} too low",
    NOWHERE,
)
_row(
    "lock-key",
    r"^INFO: trying to register non-static key",
    "INFO: trying to register non-static key in {func}",
)
# -- sleeping, waiting, hanging
_row(
    "sleep",
    r"^BUG: sleeping function called from invalid context at",
    "BUG: sleeping function called from invalid context in {func}",
)
_row("atomic", r"^BUG: scheduling while atomic", "BUG: scheduling while atomic in {func}")
_row(
    "preemptible",
    r"^BUG: using (?P<what>\w+)\(\) in preemptible",
    "BUG: using {what}() in preemptible code in {func}",
)
_row(
    "hung-task",
    r"^INFO: task \S+:\d+ blocked.* for more than \d+ seconds",
    "INFO: task hung in {func}",
)
_row(
    "rcu-stall",
    r"^(?:rcu: )?INFO: rcu\w* (?:self-)?detected (?:expedited )?stalls?\b",
    "INFO: rcu detected stall in {func}",
    RIP,
)
_row(
    "soft-lockup",
    r"^(?:watchdog: )?BUG: soft lockup - CPU#\d+ stuck",
    "BUG: soft lockup in {func}",
    RIP,
)
_row("hard-lockup", r"Watchdog detected hard LOCKUP on cpu", "BUG: hard lockup in {func}", RIP)
_row("workqueue", r"^BUG: workqueue lockup", "BUG: workqueue lockup", NOWHERE)
# -- what BUG() prints, and an oops
_row("kernel-bug", r"^kernel BUG at \S+!", "kernel BUG in {func}", RIP)
_row("uml-bug", r"^BUG: failure at [^:]+:\d+/(?P<func>\w+)\(\)!", "kernel BUG in {func}")
_row(
    "null",
    r"^BUG: kernel NULL pointer dereference, address: ",
    "BUG: unable to handle kernel NULL pointer dereference in {func}",
    RIP,
)
_row(
    "paging",
    r"^BUG: unable to handle page fault for address: ",
    "BUG: unable to handle kernel paging request in {func}",
    RIP,
)
_row(
    "uml-null",
    r"^Kernel panic - not syncing: Kernel mode fault at addr 0x[0-9a-f]{1,3}, ip ",
    "BUG: unable to handle kernel NULL pointer dereference in {func}",
    RIP,
)
_row(
    "uml-paging",
    r"^Kernel panic - not syncing: Kernel mode fault at addr 0x[0-9a-f]+, ip ",
    "BUG: unable to handle kernel paging request in {func}",
    RIP,
)
_row(
    "uml-user",
    r"^Kernel panic - not syncing: Kernel tried to access user memory at addr",
    "BUG: unable to handle kernel access to user memory in {func}",
    RIP,
)
_row(
    "protection",
    r"^(?:Oops: )?general protection fault\b",
    "general protection fault in {func}",
    RIP,
)
_row(
    "stack-guard",
    r"^BUG: (?:\w+ )?stack guard page was hit at",
    "BUG: stack guard page was hit in {func}",
    RIP,
)
_row("divide", r"^(?:Oops: )?divide error\b", "divide error in {func}", RIP)
_row("oops", r"^Oops: (?P<kind>[a-z][a-z ]*[a-z])(?::|,)", "{kind} in {func}", RIP)
_row(
    "stack-protector",
    r"stack-protector: Kernel stack is corrupted in: FUNCTION",
    "kernel panic: stack is corrupted in {func}",
)
# -- WARN(), and whatever else calls itself one of these
_row("warning", r"^WARNING: (?:\S+:\d+ )?at FUNCTION, CPU#\d+: ", "WARNING in {func}", STACK)
_row("warning-before-7", r"^WARNING: CPU: \d+ PID: \d+ at \S+ FUNCTION", "WARNING in {func}", STACK)
_row("panic", r"^Kernel panic - not syncing: (?P<text>.+)", "kernel panic: {text}", NOWHERE)
_row("other-bug", r"^BUG: (?P<text>\w.*)", "BUG: {text}", NOWHERE)
_row("other-warning", r"^WARNING: (?P<text>\w.*)", "WARNING: {text}", NOWHERE)

FORMATS: Final = tuple(_ROWS)

# A panic that only says that a report before it ends the kernel.
CONSEQUENCE: Final = re.compile(
    r"^Kernel panic - not syncing: (?:"
    r"Fatal exception|(?:[\w ]+: )?panic_on_warn set|kasan\.fault=|BUG!$"
    r"|softlockup: hung tasks|hung_task: blocked tasks|RCU Stall|Hard LOCKUP"
    r"|Aiee, killing interrupt handler)"
)
PANIC: Final = re.compile(r"^Kernel panic - not syncing: ")
