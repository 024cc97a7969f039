"""A program that grows while the model watches: each step is drawn for what is mapped by then.

The generators draw all steps of a program for the layout it begins with; after a few steps of a
long one, most of them would hit what is no longer there. Here the model takes each step at once,
and the next one is drawn along the edges of the VMAs that stand.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from conformance.abi import vm_flags as f
from conformance.model.address_space import Vma
from conformance.model.missing import missing_feature
from conformance.model.predict import Run, begin
from conformance.model.prediction import Prediction
from conformance.program.call import Step, TouchPages
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Kind, Mapping, Prot, Sharing
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.program import STEP_PAGES_MAX, STEPS_LONG_MAX, Program
from conformance.program.validate import validate
from fuzz.generate.layouts import Layout

FIRST_PAGE: Final = ARENA_BASE // PAGE
# Steps aim below this page, so that a program of the greatest length can still be looked at; a
# layout that is larger leaves room for fewer steps.
PAGES_USUAL: Final = STEP_PAGES_MAX // STEPS_LONG_MAX

ACCESS_OF: Final = {
    Prot.NONE: 0, Prot.R: f.RD, Prot.RW: f.RD | f.WR, Prot.RX: f.RD | f.EX,
}  # fmt: skip


class Living:
    """A program, and the model after its last step.

    layout: what the next step is drawn for. refused: steps that were drawn and not taken, because
    what comes after them could not be judged, or they may not be run.
    """

    def __init__(self, layout: Layout, facts: KernelFacts, disposable: bool = False) -> None:
        """disposable: the kernel may be hurt, see validate(guest=...)."""
        self.layout = layout
        self.refused = 0
        self.program = Program(tuple(layout.mappings), (), layout.files)
        self.pages = max(PAGES_USUAL, self.program.arena_pages())
        self._facts = facts
        self._disposable = disposable
        self._run = self._begin()
        self._look()

    def take(self, step: Step) -> bool:
        """The model takes a step, if it may be run and if the model knows what comes of it."""
        longer = replace(self.program, steps=(*self.program.steps, step))
        if (
            _reach(step, longer) > self.pages
            or validate(longer, self._disposable)
            or missing_feature(longer, self._facts)
        ):
            self.refused += 1
            return False
        self._run.step(step)
        if self._run.out.judged_until >= 0:
            self.refused += 1
            self._again()
            return False
        self.program = longer
        self._look()
        return True

    def forget(self, step: int) -> None:
        """Leave a step out, as if it had never been taken; what came after it stays as far as it
        still means something."""
        steps = self.program.steps
        self.program = replace(self.program, steps=steps[:step])
        self._again()
        for later in steps[step + 1 :]:
            self.take(later)
        self._look()

    def mapped(self) -> bool:
        """Is anything mapped at all?"""
        return bool(self._run.process.space.vmas)

    def _begin(self) -> Run:
        """The second process stands by: what the next step needs is not known yet."""
        return begin(self.program, self._facts, Prediction(), self.pages, True)

    def _again(self) -> None:
        """The model from the start."""
        self._run = self._begin()
        for taken in self.program.steps:
            self._run.step(taken)

    def _look(self) -> None:
        """What stands, as a layout: its edges are those of the VMAs."""
        files = self._run.process.files
        mappings = []
        edges: set[int] = set()
        for vma in self._run.process.space.vmas:
            at, after = vma.start - FIRST_PAGE, vma.end - FIRST_PAGE
            if not 0 <= at < min(after, self.pages):
                continue  # outside the arena, or a [vvar] that this kernel has not
            edges.update((at, after))
            file = files.index(vma.file) if vma.file in files else -1
            mappings.append(_as_mapping(vma, at, after - at, file, self.program))
        if mappings:
            self.layout = Layout(mappings, self.program.files, tuple(sorted(edges)))


def _reach(step: Step, program: Program) -> int:
    """The first arena page after all that a step may change, or a look has to cover."""
    touched = step.page + step.pages if isinstance(step, TouchPages) else 0
    return max(touched, program.arena_pages())


def _as_mapping(vma: Vma, at: int, pages: int, file: int, program: Program) -> Mapping:
    """A VMA as a mapping of a layout would give it, as far as generators look. file: its slot, -1
    if it shows none."""
    kind = Kind.ANON
    if vma.special:
        kind = Kind.VVAR
    elif vma.secret:
        kind = Kind.SECRETMEM
    elif vma.flags & f.HT:
        kind = Kind.HUGETLB
    elif file >= 0:
        kind = Kind(program.files[file].backing.value)
    elif vma.file is not None and vma.file.device:
        kind = Kind.ZERO
    access = vma.flags & f.ACCESS
    prot = next((prot for prot in Prot if ACCESS_OF[prot] == access), Prot.R)
    sharing = Sharing.SHARED if vma.flags & f.SH else Sharing.PRIVATE
    offset = vma.pgoff if file >= 0 else 0
    return Mapping(kind, at, pages, prot, sharing, max(file, 0), offset)
