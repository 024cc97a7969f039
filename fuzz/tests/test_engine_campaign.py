"""Whole campaigns on this machine's kernel: what is run does not depend on who runs it, and
nothing that dies on the way loses anything."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.program.text import loads
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.loop import Campaign, CampaignResult, Ending, Snapshot
from fuzz.engine.statistics import Tally
from fuzz.findings.finding import Finding
from fuzz.findings.store import FindingsError

CANARY = "fuzz.mutants.canary:wrap_target"


class Kept:
    """A sink that remembers."""

    def __init__(self, refuse: bool = False) -> None:
        self.findings: list[Finding] = []
        self.refuse = refuse

    def keep(self, finding: Finding) -> None:
        if self.refuse:
            raise FindingsError("/full: no space left on device; make room there")
        self.findings.append(finding)


def options(**more: object) -> CampaignOptions:
    usual = {"targets": ("shim",), "seed": 7, "workers": 1, "programs": 640, "shrink": False}
    return CampaignOptions(**{**usual, **more})  # type: ignore[arg-type]  # any options


def run(
    chosen: CampaignOptions,
    sink: Kept | None = None,
    show: Callable[[Snapshot], None] = lambda snapshot: None,
    campaign: list[Campaign] | None = None,
) -> CampaignResult:
    made = Campaign(chosen, sink or Kept(), show)
    if campaign is not None:
        campaign.append(made)
    return made.run()


def settled(result: CampaignResult) -> None:
    """Every program is accounted for, and in exactly one class."""
    total = result.total
    assert sum(total.verdicts.values()) == total.programs == result.account.done


def same(a: Tally, b: Tally) -> bool:
    """The same programs, with the same verdicts."""
    return (a.programs, a.steps, a.advices, a.surfaces, a.verdicts, a.samples) == (
        b.programs, b.steps, b.advices, b.surfaces, b.verdicts, b.samples,
    )  # fmt: skip


def test_one_worker_and_three_judge_the_same_programs() -> None:
    one = run(options(programs=1500, targets=("host", "shim")))
    three = run(options(programs=1500, targets=("host", "shim"), workers=3))
    for result in (one, three):
        assert result.ending is Ending.BUDGET
        assert result.failure == ""
        assert result.total.programs == 1500
        assert result.account.left == 0
        assert not result.findings
        settled(result)
    for name in ("host", "shim"):
        assert same(one.tallies[name], three.tallies[name]), one.tallies[name].not_reproduced
        assert one.tallies[name].samples
    assert one.facts["shim"].ranges_call != one.facts["host"].ranges_call


def test_another_seed_gives_other_programs() -> None:
    assert run(options()).total.advices != run(options(seed=8)).total.advices


def test_the_time_ends_a_campaign() -> None:
    result = run(options(programs=None, seconds=1.0))
    assert result.ending is Ending.TIME
    assert 0.9 < result.seconds < 10
    assert result.total.programs > 0
    settled(result)


def test_the_canary_is_found_confirmed_and_kept() -> None:
    sink = Kept()
    result = run(options(programs=1280, wrapper=CANARY, canary=100), sink)
    assert result.findings
    assert set(result.findings) == {finding.slug for finding in sink.findings}
    assert sum(result.total.findings.values()) == sum(
        result.total.judged(kind) for kind in ("divergence", "abi-mishandling")
    )
    for finding in sink.findings:
        assert finding.shown == finding.runs == 5
        assert "-85" in finding.title
        assert finding.seed == 7
        assert finding.index >= 0
    settled(result)


def test_the_canary_is_shrunk_to_its_call() -> None:
    sink = Kept()
    run(options(programs=320, wrapper=CANARY, canary=50, shrink=True), sink)
    assert sink.findings
    assert sum(len(finding.program.steps) for finding in sink.findings) <= 2 * len(sink.findings)


def test_a_store_that_refuses_ends_the_campaign_as_failed() -> None:
    result = run(options(programs=64_000, wrapper=CANARY, canary=20), Kept(refuse=True))
    assert result.ending is Ending.FAILED
    assert "no space left" in result.failure
    assert result.account.left > 0


def test_a_target_that_cannot_run_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nonexistent-compiler")
    result = run(options())
    assert result.ending is Ending.FAILED
    assert "/nonexistent-compiler" in result.failure
    assert result.total.programs == 0
    assert result.account.left == 640


def killing(pids: Callable[[Campaign], list[int]], times: int) -> CampaignResult:
    """A campaign in which somebody is killed in mid-run, several times."""
    made: list[Campaign] = []
    killed: list[int] = []
    before = time.monotonic()

    def show(snapshot: Snapshot) -> None:
        if len(killed) < times and snapshot.total.programs > 300 * (len(killed) + 1):
            # One that was killed may not be buried yet.
            victims = [pid for pid in pids(made[0]) if pid not in killed]
            if victims:
                os.kill(victims[0], signal.SIGKILL)
                killed.append(victims[0])

    result = run(options(programs=4000, workers=2), show=show, campaign=made)
    assert len(killed) == times, f"only {killed} in {time.monotonic() - before:.1f} s"
    return result


def test_killed_workers_are_replaced_and_nothing_is_lost() -> None:
    orphans: list[int] = []

    def victims(campaign: Campaign) -> list[int]:
        ready = [worker for worker in campaign.workers if worker.ready]
        orphans.extend(pid for worker in ready[:1] for pid in worker.executors)
        return [worker.pid for worker in ready]

    result = killing(victims, times=3)
    assert result.deaths == 3
    deadline = time.monotonic() + 20  # an orphan ends when its batch is done
    while any(Path(f"/proc/{pid}").exists() for pid in orphans) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in orphans if Path(f"/proc/{pid}").exists()] == []
    assert result.ending is Ending.BUDGET
    assert result.total.programs == 4000
    assert result.account.left == 0
    assert not result.account.given_up
    settled(result)
    assert same(result.tallies["shim"], run(options(programs=4000)).tallies["shim"])


def test_killed_executors_cost_nothing() -> None:
    result = killing(
        lambda campaign: [pid for w in campaign.workers for pid in w.executors], times=1
    )
    assert result.deaths == 0
    assert result.total.programs == 4000
    assert not result.findings
    settled(result)


def interrupt_after(seconds: float) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()


def test_ctrl_c_finishes_the_batches_and_reports() -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background
    interrupt_after(2.0)
    result = run(options(programs=None))
    assert result.ending is Ending.INTERRUPTED
    assert result.total.programs > 0
    assert signal.getsignal(signal.SIGINT) is before
    settled(result)


def test_no_temporary_files_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run(options())
    assert list(tmp_path.iterdir()) == []


def test_a_guided_campaign_keeps_what_earned_something(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    chosen = options(programs=640, engine="guided", targets=("host",), corpus=str(corpus))
    result = run(chosen)
    settled(result)
    reached = result.reached["host"]
    assert reached.kcov is not None
    files = sorted(corpus.glob("*.toml"))
    assert len(files) == reached.seeds > 50
    given = [loads(path.read_bytes(), path.name).program for path in files]
    again = Campaign(chosen, Kept(), lambda snapshot: None, given=given).run()
    assert reached.marks - again.reached["host"].marks == set()


def test_workers_tell_each_other_what_they_earned() -> None:
    one = run(options(programs=1920, engine="guided", targets=("host",), workers=3))
    settled(one)
    reached = one.reached["host"]
    earned = reached.seeds
    assert len(reached.marks) > earned  # each mark once, whoever had it first
    assert earned < 1500


def test_who_measures_runs_the_same_programs() -> None:
    plain = run(options(targets=("host",)))
    measured = run(options(targets=("host",), measure=True))
    assert same(plain.tallies["host"], measured.tallies["host"])
    assert not plain.reached
    assert measured.reached["host"].seeds


def test_one_worker_that_is_guided_runs_the_same_programs_again() -> None:
    chosen = options(programs=960, engine="guided", targets=("shim",))
    one, two = run(chosen), run(chosen)
    assert same(one.tallies["shim"], two.tallies["shim"])
    assert one.reached["shim"].marks == two.reached["shim"].marks
