"""A run as kcidb report data, to be submitted by those who report to the kernel's database.

The extra madvet[kcidb] brings kcidb-io, whose schema the data is checked against.
"""

from __future__ import annotations

import platform
from typing import Any, Final

import msgspec

from ci.report.outputs import OutputError
from ci.report.result_tree import NOT_RUN, CaseResult, RunResult, State

ORIGIN: Final = "madvet"  # who submits should set their own: it is the part before every ":"
EXCERPT_MAX: Final = 16_384  # characters, of the schema
MAJOR, MINOR = 5, 3
_STATUS: Final = {
    State.PASS: "PASS",
    State.FAIL: "FAIL",
    State.SKIP: "SKIP",
    State.ERROR: "ERROR",
}
_MISSED: Final = "MISS"


def kcidb(run: RunResult) -> bytes:
    """The data as JSON. Raises OutputError without kcidb-io, and jsonschema's
    ValidationError for data against the schema, which would be a mistake here."""
    try:
        from kcidb_io.schema import V5_3
    except ImportError:
        raise OutputError(
            "--kcidb needs kcidb-io: pip install 'madvet[kcidb]' (in a checkout: "
            "pip install -e '.[kcidb]')"
        ) from None
    data = kcidb_data(run)
    V5_3.validate(data)
    return msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n"


def kcidb_data(run: RunResult) -> dict[str, Any]:
    """The data: a checkout and a build for each target's kernel, a test for each case."""
    tag = run.started.replace(":", "")
    return {
        "version": {"major": MAJOR, "minor": MINOR},
        "checkouts": [
            {
                "id": f"{ORIGIN}:{tag}:{target}",
                "origin": ORIGIN,
                "comment": f"Linux {run.release(target) or 'of unknown release'}, {target}",
                "start_time": run.started,
                "valid": True,
            }
            for target in run.target_names
        ],
        "builds": [
            {
                "id": f"{ORIGIN}:{tag}:{target}",
                "origin": ORIGIN,
                "checkout_id": f"{ORIGIN}:{tag}:{target}",
                "architecture": platform.machine(),
                "comment": f"the kernel that target {target} runs",
                "misc": {"facts": run.targets.get(target, {})},
            }
            for target in run.target_names
        ],
        "tests": [_test(run, tag, case) for case in run.cases],
    }


def _test(run: RunResult, tag: str, case: CaseResult) -> dict[str, Any]:
    test: dict[str, Any] = {
        "id": f"{ORIGIN}:{tag}:{case.target}:{case.id}",
        "origin": ORIGIN,
        "build_id": f"{ORIGIN}:{tag}:{case.target}",
        "path": f"madvet.{case.id}",
        "status": _MISSED if case.message == NOT_RUN else _STATUS[case.state],
        "duration": case.seconds,
        "start_time": run.started,
        "misc": {"target": case.target, "requirements": list(case.requirements)},
    }
    said = "\n".join(part for part in (case.message, case.output) if part).replace("\0", " ")
    if said and case.state is not State.PASS:
        test["log_excerpt"] = said[:EXCERPT_MAX]
    if case.unspecified:
        test["misc"]["unspecified_steps"] = case.unspecified
    return test
