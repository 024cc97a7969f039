"""What stands around the steps of a reproducer in C: the comment at the top, what is included and
defined, files, descriptors, rights, main()."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from conformance.abi import vm_flags
from conformance.abi.advice import ADVICES
from conformance.abi.emit_c import declarations
from conformance.model.prediction import Prediction
from conformance.oracle.compare_effects import COMPARED_FLAGS
from conformance.oracle.explain import Steps
from conformance.program import call as c
from conformance.program import places as p
from conformance.program.mapping import Backing, Kind
from conformance.program.program import Program, Rights
from conformance.program.race import ACTOR_STEPS_MAX, SERIALS, flat
from fuzz.findings import c_words as w
from fuzz.findings.c_runtime import closed, includes, part_lines
from fuzz.findings.c_structs import PIDFDS, pidfd_of

# Names that C libraries of a few years ago lack, beside the advices.
_DEFINED: Final = (
    ("MAP_DROPPABLE", 0x08), ("MAP_FIXED_NOREPLACE", 0x100000), ("MREMAP_DONTUNMAP", 4),
    ("F_SEAL_FUTURE_WRITE", 0x10), ("MLOCK_ONFAULT", 1), ("CAP_PERFMON", 38),
    ("UFFDIO_REGISTER_MODE_WP", 2), ("SYS_mlock2", 325),
)  # fmt: skip
_LOST: Final = {
    Rights.NO_SYS_NICE: ("CAP_SYS_NICE",),
    Rights.NO_SYS_ADMIN: ("CAP_SYS_ADMIN",),
    Rights.OTHER_USER: ("CAP_SYS_PTRACE", "CAP_PERFMON", "CAP_SYS_ADMIN"),
}
_OPENED: Final = {
    p.FD_PIDFD_SELF: ("own_pidfd", "own_pidfd()"),
    p.FD_PIDFD_DEAD: ("ended_child", "ended_child(1)"),
    p.FD_PIDFD_ZOMBIE: ("ended_child", "ended_child(0)"),
    p.FD_NOT_PIDFD: ("", 'open("/dev/null", O_RDWR)'),
    p.FD_PIDFD_KTHREAD: ("kernel_thread", "kernel_thread()"),
}
_DISK: Final = 'getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp"'
ROOM: Final = "(ARENA + (ARENA_PAGES + 16) * PAGE)"
ROOM_WITH_ZONES: Final = "(READ_ONLY_ALIAS + ZONE_BYTES + PAGE)"


def head_comment(about: Iterable[str], title: str) -> list[str]:
    """The first lines: what it is, how to build it, what its exit codes mean."""
    lines = [
        title, "", *about, "",
        "Build: cc -Wall -Wextra -Werror -o reproducer THIS_FILE; for a guest without a C library "
        "add -static -no-pie -Wl,-Ttext-segment=0x38000000. For x86-64.",
        "Exit codes: 0 as expected, 1 the fault shows, 3 it cannot tell, 4 this machine lacks what "
        "is needed.",
    ]  # fmt: skip
    return ["// SPDX-License-Identifier: GPL-2.0-only", *w.comment(lines)]


def preamble(
    program: Program,
    steps: Steps,
    used: set[str],
    prediction: Prediction,
    tables: Mapping[str, Iterable[str]],
) -> Iterator[str]:
    """Up to the first function of its own. tables: lines that stand before a part."""
    names = closed(used)
    yield "#define _GNU_SOURCE"
    yield from includes(names)
    yield ""
    yield from _definitions(steps, names)
    if any(isinstance(step, c.MadviseRanges) for step in flat(program.steps)):
        yield from declarations()
        yield ""
    dies = prediction.dies_at
    where = "NULL" if dies < 0 else w.quoted(steps.words(dies))
    run = (
        f"#define DIES_OF {prediction.dies_of} /* the signal that must end it; 0: any */",
        f"#define ROOM_END {ROOM_WITH_ZONES if 'zone' in names else ROOM}",
        f"static const char *const dies_at = {where}; /* NULL: it must live */",
        "",
        "static void run(void);",
        "",
    )
    yield from part_lines(names, {"frame": run, **tables})


def _definitions(steps: Steps, names: list[str]) -> Iterator[str]:
    for name, value in _DEFINED:
        yield from _unless(name, value)
    calls = flat(steps.all)
    for advice in ADVICES:
        if _advises(calls, advice.value):
            yield from _unless(f"MADV_{advice.name}", advice.value)
    if "pages" in names:
        yield f"#define LAYOUT_STEPS {steps.setup}"
    if "race_writer" in names:
        yield f"#define SERIALS {SERIALS:#x}"
        yield f"#define ACTOR_STEPS_MAX {ACTOR_STEPS_MAX}"
    if "vmas" in names:
        flags = vm_flags.names(COMPARED_FLAGS)
        yield f'#define COMPARED_FLAGS "{flags[:80]}" \\'
        yield f'\t"{flags[80:]} "'
    pidfds = {pidfd_of(step) for step in calls}
    for number, name in PIDFDS.items():
        if number in pidfds:
            yield f"#define {name} {number}"
    yield ""


def _unless(name: str, value: int) -> Iterator[str]:
    yield f"#ifndef {name}"
    yield f"#define {name} {value}"
    yield "#endif"


def _advises(steps: Sequence[c.ActorStep | c.AnyStep], value: int) -> bool:
    """Is an advice named? One too many does no harm."""
    return any(
        step.advice == value if isinstance(step, c.Madvise | c.ProcessMadvise) else True
        for step in steps
        if isinstance(step, c.Madvise | c.ProcessMadvise | c.MadviseRanges)
    )


def run_lines(program: Program, steps: Steps, used: set[str], body: list[str]) -> Iterator[str]:
    """run(), which does all of it, and main()."""
    names = closed(used)
    yield ""
    if program.rights is Rights.OTHER_USER and program.remote():
        yield from ("static void become(void)", "{", "\tbecome_other_user();", "}", "")
    yield "static void run(void)"
    yield "{"
    yield "\tlong result;"
    if any("placed" in line for line in body):
        yield "\tint placed;"
    if any(_is_zero(step) for step in steps.all):
        yield '\tint zero = open("/dev/zero", O_RDWR | O_CLOEXEC);'
    if "rounds" in names:
        yield from ("", "\tbegin_round();")
    if "guarded" in names:
        yield from ("", "\tcatch_faults();")
    if "race_faults" in names:
        yield "\tcatch_actor_faults();"
    if "zone" in names:
        yield "\tmake_zones();"
    yield from _file_lines(program)
    yield from body
    yield "\t(void)result;"
    yield "}"
    yield ""
    heir = "heirs" in names
    yield "int main(int argc, char **argv)" if heir else "int main(void)"
    yield "{"
    if heir:
        yield "\tif (argc == 3)"
        yield "\t\treturn be_heir(argv);"
    yield f"\treturn {'watch_rounds' if 'rounds' in names else 'watch'}();"
    yield "}"


def _is_zero(step: c.AnyStep) -> bool:
    return isinstance(step, c.Mmap) and step.mapping.kind is Kind.ZERO


def file_parts(program: Program) -> set[str]:
    """The parts that its files need."""
    return {"memfd" if spec.backing is Backing.MEMFD else "file_in" for spec in program.files} | (
        {"files"} if program.files else set()
    )


def _file_lines(program: Program) -> Iterator[str]:
    for slot, spec in enumerate(program.files):
        if spec.backing is Backing.MEMFD:
            yield f"\tmake_memfd({slot}, {spec.pages});"
        else:
            folder = '"/dev/shm"' if spec.backing is Backing.TMPFS else _DISK
            yield f"\tmake_file({slot}, {spec.pages}, {folder});"


def rights_lines(program: Program, used: set[str]) -> Iterator[str]:
    """After the layout: less rights."""
    if program.rights is Rights.ALL:
        return
    used.add("rights")
    lost = " | ".join(f"1UL << {name}" for name in _LOST[program.rights])
    yield ""
    yield f"\tgive_up({lost});"


def pidfd_lines(program: Program, used: set[str]) -> Iterator[str]:
    """Before the steps: descriptors of processes, at the numbers that the program has for them."""
    wanted = {pidfd_of(step) for step in flat(program.steps)}
    lines = []
    if program.remote():
        used.add("second")
        become = "NULL"
        if program.rights is Rights.OTHER_USER:
            used.add("other_user")
            become = "become"
        races = "race_in_second" if "race_second" in used else "NULL"
        start = f"start_second({become}, {races}, second_looks)"
        named = p.FD_PIDFD_REMOTE in wanted
        lines.append(f"\tdup2({start}, SECOND_PIDFD);" if named else f"\t{start};")
    for number, (part, words) in _OPENED.items():
        if number in wanted:
            used.update({part} - {""})
            lines.append(f"\tdup2({words}, {PIDFDS[number]});")
    if lines:
        yield from ("", *lines)
