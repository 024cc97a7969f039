"""The executor's facts are read strictly, answer for every field, and agree with other sources."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from conformance.abi.advice import ADVICES, BY_NAME
from conformance.abi.vm_flags import DD, DE, MS, RD, SH, WR
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.target import facts as facts_module
from conformance.target.executor_target import executor_path
from conformance.target.facts import FIELDS, Probed, parse_facts, probe_facts
from conformance.target.machine import Item, look_at_machine
from conformance.target.target import TargetError

FAKE = (sys.executable, "-m", "conformance.tests.fake_executor")


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Probed:
    return probe_facts([executor_path()], tmp_path_factory.mktemp("facts"))


def answer(**changes: Any) -> bytes:
    """JSON as an executor prints it."""
    fields = msgspec.to_builtins(KernelFacts(release="6.0", advices=(0, 4)))
    return json.dumps({"facts": fields | changes, "undetermined": {}}).encode()


def test_an_answer_is_read() -> None:
    probed = parse_facts(answer(advices=[0, 8], ranges_call="shim", thp="never"))
    assert probed.facts.advices == (0, 8)
    assert probed.facts.ranges_call is RangesCall.SHIM
    assert probed.facts.thp == "never"
    assert probed.undetermined == {}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cannot be read"),
        (b"{}", "cannot be read: Object missing required field `facts`"),
        (b'{"facts": {', "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (answer(swap=1), r"Expected `bool`, got `int` - at `\$.facts.swap`"),
        (answer(has_swap=True), "unknown field `has_swap`"),
        (answer(ranges_call="maybe"), "Invalid enum value 'maybe'"),
        (answer(advices="all"), r"at `\$.facts.advices`"),
        (answer().replace(b'"swap": false, ', b""), "does not answer for swap:"),
        (
            answer().replace(b'"undetermined": {}', b'"undetermined": {"weather": "dark"}'),
            "unknown facts weather",
        ),
    ],
)
def test_anything_else_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        parse_facts(data)


def test_a_probing_that_fails_says_what_it_said(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text("", "utf-8")
    command = [*FAKE, "--fake-facts", str(path)]
    with pytest.raises(TargetError, match="cannot be read"):
        probe_facts(command, tmp_path)
    with pytest.raises(TargetError, match=r"exit status 3\): nothing was said why"):
        probe_facts([*command, "--fake-facts-status", "3"], tmp_path)
    with pytest.raises(TargetError, match="cannot start the executor /nowhere: No such file"):
        probe_facts(["/nowhere"], tmp_path)


def test_a_probing_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_module, "FACTS_SECONDS_MAX", 0.2)
    with pytest.raises(
        TargetError, match="did not end within 0 s; try by hand: sh -c sleep 60 --facts"
    ):
        probe_facts(["sh", "-c", "sleep 60"], tmp_path)


def test_every_fact_is_answered_for(probed: Probed) -> None:
    assert probed.undetermined.keys() <= FIELDS  # parse_facts() has compared the rest


def test_facts_agree_with_other_sources(probed: Probed) -> None:
    facts = probed.facts
    assert facts.release == os.uname().release
    assert facts.max_map_count == int(Path("/proc/sys/vm/max_map_count").read_text("ascii"))
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    assert facts.memlock_bytes == ((1 << 63) - 1 if limit == resource.RLIM_INFINITY else limit)
    assert facts.swap == (len(Path("/proc/swaps").read_text("ascii").splitlines()) > 1)
    known = {advice.value for advice in ADVICES}
    assert {BY_NAME[name].value for name in ("NORMAL", "DONTNEED", "COLD")} <= set(facts.advices)
    assert set(facts.advices) <= known
    assert facts.fault_around_pages & (facts.fault_around_pages - 1) == 0
    if facts.has_secretmem:
        assert facts.secretmem_flags & (RD | WR | SH | MS | DD) == RD | WR | SH | MS | DD
    if facts.vvar_pages:
        assert facts.vvar_flags & (RD | DE | DD) == RD | DE | DD


def test_the_shim_answers_for_the_call(tmp_path: Path) -> None:
    probed = probe_facts([executor_path(), "--shim"], tmp_path)
    assert probed.facts.ranges_call is RangesCall.SHIM


def test_a_disk_that_is_none(tmp_path: Path) -> None:
    probed = probe_facts([executor_path()], tmp_path / "missing")
    assert (probed.facts.disk_fs, probed.facts.disk_punch) == ("", False)
    assert "No such file" in probed.undetermined["disk_fs"]
    shm = probe_facts([executor_path()], Path("/dev/shm"))
    assert shm.facts.disk_fs == ""
    assert "disk_fs" not in shm.undetermined


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="only root can take /proc away from a process",
)
def test_without_proc_what_is_unknown_is_said(tmp_path: Path, probed: Probed) -> None:
    command = ["unshare", "-m", "sh", "-c", 'umount -l /proc && exec "$0" "$@"', executor_path()]
    blind = probe_facts(command, tmp_path)
    assert "guard_flag" in blind.undetermined
    assert "cannot be read" in blind.undetermined["max_map_count"]
    for name in FIELDS - blind.undetermined.keys() - {"vvar_pages", "vvar_flags"}:
        assert getattr(blind.facts, name) == getattr(probed.facts, name), name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_has_other_rights(probed: Probed) -> None:
    reachable = Path("/var/tmp") / f"madvet-test-{os.getpid()}"
    reachable.mkdir(mode=0o755)
    try:
        copy = shutil.copy(executor_path(), reachable / "executor")
        done = subprocess.run(
            [copy, "--facts", "--tmp", "/tmp"], user="nobody", capture_output=True, check=True
        )
    finally:
        shutil.rmtree(reachable)
    nobody = parse_facts(done.stdout)
    assert nobody.undetermined == {}
    rights = {"cap_sys_nice", "cap_sys_admin", "cap_ipc_lock", "change_user"}
    assert not any(getattr(nobody.facts, name) for name in rights)
    for name in FIELDS - rights - {"disk_fs", "disk_punch", "noexec", "perf_flags"}:
        assert getattr(nobody.facts, name) == getattr(probed.facts, name), name


def test_the_machine_is_looked_at_whole() -> None:
    items = look_at_machine()
    assert len({item.name for item in items}) == len(items) > 25
    for item in items:
        assert bool(item.how_to) != item.present, item
    assert all(item.present for item in items if item.needed)


def test_a_machine_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    items: dict[str, Item] = {item.name: item for item in look_at_machine()}
    compiler = items["C compiler"]
    assert not compiler.present
    assert compiler.needed
    assert "install gcc" in compiler.how_to
    assert not items["executor runs"].present
    assert "mseal" not in items  # not asked of a kernel that nobody could ask
