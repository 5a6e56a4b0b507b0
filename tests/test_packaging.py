"""What is installed is what is here."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.places import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = {name: ROOT / folder for name, folder in SETTINGS["package-dir"].items()}


def modules(package: str) -> Iterator[Path]:
    return FOLDERS[package].rglob("*.py")


def test_every_folder_of_code_is_a_package_that_gets_installed() -> None:
    there = {
        ".".join([name, *path.parent.relative_to(folder).parts])
        for name, folder in FOLDERS.items()
        for path in modules(name)
    }
    assert there == set(SETTINGS["packages"])


@pytest.mark.slow
def test_a_wheel_holds_every_module_and_data_file(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in FOLDERS.values():
        shutil.copytree(folder, tree / folder.relative_to(ROOT), ignore=ignore, dirs_exist_ok=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    built = subprocess.run(
        [*wheel, "-w", str(tmp_path), str(tree)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        packed = set(archive.namelist())
    wanted = {
        str(Path(*name.split(".")) / path.relative_to(tree / folder.relative_to(ROOT)))
        for name, folder in FOLDERS.items()
        for path in (tree / folder.relative_to(ROOT)).rglob("*")
        if path.is_file()
    }
    assert wanted <= packed


IN_THE_CHECKOUT = {
    "the README's snippet": "from phybench.refiners.serving.rewriter import load_rewriter\n"
    "print(load_rewriter('template')('a ball rolls down a hill'))",
    "python -m phybench": "import runpy\n"
    "sys.argv[1:] = ['refine', '-r', 'template', 'a ball rolls']\n"
    "runpy.run_module('phybench', run_name='__main__')",
    "every kind of plugin": "import phybench.generators, phybench.judges, phybench.training\n"
    "print('outcome')",
}
NOT_EDITABLE = (
    "import sys\n"
    "named = [(one, getattr(one, '__name__', '')) for one in sys.meta_path]\n"
    "sys.meta_path = [one for one, name in named if 'Editable' not in name]\n"
)


@pytest.mark.parametrize("what", IN_THE_CHECKOUT)
@pytest.mark.parametrize("linked", [False, True], ids=["plain", "linked"])
def test_the_checkout_is_the_package_beside_any_installation(
    what: str, linked: bool, tmp_path: Path
) -> None:
    """Whatever is installed, editable or not, Python finds the checkout's own folders there."""
    folder = ROOT
    if linked:
        folder = tmp_path / "linked"
        folder.mkdir()
        (folder / "phybench").symlink_to(ROOT / "phybench")
    done = subprocess.run(
        [sys.executable, "-c", NOT_EDITABLE + IN_THE_CHECKOUT[what]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
