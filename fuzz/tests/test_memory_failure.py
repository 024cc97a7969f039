"""Poisoned memory: what the model says, who may run it, and words for a result with a signal."""

from __future__ import annotations

import msgspec

from conformance.abi.advice import BY_NAME
from conformance.abi.errnos import EFAULT, EHWPOISON
from conformance.model.predict import predict
from conformance.oracle.explain import result_class, result_words
from conformance.program.call import Fork, IoRange, Madvise, ProcessMadvise, Step, TouchPages
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Kind, Mapping, Sharing, Touch
from conformance.program.outcome import MEMORY_ERROR, PAGE_PRESENT, PAGE_SWAP
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.program import Program
from conformance.program.validate import validate
from conformance.target.registry import is_guest
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import ProgramSource
from fuzz.tests.model_target import FACTS
from fuzz.triage.shrink import shrink

HWPOISON, SOFT_OFFLINE = 100, 101
GUEST: KernelFacts = msgspec.structs.replace(
    FACTS, advices=(*FACTS.advices, HWPOISON, SOFT_OFFLINE)
)
WRITTEN = Mapping(Kind.ANON, 0, 3, touches=(Touch(0, 3),))


def advice(name: str, page: int, pages: int = 1) -> Madvise:
    return Madvise(ARENA_BASE + page * PAGE, pages * PAGE, BY_NAME[name].value)


def results(*steps: Step, mapping: Mapping = WRITTEN) -> list[int]:
    return predict(Program((mapping,), steps), GUEST).results[-len(steps) :]


def test_sigbus_comes_with_the_result() -> None:
    both = ProcessMadvise(HWPOISON, (IoRange(ARENA_BASE, PAGE), IoRange(ARENA_BASE + PAGE, PAGE)))
    assert results(advice("HWPOISON", 1)) == [-MEMORY_ERROR]
    assert results(both) == [2 * PAGE - MEMORY_ERROR]
    assert results(advice("HWPOISON", 2, 2)) == [-EFAULT - MEMORY_ERROR]
    assert results(advice("SOFT_OFFLINE", 1)) == [0]


def test_the_marker_stays_until_it_is_discarded() -> None:
    poison = advice("HWPOISON", 1)
    gone = Program((WRITTEN,), (poison, Fork()))
    for snapshot in predict(gone, GUEST).snapshots:  # the child's, too
        assert snapshot.pages[1] == PAGE_SWAP
        assert snapshot.pages[2] & PAGE_PRESENT
    assert results(poison, TouchPages(0, 3))[1] == -(7 << 16 | 1)
    assert results(poison, advice("POPULATE_READ", 0, 3))[1] == -EHWPOISON
    for name in ("DONTNEED", "FREE", "GUARD_INSTALL"):
        assert results(poison, advice(name, 1), advice("POPULATE_READ", 0, 1))[1:] == [0, 0]


def test_of_memory_that_others_see_too_the_model_says_nothing() -> None:
    shared = msgspec.structs.replace(WRITTEN, sharing=Sharing.SHARED)
    prediction = predict(Program((shared,), (advice("HWPOISON", 1),)), GUEST)
    assert len(prediction.unspecified) == 1


def test_words() -> None:
    call = advice("HWPOISON", 1)
    assert result_class(call, -MEMORY_ERROR) == "SIGBUS-and-0"
    assert result_words(call, -EFAULT - MEMORY_ERROR) == "SIGBUS and -EFAULT"


def test_only_guests_are_poisoned() -> None:
    program = Program((WRITTEN,), (advice("HWPOISON", 1),))
    assert validate(program)
    assert validate(program, guest=True) == []
    guests = ("uml", "qemu", "qemu-debug:mutant=3", "kernel:/boot/vmlinuz")
    assert all(map(is_guest, guests))
    assert not any(map(is_guest, ("host", "shim", "shim:mutant=3")))


def poisons(program: Program) -> bool:
    return bool(validate(program))


def test_only_campaigns_in_guests_poison() -> None:
    usual, in_guest = ProgramSource(1), ProgramSource(1, GenerateOptions(poison=True))
    assert not any(poisons(usual.program(index)) for index in range(3000))
    made = [in_guest.program(index) for index in range(3000)]
    assert 10 < sum(map(poisons, made)) < 300
    assert not any(validate(program, guest=True) for program in made)
    assert not any(program.whole for program in made if poisons(program))


def test_a_program_of_a_guest_is_shrunk_to_one() -> None:
    program = Program((WRITTEN,), (advice("COLD", 0), advice("HWPOISON", 1), Fork()))
    small = shrink(program, lambda candidates: [poisons(one) for one in candidates])
    assert poisons(small)
    assert len(small.steps) == 1
