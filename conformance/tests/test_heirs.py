"""fork_exec: what is read back is compared flag by flag, and nothing less is accepted."""

from __future__ import annotations

from struct import pack, unpack

import msgspec
import pytest

from conformance.abi import vm_flags as f
from conformance.model.predict import predict
from conformance.oracle.judge import judge
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.call import HEIRS, ForkExec, MadviseRanges
from conformance.program.control_struct import All, ControlFields
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.mapping import Kind, Mapping
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.target.registry import open_target
from conformance.tests.bad_outcome import FACTS, as_predicted

RANDOM, NOHUGEPAGE = 1, 15
PLAIN = Program((Mapping(Kind.ANON, 0, 1),), (ForkExec(),))
KERNEL: KernelFacts = msgspec.structs.replace(FACTS, ranges_call=RangesCall.KERNEL)


def with_heirs(words: list[int]) -> Verdict:
    prediction = predict(PLAIN, FACTS)
    data = pack(f"<{len(words)}Q", *words)
    outcome = msgspec.structs.replace(as_predicted(prediction), peeks=(data,))
    return judge(PLAIN, outcome, prediction)


def words_of(prediction_peek: bytes) -> list[int]:
    return list(unpack(f"<{len(HEIRS)}Q", prediction_peek))


EXPECTED = words_of(predict(PLAIN, FACTS).peeks[0])


@pytest.mark.parametrize("index", range(len(HEIRS)))
def test_one_flag_more_or_less_is_a_divergence(index: int) -> None:
    for changed, sign in ((EXPECTED[index] | f.NH, "+nh"), (EXPECTED[index] & ~f.AC, "-ac")):
        words = [*EXPECTED[:index], changed, *EXPECTED[index + 1 :]]
        verdict = with_heirs(words)
        assert verdict.kind is VerdictKind.DIVERGENCE
        assert verdict.differences[0].field.endswith(sign)
        rule = "default-inherit" if index else "default-future"
        assert verdict.differences[0].requirement == rule


def test_soft_dirty_is_no_matter() -> None:
    assert with_heirs([word ^ f.SD for word in EXPECTED]).kind is VerdictKind.CONFORMANT


def test_an_heir_that_tells_nothing_is_a_divergence() -> None:
    verdict = with_heirs(EXPECTED[:3])
    assert verdict.kind is VerdictKind.DIVERGENCE
    assert verdict.differences[0].field == "heirs.missing"


def test_only_nohugepage_is_inherited() -> None:
    calls = tuple(MadviseRanges(ControlFields(All(advice, 1))) for advice in (RANDOM, NOHUGEPAGE))
    program = Program(PLAIN.layout, (*calls, ForkExec()), whole=True)
    prediction = predict(program, KERNEL)
    assert prediction.results[-3:] == [0, 0, 0]
    words = words_of(prediction.peeks[-1])
    assert words[0] & (f.RR | f.NH) == f.RR | f.NH
    assert {word & (f.RR | f.NH) for word in words[1:]} == {f.NH}


@pytest.mark.parametrize("whole", [False, True])
def test_this_kernel_gives_new_memory_plain_flags_time_and_again(whole: bool) -> None:
    program = Program(PLAIN.layout, (ForkExec(), ForkExec()), whole=whole)
    with open_target("host") as target:
        outcomes: list[Outcome] = list(target.run_batch([program] * 3))
        for outcome in outcomes:
            prediction = predict(program, target.facts, outside=outcome.outside)
            assert judge(program, outcome, prediction).kind is VerdictKind.CONFORMANT
