from __future__ import annotations

import pytest

from phybench.runs.items import broken_laws


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({}, []),
        ({"law": "Gravity"}, ["Gravity"]),
        (
            {"violations": [{"id": "vanishes"}, {"id": "vanishes"}, {"id": "levitates"}]},
            ["vanishes", "levitates"],
        ),
        ({"law": None, "violations": ["Elasticity"]}, ["Elasticity"]),
        ({"asks": {"both": {"votes": [{"law": "friction"}, {"law": ""}]}}}, ["friction"]),
        (None, []),
    ],
)
def test_laws_are_read_from_the_forms_that_judges_use(
    details: dict[str, object] | None, expected: list[str]
) -> None:
    assert broken_laws({"details": details}) == expected
    assert broken_laws({}) == []
