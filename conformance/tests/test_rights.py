"""Programs with fewer rights: where they may be had, and what they change."""

from __future__ import annotations

import msgspec
import pytest

from conformance.abi.errnos import EACCES, EPERM
from conformance.model.missing import missing_feature
from conformance.model.predict import predict
from conformance.program.call import Fork, IoRange, ProcessMadvise, Step
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import ARENA_BASE, FD_PIDFD_REMOTE, PAGE
from conformance.program.program import Program, Rights
from conformance.program.text import dumps, loads
from conformance.program.validate import validate
from conformance.tests.bad_outcome import FACTS

COLD = 20
TO_OTHER = ProcessMadvise(COLD, (IoRange(ARENA_BASE, PAGE),), FD_PIDFD_REMOTE)


def program(rights: Rights, *steps: Step, whole: bool = False) -> Program:
    return Program((Mapping(Kind.ANON, 0, 1),), steps or (Fork(),), (), whole, rights)


@pytest.mark.parametrize("rights", Rights)
def test_only_an_ordinary_process_has_fewer_rights(rights: Rights) -> None:
    assert validate(program(rights)) == []
    said = " ".join(str(problem) for problem in validate(program(rights, whole=True)))
    assert ("rights: are those of an ordinary process" in said) == (rights is not Rights.ALL)


@pytest.mark.parametrize("rights", Rights)
def test_rights_are_written_and_read(rights: Rights) -> None:
    text = dumps(program(rights))
    assert ("rights" in text) == (rights is not Rights.ALL)
    assert loads(text.encode(), "it").program.rights is rights


@pytest.mark.parametrize("rights", Rights)
def test_what_cannot_be_taken_back_gets_a_process_of_its_own(rights: Rights) -> None:
    assert program(rights).isolated() == (rights is not Rights.ALL)


@pytest.mark.parametrize(
    ("rights", "result"),
    [(Rights.ALL, PAGE), (Rights.NO_SYS_NICE, -EPERM), (Rights.OTHER_USER, -EACCES)],
)
def test_the_model_takes_rights_as_facts(rights: Rights, result: int) -> None:
    assert predict(program(rights, TO_OTHER), FACTS).results[-1] == result


def test_another_user_can_only_be_had_by_who_may_become_one() -> None:
    alone = msgspec.structs.replace(FACTS, change_user=False)
    assert "another user" in missing_feature(program(Rights.OTHER_USER), alone)
    assert missing_feature(program(Rights.NO_SYS_NICE), alone) == ""
