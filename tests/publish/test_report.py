from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from tools.harness import do_run, run_config
from tools.made_runs import make_run
from typer.testing import CliRunner

from phybench.cli.report import report
from phybench.publish.report.page import inert_json, render_page
from phybench.runs.cells import load_run
from phybench.video.video_file import write_frames

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
REPORT = typer.Typer()
REPORT.command()(report)
HOSTILE = {
    "p0": "</script><script>document.title='taken'</script>",
    "p1": "<img src=x onerror=\"document.title='taken'\"> {{ 7*7 }} {% raw %}",
    "p2": "'\"><svg/onload=document.title='taken'> \u2028 \u2029 &lt;b&gt;",
    "p3": "a ball \U0001f3c0 rolls\nover two lines",
}
GROUPS = {
    "action": ["rolling", "</option><script>", "rolling", ""],
    "<img src=x onerror=\"document.title='taken'\">": ["b", "a", "a", "b"],
    "wide": ["W" * 60, "W" * 60, "", "x"],
}
ARMS = [("identity", "tabletop"), ("template", "tabletop")]


def hostile_run(folder: Path, clip: Path | None = None) -> Path:
    arm, baseline = np.array([[5.0], [1], [5], [np.nan]]), np.array([[1.0], [5], [5], [-2]])
    good = np.array([[5.0], [5], [5], [5]])
    broken = np.where(baseline == -2, -2, good)
    arms = {ARMS[0]: (broken, baseline), ARMS[1]: (good, arm)}
    at = [(number, *arm) for number in range(4) for arm in ARMS]
    replies = dict.fromkeys(at, "<b onclick='x'>SA: 5</b></script>")
    clips = dict.fromkeys(at, clip) if clip else None
    return make_run(folder, arms, prompts=HOSTILE, replies=replies, clips=clips, groups=GROUPS)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_frames(path, np.full((8, 32, 32, 3), 90, np.uint8), 8.0)
    return path


def page_data(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_texts_survive_and_stay_texts(tmp_path: Path) -> None:
    run = load_run(hostile_run(tmp_path / "run"))
    page = render_page(run, tmp_path / "report.html", clips="none", baseline="identity")
    data = page_data(page)
    assert {prompt["id"]: prompt["text"] for prompt in data["prompts"]} == HOSTILE
    assert data["groups"] == list(GROUPS)
    assert [prompt["groups"][0] for prompt in data["prompts"]] == GROUPS["action"]
    assert page.count("</script>") == 2
    assert "onerror" not in re.sub(
        r'<script type="application/json".*?</script>', "", page, flags=re.DOTALL
    )
    assert not re.search(r"""(src|href)\s*=\s*["']?https?:""", page)


def test_failures_replies_and_comparisons_are_there(tmp_path: Path) -> None:
    run = load_run(hostile_run(tmp_path / "run"))
    page = render_page(run, tmp_path / "report.html", clips="none", baseline="identity")
    items = page_data(page)["prompts"][3]["items"]
    assert items[0]["e"] == "generate (error): out of memory"
    assert items[1]["s"]["kinematic"][0] == "failed"
    assert "template against identity" in unescape(page)
    assert "Simulated." in page


def test_clips_go_beside_or_into_the_page(tmp_path: Path, clip: Path) -> None:
    folder = hostile_run(tmp_path / "run", clip)
    cli = CliRunner()
    assert cli.invoke(REPORT, [str(folder)]).exit_code == 0
    item = page_data((folder / "report.html").read_text())["prompts"][0]["items"][0]
    assert (folder / item["c"]).read_bytes() == clip.read_bytes()
    inside = tmp_path / "inside.html"
    assert cli.invoke(REPORT, [str(folder), "-o", str(inside), "--clips", "embed"]).exit_code == 0
    item = page_data(inside.read_text())["prompts"][0]["items"][0]
    assert item["c"].startswith("data:video/mp4;base64,")


def test_a_lost_clip_is_left_out(tmp_path: Path) -> None:
    run = load_run(hostile_run(tmp_path / "run", tmp_path / "gone.mp4"))
    page = render_page(run, tmp_path / "report.html", clips="beside", baseline="identity")
    assert all("c" not in item for prompt in page_data(page)["prompts"] for item in prompt["items"])


def test_inert_json_reads_back() -> None:
    value = {"a": "</script><!--\u2028&"}
    assert json.loads(inert_json(value)) == value
    assert not set("<>&\u2028") & set(inert_json(value))


def test_a_prompt_files_columns_come_with_the_run(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text("caption,action\na red ball falls,drop\na blue ball falls,drop\na cup,rest\n")
    config = run_config(
        path, refiners=("identity",), generators=("tabletop",), judges=("oracle",), seeds=1
    )
    do_run(config, tmp_path / "run", tmp_path / "cache")
    run = load_run(tmp_path / "run")
    data = page_data(render_page(run, tmp_path / "r.html", clips="none", baseline="identity"))
    assert data["groups"] == ["action"]
    assert [prompt["groups"] for prompt in data["prompts"]] == [["drop"], ["drop"], ["rest"]]


def big_run(folder: Path, prompts: int) -> Path:
    rng = np.random.default_rng(0)
    arms = {
        arm: tuple(rng.integers(1, 6, (prompts, 1)).astype(float) for _ in range(2)) for arm in ARMS
    }
    groups = {"action": ["rolling", "falling"] * (prompts // 2), "hard": ["a"] * prompts}
    return make_run(folder, arms, groups=groups)


@pytest.mark.slow
def test_10_000_items_take_less_than_ten_seconds(tmp_path: Path) -> None:
    folder = big_run(tmp_path / "run", 5_000)
    start = time.perf_counter()
    render_page(load_run(folder), tmp_path / "report.html", clips="none", baseline="identity")
    assert time.perf_counter() - start < 10


PROBE = """
<script>
addEventListener("load", () => {
  const press = (key) =>
    document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  const cards = () => document.querySelectorAll(".card").length;
  const found = {title: document.title, cards: cards(), scripts: document.scripts.length,
    images: document.images.length, inner: innerWidth, wide: document.documentElement.scrollWidth};
  press("j"); press("j");
  const all = [...document.querySelectorAll(".card")];
  found.current = all.findIndex((one) => one.classList.contains("current"));
  const set = (id, value) => { const at = document.getElementById(id); at.value = value;
    at.dispatchEvent(new Event("input")); };
  set("outcome", "win"); found.wins = cards();
  set("outcome", "loss"); found.losses = cards();
  set("outcome", "failed"); found.failed = cards();
  set("outcome", ""); set("search", "BALL rolls"); found.searched = cards();
  found.inserted = document.querySelectorAll("ins").length;
  set("search", "");
  const ids = () => [...document.querySelectorAll(".card h3 small")]
    .map((at) => at.textContent.split("  ·")[0]);
  found.actions = [...document.getElementById("group0").options].map((one) => one.value);
  found.column = document.getElementById("group1").parentElement.textContent;
  set("group0", "rolling"); found.rolling = ids();
  set("group1", "a"); found.both = ids();
  set("group0", ""); set("group1", ""); set("sort", "group0"); found.sorted = ids();
  set("sort", "group1"); found.second = ids();
  document.body.dataset.found = JSON.stringify(found);
});
</script></body>"""


def in_browser(page: Path, width: int, probe: str = PROBE) -> dict[str, Any]:
    page.write_text(page.read_text().replace("</body>", probe))
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--window-size={width},900", "--virtual-time-budget=5000", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found is not None, done.stdout[-2000:]
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [500, 1280])
def test_the_page_works_in_a_browser(tmp_path: Path, clip: Path, width: int) -> None:
    folder = hostile_run(tmp_path / "run", clip)
    CliRunner().invoke(REPORT, [str(folder)])
    found = in_browser(folder / "report.html", width)
    assert found["title"] == "phybench: run"
    assert (found["cards"], found["current"]) == (4, 1)
    assert (found["scripts"], found["images"]) == (3, 0)
    assert (found["wins"], found["losses"], found["failed"]) == (1, 1, 1)
    assert found["searched"] == 1
    assert found["inserted"] > 0
    # Values in order, texts as texts, and prompts without a value last.
    assert found["actions"] == ["", "</option><script>", "rolling"]
    assert found["column"].startswith(list(GROUPS)[1])
    assert (found["rolling"], found["both"]) == (["p0", "p2"], ["p2"])
    assert found["sorted"] == ["p1", "p0", "p2", "p3"]
    assert found["second"] == ["p1", "p2", "p0", "p3"]
    assert found["wide"] <= found["inner"]


LAWS_PROBE = """
<script>
addEventListener("load", () => {
  const set = (id, value) => { const at = document.getElementById(id); at.value = value;
    at.dispatchEvent(new Event("input")); };
  const ids = () => [...document.querySelectorAll(".card h3 small")].map((at) => at.textContent);
  const found = {laws: [...document.getElementById("law").options].map((one) => one.value)};
  set("sort", "law"); found.sorted = ids();
  set("law", "gravity"); found.gravity = ids();
  document.body.dataset.found = JSON.stringify(found);
});
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_laws_filter_and_sort(tmp_path: Path) -> None:
    scores = np.array([[5.0], [1], [2], [4]])
    folder = make_run(tmp_path / "run", {ARMS[0]: (scores, scores)})
    laws = [[], ["gravity"], ["friction", "gravity"], []]
    rows = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    for row, broken in zip(rows, laws, strict=True):
        row["details"] = {"violations": broken}
    (folder / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    CliRunner().invoke(REPORT, [str(folder)])
    found = in_browser(folder / "report.html", 1280, LAWS_PROBE)
    assert found["laws"] == ["", "friction", "gravity"]
    assert found["sorted"] == ["p2", "p1", "p0", "p3"]
    assert found["gravity"] == ["p2", "p1"]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_ten_thousand_items_are_paged(tmp_path: Path) -> None:
    folder = big_run(tmp_path / "run", 5_000)
    CliRunner().invoke(REPORT, [str(folder)])
    assert in_browser(folder / "report.html", 1280)["cards"] == 20
