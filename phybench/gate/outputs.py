"""Findings for people (Markdown), programs (JSON) and CI systems (JUnit XML)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from phybench.gate.findings import DRIFTED, PASSED, CheckOutcome, GateFinding, exit_code

_MARKS = {
    CheckOutcome.OK: "✅ ok",
    CheckOutcome.FAIL: "❌ drift",
    CheckOutcome.UNDECIDED: "⚠️ undecided",
    CheckOutcome.BLOCKED: "🚫 not checked",
    CheckOutcome.SKIPPED: "– skipped",
}
_VERDICTS = {PASSED: "passed", DRIFTED: "drift", 2: "could not check"}
_CONTROLS = {number: " " for number in range(32) if chr(number) not in "\t\n\r"}


def gate_markdown(findings: Sequence[GateFinding], *, strict: bool = False) -> str:
    """A summary for a pull request or a CI page."""
    verdict = _VERDICTS[exit_code(findings, strict=strict)]
    lines = [f"# phybench gate: {verdict}", ""]
    lines += ["| level | check | result | what |", "|---|---|---|---|"]
    for finding in findings:
        cells = (finding.level, finding.name, _MARKS[finding.outcome], finding.message)
        lines.append("| " + " | ".join(_cell(text) for text in cells) + " |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def gate_json(findings: Sequence[GateFinding], *, strict: bool = False) -> dict[str, Any]:
    """Findings as JSON values."""
    code = exit_code(findings, strict=strict)
    return {
        "schema_version": 1,
        "verdict": _VERDICTS[code],
        "exit_code": code,
        "strict": strict,
        "findings": [
            {
                "level": finding.level,
                "name": finding.name,
                "outcome": finding.outcome.value,
                "message": finding.message,
                "numbers": dict(finding.numbers),
            }
            for finding in findings
        ],
    }


def to_junit(findings: Sequence[GateFinding], *, strict: bool = False) -> str:
    """Findings as JUnit XML: drift is a failure, what could not be checked an error."""
    failing = {CheckOutcome.FAIL} | ({CheckOutcome.UNDECIDED} if strict else set())
    suite = ElementTree.Element(
        "testsuite",
        name="phybench gate",
        tests=str(len(findings)),
        failures=str(sum(finding.outcome in failing for finding in findings)),
        errors=str(sum(finding.outcome is CheckOutcome.BLOCKED for finding in findings)),
        skipped=str(sum(finding.outcome is CheckOutcome.SKIPPED for finding in findings)),
    )
    for finding in findings:
        case = ElementTree.SubElement(
            suite, "testcase", classname=finding.level, name=_plain(finding.name)
        )
        message = _plain(finding.message)
        if finding.outcome in failing:
            ElementTree.SubElement(case, "failure", message=message)
        elif finding.outcome is CheckOutcome.BLOCKED:
            ElementTree.SubElement(case, "error", message=message)
        elif finding.outcome is CheckOutcome.SKIPPED:
            ElementTree.SubElement(case, "skipped", message=message)
        else:
            ElementTree.SubElement(case, "system-out").text = message
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _plain(text: str) -> str:
    """Without the control characters that XML forbids."""
    return text.translate(_CONTROLS)
