"""Ids of cases, from the names that pytest gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NODE = re.compile(r"(?:.*/)?test_(\w+)\.py::(?:\w+::)*test_(\w+)(?:\[(.*)\])?", re.DOTALL)


def case_id(nodeid: str, targets: Sequence[str]) -> tuple[str, str]:
    """The id of a case, and its target, "" for a case of none.

    "conformance/cases/test_walk.py::test_a_gap[host]" is ("walk.a_gap", "host"). Parameters
    follow as words of their own. Raises ValueError for what is no name of a case.
    """
    match = _NODE.fullmatch(nodeid)
    if match is None:
        raise ValueError(f"{nodeid} is no case: they are functions test_* in files test_*.py")
    suite, name, parameters = match[1], match[2], match[3] or ""
    target, rest = _target_of(parameters, targets)
    words = [re.sub(r"[^A-Za-z0-9_-]+", "_", word).strip("_") for word in re.split(r"[/.]", rest)]
    return ".".join([suite, name, *filter(None, words)]), target


def _target_of(parameters: str, targets: Sequence[str]) -> tuple[str, str]:
    """The target among the parameters of a case, and the other parameters."""
    for name in sorted(targets, key=len, reverse=True):
        if parameters == name:
            return name, ""
        if parameters.startswith(f"{name}-"):
            return name, parameters.removeprefix(f"{name}-")
        if parameters.endswith(f"-{name}"):
            return name, parameters.removesuffix(f"-{name}")
    return "", parameters
