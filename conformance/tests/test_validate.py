"""validate(): what may be run on one's own machine, and what may not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.abi import control_v1 as v1
from conformance.abi.advice import ADVICES, BY_NAME
from conformance.abi.codec import unpack_struct
from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program import places as p
from conformance.program.control_memory import Poke, pokes_of
from conformance.program.mapping import (
    Backing,
    FileSlot,
    Kind,
    Lock,
    Mapping,
    Mark,
    Prot,
    Touch,
    Uffd,
)
from conformance.program.program import Program
from conformance.program.reach import CallMemory
from conformance.program.struct_shapes import ILP32_SHAPE, LP64_SHAPE, Shape
from conformance.program.validate import Problem, validate
from conformance.program.wire import encode
from conformance.tests.program_strategies import any_programs, programs

PAGE = p.PAGE
A = p.ARENA_BASE
Z = p.ZONE_BASE
ARRAY = Z + p.ARRAY_OFFSET
TOP_LENGTH = p.TASK_SIZE
HWPOISON, SOFT_OFFLINE, REMOVE, DONTNEED, COLD = 100, 101, 9, 4, 20
WORD = 1 << 64
PLAIN = Mapping(Kind.ANON, 0, 4)


def program(*steps: c.Step, whole: bool = False, layout: tuple[Mapping, ...] = (PLAIN,)) -> Program:
    return Program(layout, steps or (c.Fork(),), (), whole)


def said(value: Program, guest: bool = False) -> str:
    return "\n".join(str(problem) for problem in validate(value, guest))


def single(start: int, length: int, advice: int, **members: Any) -> c.MadviseRanges:
    return c.MadviseRanges(cs.ControlFields(cs.Single(cs.Range(start, length, advice)), **members))


def multi(*ranges: cs.Range, count: int | None = None, **members: Any) -> c.MadviseRanges:
    return c.MadviseRanges(cs.ControlFields(cs.Multi(ranges, count), **members))


def all_of(advice: int, **members: Any) -> c.MadviseRanges:
    return c.MadviseRanges(cs.ControlFields(cs.All(advice), **members))


def raw(*words: int, at: int = Z + p.CTL_OFFSET) -> c.MadviseRanges:
    return c.MadviseRanges(cs.ControlBytes(digits(*words)), ctl_at=at)


def digits(*words: int) -> str:
    return b"".join(word.to_bytes(8, "little") for word in words).hex()


V1_SINGLE, V1_MULTI, V1_ALL = 1, 1 | 1 << 32, 1 | 2 << 32
RESERVED = 0x10 << 32


@settings(deadline=None, max_examples=300)
@given(any_programs())
def test_every_program_of_the_right_types_gets_an_answer(value: Program) -> None:
    for problem in validate(value):
        assert isinstance(problem, Problem)
        assert problem.what
        assert problem.where or problem.key


@settings(deadline=None, max_examples=200)
@given(programs())
def test_a_guest_takes_what_a_host_takes_and_the_wire_has_a_form_for_it(value: Program) -> None:
    assert not validate(value, guest=True)
    assert encode(value, 1)


# What is wrong with a layout.


@pytest.mark.parametrize(
    ("layout", "files", "words"),
    [
        ((), (), "number of [[mapping]]: is 0, allowed: 1 to 16"),
        ((PLAIN, Mapping(Kind.ANON, 3, 1)), (), "mapping 2: at: overlaps mapping 1"),
        ((Mapping(Kind.ANON, 2040, 9),), (), "pages: ends at page 2049, the arena has 2048"),
        ((Mapping(Kind.ANON, -1, 9),), (), "at: is -1"),
        ((Mapping(Kind.ANON, 0, 0),), (), "pages: is 0, allowed: 1 to 2048"),
        ((Mapping(Kind.ANON, 0, 4, touches=(Touch(3, 2),)),), (), "touch: pages 3..4"),
        ((Mapping(Kind.ANON, 0, 4, touches=(Touch(0, 0),)),), (), "touch: pages 0..-1"),
        ((Mapping(Kind.ANON, 0, 4, touches=(Touch(0),) * 65),), (), "at most 64"),
        ((Mapping(Kind.ANON, 0, 4, marks=(Mark(4, 1, advice=1),)),), (), "mark: pages 4..4"),
        ((Mapping(Kind.ANON, 0, 4, marks=(Mark(0, 1),)),), (), "either an advice or"),
        ((Mapping(Kind.ANON, 0, 4, marks=(Mark(0, 1, HWPOISON),)),), (), "guests only"),
        ((Mapping(Kind.ANON, 0, 4, marks=(Mark(0, 1, (1 << 32) + 101),)),), (), "guests only"),
        ((Mapping(Kind.MEMFD, 0, 4),), (), "file: is 0, the program has 0"),
        ((Mapping(Kind.MEMFD, 0, 4),), (FileSlot(Backing.DISK, 1),), "is backed by disk"),
        ((Mapping(Kind.ANON, 0, 4, offset=1),), (), "anon has no file, offset"),
        ((Mapping(Kind.HUGETLB, 1, 512),), (), "multiples of 512"),
        ((Mapping(Kind.VVAR, 0, 4), Mapping(Kind.VVAR, 9, 4)), (), "a process has one"),
        ((PLAIN,), (FileSlot(Backing.TMPFS, 1, True),), "for backing memfd, not tmpfs"),
        ((PLAIN,), (FileSlot(Backing.TMPFS, 1),) * 9, "[[file]]: is 9, allowed: 0 to 8"),
        ((PLAIN,), (FileSlot(Backing.TMPFS, -1),), "file 0: pages: is -1"),
    ],
)
def test_a_wrong_layout_is_refused(
    layout: tuple[Mapping, ...], files: tuple[FileSlot, ...], words: str
) -> None:
    assert words in said(Program(layout, (c.Fork(),), files))


def test_a_layout_of_everything_is_accepted() -> None:
    files = tuple(FileSlot(backing, 3) for backing in Backing)
    layout = [
        Mapping(kind, 512 + i * 8, 8, lock=Lock.ONFAULT, uffd=Uffd.WP, sealed=True)
        for i, kind in enumerate(
            kind for kind in Kind if kind.value not in ("hugetlb", "memfd", "tmpfs", "disk", "perf")
        )
    ]
    layout += [Mapping(Kind(f.backing.value), i * 8, 8, file=i) for i, f in enumerate(files)]
    layout.append(Mapping(Kind.HUGETLB, 1024, 512))
    assert said(Program(tuple(layout), (c.Fork(),) * 8, files)) == ""


# What is wrong with an ordinary mm step: all of them stay in the arena.


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (c.Munmap(A, 4 * PAGE), ""),
        (c.Munmap(A - PAGE, 4 * PAGE), "arena-1p .. arena+3p leaves the arena"),
        (c.Munmap(Z, PAGE), "leaves the arena"),
        (c.Munmap(Z + 1, PAGE), ""),  # EINVAL
        (c.Munmap(A, WORD - 1), ""),  # EINVAL
        (c.Mprotect(p.EXECUTOR_BASE, 1, Prot.NONE), "leaves the arena"),
        (c.Mprotect(p.ARENA_END_MAX - PAGE, PAGE, Prot.R), ""),
        (c.Mprotect(p.ARENA_END_MAX - PAGE, PAGE + 1, Prot.R), "leaves the arena"),
        (c.Mremap(A, PAGE, 2048 * PAGE), ""),
        (c.Mremap(A, PAGE, 2049 * PAGE), "new_length: arena .. arena+2049p leaves"),
        (c.Mremap(A, PAGE, PAGE, A + 2047 * PAGE), ""),
        (c.Mremap(A, PAGE, PAGE, Z), "new_length: zone .. zone+1p leaves"),
        (c.Mremap(Z, PAGE, PAGE, A), "old_length: zone .. zone+1p leaves"),
        (c.Mremap(Z, 0, PAGE, A), "old_length: zone .. zone leaves"),
        (c.Mremap(Z + 1, PAGE, PAGE, A), ""),  # EINVAL
        (c.Mremap(A, WORD - 1, PAGE, A), "leaves the 64-bit addresses"),
        (c.TouchPages(2047), ""),
        (c.TouchPages(2047, 2), "pages 2047..2048"),
        (c.TouchPages(-1), "pages -1..-1"),
        (c.Mmap(Mapping(Kind.ANON, 2047, 1)), ""),
        (c.Mmap(Mapping(Kind.ANON, 2047, 2)), "ends at page 2049"),
        (c.Mmap(Mapping(Kind.ANON, 0, 1, sealed=True)), "only maps"),
        (c.Mmap(Mapping(Kind.TMPFS, 0, 1)), "the program has 0 [[file]]"),
    ],
)
def test_mm_steps_stay_in_the_arena(step: c.Step, words: str) -> None:
    for whole in (False, True):
        found = said(program(step, whole=whole))
        assert words in found
        assert bool(words) == bool(found)


# Ranges, by each surface that takes them.


def by_every_surface(start: int, length: int, advice: int) -> list[c.Step]:
    hidden = cs.Range(start, length, advice)
    return [
        c.Madvise(start, length, advice),
        c.Madvise(start, length, advice | 1 << 32),  # the kernel takes 32 bits of it
        c.ProcessMadvise(advice, (c.IoRange(p.UNMAPPED, PAGE), c.IoRange(start, length))),
        single(start, length, advice),
        multi(cs.Range(A, PAGE, 0), hidden),
        raw(V1_SINGLE, start, length, advice, Z + 0x400, 0),
        c.MadviseRanges(cs.ControlBytes(digits(V1_MULTI, ARRAY, 1, 0, 0, 0), (hidden,))),
    ]


@pytest.mark.parametrize(
    ("start", "length"),
    [(A, 4 * PAGE), (0, Z), (A - PAGE, 1), (p.UNMAPPED, PAGE), (Z, 0), (p.EXECUTOR_BASE, 0),
     (Z + 8, PAGE), (p.TASK_SIZE, PAGE), (p.NONCANONICAL, PAGE), (p.KERNEL, PAGE),
     (A, WORD - 1), (A, WORD - A), (WORD - PAGE, PAGE), (p.ZONE_END + (64 << 20), PAGE)],
)  # fmt: skip
def test_ranges_that_reach_nothing_of_the_executor_are_accepted(start: int, length: int) -> None:
    for step in by_every_surface(start, length, DONTNEED):
        assert said(program(step)) == ""


@pytest.mark.parametrize(
    ("start", "length"),
    [(Z, PAGE), (0, Z + 1), (p.ZONE_END - PAGE, PAGE), (p.ZONE_RO_BASE, 1), (0, TOP_LENGTH),
     (p.ZONE_RO_WRITE_BASE, PAGE), (p.EXECUTOR_BASE, 1), (p.UNMAPPED, TOP_LENGTH),
     (p.TASK_SIZE - PAGE, PAGE), (A, (1 << 63) - 1)],
)  # fmt: skip
def test_ranges_that_reach_the_executor_need_whole(start: int, length: int) -> None:
    for step in by_every_surface(start, length, DONTNEED):
        assert "reaches the zones or the executor" in said(program(step))
        assert said(program(step, whole=True)) == ""
    for step in by_every_surface(start, length, REMOVE):
        assert "that the executor shares" in said(program(step, whole=True), guest=True)


@pytest.mark.parametrize("advice", [HWPOISON, SOFT_OFFLINE])
def test_memory_is_poisoned_in_guests_only(advice: int) -> None:
    for start, length in ((A, PAGE), (A, 1), (A + 9 * PAGE, PAGE), (0, A + PAGE),
                          (p.TASK_SIZE, PAGE), (p.KERNEL, PAGE)):  # fmt: skip
        for step in by_every_surface(start, length, advice):
            assert "could poison memory of this machine" in said(program(step))
            assert "could poison memory of this machine" in said(program(step, whole=True))
            assert said(program(step), guest=True) == ""
    for start, length in ((A, 0), (A + 1, PAGE), (A, WORD - 1), (0, A), (p.UNMAPPED, PAGE)):
        for step in by_every_surface(start, length, advice):
            assert said(program(step)) == ""


def test_refused_structs_may_name_what_others_may_not_but_nothing_lethal() -> None:
    reserved = (Z + 0x400, RESERVED)
    for bad in (
        raw(0, Z, PAGE, DONTNEED, 0, 0),  # version
        raw(1 | 3 << 32, Z, PAGE, DONTNEED, 0, 0),  # type
        raw(V1_SINGLE, Z, PAGE, DONTNEED, *reserved),
        raw(V1_SINGLE, Z, PAGE, DONTNEED, p.EXECUTOR_BASE, 1 << 63),  # tail
        single(Z, PAGE, DONTNEED, version=2),
        single(Z, PAGE, DONTNEED, flag_byte_extra=0x80),
    ):
        assert said(program(bad)) == ""
    # A faulty kernel that forgets the check would poison, or punch into shared memory.
    assert "poison" in said(program(raw(V1_SINGLE, A, PAGE, HWPOISON, *reserved)))
    assert "shares" in said(program(raw(V1_SINGLE, Z, PAGE, REMOVE, *reserved)))
    assert "poison" in said(program(single(A, PAGE, HWPOISON, version=0)))


def test_a_struct_is_judged_as_the_type_it_says() -> None:
    element = cs.Range(A, PAGE, COLD)
    assert said(program(multi(element))) == ""
    confused = multi(element, type_value=0)  # the array pointer becomes the address
    assert "range: zone+1p .. zone+2p reaches" in said(program(confused))
    as_all = multi(element, type_value=2)  # the array pointer becomes the advice
    assert said(program(as_all)) == ""
    range_as_all = single(0, PAGE, 0, type_value=2)  # an address of NORMAL
    assert "all acts on the whole process" in said(program(range_as_all))


def test_arrays_longer_than_what_the_program_wrote() -> None:
    element = cs.Range(A, PAGE, COLD)
    assert said(program(multi(element, count=1025))) == ""
    assert said(program(multi(element, count=7))) == ""  # poison follows: unaligned
    in_arena = c.MadviseRanges(cs.ControlFields(cs.Multi((element,), 2)), array_at=A)
    assert "count: is 2: in the arena" in said(program(in_arena))
    assert said(program(c.ProcessMadvise(COLD, (c.IoRange(A, PAGE),), count=1025, vec_at=A))) == ""
    vector = c.ProcessMadvise(COLD, (c.IoRange(A, PAGE),), count=2, vec_at=A)
    assert "count: is 2: in the arena" in said(program(vector))
    assert said(program(c.ProcessMadvise(COLD, (c.IoRange(A, PAGE),), count=2))) == ""
    # The kernel cuts the count of a vector to 32 bits, so that a huge one may be small.
    huge = c.ProcessMadvise(COLD, (c.IoRange(Z, PAGE),), count=(1 << 32) + 1)
    assert "zone .. zone+1p reaches" in said(program(huge))


def test_short_raw_structs() -> None:
    assert said(program(raw(V1_SINGLE, A))) == ""  # poison follows: reserved bits set
    assert "must be 48 bytes in the arena" in said(program(raw(V1_SINGLE, A, at=A)))
    assert said(program(raw(7, A, at=A))) == ""  # the version refuses it
    assert said(program(raw(V1_SINGLE, Z, PAGE, DONTNEED, at=p.ZONE_END - 32))) == ""  # EFAULT


@pytest.mark.parametrize("key", ["ctl_at", "array_at", "stats_at", "per_range_at"])
@pytest.mark.parametrize("at", [p.EXECUTOR_BASE, p.ZONE_RO_WRITE_BASE, p.TASK_SIZE - 8])
def test_no_struct_lies_in_the_executors_own_memory(key: str, at: int) -> None:
    step = c.MadviseRanges(cs.ControlFields(cs.Single(cs.Range(A, PAGE, 0))))
    step = msgspec.structs.replace(step, **{key: at})
    assert f"{key}: " in said(program(step, whole=True))
    assert "the executor's own memory" in said(program(step, whole=True))


def test_no_pointer_in_raw_bytes_leads_to_the_executors_own_memory() -> None:
    own = "the executor's own memory"
    assert own in said(program(raw(V1_SINGLE, A, PAGE, 0, p.EXECUTOR_BASE, 0)))
    assert own in said(program(raw(V1_MULTI, p.EXECUTOR_BASE, 2, 0, 0, 0)))
    assert own in said(program(c.ProcessMadvise(0, (), count=1, vec_at=p.EXECUTOR_BASE)))
    assert "not known" in said(program(raw(V1_SINGLE, A, PAGE, 0, A, 0)))
    # The per-range pointer is inside the stats, wherever the raw bytes say that these are.
    data = (b"\0" * 40 + p.EXECUTOR_BASE.to_bytes(8, "little")).hex()
    words = digits(V1_SINGLE, A, PAGE, 0, Z + p.CTL_OFFSET + 48, 0) + data
    assert own in said(program(c.MadviseRanges(cs.ControlBytes(words))))


def test_all_needs_whole_unless_validation_refuses_it() -> None:
    for row in ADVICES:
        found = said(program(all_of(row.value)))
        lethal = row.value in (HWPOISON, SOFT_OFFLINE, REMOVE)
        assert ("all acts on the whole process" in found) == row.whole
        assert bool(found) == (row.whole or lethal)
        assert bool(said(program(all_of(row.value), whole=True))) == lethal
        assert bool(said(program(all_of(row.value), whole=True), guest=True)) == (
            row.value == REMOVE
        )
    cold = BY_NAME["COLD"].value
    for members in ({"version": 2}, {"tail": 1}, {"stop_on_gap": True},
                    {"single_mapping_only": True}, {"is_remote": True, "pidfd": -1}):  # fmt: skip
        assert said(program(all_of(cold, **members))) == ""
    assert "whole process" in said(program(all_of(cold, is_remote=True, pidfd=p.FD_PIDFD_REMOTE)))
    assert "whole process" in said(program(all_of(cold, ignore_errors=True)))


def test_a_pidfd_is_none_of_the_executors_own() -> None:
    for pidfd in (0, 2, 199):
        assert "pidfd: is" in said(program(c.ProcessMadvise(0, (), pidfd)))
        assert "pidfd: is" in said(program(single(A, 0, 0, is_remote=True, pidfd=pidfd)))
        assert said(program(single(A, 0, 0, pidfd=pidfd))) == ""  # not looked at
    for pidfd in (-10000, -1, p.FD_PIDFD_KTHREAD, p.FD_ZERO, 1023):
        assert said(program(c.ProcessMadvise(0, (), pidfd))) == ""


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (c.Madvise(-1, 0, 0), "start: is -1, allowed: 0 to 0xffffffffffffffff"),
        (c.Madvise(A, WORD, 0), "length: is 18446744073709551616"),
        (c.Madvise(A, 0, WORD), "advice"),
        (c.ProcessMadvise(0, flags=-1), "flags"),
        (c.ProcessMadvise(0, count=-1), "count"),
        (c.ProcessMadvise(0, pidfd=1 << 31), "pidfd"),
        (c.ProcessMadvise(0, (c.IoRange(-1, 0),)), "vec"),
        (c.ProcessMadvise(0, (c.IoRange(0, 0),) * 1026), "number of vec: is 1026"),
        (single(A, 0, 1 << 32), "ranges"),
        (single(A, 0, 0, tail=1 << 24), "tail"),
        (single(A, 0, 0, padding=256), "padding"),
        (single(A, 0, 0, flag_byte_extra=0x11), "only bits 4 to 7"),
        (single(A, 0, 0, version=1 << 32), "version"),
        (multi(count=WORD), "count"),
        (all_of(0, type_value=-(1 << 31) - 1), "type_value"),
        (c.MadviseRanges(cs.ControlFields(cs.All(0, 256))), "set_default"),
        (c.MadviseRanges(cs.ControlBytes("AB")), "lower case"),
        (c.MadviseRanges(cs.ControlBytes("abc")), "pairs of hexadecimal"),
        (c.MadviseRanges(cs.ControlBytes("ab" * 4097)), "bytes of raw: is 4097"),
        (c.MadviseRanges(cs.ControlBytes(""), stats_fill=256), "stats_fill"),
        (c.MadviseRanges(cs.ControlBytes(""), ctl_at=WORD), "ctl_at"),
    ],
)
def test_numbers_that_have_no_form_are_refused(step: c.Step, words: str) -> None:
    assert words in said(program(step))


@given(st.data())
def test_struct_bytes_are_seen_as_they_were_stored(data: st.DataObject) -> None:
    """Against a byte-by-byte reading of the same pokes."""
    ends = st.integers(p.ZONE_END - 40, p.ZONE_END)
    step = c.MadviseRanges(
        cs.ControlFields(cs.Multi((cs.Range(A, PAGE, 0),))),
        ctl_at=data.draw(ends), array_at=data.draw(ends), stats_at=data.draw(ends),
        per_range_at=data.draw(ends), stats_fill=7,
    )  # fmt: skip
    pokes = pokes_of(step)
    at, size = p.ZONE_END - 100, data.draw(st.integers(1, 101))
    seen = CallMemory(pokes).read(at, size)
    if size > 100:
        assert seen is None
        return
    plain = dict.fromkeys(range(at, at + size), p.ZONE_POISON)
    for poke in pokes:
        plain.update({poke.at + i: byte for i, byte in enumerate(poke.data)})
    assert seen is not None
    assert seen.known
    assert list(seen.data) == [plain[address] for address in range(at, at + size)]


@given(st.binary(min_size=24, max_size=24), st.sampled_from([LP64_SHAPE, ILP32_SHAPE]))
def test_an_element_is_unpacked_as_the_layout_has_it(data: bytes, shape: Shape) -> None:
    data = data[: shape.range_size]
    by_layout = unpack_struct(v1.RANGE, data, shape.model)
    assert shape.range_in.unpack(data) == tuple(by_layout.values())


def test_arena_bytes_are_known_only_where_the_program_wrote_them() -> None:
    memory = CallMemory([Poke(A + 4, b"abcd")])
    inside, around = memory.read(A + 4, 4), memory.read(A, 9)
    assert inside is not None
    assert inside == (b"abcd", True)
    assert around is not None
    assert around == (b"\0\0\0\0abcd\0", False)
    for nowhere in (0, p.UNMAPPED, p.KERNEL, p.ARENA_END_MAX - 4):
        assert memory.read(nowhere, 8) is None
