"""JUnit XML and kcidb data, read by the libraries that others read them with."""

from __future__ import annotations

import json
from pathlib import Path

import junitparser
import kcidb_io
import msgspec
import pytest

from ci.report.junit import junit
from ci.report.kcidb import kcidb, kcidb_data
from ci.report.result_tree import NOT_RUN, CaseResult, RunResult, State
from ci.tests.sample_run import sample_run


def cases_of(xml: junitparser.JUnitXml) -> dict[tuple[str, str], junitparser.TestCase]:
    return {(case.name, case.classname): case for suite in xml for case in suite}


def test_junit_is_read_with_the_same_ids_and_numbers() -> None:
    run = sample_run()
    xml = junitparser.JUnitXml.fromstring(junit(run))
    assert (xml.tests, xml.failures, xml.errors, xml.skipped) == (7, 1, 1, 2)
    cases = cases_of(xml)
    assert set(cases) == {(case.id, case.target) for case in run.cases}
    failed = cases["walk.keeps", "host"]
    assert isinstance(failed.result[0], junitparser.Failure)
    assert failed.result[0].message == "assert 1 == 2"
    assert "<script>" in str(failed.result[0].text)
    assert 'call = "madvise"' in str(failed.system_out)
    assert isinstance(cases["other.broke", "host"].result[0], junitparser.Error)
    assert isinstance(cases["walk.lacks", "shim"].result[0], junitparser.Skipped)
    properties = cases["walk.goes_on", "host"]._elem.iter("property")
    named = {(each.get("name"), each.get("value")) for each in properties}
    assert named == {("requirement", "gap-counted"), ("unspecified_steps", "2")}
    assert {suite.name for suite in xml} == {
        "host.other", "host.sweep", "host.walk", "shim.walk",
    }  # fmt: skip


def test_junit_counts_what_it_holds() -> None:
    xml = junitparser.JUnitXml.fromstring(junit(sample_run()))
    told = (xml.tests, xml.failures, xml.errors, xml.skipped)
    xml.update_statistics()  # type: ignore[no-untyped-call]  # junitparser's
    assert (xml.tests, xml.failures, xml.errors, xml.skipped) == told


def test_kcidb_is_valid_and_has_the_same_ids() -> None:
    run = sample_run()
    data = json.loads(kcidb(run))
    assert kcidb_io.schema.LATEST.is_compatible(data)
    paths = {(test["path"], test["misc"]["target"]) for test in data["tests"]}
    assert paths == {(f"madvet.{case.id}", case.target) for case in run.cases}
    by_path = {test["path"]: test for test in data["tests"]}
    assert by_path["madvet.walk.keeps"]["status"] == "FAIL"
    assert by_path["madvet.other.broke"]["status"] == "ERROR"
    assert len({test["id"] for test in data["tests"]}) == len(run.cases)
    builds = {build["id"] for build in data["builds"]}
    assert {test["build_id"] for test in data["tests"]} == builds
    assert {build["checkout_id"] for build in data["builds"]} == {
        checkout["id"] for checkout in data["checkouts"]
    }


def test_kcidb_tells_what_was_not_run() -> None:
    missed = CaseResult("walk.never", "host", State.ERROR, message=NOT_RUN)
    data = kcidb_data(msgspec.structs.replace(sample_run(), cases=(missed,)))
    assert data["tests"][0]["status"] == "MISS"


def test_kcidb_data_against_the_schema_is_refused() -> None:
    bad = CaseResult("no id", "host", State.PASS)
    run = RunResult("conform", "2026-01-01T00:00:00+00:00", 1.0, "0", {}, (bad,))
    with pytest.raises(Exception, match="does not match"):
        kcidb(run)


def test_files_hold_what_was_rendered(tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    path.write_bytes(junit(sample_run()))
    assert junitparser.JUnitXml.fromfile(str(path)).tests == 7
