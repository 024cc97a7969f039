"""The pool of seeds, and the guide that draws from it and learns."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from conformance.model.policy import Policy
from conformance.model.predict import predict
from conformance.program.call import Fork, ForkExec, Madvise
from conformance.program.mapping import Kind, Mapping
from conformance.program.outcome import Coverage, Outcome, Status
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.program import Program
from conformance.program.wire import Observe
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import ProgramSource
from fuzz.generate.seeded import SeededChooser
from fuzz.guidance.guide import FRESH_ONE_IN, Guide, Run
from fuzz.guidance.kcov import QUIET, STABLE_RUNS, stable_edges
from fuzz.guidance.model_marks import marks_of
from fuzz.guidance.seed_pool import Seed, SeedPool
from fuzz.tests.model_target import FACTS, ModelTarget, outcome_of

SOURCE = ProgramSource(5, GenerateOptions())


def seed(number: int, edges: Sequence[int], marks: Sequence[str] = ()) -> Seed:
    program = Program((Mapping(Kind.ANON, 0, 1),), (Madvise(ARENA_BASE, PAGE, number),))
    return Seed(program, tuple(edges), tuple(marks))


class EdgeTarget(ModelTarget):
    """Tells edges that a function of the program and the run gives; None: it has no KCOV."""

    def __init__(self, edges: dict[Program, list[set[int]]] | None) -> None:
        super().__init__(Policy())
        self.edges = edges
        self.runs: Counter[Program] = Counter()

    def run_batch(
        self, programs: Sequence[Program], observe: Observe = Observe(0)
    ) -> list[Outcome]:
        outcomes = super().run_batch(programs, observe)
        if self.edges is None or not observe:
            return outcomes
        out = []
        for program, outcome in zip(programs, outcomes, strict=True):
            turns = self.edges.get(program, [set()])
            told = turns[self.runs[program] % len(turns)]
            self.runs[program] += 1
            out.append(replace(outcome, coverage=Coverage(tuple(sorted(told)))))
        return out


def learn(guide: Guide, target: EdgeTarget, *programs: Program) -> list[Seed]:
    outcomes = target.run_batch(programs, Observe.COVER_NEW)
    runs = [
        Run(program, outcome, predict(program, FACTS), frozenset({"m"}))
        for program, outcome in zip(programs, outcomes, strict=True)
    ]
    return guide.learn(target, runs)


def test_a_seed_must_earn_something() -> None:
    pool = SeedPool()
    assert pool.add(seed(1, [1, 2]))
    assert not pool.add(seed(2, [2]))
    assert pool.add(seed(3, [2], ["rule"]))
    assert not pool.add(seed(4, [1, 2], ["rule"]))
    assert pool.new_edges([1, 7]) == {7}


def test_what_few_reach_is_tried_more() -> None:
    pool = SeedPool()
    for number in range(20):
        pool.add(seed(number, [1, 2, 3, 100 + number]))
    pool.add(seed(20, range(200, 260)))
    chooser = SeededChooser(1)
    drawn = Counter(pool.pick(chooser).edges[0] for _ in range(2000))
    assert drawn[200] > drawn[1]


def test_of_two_that_reach_as_much_the_cheaper_is_tried_more() -> None:
    pool = SeedPool()
    plain, costly = seed(0, range(50)), seed(1, range(50, 100))
    program = replace(costly.program, steps=(Fork(), ForkExec()))
    pool.add(plain)
    pool.add(Seed(program, costly.edges, ()))
    drawn = Counter(pool.pick(SeededChooser(n)).program for n in range(500))
    assert drawn[plain.program] > 3 * drawn[program]


def test_only_edges_of_every_run_are_stable() -> None:
    one = SOURCE.program(1)
    target = EdgeTarget({one: [{1, 2, 3}, {1, 2}, {1, 2, 4}]})
    assert stable_edges(target, [one]) == [frozenset({1, 2})]
    assert target.runs[one] == STABLE_RUNS


def test_a_chance_edge_makes_no_seed_and_is_not_asked_for_again() -> None:
    one, two = SOURCE.program(1), SOURCE.program(2)
    target = EdgeTarget({one: [{1, 9}, {1}, {1}], two: [{1, 9}]})
    guide = Guide(SOURCE, guest=False)
    (kept,) = learn(guide, target, one)
    assert kept.edges == (1,)
    assert guide.unstable == {9}
    runs = target.runs[two]
    learn(guide, target, two)
    assert target.runs[two] == runs + 1


def test_a_mark_of_the_model_makes_a_seed_without_kcov() -> None:
    target = EdgeTarget(None)
    guide = Guide(SOURCE, guest=False)
    seeds = learn(guide, target, SOURCE.program(3), SOURCE.program(3))
    assert len(seeds) == 1
    assert seeds[0].edges == ()
    assert seeds[0].marks
    assert guide.kcov is False
    assert guide.observe == Observe(0)


def test_who_did_not_end_well_is_no_seed() -> None:
    guide = Guide(SOURCE, guest=False)
    program = SOURCE.program(3)
    dead = Outcome(Status.KILLED, (), coverage=Coverage((5,)))
    assert not guide.learn(
        EdgeTarget({}), [Run(program, dead, predict(program, FACTS), frozenset())]
    )


def test_a_fresh_guide_draws_what_the_generator_draws() -> None:
    guide = Guide(SOURCE, guest=False, fresh=True)
    for number in range(40):
        guide.pool.add(seed(number, [number]))
    assert guide.draw(64, 64) == [SOURCE.program(number) for number in range(64, 128)]


def test_a_guide_draws_from_seeds_and_new_programs_and_the_same_again() -> None:
    drawn = []
    for _ in range(2):
        guide = Guide(SOURCE, guest=False)
        for number in range(40):
            guide.pool.add(Seed(SOURCE.program(number), (number,), ()))
        drawn.append(guide.draw(0, 256))
    assert drawn[0] == drawn[1]
    fresh = sum(program == SOURCE.program(number) for number, program in enumerate(drawn[0]))
    assert 256 // FRESH_ONE_IN // 2 < fresh < 256 // FRESH_ONE_IN * 2


def test_a_guide_draws_few_of_what_is_dear() -> None:
    """Each seed is sacrificed, and so is nearly all that is made of one; a fresh program is not."""
    guide = Guide(SOURCE, guest=False)
    for number in range(40):
        whole = replace(seed(number, [number]).program, whole=True)
        guide.pool.add(Seed(whole, (number,), ()))
    drawn = guide.draw(0, 512)
    assert sum(program.whole for program in drawn) < len(drawn) // 2


def test_a_corpus_is_run_before_anything_else() -> None:
    guide = Guide(SOURCE, guest=False)
    guide.waiting.extend([QUIET, SOURCE.program(900)])
    assert guide.draw(0, 3) == [QUIET, SOURCE.program(900), SOURCE.program(2)]


def test_marks_tell_programs_apart() -> None:
    sets = []
    for number in range(60):
        program = SOURCE.program(number)
        sets.append(marks_of(program, predict(program, FACTS), frozenset({"rule"})))
    assert all("rule" in marks for marks in sets)
    assert len({frozenset(marks) for marks in sets}) > 40
    ours = marks_of(QUIET, predict(QUIET, FACTS), frozenset())
    assert any(mark.startswith("Munmap:") for mark in ours)
    assert any(mark.startswith("vmas:") for mark in ours)
    assert outcome_of(QUIET, Policy(), Observe(0)).status is Status.DONE
    assert not any(a == b for a, b in itertools.pairwise(sets[:3]))
