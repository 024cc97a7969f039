"""How a job ends: its exit code, a table for people, and the same as JSON and Markdown."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from ci.cli import exit_codes
from ci.jobs.step import Bad, Done
from fuzz.findings.atomic_file import write_atomically

LINES_MAX: Final = 40  # of what is new, and of what is not


def job_code(steps: Sequence[Done], new: Sequence[Bad]) -> int:
    """What is new is found, whatever else failed; a step that could not judge is no pass; nothing
    at all that ran is none either."""
    codes = [step.code for step in steps if step.code is not None]
    if new:
        return exit_codes.FOUND
    explained = {exit_codes.CONFORMANT, exit_codes.NOTHING_RAN}
    for step in steps:
        # What a step found and nobody could name is not explained by base.
        if step.code == exit_codes.FOUND and not step.bad:
            return exit_codes.FOUND
        if step.code not in {*explained, exit_codes.FOUND, None}:
            return exit_codes.HARNESS_FAILED
    if not set(codes) & {exit_codes.CONFORMANT, exit_codes.FOUND}:
        return exit_codes.NOTHING_RAN
    return exit_codes.CONFORMANT


def conclude(
    job: str, steps: Sequence[Done], known: Mapping[Bad, str], out: Path, notes: Sequence[str] = ()
) -> int:
    """Say what the job came to, leave it in `out`, and give the exit code. known: what was found
    and does not count, with the reason."""
    bad = [one for step in steps for one in step.bad]
    new = [one for one in bad if one not in known]
    code = job_code(steps, new)
    skipped = [step for step in steps if step.code is None or step.code == exit_codes.NOTHING_RAN]
    lines = [
        f"{'skipped' if step.code is None else step.words:<20} {step.seconds:6.0f} s  {step.name}"
        + (f" ({step.words})" if step.code is None else "")
        for step in steps
    ]
    lines += _some([f"NEW: {one.target}: {one.name}" + _at(one) for one in new])
    lines += _some([f"not new: {one.target}: {one.name}: {why}" for one, why in known.items()])
    lines += [f"note: {note}" for note in notes]
    lines.append(
        f"{job}: {len(steps) - len(skipped)} steps, {len(skipped)} skipped, "
        f"{len(new)} new findings, {len(known)} that base has too; exit {code}"
    )
    click.echo("\n" + "\n".join(lines))
    _write(job, code, steps, new, known, out, lines)
    return code


def _some(lines: list[str]) -> list[str]:
    """The first of many lines; summary.json has all."""
    left = len(lines) - LINES_MAX
    return [*lines[:LINES_MAX], *([f"and {left} more of these"] if left > 0 else [])]


def _at(one: Bad) -> str:
    return f" ({one.program})" if one.program is not None else ""


def _write(
    job: str,
    code: int,
    steps: Sequence[Done],
    new: Sequence[Bad],
    known: Mapping[Bad, str],
    out: Path,
    lines: Sequence[str],
) -> None:
    summary = {
        "format": 1,
        "job": job,
        "exit_code": code,
        "steps": [
            {"name": s.name, "exit_code": s.code, "words": s.words, "seconds": round(s.seconds, 1)}
            for s in steps
        ],
        "new": [_plain(one) for one in new],
        "known": [{**_plain(one), "why": why} for one, why in known.items()],
    }
    data = msgspec.json.format(msgspec.json.encode(summary), indent=1)
    write_atomically(out / "summary.json", data + b"\n")
    text = f"### madvet {job}\n\n```\n" + "\n".join(lines) + "\n```\n"
    write_atomically(out / "summary.md", text.encode())
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page:
        with open(page, "a", encoding="utf-8") as file:
            file.write(text)


def _plain(one: Bad) -> dict[str, str]:
    program = str(one.program) if one.program is not None else ""
    return {"step": one.step, "target": one.target, "name": one.name, "program": program}
