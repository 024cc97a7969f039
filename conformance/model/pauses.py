"""Where a call may be overtaken: its atomic steps, as the model tells them to whoever orders them.

An ordinary program has no pauses. In a race (model.race) each address space has a function that
is told of every atomic step before it is made, and that may let others make theirs first. What is
atomic, and by which lock, is in docs/races.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# What comes next. `where` is the page of a PAGE or ASK, the address of a WORD.
READ: Final = 0  # a section under the mmap_lock for reading begins: mmap_read_lock()
WRITE: Final = 1  # one under the mmap_lock for writing, atomic for all: mmap_write_lock()
DROP: Final = 2  # the section for reading ends; nobody is let in by it
PAGE: Final = 3  # one entry of a page table, under its lock: zap_pte_range() and its like
WORD: Final = 4  # one aligned 64-bit word of user memory is read or written
TASK: Final = 5  # another process is looked up: mm_access()
ASK: Final = 6  # nothing; the answer says whether anyone else could change this page
TELL: Final = 7  # nothing; what the call has learnt is told
STALE: Final = 8  # nothing; a page goes, and processors may use it till the call ends (stale)
USES_STALE: Final = 9  # an access: True if it goes to a page that another call has taken away
FLUSH: Final = 10  # a call ends: nobody uses any more what it took away
FORGET: Final = 11  # nothing; what comes does not depend on what was learnt
DOWNGRADE: Final = 12  # what WRITE began goes on under the lock for reading: mmap_write_downgrade()

# kind, where, and what the call has learnt since it paused last, by which its later steps may
# differ; of STALE whether the page may be written there, of USES_STALE whether the access writes.
# True: somebody else may have made a step, or could.
Pause = Callable[[int, int, object], bool]
