"""What is in a page: a 32-bit tag in three of its words, the rest zero.

A touch writes its tag as a 64-bit word at byte offsets 0, 2040 and 4088. A page that holds
one tag in all three words and zero elsewhere has that tag as content; an all-zero page has
content 0; anything else is TORN. Words that a control struct covers are left out of the look.
"""

from __future__ import annotations

from typing import Final

WORD_OFFSETS: Final = (0, 2040, 4088)  # bytes
ZERO: Final = 0
TORN: Final = 0xFFFF_FFFF
FILE_TAG: Final = 0x8000_0000


def file_tag(slot: int, page: int) -> int:
    """Initial content of page `page` of file slot `slot` (tmpfs and disk)."""
    return FILE_TAG | (slot << 16) | (page + 1)


def write_tag(serial: int, page: int) -> int:
    """Content that the touch with this serial (1..) writes to arena page `page`."""
    return (serial << 16) | (page + 1)
