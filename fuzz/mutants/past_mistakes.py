"""Mistakes that kernels once had and no stock kernel has any more, for the model.

With one of them in the model, the program of corpus/history must tell it from a kernel that is
right. They stand beside model_mutants and not in its table: some need huge pages, and nobody is
asked to find them by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EINVAL, ENOMEM
from conformance.model.address_space import AddressSpace, Vma
from fuzz.mutants.model_mutants import ModelMutant, Patch

Rule = Callable[..., Any]
DODUMP: Final = 17
HUGE_PAGES: Final = 512  # base pages of a huge one
# MADV_FREE | MADV_DONTNEED | MADV_DONTNEED_LOCKED | MADV_REMOVE | MADV_DONTFORK | MADV_WIPEONFORK
DISCARD_BITS: Final = 8 | 4 | 24 | 9 | 10 | 18


class _AsMask:
    """Which advices discard, if they are tested as bits."""

    def __contains__(self, advice: int) -> bool:
        return bool(advice & DISCARD_BITS)


def dodump_refuses_huge_pages(new_flags: Rule) -> Rule:
    """What may not be expanded is refused."""

    def rule(space: AddressSpace, vma: Vma, advice: int) -> int:
        if advice == DODUMP and vma.flags & f.SPECIAL:
            return -EINVAL
        return int(new_flags(space, vma, advice))

    return rule


def huge_page_rounded_up(dontneed_free: Rule) -> Rule:
    """The end of a range of huge pages is rounded up."""

    def rule(space: AddressSpace, vma: Vma, start: int, end: int, advice: int) -> int:
        if vma.flags & f.HT:
            end += -end % HUGE_PAGES
        return int(dontneed_free(space, vma, start, end, advice))

    return rule


def part_told_as_error(vector: Rule) -> Rule:
    """The error of an element hides what was done before it."""

    def rule(space: AddressSpace, vec: list[tuple[int, int]], advice: int) -> int:
        done = int(vector(space, vec, advice))
        return -ENOMEM if 0 < done < sum(length for _, length in vec) else done

    return rule


def holes_passed_over(advise: Rule) -> Rule:
    """ENOMEM of an element is none."""

    def rule(space: AddressSpace, start: int, length: int, advice: int) -> int:
        error = int(advise(space, start, length, advice))
        return 0 if error == ENOMEM else error

    return rule


PAST_MISTAKES: Final = (
    ModelMutant(
        "seal_takes_bits", "madvise-sealed", "advices that discard are told by their bits",
        "host", Patch("walk", "_DISCARDS", lambda original: _AsMask()),
    ),
    ModelMutant(
        "dodump_refuses_huge_pages", "madvise-dodump-special", "DODUMP refuses hugetlb",
        "host", Patch("advice_flags", "new_flags", dodump_refuses_huge_pages),
    ),
    ModelMutant(
        "huge_page_rounded_up", "madvise-hugetlb-aligned", "DONTNEED takes whole huge pages",
        "host", Patch("advice_pages", "dontneed_free", huge_page_rounded_up),
    ),
    ModelMutant(
        "part_told_as_error", "process-madvise-partial", "an error hides the bytes done before it",
        "host", Patch("call_process_madvise", "_vector", part_told_as_error),
    ),
    ModelMutant(
        "holes_passed_over", "process-madvise-bytes", "what is not mapped counts as advised",
        "host", Patch("call_process_madvise", "advise", holes_passed_over),
    ),
)  # fmt: skip


def past_mistake(name: str) -> ModelMutant | None:
    """The one of this name; None if there is none."""
    return next((mutant for mutant in PAST_MISTAKES if mutant.name == name), None)
