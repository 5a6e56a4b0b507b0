from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tools.cli_calls import RUN, run
from tools.clip_files import write_clip
from tools.harness import phybench, write_prompts

from phybench import __version__


@pytest.mark.parametrize("command", ["phybench", "phybench.cli.main"])
def test_starting_imports_nothing_heavy(command: str) -> None:
    import subprocess

    code = (
        f"import sys, {command}\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'numpy', 'scipy', 'av', 'pydantic', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_imports_no_model_library(examples: Path) -> None:
    import subprocess

    write_prompts(examples, 2)
    code = (
        "import sys\n"
        f"sys.argv = ['phybench', *{RUN!r}, '-p', 'prompts.txt', '--executor', 'serial']\n"
        "from phybench.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'torch', 'transformers', 'pandas'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_version_and_help() -> None:
    assert phybench("--version").stdout.strip() == __version__
    words = phybench("--help").stdout
    for command in ("run", "plan", "refine", "score", "list", "doctor", "leaderboard"):
        assert command in words


@pytest.mark.slow
def test_run_prints_the_table_and_resumes(examples: Path) -> None:
    write_prompts(examples, 4)
    first = run("-o", "out")
    assert "shout" in first.stdout
    assert "judge:brightness@1#" in first.stdout
    assert "judge 16/16 (0 cached)" in first.stderr
    again = run("-o", "out")
    assert again.stdout == first.stdout
    assert "judge" not in again.stderr


@pytest.mark.slow
def test_the_default_folder_follows_from_the_config(examples: Path) -> None:
    write_prompts(examples, 2)
    run()
    run("--executor", "local", "--workers", "1")
    run("--seed", "5")
    assert len(list(Path("results/runs").iterdir())) == 2


def test_json_output_is_one_document(examples: Path) -> None:
    write_prompts(examples, 2)
    value = json.loads(run("--json", "-o", "out").stdout)
    assert [cell["refiner"] for cell in value["cells"]] == ["identity", "shout"]
    assert value["folder"] == "out"


def test_failures_end_with_code_1(examples: Path) -> None:
    Path("prompts.txt").write_text("a forbidden ball\na ball\n")
    done = run("--seeds", "1", code=1)
    assert "2 judgements failed" in done.stderr
    assert "2 × generate: refusal: This generator refuses forbidden things." in done.stderr


def test_a_yaml_file_says_the_same_as_flags(examples: Path) -> None:
    write_prompts(examples, 3)
    Path("run.yaml").write_text(
        "refiners: [identity, {name: shout, marks: 2}]\n"
        "generators: [bar]\njudges: brightness\nprompts: prompts.txt\nseeds: 1\n"
        "settings: {fps: 4}\n"
    )
    done = phybench("run", "--config", "run.yaml", "--json", "--executor", "serial", "--no-plots")
    assert done.returncode == 0, done.stderr
    folder = Path(json.loads(done.stdout)["folder"])
    header = json.loads((folder / "run.json").read_text())
    assert header["settings"]["fps"] == 4
    assert header["plugins"]["refiner"][1]["options"] == {"marks": 2}
    override = phybench("plan", "--config", "run.yaml", "--seeds", "3", "--json")
    assert json.loads(override.stdout)["items"] == 18


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("refiner: [identity]\n", "Did you mean `refiners`"),
        ("seeds: two\n", "`seeds` in 'bad.yaml' to be int, but got 'two'"),
        ("settings: {fpm: 8}\n", "Did you mean `fps`"),
        ("refiners: [3]\n", "SPEC or a mapping"),
        ("- a\n", "keys and values"),
        ("a: [\n", "Cannot read the config"),
    ],
)
def test_a_bad_config_is_refused(examples: Path, text: str, words: str) -> None:
    Path("bad.yaml").write_text(text)
    done = phybench("run", "--config", "bad.yaml")
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-r", "identiti"), "Did you mean `identity`"),
        (("-r", "shout:marks=0"), "`marks`"),
        (("-g", "bra"), "Did you mean `bar`"),
        (("--seeds", "0"), "`seeds` to be in 1..1000, but got 0"),
        (("--executor", "locl"), "Did you mean `local`"),
        (("--executor", "serial", "--workers", "2"), "`workers` only with"),
        (("--executor", "local", "--workers", "0"), "`workers` to be ≥ 1"),
        (("--limit", "-3"), "`limit` to be ≥ 1, but got -3"),
        (("-p", "absent.csv"), "there is none"),
        (("-p", "tabletop-tst"), "Did you mean `tabletop-test`"),
        (("--sed", "1"), "No such option"),
        (("-o", "file/out"), "Cannot write to the run folder"),
        (("--fps", "0"), "`fps` to be > 0"),
        (("--fps", "inf"), "`fps` to be > 0 and finite, but got inf"),
        (("--fps", "nan"), "`fps` to be > 0 and finite, but got nan"),
        (("--config", "."), "Cannot read the config"),
        (("-g", "tabletop", "--width", "63"), "`width` to be an even number"),
        (("-g", "tabletop", "--frames", "1"), "`frames` to be in 2.."),
    ],
)
def test_bad_arguments_end_with_code_2_and_the_reason(
    examples: Path, arguments: tuple[str, ...], words: str
) -> None:
    write_prompts(examples, 2)
    Path("file").write_text("")
    base = {"-r": "identity", "-g": "bar", "-j": "brightness", "-p": "prompts.txt"}
    kept = [part for flag, value in base.items() if flag not in arguments for part in (flag, value)]
    done = phybench("run", *kept, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unusable_cache_folder_is_named(examples: Path) -> None:
    write_prompts(examples, 2)
    Path("file").write_text("")
    done = phybench(*RUN, "-p", "prompts.txt", env={"PHYBENCH_CACHE": "file/cache"})
    assert done.returncode == 2
    assert "PHYBENCH_CACHE" in done.stderr


@pytest.mark.slow
def test_plan_tells_what_is_left_and_what_it_takes(examples: Path) -> None:
    write_prompts(examples, 4)
    before = json.loads(phybench("plan", *RUN[1:], "-p", "prompts.txt", "--json").stdout)
    assert before["items"] == 16
    by_name = {stage["name"]: stage for stage in before["stages"]}
    assert (by_name["bar"]["units"], by_name["bar"]["cached"]) == (16, 0)
    assert (by_name["brightness"]["unknown"], by_name["bar"]["seconds"]) == (16, None)
    assert not Path("results").exists()
    run("--limit", "2")
    text = run("--dry-run").stdout
    assert "bar: 8 to do (8 cached), about" in text
    assert "brightness: 8 to do (8 cached)" in text
    run()
    after = json.loads(run("--dry-run", "--json").stdout)
    assert all(stage["units"] == stage["cached"] for stage in after["stages"])


@pytest.mark.slow
def test_refine_writes_one_line_per_prompt(examples: Path) -> None:
    done = phybench("refine", "-r", "shout:marks=2", "a ball falls", "a cup\ntips")
    assert done.stdout.splitlines() == ["A BALL FALLS!!", "A CUP TIPS!!"]
    piped = phybench("refine", "-r", "shout", stdin="a ball\n\na cup\n")
    assert piped.stdout.splitlines() == ["A BALL!", "A CUP!"]
    write_prompts(examples, 2)
    filed = phybench("refine", "-r", "identity", "--file", "prompts.txt", "--n", "2")
    assert len(filed.stdout.splitlines()) == 4


def test_refine_as_json_and_diff(examples: Path) -> None:
    row = json.loads(phybench("refine", "-r", "shout", "--json", "a ball").stdout)
    assert (row["status"], row["prompt"], row["text"]) == ("ok", "a ball", "A BALL!")
    diff = phybench("refine", "-r", "shout", "--diff", "9 balls").stdout.strip()
    assert diff == "9 [-balls-] {+BALLS!+}"


def test_refine_counts_tokens_as_the_generator_does(examples: Path) -> None:
    done = phybench("refine", "-r", "identity", "-g", "tabletop", "--json", "a ball falls")
    row = json.loads(done.stdout)
    assert 0 < row["generator_tokens"] <= row["generator_budget"]
    refused = phybench("refine", "-r", "identity", "-g", "bar", "a ball")
    assert refused.returncode == 2
    assert "does not count tokens" in refused.stderr


CHAT = "chat:base_url=http://127.0.0.1:9/v1,model=m"
NO_KEY = {"OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": ""}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-r", "gpt-4o"), 150),  # 226 tokens, CogVideoX's, at 1.5 a word
        (("-r", "gpt-4o:retires=2020-01-01"), 150),
        (("-r", CHAT, "-g", "tabletop"), 341),  # 512 words
        (("-r", f"{CHAT},budget=60", "-g", "tabletop"), 40),
    ],
)
def test_the_system_prompt_shows_without_a_key(
    examples: Path, arguments: tuple[str, ...], words: int
) -> None:
    pytest.importorskip("openai", reason="the extra `api` is not installed")
    done = phybench("refine", *arguments, "--show-prompt", env=NO_KEY)
    assert done.returncode == 0, done.stderr
    assert f"at most {words} words" in done.stdout
    refused = phybench("refine", *arguments, "a ball", env=NO_KEY)
    assert refused.returncode == 2, "only showing needs no key"


def test_the_generators_budget_reaches_the_model(examples: Path) -> None:
    """What is sent, not only what is shown."""
    pytest.importorskip("openai", reason="the extra `api` is not installed")
    from tools.services.fake_openai import FakeOpenAI, reply

    answer = reply(json.dumps({"reasoning": "It falls.", "prompt": "A ball falls."}))
    with FakeOpenAI([answer]) as server:
        spec = f"chat:base_url={server.url},model=m,key_env="
        done = phybench("refine", "-r", spec, "-g", "tabletop", "a ball")
        assert (done.returncode, done.stdout) == (0, "A ball falls.\n"), done.stderr
    assert "at most 341 words" in server.requests[0]["messages"][0]["content"]


def test_a_generator_that_counts_characters_gets_fewer_words() -> None:
    from types import SimpleNamespace

    from phybench.plugins.contracts import PluginInfo
    from phybench.plugins.opened import Opened
    from phybench.plugins.spec import PluginSpec
    from phybench.prompts.length_budget import length_budget

    def budget(limit: int | None, per_word: float) -> int | None:
        plugin = SimpleNamespace(count_tokens=lambda texts: [len(texts[0].split()) * per_word])
        info = PluginInfo(
            name="g", revision="1", licence="none", fingerprint={}, prompt_budget=limit
        )
        return length_budget(Opened("generator", PluginSpec("g"), plugin, info))

    assert budget(None, 1.3) is None
    assert (budget(226, 1.3), budget(226, 1.0)) == (226, 226)
    assert budget(1000, 6.0) == 217  # 1000 * 1.5 / (1.15 * 6): 144 words, 870 characters


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("",), "it is empty"),
        (("a\x07b",), "control characters"),
        (("--n", "0", "x"), "`n` to be in 1..1000"),
        (("--n", "1001", "x"), "`n` to be in 1..1000"),
        (("--file", "absent.txt"), "there is none"),
        (("--show-prompt",), "no system prompt"),
    ],
)
def test_refine_refuses_what_it_cannot_do(
    examples: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = phybench("refine", "-r", "identity", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("gpus=0.5", "only with the executor `ray`"),
        ("workers=2", "only with the executors `local` and `ray`"),
    ],
)
def test_a_pools_options_are_refused_where_there_is_none(
    examples: Path, option: str, words: str
) -> None:
    Path("clips").mkdir()
    write_clip(Path("clips/a.mp4"))
    Path("clips.csv").write_text("videopath,caption\nclips/a.mp4,a ball\n")
    for arguments in (
        ("refine", "-r", f"shout:{option}", "a ball"),
        ("score", "-j", f"brightness:{option}", "--clips", "clips.csv"),
        ("audit", "-j", f"kinematic:{option}", "--limit", "2"),
        ("serve-refiner", "-r", f"shout:{option}", "--port", "0"),
        ("run", "-r", f"shout:{option}", "--executor", "serial", "--limit", "2"),
        ("run", "-r", f"identity:{option}", "--limit", "2"),
    ):
        done = phybench(*arguments)
        assert done.returncode == 2, done.stdout
        assert words in done.stderr


def test_a_served_refiner_answers_chat_requests(examples: Path) -> None:
    import signal
    import subprocess
    import urllib.request

    command = [sys.executable, "-m", "phybench", "serve-refiner", "-r", "shout", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        url = server.stderr.readline().split(" at ")[1].split()[0]
        body = json.dumps({"messages": [{"role": "user", "content": "a ball"}]}).encode()
        with urllib.request.urlopen(f"{url}/chat/completions", body, timeout=30) as reply:
            answer = json.load(reply)
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
    assert answer["choices"][0]["message"]["content"] == "A BALL!"


def test_serving_needs_the_key_that_was_named(examples: Path) -> None:
    done = phybench("serve-refiner", "--key-env", "PHYBENCH_NO_SUCH_KEY")
    assert (done.returncode, "`PHYBENCH_NO_SUCH_KEY`" in done.stderr) == (2, True)


def test_a_refiner_that_selected_by_the_judge_is_warned_of(examples: Path) -> None:
    Path("prompts.txt").write_text("a ball\n")
    Path("r.csv").write_text("prompt,refined\na ball,a ball falls\n")
    best = "best-of-n:refiner=[replay:file=r.csv],generator=bar,by=brightness,n=2"
    done = phybench(
        *("run", "-r", best, "-g", "bar"),
        *("-j", "brightness", "-p", "prompts.txt", "-o", "out", "--executor", "serial"),
        *("--seeds", "1", "--no-plots"),
    )
    assert done.returncode == 0, done.stderr
    assert "selected its texts by `brightness`" in done.stderr
    (warning,) = json.loads(Path("out/run.json").read_text())["warnings"]
    assert "too good" in warning


def test_list_names_everything(examples: Path) -> None:
    found = json.loads(phybench("list", "--json").stdout)
    assert "shout" in found["refiners"]
    assert "bar" in found["generators"]
    assert "tabletop-test" in found["prompt sets"]
    assert "shout" in phybench("list").stdout


@pytest.mark.slow
def test_doctor_says_what_is_ready_and_what_is_not(examples: Path) -> None:
    found = json.loads(phybench("doctor", "--json").stdout)
    state = {(one["kind"], one["name"]): one for one in found["plugins"]}
    assert state["refiner", "shout"]["ready"]
    assert state["generator", "tabletop"]["ready"]
    assert not state["generator", "files"]["ready"]
    assert "`manifest`" in state["generator", "files"]["needs"]
    assert found["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
