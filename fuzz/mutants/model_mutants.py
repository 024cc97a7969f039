"""Mistakes planted in the model, one at a time, while it runs.

Against the real kernel a model with a mistake must show divergences: that tells that the
oracle looks where the mistake is. A mutant replaces functions, constants or fields by name,
wherever the model has bound them; plain Python only, since native code binds calls early.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NamedTuple

from fuzz.mutants import wrong_rules as wrong

PACKAGE: Final = "conformance.model"
HOST, SHIM = "host", "shim"


class Patch(NamedTuple):
    """What is replaced: `name` (dotted: a member of it) in a module of the model, by
    make(original)."""

    module: str
    name: str
    make: Callable[[Any], Any]


class ModelMutant(NamedTuple):
    """One planted mistake. requirement: the rule that it breaks. what: the mistake, in a line.
    target: on which its effect can be seen."""

    name: str
    requirement: str
    what: str
    target: str
    patch: Patch


class PatchError(Exception):
    """A patch point is not where the table says. str() names mutant and place."""


@contextmanager
def planted(mutant: ModelMutant) -> Iterator[None]:
    """The model has this mistake inside the `with`. Raises PatchError."""
    undo = _replace(mutant)
    try:
        yield
    finally:
        for owner, name, value in undo:
            setattr(owner, name, value)


def _replace(mutant: ModelMutant) -> list[tuple[Any, str, Any]]:
    patch = mutant.patch
    owner: Any = import_module(f"{PACKAGE}.{patch.module}")
    if not str(owner.__file__).endswith(".py"):
        raise PatchError(f"{mutant.name}: {owner.__file__} is native code: MADVET_COMPILED=0")
    *path, last = patch.name.split(".")
    try:
        for part in path:
            owner = getattr(owner, part)
        original = getattr(owner, last)
    except AttributeError as error:
        raise PatchError(f"{mutant.name}: {patch.module}: {error}") from error
    places = [owner] if path else _binders(last, original)
    replacement = patch.make(original)
    for place in places:
        setattr(place, last, replacement)
    return [(place, last, original) for place in places]


def _binders(name: str, value: Any) -> list[Any]:
    """Every module of the model in which this name stands for this very object."""
    return [
        module
        for path, module in list(sys.modules.items())
        if path.startswith(PACKAGE) and vars(module).get(name) is value
    ]


def _to(value: object) -> Callable[[Any], Any]:
    return lambda original: value


def _m(
    name: str, requirement: str, what: str, target: str, module: str, point: str,
    make: Callable[[Any], Any],
) -> ModelMutant:  # fmt: skip
    return ModelMutant(name, requirement, what, target, Patch(module, point, make))


MODEL_MUTANTS: Final[tuple[ModelMutant, ...]] = (
    # The walk and the checks before it.
    _m("range_end_short", "madvise-effect", "the last page of a range is not advised",
       HOST, "walk", "walk", wrong.last_page_left_out),
    _m("gap_is_fine", "madvise-gap-enomem", "a gap in the range is no error",
       HOST, "walk", "walk", wrong.gap_forgiven),
    _m("zero_length_first", "madvise-advice-invalid",
       "length 0 succeeds before the advice is looked at",
       HOST, "call_madvise", "madvise", wrong.zero_length_first),
    _m("unaligned_rounded", "madvise-unaligned", "a start inside a page stands for the page",
       HOST, "argument_checks", "check_range", wrong.start_rounded),
    _m("populate_passes_gaps", "madvise-populate-gap", "POPULATE goes on behind a gap",
       HOST, "walk", "_populate_range", wrong.populate_passes_gaps),
    _m("seal_forgotten", "madvise-sealed", "mseal does not protect against discarding",
       HOST, "walk", "_seal_refuses", lambda original: lambda space, vma: False),
    # Flags, and what they do to VMAs.
    _m("sequential_keeps_random", "madvise-flags", "SEQUENTIAL leaves VM_RAND_READ set",
       HOST, "advice_flags", "new_flags", wrong.sequential_keeps_random),
    _m("nohugepage_keeps_hugepage", "madvise-flags", "NOHUGEPAGE leaves VM_HUGEPAGE set",
       HOST, "advice_flags", "new_flags", wrong.nohugepage_keeps_hugepage),
    _m("wipeonfork_of_files", "madvise-wipeonfork-anon", "WIPEONFORK takes files and shared memory",
       HOST, "advice_flags", "new_flags", wrong.wipeonfork_of_files),
    _m("mergeable_anywhere", "madvise-mergeable-ignored", "MERGEABLE marks shared mappings too",
       HOST, "advice_flags", "new_flags", wrong.mergeable_anywhere),
    _m("never_merges", "vma-merge", "VMAs made alike by an advice are not merged",
       HOST, "split_merge", "_merge_existing",
       lambda original: lambda space, vma, start, end, flags: False),
    _m("merges_whatever_flags", "vma-merge", "a VMA is merged with a left one of other flags",
       HOST, "split_merge", "can_join", wrong.flags_not_compared),
    _m("anon_vma_forgotten", "vma-merge", "VMAs with different anon_vmas are merged",
       HOST, "split_merge", "_anon_fits", lambda original: lambda space, neighbour, own: True),
    # Pages.
    _m("dontneed_keeps", "madvise-dontneed-content", "DONTNEED leaves the pages where they are",
       HOST, "page_state", "zap", lambda original: lambda space, start, end: None),
    _m("dontneed_takes_guards", "madvise-dontneed-content", "DONTNEED takes guard markers away",
       HOST, "page_state", "zap", wrong.guards_zapped),
    _m("dontneed_of_locked", "madvise-dontneed-locked", "DONTNEED works on locked memory",
       HOST, "advice_pages", "dontneed_free", wrong.lock_not_looked_at),
    _m("free_at_once", "madvise-free-content", "FREE gives zero pages at once, on any mapping",
       HOST, "advice_pages", "dontneed_free", wrong.free_is_dontneed),
    _m("cold_of_locked", "madvise-cold-locked", "COLD works on locked memory",
       HOST, "advice_pages", "cold", wrong.lock_not_looked_at_cold),
    _m("remove_takes_copies", "madvise-remove-content",
       "REMOVE drops the private copies of other mappings too",
       HOST, "advice_pages", "remove", wrong.private_copies_dropped),
    _m("guards_stay", "madvise-guard-content", "GUARD_REMOVE removes nothing",
       HOST, "advice_pages", "guard_remove", wrong.guards_left),
    # fork.
    _m("dontfork_inherited", "fork-dontfork", "a child gets what DONTFORK keeps from it",
       HOST, "fork_child", "fork", wrong.dontfork_inherited),
    _m("wipeonfork_copied", "fork-wipeonfork", "a child finds what WIPEONFORK wipes",
       HOST, "fork_child", "fork", wrong.wipeonfork_copied),
    # process_madvise().
    _m("partial_is_whole", "process-madvise-partial",
       "all bytes asked for are returned when only some were advised",
       HOST, "call_process_madvise", "_vector", wrong.partial_told_as_whole),
    _m("fast_path_is_limit", "process-madvise-count", "more than 8 elements are too many",
       HOST, "call_process_madvise", "UIO_MAXIOV", _to(8)),
    _m("flags_ignored", "process-madvise-flags", "flags are not looked at",
       HOST, "call_process_madvise", "process_madvise", wrong.flags_dropped),
    _m("clamp_too_low", "process-madvise-clamped", "the sum of lengths is cut at 16 pages",
       HOST, "call_process_madvise", "MAX_RW_COUNT", _to(16 * 4096)),
    _m("remote_takes_all", "remote-advices", "another process can be given any advice",
       HOST, "remote_access", "check_remote",
       lambda original: lambda process, space, advice: 0),
    # madvise_ranges().
    _m("gap_is_enomem", "gap-counted", "a gap gives ENOMEM at the end of the call",
       SHIM, "policy", "DEFAULT_POLICY.gap_is_error", _to(True)),
    _m("version_einval_as_enosys", "version-unknown", "an unknown version gives ENOSYS",
       SHIM, "policy", "DEFAULT_POLICY.unknown_version_errno", _to(38)),
    _m("single_mapping_enomem", "single-mapping", "a range of two VMAs gives ENOMEM",
       SHIM, "policy", "DEFAULT_POLICY.single_mapping_errno", _to(12)),
    _m("count_limit_eight", "multi-count", "more than 8 ranges are too many",
       SHIM, "policy", "DEFAULT_POLICY.count_max", _to(8)),
    _m("all_takes_dontneed", "all-advices", "ALL accepts DONTNEED, FREE and DONTFORK",
       SHIM, "policy", "DEFAULT_POLICY.whole_advices",
       lambda original: original | {4, 8, 10}),
    _m("reserved_bits_pass", "abi-reserved-zero", "reserved bits are not looked at",
       SHIM, "control_input", "_check_options", wrong.reserved_bits_pass),
    _m("last_error_told", "stats-first-error", "stats tell the last error, not the first",
       SHIM, "statistics", "Statistics.fail", wrong.last_error_told),
    _m("skipped_uncounted", "stats-skipped", "parts that were skipped are not counted",
       SHIM, "statistics", "Statistics.skipped", lambda original: lambda self, pages: None),
    _m("pages_of_a_part_are_one", "stats-advised", "a part counts as one page",
       SHIM, "statistics", "Statistics.advised",
       lambda original: lambda self, pages: original(self, 1)),
    _m("stats_only_on_success", "stats-when", "stats are not written when the call fails",
       SHIM, "call_madvise_ranges", "_deliver", wrong.stats_only_on_success),
    _m("partial_unset", "stats-per-range", "partial is never set",
       SHIM, "statistics", "pack_per_range", wrong.partial_unset),
    _m("success_always", "stats-per-range", "success is set for every range reached",
       SHIM, "statistics", "pack_per_range", wrong.success_always),
)  # fmt: skip
