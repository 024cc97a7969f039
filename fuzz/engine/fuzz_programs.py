"""Programs as a plain libFuzzer target, for those who run many of them:

    python -m fuzz.engine.fuzz_programs --target=uml -dict=corpus/programs.dict CORPUS corpus/seeds

takes libFuzzer's options and folders, and --target=NAME. It stops at the first divergence that
shows again, which libFuzzer keeps as crash-..., a program file. For campaigns, which go on and
shrink, there is `madvet fuzz --engine atheris`.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from conformance.oracle.ledger import LedgerError, load_ledger
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.executor_target import Options, choose_tmp_root
from conformance.target.registry import is_guest, open_target
from conformance.target.target import Target, TargetError, TargetNameError
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.engines import NEEDS
from fuzz.engine.examine import Examined, Examiner
from fuzz.engine.libfuzzer import Inputs, counters_of
from fuzz.engine.suspects import words_of
from fuzz.guidance.ahead import Ahead, Counters, Mutant
from fuzz.triage.stability import DEFLAKE_RUNS, confirm

TARGET: Final = "--target="
INSIDE: Final = "--tmp="  # of the process that libFuzzer ends: who started it cleans up


class Divergence(Exception):
    """What libFuzzer is to take for a crash. str() says what differs."""


class Harness:
    """One target, judged for libFuzzer: counters of programs, and what diverges."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._examiner = Examiner(target, cite=True)
        self._ledger = load_ledger()
        self._wrong: dict[Program, str] = {}

    def run(self, programs: list[Program]) -> list[Counters]:
        """Run and judge them. Raises TargetError."""
        self._examiner.start(programs, Observe.COVER_EDGES)
        examined = self._examiner.finish()
        for one in examined:
            words = self._words(one)
            if words:
                self._wrong[one.program] = words
        return [counters_of(one) for one in examined]

    def check(self, program: Program) -> None:
        """Raises Divergence for a program that was seen to diverge."""
        words = self._wrong.get(program)
        if words is not None:
            raise Divergence(words)

    def _words(self, one: Examined) -> str:
        if not one.verdict.bad or self._ledger.match(one.program, one.verdict, self._target.facts):
            return ""
        seen = confirm(self._target, one.program, DEFLAKE_RUNS)
        if seen is None:
            return ""
        return f"{seen.identity}: {words_of(seen.verdict)}; {seen.shown} of {seen.runs} runs"


def fuzz(name: str, tmp: Path, words: Sequence[str]) -> None:
    """libFuzzer's loop; ends with the process. Raises TargetError."""
    from fuzz.guidance.atheris_loop import fuzz_programs, mutate_bytes

    target = open_target(name, Options(tmp_root=tmp))
    seed = secrets.randbits(32)
    options = CampaignOptions(targets=(name,), seed=seed, workers=1)
    inputs = Inputs(options, is_guest(name), 0, mutate_bytes)
    harness = Harness(target)
    ahead = Ahead(harness.run)
    folders = [Path(word) for word in words if not word.startswith("-")]
    ahead.preload(inputs.of_folders([folder for folder in folders if folder.is_dir()]))

    def counters(data: bytes) -> Counters:
        return ahead.counters(data, inputs.bytes.program)

    def check(data: bytes) -> None:
        harness.check(inputs.bytes.program(data))

    def mutate(data: bytes, most: int, number: int) -> bytes:
        return ahead.exchange(partial[Mutant](inputs.mutant, data, most, number))

    def cross(data: bytes, other: bytes, most: int, number: int) -> bytes:
        return ahead.exchange(partial[Mutant](inputs.child, data, other, most, number))

    given = [word for word in words if word.startswith("-")]
    fuzz_programs(folders, counters, mutate, cross, given, check)


def main(arguments: list[str]) -> int:
    """An exit code: that of libFuzzer, or 2 and 3 as for any command."""
    name = "host"
    tmp = None
    words = []
    for argument in arguments:
        if argument.startswith(TARGET):
            name = argument.removeprefix(TARGET)
        elif argument.startswith(INSIDE):
            tmp = Path(argument.removeprefix(INSIDE))
        else:
            words.append(argument)
    try:
        if tmp is not None:
            fuzz(name, tmp, words)
        missing = NEEDS["atheris"].missing()
        if missing:
            return _told(missing, 3)
        return _inside(arguments)
    except TargetNameError as error:
        return _told(str(error), 2)
    except (TargetError, LedgerError) as error:
        return _told(str(error), 3)


def _inside(arguments: list[str]) -> int:
    """The same in a process of its own, which libFuzzer may end as it likes."""
    with tempfile.TemporaryDirectory(prefix="madvet-libfuzzer-", dir=choose_tmp_root()) as tmp:
        command = [sys.executable, "-m", __spec__.name, f"{INSIDE}{tmp}", *arguments]
        return subprocess.run(command, check=False).returncode


def _told(words: str, code: int) -> int:
    sys.stderr.write(f"fuzz_programs: {words}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
