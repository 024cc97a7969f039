"""A run as JUnit XML, in the dialect that junitparser, GitLab and Jenkins read."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final
from xml.etree import ElementTree as ET

from ci.report.result_tree import CaseResult, RunResult, State

# What XML 1.0 cannot hold, not even as a reference.
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS: Final = {State.FAIL: "failure", State.ERROR: "error", State.SKIP: "skipped"}


def junit(run: RunResult) -> bytes:
    """The file. A test suite for each target and suite, a test case for each case; the id is
    its name, the target its class."""
    root = ET.Element("testsuites", name=f"madvet {run.what}", time=f"{run.seconds:.3f}")
    _count(root, list(run.cases))
    for target in run.target_names:
        cases = sorted((c for c in run.cases if c.target == target), key=_suite)
        for suite, group in groupby(cases, key=_suite):
            _suite_element(root, run, target, suite, list(group))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _suite(case: CaseResult) -> str:
    return case.suite


def _suite_element(
    root: ET.Element, run: RunResult, target: str, suite: str, cases: list[CaseResult]
) -> None:
    seconds = sum(case.seconds for case in cases)
    element = ET.SubElement(
        root, "testsuite", name=f"{_xml(target)}.{suite}", time=f"{seconds:.3f}",
        timestamp=run.started,
    )  # fmt: skip
    _count(element, cases)
    properties = ET.SubElement(element, "properties")
    said = {
        "target": target,
        "release": run.release(target),
        "madvet": run.madvet_version,
        "complete": "no: " + run.unended if run.unended else "yes",
        "unspecified_steps": str(sum(case.unspecified for case in cases)),
    }
    for name, value in said.items():
        ET.SubElement(properties, "property", name=name, value=_xml(value))
    for case in cases:
        _case_element(element, case)


def _count(element: ET.Element, cases: list[CaseResult]) -> None:
    states = [case.state for case in cases]
    element.set("tests", str(len(states)))
    element.set("failures", str(states.count(State.FAIL)))
    element.set("errors", str(states.count(State.ERROR)))
    element.set("skipped", str(states.count(State.SKIP)))


def _case_element(parent: ET.Element, case: CaseResult) -> None:
    element = ET.SubElement(
        parent, "testcase", classname=_xml(case.target), name=case.id, time=f"{case.seconds:.6f}"
    )
    said = [("requirement", ident) for ident in case.requirements]
    said += [("unspecified_steps", str(case.unspecified))] if case.unspecified else []
    said += [("known", ident) for ident in case.known]
    said += [(cell.id, f"{cell.word}: {cell.observed}") for cell in case.cells]
    said += [("identity", case.identity)] if case.identity else []
    if said:
        properties = ET.SubElement(element, "properties")
        for name, value in said:
            ET.SubElement(properties, "property", name=name, value=_xml(value))
    tag = _TAGS.get(case.state)
    if tag is not None:
        why = ET.SubElement(element, tag, message=_xml(case.message), type=case.state.value)
        why.text = _xml(case.output) or None
    if case.shown:
        programs = "\n".join(shown.program for shown in case.shown)
        ET.SubElement(element, "system-out").text = _xml(programs)


def _xml(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
