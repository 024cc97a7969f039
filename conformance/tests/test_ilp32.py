"""Calls as a 32-bit process makes them: halves of registers, and structs of its own layout."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest

from conformance.abi.advice import BY_NAME
from conformance.abi.errnos import EINVAL, ENOSYS
from conformance.model.missing import missing_feature
from conformance.model.predict import predict
from conformance.oracle.judge import judge
from conformance.oracle.verdict import VerdictKind
from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program import places as p
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.mapping import Kind, Mapping, Touch
from conformance.program.outcome import PAGE_PRESENT
from conformance.program.program import Program
from conformance.program.validate import validate
from conformance.program.wire import Observe
from conformance.target.registry import open_target
from conformance.target.target import Target

PAGE: Final = p.PAGE
A: Final = p.ARENA_BASE
DONTNEED: Final = BY_NAME["DONTNEED"].value
ALL_BUT_A_PAGE: Final = (1 << 64) - PAGE
WRITTEN: Final = Mapping(Kind.ANON, 0, 4, touches=(Touch(0, 4),))
FACTS: Final = KernelFacts("7.3", advices=(DONTNEED,), ranges_call=RangesCall.KERNEL)


def program(*steps: c.Step, whole: bool = False) -> Program:
    return Program((WRITTEN,), steps, whole=whole)


def said(*steps: c.Step) -> str:
    return " ".join(str(problem) for problem in validate(program(*steps)))


def test_a_call_is_judged_by_what_is_left_of_its_registers() -> None:
    assert said(c.Madvise(A + (1 << 32), PAGE, DONTNEED, ilp32=True)) == ""
    assert said(c.Madvise(A, ALL_BUT_A_PAGE, DONTNEED)) == ""  # it wraps: EINVAL
    assert "executor" in said(c.Madvise(A, ALL_BUT_A_PAGE, DONTNEED, ilp32=True))
    negative = (c.IoRange(A, 1 << 31),)
    assert "executor" in said(c.ProcessMadvise(DONTNEED, negative))
    assert said(c.ProcessMadvise(DONTNEED, negative, ilp32=True)) == ""
    single = cs.ControlFields(cs.Single(cs.Range(A, ALL_BUT_A_PAGE, DONTNEED)))
    assert said(c.MadviseRanges(single)) == ""
    assert "executor" in said(c.MadviseRanges(single, ilp32=True))


def test_structs_are_smaller() -> None:
    words = struct.pack("<8I", 1, 0, A, PAGE, DONTNEED, 0, 0, 0)
    call = c.MadviseRanges(cs.ControlBytes(words.hex()), A, ilp32=True)
    assert said(call) == ""
    assert "must be 48 bytes" in said(msgspec.structs.replace(call, ilp32=False))


def test_a_kernel_without_int_80_is_not_asked() -> None:
    call = program(c.Madvise(A, PAGE, DONTNEED, ilp32=True))
    without = msgspec.structs.replace(FACTS, ilp32_calls=False)
    assert "int $0x80" in missing_feature(call, without)
    assert missing_feature(call, FACTS) == ""


def test_the_shim_is_a_function_of_64_bit_programs() -> None:
    call = c.MadviseRanges(cs.ControlFields(cs.Multi()), ilp32=True)
    shim = msgspec.structs.replace(FACTS, ranges_call=RangesCall.SHIM)
    assert "LP64" in missing_feature(program(call), shim)
    assert missing_feature(program(call), FACTS) == ""
    assert missing_feature(program(c.ProcessMadvise(DONTNEED, ilp32=True)), shim) == ""


@pytest.fixture(scope="module")
def host() -> Iterator[Target]:
    with open_target("host") as target:
        if not target.facts.ilp32_calls:
            pytest.skip("int $0x80 makes no calls here")
        yield target


def run(host: Target, asked: Program) -> tuple[int, ...]:
    """The results of the steps, which the model agrees with."""
    (outcome,) = host.run_batch([asked], Observe.EACH_STEP)
    prediction = predict(asked, host.facts, outside=outcome.outside, observe=int(Observe.EACH_STEP))
    verdict = judge(asked, outcome, prediction)
    assert verdict.kind is VerdictKind.CONFORMANT, verdict
    pages = outcome.snapshots[-1].pages
    return (*outcome.results[len(asked.setup()) :], sum(bool(w & PAGE_PRESENT) for w in pages))


@pytest.mark.parametrize("whole", [False, True])
def test_the_kernel_sees_the_low_half_of_each_register(host: Target, whole: bool) -> None:
    high = 0x7777_0000_0000_0000
    call = c.Madvise(A + PAGE + high, 2 * PAGE + high, DONTNEED + high, ilp32=True)
    assert run(host, program(call, whole=whole)) == (0, 2)


@pytest.mark.parametrize("whole", [False, True])
def test_the_kernel_reads_iovecs_of_8_bytes(host: Target, whole: bool) -> None:
    vec = (c.IoRange(A, PAGE), c.IoRange(A + 2 * PAGE, PAGE))
    call = c.ProcessMadvise(DONTNEED, vec, ilp32=True)
    negative = c.ProcessMadvise(DONTNEED, (c.IoRange(A, 1 << 31),), ilp32=True)
    assert run(host, program(call, negative, whole=whole)) == (2 * PAGE, -EINVAL, 2)


def test_the_number_of_madvise_ranges_is_free_there_too(host: Target) -> None:
    if host.facts.ranges_call is not RangesCall.ABSENT:
        pytest.skip("this kernel has the call")
    call = c.MadviseRanges(cs.ControlFields(cs.Multi()), ilp32=True)
    assert run(host, program(call)) == (-ENOSYS, 4)
