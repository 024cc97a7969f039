"""Races: how they are written, run, and judged; and that the judge says no."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import pack, unpack

import msgspec
import pytest

from conformance.model.predict import predict
from conformance.model.process import Process
from conformance.model.race import one_after_the_other
from conformance.oracle.interleave import MISSING, NoCoroutines
from conformance.oracle.judge import judge
from conformance.oracle.verdict import INVARIANTS, ORDER, Verdict
from conformance.program import call as c
from conformance.program.control_struct import ControlFields, Multi, Range
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.mapping import Backing, FileSlot, Kind, Mapping, Prot, Sharing, Touch
from conformance.program.outcome import PAGE_PRESENT, PAGE_READ, Outcome, Snapshot, Status
from conformance.program.places import PAGE, ZONE_BASE, page_address
from conformance.program.program import Program
from conformance.program.race import serial_of, serial_words
from conformance.program.text import dumps, loads
from conformance.program.validate import validate
from conformance.target.registry import open_target
from conformance.target.target import Target

LAYOUT = (Mapping(Kind.ANON, 0, 4, touches=(Touch(0, 4),)),)
SETUP = 2  # steps that the layout makes
DISCARD = c.Madvise(page_address(0), 4 * PAGE, 4)
TOUCH = c.TouchPages(0, 4)
SEEN = PAGE_PRESENT | PAGE_READ


@pytest.fixture(scope="module")
def host() -> Iterator[Target]:
    with open_target("host") as target:
        yield target


def program(*actors: c.Actor, layout: tuple[Mapping, ...] = LAYOUT) -> Program:
    out = Program(layout, (c.Race(actors),))
    assert validate(out) == []
    return out


def tag(actor: int, page: int, step: int = 0) -> int:
    return SEEN | serial_of(SETUP + 1, actor, step) << 16 | (page + 1)


def seen(one: Program, facts: KernelFacts, results: list[int], pages: list[int]) -> Outcome:
    """An outcome that has these results of the actors and these pages, and is as predicted
    otherwise."""
    prediction = predict(one, facts)
    snapshot = prediction.snapshots[0]
    return Outcome(
        Status.DONE,
        tuple(prediction.results),
        (pack(f"<{len(results)}q", *results), *prediction.peeks[1:]),
        (Snapshot(snapshot.step, False, tuple(snapshot.vmas), tuple(pages)),),
    )


def verdict(one: Program, facts: KernelFacts, results: list[int], pages: list[int]) -> Verdict:
    return judge(one, seen(one, facts, results, pages), predict(one, facts))


def test_each_page_of_a_race_ends_as_one_of_the_two_left_it(host: Target) -> None:
    race = program(c.Actor((DISCARD,)), c.Actor((TOUCH,)))
    for kept in range(16):
        pages = [tag(1, page) if kept >> page & 1 else 0 for page in range(4)]
        told = verdict(race, host.facts, [0, 4], pages)
        assert (told.bad, told.race) == (False, ORDER), (kept, told)


def test_a_page_may_be_torn_by_a_discard_and_by_nothing_else(host: Target) -> None:
    torn = [tag(1, 0), tag(1, 1), SEEN | 0xFFFF_FFFF, tag(1, 3)]
    race = program(c.Actor((DISCARD,)), c.Actor((TOUCH,)))
    assert verdict(race, host.facts, [0, 4], torn).race == ORDER
    kept = program(c.Actor((msgspec.structs.replace(DISCARD, advice=20),)), c.Actor((TOUCH,)))
    assert verdict(kept, host.facts, [0, 4], torn).requirements == ("race-linear",)


def test_what_the_layout_wrote_is_gone_after_discard_and_touch(host: Target) -> None:
    race = program(c.Actor((DISCARD,)), c.Actor((TOUCH,)))
    old = SEEN | SETUP << 16 | 1
    told = verdict(race, host.facts, [0, 4], [old, 0, 0, 0])
    assert told.bad
    assert told.differences[0].field == "race.pages"
    assert "orders" in told.differences[0].words


def test_a_replaced_mapping_never_shows_a_hole(host: Target) -> None:
    race = program(c.Actor((c.Mmap(Mapping(Kind.ANON, 0, 4)),)), c.Actor((TOUCH,)))
    pages = [tag(1, page) for page in range(4)]
    assert not verdict(race, host.facts, [page_address(0), 4], pages).bad
    hole = verdict(race, host.facts, [page_address(0), -(11 << 16 | 2)], [0, 0, 0, 0])
    assert hole.differences[0].field == "race.results"


def test_what_is_unmapped_may_be_used_after_its_mapping_is_gone(host: Target) -> None:
    """munmap() lets others take the lock before it clears the page tables."""
    gone = c.Munmap(page_address(0), 4 * PAGE)
    race = program(c.Actor((gone,)), c.Actor((DISCARD, TOUCH)))
    for touched in (4, *(-(11 << 16 | page) for page in range(4))):
        assert not verdict(race, host.facts, [0, -12, touched], [0] * 4).bad, touched
    late = program(c.Actor((DISCARD, TOUCH)), c.Actor((gone, TOUCH)))
    assert verdict(late, host.facts, [-12, 4, 0, -(11 << 16)], [0] * 4).race == ORDER
    assert verdict(late, host.facts, [-12, 4, 0, 4], [0] * 4).bad  # who called has flushed


def test_a_mapping_is_not_replaced_while_its_pages_go(host: Target) -> None:
    """The lock is kept for reading till the pages are gone."""
    gone = c.Munmap(page_address(0), 4 * PAGE)
    new = c.Mmap(Mapping(Kind.ANON, 0, 4))
    race = program(c.Actor((gone,)), c.Actor((new, DISCARD, TOUCH)))
    pages = [tag(1, page, 2) for page in range(4)]
    assert not verdict(race, host.facts, [0, page_address(0), 0, 4], pages).bad
    assert verdict(race, host.facts, [0, page_address(0), 0, 4], [0, *pages[1:]]).bad


def test_a_file_keeps_what_is_written_while_it_is_unmapped(host: Target) -> None:
    layout = (
        Mapping(Kind.MEMFD, 0, 1, sharing=Sharing.SHARED, touches=(Touch(0, 1),)),
        Mapping(Kind.MEMFD, 2, 1, sharing=Sharing.SHARED),
    )
    files = (FileSlot(Backing.MEMFD, 1),)
    discard = c.Madvise(page_address(0), PAGE, 4)
    acts = (c.Actor((c.Munmap(page_address(0), PAGE),)), c.Actor((discard, c.TouchPages(0, 1))))
    race = Program(layout, (c.Race(acts), c.TouchPages(2, 1, False)), files)
    assert validate(race) == []
    late = SEEN | serial_of(len(race.setup()) + 1, 1, 1) << 16 | 1
    assert verdict(race, host.facts, [0, -12, 1], [0, 0, late]).race == ORDER
    assert verdict(race, host.facts, [0, -12, 1], [0, 0, SEEN]).bad


def test_what_cannot_be_written_cannot_be_written_late(host: Target) -> None:
    layout = (Mapping(Kind.ANON, 0, 4, prot=Prot.R, touches=(Touch(0, 4, False),)),)
    for advice in (4, 102):
        away = msgspec.structs.replace(DISCARD, advice=advice)
        race = program(c.Actor((away,)), c.Actor((TOUCH,)), layout=layout)
        assert verdict(race, host.facts, [0, 4], [0] * 4).differences[0].field == "race.results"


def test_two_advices_on_one_range_do_not_mix(host: Target) -> None:
    race = program(
        c.Actor((msgspec.structs.replace(DISCARD, advice=1),)),
        c.Actor((msgspec.structs.replace(DISCARD, advice=2),)),
    )
    facts = host.facts
    flags = [predict(race, facts).snapshots[0].vmas[2]]
    other = program(*reversed(race.steps[0].actors))  # type: ignore[union-attr]  # it is a race
    flags.append(predict(other, facts).snapshots[0].vmas[2])
    whole = seen(race, facts, [0, 0], predict(race, facts).snapshots[0].pages)
    for flag in flags:
        first = whole.snapshots[0]
        vmas = (*first.vmas[:2], flag, *first.vmas[3:])
        outcome = msgspec.structs.replace(whole, snapshots=(
            msgspec.structs.replace(first, vmas=vmas),
        ))  # fmt: skip
        assert judge(race, outcome, predict(race, facts)).race == ORDER
    start, middle, end = (page_address(page) for page in (0, 2, 4))
    mixed = (start, middle, flags[0], 0, middle, end, flags[1], 0)
    outcome = msgspec.structs.replace(whole, snapshots=(
        msgspec.structs.replace(whole.snapshots[0], vmas=mixed),
    ))  # fmt: skip
    assert judge(race, outcome, predict(race, facts)).bad


def test_memory_that_nobody_names_is_as_it_was(host: Target) -> None:
    race = program(c.Actor((c.Madvise(page_address(0), PAGE, 4),)), c.Actor((c.TouchPages(1, 1),)))
    kept = [SEEN | SETUP << 16 | (page + 1) for page in range(4)]
    right = [0, tag(1, 1) & ~0xFFFF | 2, *kept[2:]]
    assert not verdict(race, host.facts, [0, 1], right).bad
    told = verdict(race, host.facts, [0, 1], [*right[:3], 0])
    assert told.requirements == ("race-confined",)


def test_a_result_that_its_call_cannot_give_is_no_matter_of_order(host: Target) -> None:
    race = program(c.Actor((DISCARD,)), c.Actor((TOUCH,)))
    told = verdict(race, host.facts, [7, 4], [0, 0, 0, 0])
    assert told.requirements == ("race-counters",)


def test_a_double_fetch_is_no_order(host: Target) -> None:
    """The advice of the second range is one that does not exist when it is looked at again: a call
    that is refused advises nothing, one that is not refused advises all."""
    facts = msgspec.structs.replace(host.facts, ranges_call=RangesCall.KERNEL)
    ranges = (Range(page_address(0), PAGE, 4), Range(page_address(1), PAGE, 4))
    at = ZONE_BASE + 0x1000 + 24 + 16
    call = c.MadviseRanges(ControlFields(Multi(ranges)))
    stores = c.Actor((c.Store(at, 26), c.Store(at, 4)), repeat=20)
    race = program(c.Actor((call,)), stores)
    kept = [SEEN | SETUP << 16 | (page + 1) for page in range(4)]
    prediction = predict(race, facts)
    whole = seen(race, facts, [0, *[0] * 40], [0, 0, *kept[2:]])
    assert judge(race, whole, prediction).race == ORDER
    late = msgspec.structs.replace(
        whole,
        peeks=(pack("<41q", -22, *[0] * 40), *whole.peeks[1:]),
        snapshots=(msgspec.structs.replace(whole.snapshots[0], pages=(0, *kept[1:])),),
    )
    assert judge(race, late, prediction).bad


def test_what_the_shim_does_beside_others_is_judged_by_invariants(host: Target) -> None:
    facts = msgspec.structs.replace(host.facts, ranges_call=RangesCall.SHIM)
    call = c.MadviseRanges(ControlFields(Multi((Range(page_address(0), PAGE, 4),))))
    race = program(c.Actor((call,)), c.Actor((c.Munmap(page_address(0), PAGE),)))
    prediction = predict(race, facts)
    outcome = seen(race, facts, [0, 0], prediction.snapshots[0].pages)
    told = judge(race, outcome, prediction)
    assert (told.bad, told.race, told.unspecified) == (False, INVARIANTS, 1)


def test_without_coroutines_it_says_what_to_install(
    host: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conformance.oracle.interleave.greenlet", None)
    race = program(c.Actor((DISCARD,)), c.Actor((TOUCH,)))
    with pytest.raises(NoCoroutines, match="pip install greenlet"):
        verdict(race, host.facts, [0, 4], [tag(1, 0), 0, 0, 0])
    assert "greenlet" in MISSING


def test_the_model_alone_takes_actors_one_after_the_other(host: Target) -> None:
    calls: list[int] = []

    def schedule(
        acts: list[Callable[[], None]], process: Process, results: list[list[int]]
    ) -> None:
        calls.append(len(acts))
        one_after_the_other(acts, process, results)

    race = program(c.Actor((DISCARD,)), c.Actor((TOUCH,)))
    again = predict(race, host.facts, schedule=schedule)
    assert calls == [2]
    assert again.peeks == predict(race, host.facts).peeks


@pytest.mark.parametrize("place", [c.ActorPlace.THREAD, c.ActorPlace.PROCESS])
def test_actors_run_where_they_are_to(host: Target, place: c.ActorPlace) -> None:
    steps = (c.TouchPages(0, 2), c.Fork(), c.Munmap(page_address(3), PAGE), c.TouchPages(3, 1))
    race = program(c.Actor(steps, place, 50), c.Actor((c.TouchPages(1, 1),), repeat=5))
    for outcome in host.run_batch([race] * 20):
        assert outcome.status is Status.DONE
        values = unpack("<9q", outcome.peeks[0])
        assert values == (2, 0, 0, -(11 << 16), 1, 1, 1, 1, 1)
        assert not judge(race, outcome, predict(race, host.facts)).bad


def test_an_actor_that_dies_is_the_death_of_the_program(host: Target) -> None:
    """No call of a race can end its process; a signal from outside does."""
    layout = (Mapping(Kind.ANON, 0, 4, prot=Prot.R),)
    race = program(c.Actor((TOUCH,)), c.Actor((c.TouchPages(0, 4, False),)), layout=layout)
    (outcome,) = host.run_batch([race])
    assert unpack("<2q", outcome.peeks[0]) == (-(11 << 16), 4)


BAD = [
    ((c.Actor((TOUCH,)),), "number of actors"),
    ((c.Actor((TOUCH,)), c.Actor((c.Exit(),))), "exit"),
    ((c.Actor((TOUCH,)), c.Actor((c.Store(page_address(0) + 4, 1),))), "aligned"),
    ((c.Actor((TOUCH,)), c.Actor((c.Store(ZONE_BASE, 1),))), "goes into"),
    ((c.Actor((TOUCH,)), c.Actor((msgspec.structs.replace(DISCARD, advice=100),))), "poison"),
    ((c.Actor((TOUCH,)), c.Actor((TOUCH,) * 5)), "number of steps"),
    ((c.Actor((TOUCH,), repeat=256), c.Actor((TOUCH,))), "number of results"),
    (
        (c.Actor((c.Exit(),), c.ActorPlace.REMOTE), c.Actor((TOUCH,), c.ActorPlace.REMOTE)),
        "one second process",
    ),
    (
        (c.Actor((c.ProcessMadvise(4, (c.IoRange(page_address(0), PAGE),)),)),
         c.Actor((c.ProcessMadvise(4, (c.IoRange(page_address(1), PAGE),)),))),
        "overlap",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("actors", "words"), BAD)
def test_races_that_may_not_be_run(actors: tuple[c.Actor, ...], words: str) -> None:
    problems = validate(Program(LAYOUT, (c.Race(actors),)))
    assert any(words in str(problem) for problem in problems), problems


def test_a_store_that_makes_a_dangerous_call_is_refused() -> None:
    vector = c.ProcessMadvise(4, (c.IoRange(page_address(0), PAGE),))
    away = c.Store(vector.vec_at, 0x4000_0000)  # the executor's own text
    race = c.Race((c.Actor((vector,)), c.Actor((away,))))
    assert any("executor" in str(problem) for problem in validate(Program(LAYOUT, (race,))))


def test_a_race_is_text_and_back(host: Target) -> None:
    vector = c.ProcessMadvise(4, (c.IoRange(page_address(0), PAGE), c.IoRange(page_address(2), 1)))
    race = program(
        c.Actor((vector, c.Fork()), c.ActorPlace.PROCESS, 7, 2),
        c.Actor((c.Store(vector.vec_at + 8, 2 * PAGE),), repeat=3),
        c.Actor((c.Munmap(page_address(1), PAGE), c.Exit()), c.ActorPlace.REMOTE),
    )
    text = dumps(race)
    assert loads(text.encode(), "race.toml").program == race
    (outcome,) = host.run_batch([race])
    assert not judge(race, outcome, predict(race, host.facts)).bad


def test_who_wrote_a_page_is_told_in_words() -> None:
    assert serial_words(serial_of(SETUP + 1, 1, 2), SETUP) == "call 3 of actor 2 in step 1"
    assert serial_words(SETUP + 2, SETUP) == "step 2"
