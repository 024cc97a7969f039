"""The look at leaked kernel memory, on counts that the test makes up: what is told, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.program import wire
from conformance.program.call import Fork, Madvise
from conformance.program.mapping import Kind, Mapping, Touch
from conformance.program.outcome import Status
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.program.text import loads
from conformance.target.executor_build import build_executor
from conformance.target.kernel_log import find_reports
from conformance.tests.executor_driver import Executor, Op, raw_program

PROGRAM = Program(
    (Mapping(Kind.ANON, 0, 2, touches=(Touch(0, 2),)),), (Madvise(page_address(0), PAGE, 4),)
)
# Takes some 100 ms a run, in which the count of the test's own thread moves on.
SLOW_BATCH = [Program(PROGRAM.layout, (Fork(),) * 8)] * 40
HELLO_LEAKS = 2
SEEDS = Path(__file__).parents[2] / "corpus/seeds"
LARGE_BATCH = 64


class Slabs:
    """What the kernel has below /sys/kernel/slab."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        for name in names:
            (folder / name).mkdir(parents=True)
            (folder / name / "shrink").write_text("")
            self.set(name, 10)

    def set(self, name: str, objects: int) -> None:
        """As long as ever, so that a reader never sees half of it."""
        (self.folder / name / "objects").write_text(f"{objects:08d} N0={objects:08d}\n")

    @contextmanager
    def growing(self, name: str) -> Iterator[None]:
        """More and more while the test runs, and some more at once."""
        self.set(name, 100)
        done = threading.Event()

        def grow() -> None:
            objects = 100
            path = self.folder / name / "objects"
            with path.open("r+b", buffering=0) as file:
                while not done.wait(0.001):
                    objects += 1
                    file.seek(0)
                    file.write(b"%08d" % objects)

        thread = threading.Thread(target=grow)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@contextmanager
def executor(slabs: Slabs, tmp_path: Path) -> Iterator[Executor]:
    folder = tmp_path / "run"
    folder.mkdir()
    with Executor(build_executor(), folder, "--leak-check", str(slabs.folder)) as running:
        yield running


def test_what_grows_with_each_run_is_told_with_a_title(tmp_path: Path) -> None:
    slabs = Slabs(tmp_path / "slab", "mm_struct", "task_struct")
    with executor(slabs, tmp_path) as running:
        assert running.flags & HELLO_LEAKS
        with slabs.growing("task_struct"):
            outcomes = running.run(SLOW_BATCH)
        said = running.said()
    assert {outcome.status for outcome in outcomes} == {Status.DONE}
    (report,) = find_reports(said)
    assert (report.title, report.fatal) == ("leak: task_struct", False)
    assert f"each of 5 runs of {len(SLOW_BATCH)} programs" in said
    assert (slabs.folder / "mm_struct" / "shrink").read_text() == "1"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("kmalloc-cg-64", "leak: kmalloc"),
        ("kmalloc-cg-1k", "leak: kmalloc"),
        ("filp", "leak: filp"),
        ("userfaultfd_ctx_cache", "leak: userfaultfd_ctx_cache"),
    ],
)
def test_memory_of_unknown_purpose_has_one_title(tmp_path: Path, name: str, title: str) -> None:
    slabs = Slabs(tmp_path / "slab", name)
    with executor(slabs, tmp_path) as running:
        with slabs.growing(name):
            running.run(SLOW_BATCH)
        said = running.said()
    assert [report.title for report in find_reports(said)] == [title]
    assert name in said


def test_what_grows_once_is_not_told(tmp_path: Path) -> None:
    slabs = Slabs(tmp_path / "slab", "mm_struct")
    with executor(slabs, tmp_path) as running:
        slabs.set("mm_struct", 11)
        running.one(PROGRAM)
        slabs.set("mm_struct", 9)
        running.one(PROGRAM)
        slabs.set("mm_struct", 10)
        outcome = running.one(PROGRAM)
        assert running.said() == ""
    assert outcome.status is Status.DONE


def test_a_large_batch_is_looked_at_only_so_often(tmp_path: Path) -> None:
    """The look that finds growth takes 0.2 s per run: 100 times that pass before the
    next one."""
    slabs = Slabs(tmp_path / "slab", "mm_struct")
    batch = SLOW_BATCH + [PROGRAM] * (LARGE_BATCH - len(SLOW_BATCH))
    with executor(slabs, tmp_path) as running, slabs.growing("mm_struct"):
        running.run(batch)  # no look was made yet, so this one is due
        first = running.said().count("leak: mm_struct")
        for _ in range(5):
            running.run([PROGRAM] * LARGE_BATCH)
        assert running.said().count("leak: mm_struct") == first == 1
        running.run(SLOW_BATCH)
        assert running.said().count("leak: mm_struct") == first + 1


def test_all_that_a_check_takes_counts(tmp_path: Path) -> None:
    """The first look waits 0.2 s for what has grown once, the second one finds nothing at once: the
    next check is due in 20 s, not in the hundredfold of the second look."""
    slabs = Slabs(tmp_path / "slab", "mm_struct")
    with executor(slabs, tmp_path) as running:
        slabs.set("mm_struct", 11)
        running.run([PROGRAM] * LARGE_BATCH)
        time.sleep(1)
        with slabs.growing("mm_struct"):
            running.run(SLOW_BATCH + [PROGRAM] * (LARGE_BATCH - len(SLOW_BATCH)))
        assert running.said() == ""


def test_a_kernel_that_counts_nothing_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "slab").mkdir()
    with executor(Slabs(tmp_path / "slab"), tmp_path) as running:
        assert not running.flags & HELLO_LEAKS
        assert running.one(PROGRAM).status is Status.DONE


def test_a_cache_that_cannot_be_counted_ends_the_executor_in_words(tmp_path: Path) -> None:
    slabs = Slabs(tmp_path / "slab", "mm_struct")
    with executor(slabs, tmp_path) as running:
        (slabs.folder / "mm_struct" / "objects").write_text("")
        with pytest.raises(EOFError, match="cannot count mm_struct"):
            running.one(PROGRAM)


SYS_MMAP, SYS_DUP = 9, 32
MAP_PRIVATE_ANONYMOUS = 0x22
BESIDE_THE_ARENA = 0x7000_0000_0000
LEFT_OPEN: list[Op] = [(wire.Op.SYSCALL, SYS_DUP, 0, 0, 0, 0, 0, 0)]
LEFT_MAPPED: list[Op] = [
    (wire.Op.SYSCALL, SYS_MMAP, BESIDE_THE_ARENA, PAGE, 1, MAP_PRIVATE_ANONYMOUS, -1, 0)
]


@pytest.mark.parametrize(("ops", "what"), [(LEFT_OPEN, "descriptors"), (LEFT_MAPPED, "mappings")])
def test_what_a_program_leaves_behind_in_its_process_is_told(
    tmp_path: Path, ops: list[Op], what: str
) -> None:
    with executor(Slabs(tmp_path / "slab", "mm_struct"), tmp_path) as running:
        running.run([PROGRAM, raw_program(ops), PROGRAM])
        (report,) = find_reports(running.said())
        assert (report.title, report.fatal) == (f"leak: {what}", False)


@pytest.mark.parametrize(
    ("observe", "looks"),
    [
        (wire.Observe.COVER_EDGES, True),
        (wire.Observe.COVER_PLACES, True),
        (wire.Observe.NO_LEAKS, False),
    ],
)
def test_only_who_says_so_is_not_looked_at(
    tmp_path: Path, observe: wire.Observe, looks: bool
) -> None:
    slabs = Slabs(tmp_path / "slab", "mm_struct")
    with executor(slabs, tmp_path) as running:
        with slabs.growing("mm_struct"):
            running.run([*SLOW_BATCH, raw_program(LEFT_OPEN, observe=observe)], observe)
        said = running.said()
    assert [f"leak: {what}" in said for what in ("mm_struct", "descriptors")] == [looks, looks]


def test_usual_programs_leave_nothing_behind(tmp_path: Path) -> None:
    programs = [
        loads(path.read_bytes(), path.name, guest=True).program
        for path in sorted(SEEDS.glob("*.toml"))
    ]
    assert len(programs) > 20
    with executor(Slabs(tmp_path / "slab", "mm_struct"), tmp_path) as running:
        for first in range(0, len(programs), 16):
            running.run(programs[first : first + 16])
            running.run(programs[first : first + 16], wire.Observe.SMAPS)
        assert running.said() == ""


def test_large_batches_are_not_looked_through(tmp_path: Path) -> None:
    with executor(Slabs(tmp_path / "slab", "mm_struct"), tmp_path) as running:
        running.run([PROGRAM] * LARGE_BATCH)  # the first is looked at, the next too soon
        running.run([raw_program(LEFT_OPEN)] + [PROGRAM] * (LARGE_BATCH - 1))
        assert running.said() == ""
