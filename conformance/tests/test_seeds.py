"""The seed programs: each is whole, says what it is for, and together they leave nothing out."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.abi.advice import ADVICES, BY_VALUE
from conformance.model.predict import predict
from conformance.oracle.judge import judge
from conformance.oracle.verdict import VerdictKind
from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program import places as p
from conformance.program.control_memory import CONTROL_SIZE, STATS_SIZE
from conformance.program.mapping import Backing, Kind, Lock, Mapping, Prot, Sharing, Uffd
from conformance.program.text import dumps, loads
from conformance.program.text_places import PIDFDS
from conformance.spec.registry import load
from conformance.target.registry import open_target

FOLDER = Path(__file__).parents[2] / "corpus" / "seeds"
PATHS = sorted(FOLDER.iterdir())
DOCUMENTS = {path.stem: loads(path.read_bytes(), str(path)) for path in PATHS}
PROGRAMS = [document.program for document in DOCUMENTS.values()]
SELF = {PIDFDS[name] for name in ("self", "PIDFD_SELF", "PIDFD_SELF_THREAD_GROUP")}


def steps() -> Iterator[c.Step]:
    for program in PROGRAMS:
        yield from program.steps


def mappings() -> Iterator[Mapping]:
    for program in PROGRAMS:
        yield from program.layout


def ranges_calls() -> Iterator[c.MadviseRanges]:
    return (step for step in steps() if isinstance(step, c.MadviseRanges))


def fields() -> Iterator[cs.ControlFields]:
    controls = (step.control for step in ranges_calls())
    return (control for control in controls if isinstance(control, cs.ControlFields))


def vectors() -> Iterator[c.ProcessMadvise]:
    return (step for step in steps() if isinstance(step, c.ProcessMadvise))


def test_there_are_enough_and_no_two_are_the_same_program() -> None:
    assert len(PROGRAMS) >= 70
    twins = [
        name for program, n in Counter(map(dumps, PROGRAMS)).items() if n > 1 for name in program
    ]
    assert not twins


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_seed_is_written_as_the_writer_writes_it(name: str) -> None:
    document = DOCUMENTS[name]
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert dumps(document.program, document.comment) == text
    assert document.finding is None


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_seed_says_what_it_is_for(name: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name)
    purpose, _, cited = DOCUMENTS[name].comment.rpartition("\n\nRequirements: ")
    assert len(purpose.split()) >= 5
    assert purpose.endswith(".")
    unknown = set(cited.split(", ")) - set(load())
    assert not unknown


def test_every_advice_has_a_seed_of_madvise() -> None:
    used = {step.advice for step in steps() if isinstance(step, c.Madvise)}
    missing = [row.name for row in ADVICES if row.value not in used]
    assert not missing
    assert used - set(BY_VALUE)


def test_every_kind_of_mapping_has_a_seed() -> None:
    for attribute, enum in (("kind", Kind), ("prot", Prot), ("sharing", Sharing), ("lock", Lock),
                            ("uffd", Uffd)):  # fmt: skip
        assert {getattr(m, attribute) for m in mappings()} == set(enum), attribute
    for attribute in ("sealed", "soft_dirty_cleared", "read_only_fd", "offset", "touches", "marks"):
        assert any(getattr(m, attribute) for m in mappings()), attribute
    slots = [slot for program in PROGRAMS for slot in program.files]
    assert {slot.backing for slot in slots} == set(Backing)
    assert any(slot.sealed_write for slot in slots)
    assert any(
        m.kind is Kind.MEMFD and m.offset + m.pages > program.files[m.file].pages
        for program in PROGRAMS for m in program.layout
    )  # fmt: skip


def test_every_kind_of_step_has_a_seed() -> None:
    # Seeds run anywhere; what takes memory back from everybody is for guests.
    assert {type(step) for step in steps()} == set(c.Step.__args__) - {c.Reclaim}
    moves = [step for step in steps() if isinstance(step, c.Mremap)]
    assert {(m.target is None, m.dont_unmap) for m in moves} == {
        (True, False), (False, False), (False, True)
    }  # fmt: skip


def test_every_member_of_the_control_struct_has_a_seed() -> None:
    usual = cs.ControlFields(cs.Multi())
    for member in cs.ControlFields.__struct_fields__:
        values = {repr(getattr(control, member)) for control in fields()}
        assert values - {repr(getattr(usual, member))}, member
    assert {control.flag_byte_extra for control in fields()} >= {0x10, 0x20, 0x40, 0x80}
    for byte in (0xFF, 0xFF00, 0xFF0000):
        assert any(control.tail & byte for control in fields())
    arms = [control.arm for control in fields()]
    assert {type(arm) for arm in arms} == {cs.Single, cs.Multi, cs.All}
    single = [arm.range for arm in arms if isinstance(arm, cs.Single)]
    assert any(r.start % p.PAGE for r in single)
    assert any(not r.length for r in single)
    assert any(r.advice not in BY_VALUE for r in single)
    assert {0, 1024, 1025} <= {arm.count for arm in arms if isinstance(arm, cs.Multi)}
    assert {0, 1, 2, 255} <= {arm.set_default for arm in arms if isinstance(arm, cs.All)}
    for call in ("stats_at", "per_range_at", "array_at", "ctl_at"):
        assert any(not getattr(step, call) for step in ranges_calls()), call
    assert any(isinstance(step.control, cs.ControlBytes) for step in ranges_calls())


def test_every_member_of_the_stats_has_a_seed() -> None:
    """By the number that a seed is made to show, for the shim's facts are the model's business."""
    wanted = {
        "stats-mappings-and-pages-advised", "stats-mappings-and-pages-skipped", "stats-gaps",
        "stats-error-address-offset", "per-range-stats",
    }  # fmt: skip
    assert wanted <= set(DOCUMENTS)


STRUCT_SIZES = {"ctl_at": CONTROL_SIZE, "stats_at": STATS_SIZE}


@pytest.mark.parametrize("key", STRUCT_SIZES)
def test_every_place_of_a_struct_has_a_seed(key: str) -> None:
    found = {getattr(step, key) for step in ranges_calls()}
    assert {p.NULL, p.UNMAPPED, p.KERNEL, p.NONCANONICAL} <= found
    assert any(p.ZONE_BASE < at < p.ZONE_END and at % 8 for at in found), "misaligned"
    assert any(p.ZONE_RO_BASE <= at < p.ZONE_RO_END for at in found), "read-only"
    assert any(p.ZONE_END - STRUCT_SIZES[key] < at < p.ZONE_END for at in found), "across the end"
    assert any(p.ARENA_BASE <= at < p.ARENA_END_MAX for at in found), "in advised memory"


def test_every_argument_of_process_madvise_has_a_seed() -> None:
    assert {step.pidfd for step in vectors()} >= set(PIDFDS.values())
    assert {0, 1, 9} <= {len(step.vec) for step in vectors()}
    assert {1024, 1025} <= {step.count for step in vectors()}
    assert any(step.flags for step in vectors())
    assert any(step.vec_at == 0 for step in vectors())
    assert any(r.length == 0 and r.start % p.PAGE for step in vectors() for r in step.vec[1:])
    assert any(step.vec[0].start % p.PAGE == 0 and r.start % p.PAGE and r.length
               for step in vectors() for r in step.vec[1:])  # fmt: skip


def test_no_seed_gives_away_the_finding_that_the_generator_must_make() -> None:
    for step in vectors():
        count = len(step.vec) if step.count is None else step.count
        assert count or step.pidfd not in SELF or step.advice in BY_VALUE


@pytest.mark.parametrize("name", ["host", "shim"])
def test_every_seed_conforms_on_this_machine(name: str) -> None:
    bad = []
    skipped = []
    with open_target(name) as target:
        for (seed, document), outcome in zip(
            DOCUMENTS.items(), target.run_batch(PROGRAMS), strict=True
        ):
            prediction = predict(document.program, target.facts, outside=outcome.outside)
            verdict = judge(document.program, outcome, prediction)
            if verdict.kind is VerdictKind.SKIPPED:
                skipped.append(f"{seed}: {verdict.reason}")
            elif verdict.kind is not VerdictKind.CONFORMANT:
                bad.append(f"{seed}: {verdict}")
    assert not bad
    assert len(skipped) < len(PROGRAMS) // 4, skipped


def test_the_readme_names_every_key_that_a_seed_uses() -> None:
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    keys: set[str] = set()
    for path in PATHS:
        keys |= keys_of(tomllib.loads(path.read_text(encoding="utf-8")))
    missing = [key for key in keys if not re.search(rf"\b{key}\b", readme)]
    assert len(keys) > 40
    assert not missing


def keys_of(value: object) -> set[str]:
    """Every key of a TOML value, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()
