"""That the tests of the shim leave no requirement of version 1 out.

Asked for are those of the specification. The finer rules that each of them comes to are proved by
the directed cases, which run on the target shim too.
"""

from __future__ import annotations

import re
from pathlib import Path

from conformance.spec.registry import load
from conformance.tests.test_spec import SPEC_IDS

# What the shim cannot be asked: see shim.h.
LEFT_OUT = {
    "abi-compat": "the shim has the data model of the program that it is linked into",
    "version-sized": "of version 2",
    "default-future": "no user space can set it",
    "default-inherit": "no user space can set it",
    "default-on-failure": "no user space can set it",
}
CHAPTERS = ("abi-", "version-", "stats-", "gap-", "error-", "all-", "default-")
SINGLE_IDS = {
    "validation-order", "option-conflicts", "multi-count", "pidfd-ignored", "range-address",
    "walk-order", "walk-as-madvise", "single-mapping", "remote-access", "remote-advices",
    "remote-addresses",
}  # fmt: skip


def test_every_requirement_of_the_call_has_a_test() -> None:
    marked: set[str] = set()
    for path in Path(__file__).parent.glob("test_shim_*.py"):
        marked |= set(re.findall(r'mark\.requirement\("([^"]+)"\)', path.read_text("utf-8")))
    known = set(load())
    wanted = {id_ for id_ in SPEC_IDS if id_.startswith(CHAPTERS)} | SINGLE_IDS
    assert marked <= known
    # default-unsupported is the shim's own; test_set_default of test_shim_arguments proves it.
    assert wanted - marked - {"default-unsupported"} == set(LEFT_OUT)
