"""Allowed: the only way to say "may". An alternative never stands without its reason."""

from __future__ import annotations

from typing import Final, NamedTuple


class Alternative(NamedTuple):
    """One value that the kernel may choose, and why it may. alike: it leaves the same state."""

    value: int
    reason: str
    alike: bool = False


class Unspecified(NamedTuple):
    """The model does not say. Counted and printed in every report; the number may only fall."""

    reason: str


# Reasons why a kernel may choose, by id; reports print the text. The requirement that lets it
# choose stands in REASON_RULES.
REASONS: Final[dict[str, str]] = {
    "fault-around": "a read fault may map neighbouring pages that are in the page cache "
    "(do_fault_around)",
    "huge-page": "a fault may map a whole huge page (do_huge_pmd_anonymous_page)",
    "khugepaged": "khugepaged may make one huge page of small ones whenever it comes by",
    "large-folio": "a fault may map all of a large folio of the page cache (finish_fault)",
    "lazy-free": "after MADV_FREE a page reads as before or as zero until it is written again",
    "droppable": "pages of MAP_DROPPABLE may be thrown away whenever memory is short",
    "special-page": "what a page of [vvar] holds, and whether it is there, is the kernel's",
    "allocation-spared": "of what a call allocates, it can do without some, or asks again",
    "signal-storm": "how many signals come during a call, a timer decides",
    "zero-page": "the zero page that all processes share may have been poisoned before, by any "
    "program since the kernel started (memory_failure)",
    "lru-batch": "a page that COLD has just looked at may wait for its place on a list in a batch "
    "of its processor, and cannot be migrated from there (folio_deactivate)",
    "reclaim-may-drop": "PAGEOUT and memory pressure may unmap a page that can be read back",
}
REASON_RULES: Final[dict[str, str]] = {
    "fault-around": "touch-neighbours",
    "huge-page": "touch-huge",
    "khugepaged": "khugepaged-may-collapse",
    "large-folio": "touch-neighbours",
    "lazy-free": "madvise-free-content",
    "droppable": "droppable-may-go",
    "special-page": "special-content",
    "allocation-spared": "allocation-spared",
    "signal-storm": "signal-storm",
    "zero-page": "madvise-poison-zero",
    "lru-batch": "madvise-soft-offline-content",
    "reclaim-may-drop": "madvise-pageout-kept",
}
