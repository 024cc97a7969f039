"""Call traces in a kernel's log, and which of their functions a report is named after.

A report is named after the function that did wrong. Above it on the stack stand those that
noticed: the printing of the report, the sanitizer, lockdep, the lock itself, the copy to user
memory. They are the same for every bug, so a title made of them would tell nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

# "mremap_to+0x1c0/0x2f0", as %pS prints it. What the compiler made of one function (.part.0,
# .isra.0, .constprop.0, .cold) is behind the first dot, and is the same function for people.
FUNCTION: Final = r"(?P<func>[A-Za-z_]\w*)(?:\.[\w.]+)?\+0x(?P<offset>[0-9a-f]+)/0x[0-9a-f]+"

TRACE_START: Final = re.compile(r"^(?:Call Trace|Call trace):?|^backtrace\b")
# " func+0x10/0x20" (x86), " [<600a3bb6>] func+0x67/0x100" (UML, and kmemleak); "? " stands
# before what was found on the stack and may be no caller.
_FRAME: Final = re.compile(rf"^\s+(?:\[<[0-9a-fx]+>\] )?(?P<guess>\? )?{FUNCTION}")
_NAMELESS: Final = re.compile(r"^\s+(?:\[<[0-9a-fx]+>\] )(?:\? )?0x[0-9a-f]+$|^ </?[A-Z#]\w*>")
_RIP: Final = re.compile(rf"^RIP: [0-9a-f]+:{FUNCTION}")
# "... at: down_read+0x10/0x20", also with the function on the next line, behind its address.
_AT: Final = re.compile(rf"\bat:(?:\s*\[<[0-9a-fx]+>\])?\s*{FUNCTION}")

# Functions that noticed, by room of the kernel.
_MACHINERY: Final = re.compile(
    "|".join(
        (
            # printing
            r"_?_?dump_stack\w*|show_(stack|regs|trace)\w*|print_\w+|_?printk|v?panic|nmi_panic",
            r"vprintk\w*|console_(un)?lock\w*|console_trylock\w*",
            r"(__)?warn\w*|report_bug\w*|handle_bug|add_taint|check_panic_on_warn|__report_bug",
            r"(__)?die\w*|oops_\w+|page_fault_oops|(__)?bad_area\w*|do_(user|kern)_addr_fault",
            r"(asm_)?exc_\w+|(asm_)?(sys|idt)\w*vec_\w+|do_(error_)?trap|handle_page_fault",
            r"(dump|bad)_(page|vma|mm|vmg)\w*|__dump_\w+|vma_iter_dump_tree|mt_dump\w*|mas_dump",
            r"segv\w*|sig_handler\w*|hard_handler|unblock_signals|relay_signal",
            # sanitizers and checks
            r"(__)?kasan_\w+|__asan_\w+|(__)?ubsan_\w+|(__)?kcsan_\w+|(__)?kfence_\w+|kmemleak_\w+",
            r"__sanitizer_cov_\w+|write_comp_data|check_region\w*|refcount_\w+|__refcount_\w+",
            r"__list_\w+|list_\w+|(check|object|slab|free)_(object|err|bug|debug)\w*|__slab_\w+",
            r"(__)?mem(cpy|set|move|cmp)|(_inline)?_?copy_(to|from)_user\w*|__copy_\w+",
            r"_copy_(to|from)_\w+|rep_(movs|stos)_alternative|clear_user\w*|(__)?(get|put)_user\w*",
            r"raw_copy_\w+|copy_chunk_\w+|do_op_one_page|buffer_op",
            # locks and lockdep
            r"(__)?might_\w+|___might_sleep|__cant_\w+|lock_(acquire|release)\w*|__lock_\w+",
            r"lockdep_\w+|validate_chain|check_(deadlock|pre\w*|noncircular|irq\w*|wait\w*|flags)",
            r"mark_\w*lock\w*|mark_usage|valid_state|debug_\w+|register_lock_class|assign_lock_key",
            r"(__)?(down|up)_(read|write|interruptible|killable|trylock)\w*|_?down|_?up|rwsem_\w+",
            r"(__)?mutex_\w+|ww_mutex_\w+|(do|_)?_?raw_\w*(spin|read|write)_\w+|(__)?rcu_\w+",
            r"mmap_(read|write)\w*|_?_?percpu_(down|up)\w*|(__)?spin_\w+|synchronize_\w+",
            # sleeping and waiting
            r"(__)?schedule\w*|preempt_\w+|io_schedule\w*|(__|do_)?wait_for_\w+|__cond_resched\w*",
            r"sched_show_task|show_state_filter|dump_cpu_task|nmi_\w+|trigger_\w+|arch_\w+",
            r"watchdog\w*|tick_\w+|update_process_times|(__)?hrtimer_\w+|__run_\w+|sched_tick",
            r"switch_(to|threads)\w*|__switch_to\w*|context_switch",
            # the way into the kernel
            r"do_syscall_\w+|entry_\w+|ret_from_fork\w*|syscall_\w+|(__)?exit_to_user_\w+",
            r"irqentry_\w+|handle_syscall|userspace|fork_handler|new_thread_handler|kernel_init\w*",
            r"kthread\w*|do_syscall_\w+|interrupt_end|do_idle|default_idle\w*|cpu_\w*idle\w*",
        )
    )
)


def interesting(function: str) -> bool:
    """Is it a function, and none of those that only notice?"""
    return bool(function) and _MACHINERY.fullmatch(function) is None


def instruction_pointer(lines: Sequence[str]) -> Iterator[str]:
    """The function of the first "RIP: 0010:func+0x1/0x2"."""
    for line in lines:
        match = _RIP.match(line)
        if match:
            yield match["func"]
            return


def places(lines: Sequence[str]) -> Iterator[str]:
    """The functions of "..., at: func+0x1/0x2", where lockdep says who takes or holds a lock."""
    for line, after in zip(lines, (*lines[1:], ""), strict=True):
        joined = f"{line} {after.lstrip()}" if line.rstrip().endswith("at:") else line
        for match in _AT.finditer(joined):
            yield match["func"]


def first_place(lines: Sequence[str]) -> Iterator[str]:
    """The first of places(): where the lock is taken that the report is about."""
    return islice(places(lines), 1)


def has_trace(lines: Sequence[str]) -> bool:
    """Does a call trace begin here, with at least one function in it?"""
    return next(frames(lines), None) is not None


def frames(lines: Sequence[str]) -> Iterator[str]:
    """The functions of the first call trace, the innermost first.

    Where nothing in the trace is sure (a kernel without frame pointers or ORC), the guesses are
    taken, but for those that cannot be return addresses: nothing returns to the first byte of
    a function, or into the padding before it.
    """
    sure: list[str] = []
    guesses: list[str] = []
    inside = False
    for line in lines:
        if not inside:
            inside = TRACE_START.match(line.strip()) is not None
            continue
        match = _FRAME.match(line)
        if match is None:
            if _NAMELESS.match(line):
                continue
            if sure or guesses:
                break
            inside = TRACE_START.match(line.strip()) is not None
        elif not match["guess"]:
            sure.append(match["func"])
        elif int(match["offset"], 16) and not match["func"].startswith("__pfx_"):
            guesses.append(match["func"])
    yield from sure or guesses
