from __future__ import annotations

import sys
from pathlib import Path

import pytest

from phybench import ConfigError, MissingExtraError
from phybench.plugins.registry import create, expand, names
from phybench.plugins.spec import parse_spec
from phybench.workers.opening import open_plugin


def register(
    folder: Path, package: str, kind: str, entries: dict[str, str], code: str = ""
) -> None:
    """Put a package with entry points on the path, as an installer would leave it."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"[phybench.{kind}s]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_built_in_plugins_are_there_by_name() -> None:
    assert {"identity", "replay", "template"} <= set(names("refiner"))
    assert {"files", "tabletop"} <= set(names("generator"))
    assert {"kinematic", "labels", "oracle"} <= set(names("judge"))


def test_an_unknown_name_gets_suggestions() -> None:
    with pytest.raises(ConfigError, match="Did you mean `identity`"):
        create("refiner", "identiti")


def test_an_unknown_option_gets_suggestions(examples: Path) -> None:
    with pytest.raises(ConfigError, match=r"option of refiner `shout`, but got `mark`.*`marks`"):
        create("refiner", "shout:mark=2")


@pytest.mark.parametrize("value", ["0", "many", "1.5"])
def test_an_option_out_of_range_is_named_with_its_value(examples: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=f"`marks` of refiner `shout`.*'{value}'"):
        create("refiner", f"shout:marks={value}")


def test_options_get_the_types_of_the_signature(examples: Path) -> None:
    assert create("refiner", "shout:marks=3").refine(["a"], [0])[0].text == "A!!!"


def test_a_missing_option_is_named() -> None:
    with pytest.raises(ConfigError, match="`files` to be given `manifest`"):
        create("generator", "files")


def test_two_packages_with_one_name_are_an_error(site: Path) -> None:
    register(site, "one-plugin", "judge", {"twin": "one_plugin:A"})
    register(site, "two-plugin", "judge", {"twin": "two_plugin:B"})
    with pytest.raises(ConfigError, match=r"one_plugin:A.*two_plugin:B|two_plugin:B.*one_plugin:A"):
        create("judge", "twin")


def test_a_missing_extra_names_the_install_command(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    code = "class J:\n    def __init__(self):\n        import vllm\n"
    register(site, "lacking", "judge", {"lacking": "lacking:J"}, code)
    with pytest.raises(MissingExtraError, match=r"pip install 'phybench\[vllm\]'"):
        create("judge", "lacking")


def test_a_foreign_dependency_is_named_when_it_is_missing(site: Path) -> None:
    register(site, "foreign", "judge", {"foreign": "foreign:J"}, "import absent_package_x")
    with pytest.raises(ConfigError, match="needs `absent_package_x`"):
        create("judge", "foreign")


def test_an_object_without_the_method_is_refused(site: Path) -> None:
    register(site, "hollow", "refiner", {"hollow": "hollow:R"}, "class R:\n    info = 1\n")
    with pytest.raises(ConfigError, match=r"`info` and `refine\(\)`"):
        create("refiner", "hollow")


def test_an_entry_point_to_nothing_is_an_error_not_a_crash(site: Path) -> None:
    register(site, "astray", "refiner", {"astray": "astray:Nothing"}, "")
    with pytest.raises(ConfigError, match="Cannot load refiner `astray`"):
        create("refiner", "astray")


def test_a_preset_file_gives_options_that_the_user_overrides(examples: Path) -> None:
    preset = examples / "loud.yaml"
    preset.write_text("plugin: shout\noptions:\n  marks: 4\n")
    assert create("refiner", str(preset)).refine(["a"], [0])[0].text == "A!!!!"
    assert create("refiner", f"{preset}:marks=2").refine(["a"], [0])[0].text == "A!!"
    preset.write_text("plugin: shuot\n")
    with pytest.raises(ConfigError, match="plugin of preset"):
        create("refiner", str(preset))
    preset.write_text("options: {}\n")
    with pytest.raises(ConfigError, match="key `plugin`"):
        create("refiner", str(preset))


def test_as_renames_the_arm_and_nothing_else(examples: Path) -> None:
    plain = open_plugin("refiner", parse_spec("shout"))
    named = open_plugin("refiner", parse_spec("shout:as=loud"))
    assert named.info.name == "loud"
    assert named.info.fingerprint == plain.info.fingerprint


def test_a_plugin_in_another_interpreter_behaves_the_same(examples: Path) -> None:
    here = create("refiner", "shout:marks=2")
    there = open_plugin("refiner", parse_spec(f"shout:marks=2,python={sys.executable}"))
    try:
        assert there.info == here.info
        assert there.plugin.refine(["a", "b"], [1, 2]) == here.refine(["a", "b"], [1, 2])
    finally:
        there.plugin.close()


def test_an_interpreter_that_is_not_there_is_a_clear_error(examples: Path) -> None:
    with pytest.raises(ConfigError, match="Cannot start refiner `shout`"):
        open_plugin("refiner", parse_spec("shout:python=/no/such/python"))


def test_files_expand_to_one_arm_per_model(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("videopath,caption,model\na.mp4,x,m1\nb.mp4,x,m2\n")
    specs = expand("generator", parse_spec(f"files:manifest={manifest},model=*,clips=absent"))
    assert [spec.options["model"] for spec in specs] == ["m1", "m2"]
