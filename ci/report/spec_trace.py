"""What speaks of requirements in this tree: sources, cases, sweeps, the ledger, and programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from conformance.model.allowed import REASON_RULES, REASONS
from conformance.model.predict import predict
from conformance.oracle.ledger import load_ledger
from conformance.program.kernel_facts import KernelFacts
from conformance.program.program import Program
from conformance.spec import cite
from conformance.spec.registry import load
from conformance.spec.source_marks import chosen, cited, marked
from conformance.spec.traceability import Problem, Trace, problems, rule_of
from conformance.sweep.chapters import CHAPTERS
from conformance.sweep.reference_facts import REFERENCE

ROOT: Final = Path(__file__).resolve().parents[2] / "conformance"


class SweepCount(NamedTuple):
    """programs: of sweeps that met a requirement, by its id; first: the id of one of them."""

    programs: Counter[str]
    first: dict[str, str]


def count_met(programs: Iterable[Program], facts: Iterable[KernelFacts]) -> Counter[str]:
    """How many programs met each requirement, by the model alone; facts: of the kernel that each
    program is for."""
    out: Counter[str] = Counter()
    for program, kernel in zip(programs, facts, strict=True):
        cite.HITS.clear()
        predict(program, kernel)
        out.update(cite.HITS)
    return out


@cache
def count_sweeps() -> SweepCount:
    """Of all sweeps: a program counts once, for either of two kernels (reference_facts). Not to be
    changed: it is counted once."""
    out = SweepCount(Counter(), {})
    for make in CHAPTERS.values():
        for item in make():
            cite.HITS.clear()
            for kernel in REFERENCE.values():
                predict(item.program, kernel)
            out.programs.update(cite.HITS)
            for ident in cite.HITS - out.first.keys():
                out.first[ident] = item.id
    return out


def trace_of_tree(exercised: Counter[str]) -> Trace:
    """exercised: programs by id. Raises LedgerError and RegistryError."""
    sources = [*sorted(ROOT.glob("model/*.py")), *sorted(ROOT.glob("oracle/*.py"))]
    unnamed = {r: places for r, places in chosen(sources).items() if r not in REASONS}
    return Trace(
        cited=cited(sources),
        marked=marked(sorted(ROOT.glob("cases/test_*.py"))),
        exercised=exercised,
        reasons={reason: REASON_RULES.get(reason, "") for reason in REASONS},
        unnamed=unnamed,
        ledger={e.id: tuple(map(rule_of, e.identity)) for e in load_ledger().entries},
    )


def problems_of_tree(trace: Trace) -> list[Problem]:
    """Whatever is cut off between requirement, code, case and program."""
    return list(problems(load(), trace))
