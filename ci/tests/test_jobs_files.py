"""The files that GitHub and GitLab read: valid, and calling what there is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ci.jobs.__main__ import cli

ROOT = Path(__file__).resolve().parents[2]
GITHUB = [*sorted(ROOT.glob(".github/workflows/*.yml")), ROOT / "ci/jobs/kernel-tree/github.yml"]
GITLAB = [
    ROOT / ".gitlab-ci.yml", ROOT / "ci/jobs/gitlab.yml", ROOT / "ci/jobs/kernel-tree/gitlab.yml",
]  # fmt: skip
ALL = [*GITHUB, *GITLAB]
SCRIPTS = [ROOT / "ci/jobs/run", ROOT / "ci/jobs/kselftest", ROOT / "ci/jobs/make_venv.sh"]
YAMLLINT = (
    "{extends: default, rules: {line-length: {max: 120}, document-start: disable, "
    "truthy: {check-keys: false}}}"
)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def check(schema: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Against the schema as check-jsonschema carries it: nothing is fetched."""
    more = ["--data-transform", "gitlab-ci"] if "gitlab" in schema else []
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *more]
    return subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)


def test_there_are_files() -> None:
    assert {named(path) for path in GITHUB} >= {
        ".github/workflows/on-change.yml", ".github/workflows/nightly.yml",
    }  # fmt: skip
    assert [path for path in ALL if not path.is_file()] == []


@pytest.mark.parametrize("path", GITHUB, ids=named)
def test_github_accepts_them(path: Path) -> None:
    done = check("vendor.github-workflows", path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", GITLAB, ids=named)
def test_gitlab_accepts_them(path: Path) -> None:
    done = check("vendor.gitlab-ci", path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        (GITHUB[0], "    steps:", "    step:"),
        (GITHUB[0], "runs-on: ubuntu-24.04", "run-on: ubuntu-24.04"),
        (GITLAB[1], "timeout: 2 hours", "timeout: {hours: 2}"),
    ],
)
def test_a_mistake_is_seen(tmp_path: Path, path: Path, right: str, wrong: str) -> None:
    text = path.read_text()
    assert right in text
    broken = tmp_path / path.name
    broken.write_text(text.replace(right, wrong))
    schema = "vendor.gitlab-ci" if path in GITLAB else "vendor.github-workflows"
    assert check(schema, broken).returncode == 1


@pytest.mark.parametrize("path", ALL, ids=named)
def test_yamllint_has_nothing_to_say(path: Path) -> None:
    command = [sys.executable, "-m", "yamllint", "--strict", "-d", YAMLLINT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def calls(path: Path) -> list[list[str]]:
    """The words behind ci/jobs/run, of every call in a file."""
    text = path.read_text().replace("\\\n", " ")
    text = re.sub(r"\n\s+(?=--)", " ", text)  # a folded scalar
    return [shlex.split(line) for line in re.findall(r"ci/jobs/run ([^\n#]*)\n", text)]


@pytest.mark.parametrize("path", [p for p in ALL if p.name != ".gitlab-ci.yml"], ids=named)
def test_jobs_are_called_as_they_are(path: Path) -> None:
    found = [call for call in calls(path) if not call[0].startswith(":")]
    assert found
    for name, *arguments in found:
        command = cli.commands[name]
        known = {option for parameter in command.params for option in parameter.opts}
        assert [word for word in arguments if word.startswith("--") and word not in known] == []


def test_every_job_is_called_by_both() -> None:
    for files in (GITHUB, GITLAB):
        assert {call[0] for path in files for call in calls(path)} == set(cli.commands)


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_scripts_are_well_formed(path: Path) -> None:
    shell = path.read_text().partition("\n")[0].rpartition("/")[2].removeprefix("env ")
    assert subprocess.run([shell, "-n", str(path)], check=False).returncode == 0
    assert path.stat().st_mode & 0o111


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck on this machine")
@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_shellcheck_has_nothing_to_say(path: Path) -> None:
    done = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["", *cli.commands])
def test_jobs_have_help(name: str) -> None:
    done = CliRunner().invoke(cli, [*([name] if name else []), "--help"])
    assert done.exit_code == 0
    assert "--help" in done.output
