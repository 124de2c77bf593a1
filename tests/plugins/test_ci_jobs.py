"""The GitHub action and the GitLab template, step by step as a runner takes them, from an empty project."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from offtarget.cli.app import main
from offtarget.errors import InputError
from offtarget.plugins.ci import __main__ as ci
from offtarget.plugins.ci.asked import commands, read
from offtarget.plugins.ci.hosts import GitHub, GitLab, Refused

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
TEMPLATE = yaml.safe_load((ROOT / "integrations/gitlab/offtarget.gitlab-ci.yml").read_text(encoding="utf-8"))[
    "offtarget"
]
TOKEN = "a-token-of-the-job"
PROGRAM = "python -m offtarget.plugins.ci"


class _Api(BaseHTTPRequestHandler):
    """Enough of the comments of GitHub and the notes of GitLab."""

    def _answer(self, code, value):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _all(self):
        server = self.server
        given = self.headers.get("Authorization", "").removeprefix("Bearer ") or self.headers.get("PRIVATE-TOKEN", "")
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}").get("body")
        server.asked.append((self.command, self.path))
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
        elif given != TOKEN or (server.read_only and self.command != "GET"):
            self._answer(403, {"message": "Resource not accessible by integration"})
        elif self.path == "/user":
            self._answer(*((200, {"id": 7}) if server.gitlab else (403, {})))
        elif self.command == "GET":
            page = int(re.search(r"[?&]page=(\d+)", self.path)[1])
            self._answer(200, server.comments[100 * (page - 1) : 100 * page])
        elif self.command == "POST":
            own = {"author": {"id": 7}} if server.gitlab else {"user": {"login": "github-actions[bot]"}}
            server.comments.append({"id": len(server.comments) + 1, "body": body, "html_url": "http://here/1", **own})
            self._answer(201, server.comments[-1])
        else:
            found = next(c for c in server.comments if c["id"] == int(self.path.rpartition("/")[2]))
            found["body"] = body
            self._answer(200, found)

    do_GET = do_POST = do_PATCH = do_PUT = _all  # noqa: N815 - the names that the server calls

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    server.comments, server.asked, server.read_only, server.gitlab, server.redirect = [], [], False, False, ""
    server.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty git project, and a `python` whose pip installs nothing and writes down what it was asked to."""
    work = tmp_path / "project"
    work.mkdir()
    subprocess.run(["git", "init", "-q", str(work)], check=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    python = programs / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$1 $2" = "-m pip" ]; then echo "$@" >> {tmp_path}/pip.log; exit 0; fi\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "CI_", "GITLAB_", "OFFTARGET_CI"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return work


def value(expression, inputs, outputs):
    """What `${{ ... }}` stands for, of the few kinds that the action uses."""

    def one(match):
        said = match[1].strip()
        if said.startswith("inputs."):
            name = said.removeprefix("inputs.")
            return str(inputs.get(name, ACTION["inputs"][name]["default"]))
        if said.startswith("steps.offtarget.outputs."):
            return outputs.get(said.rpartition(".")[2], "")
        return {"github.token": TOKEN}[said]

    text = str(expression)
    while "${{" in text:
        text = re.sub(r"\$\{\{(.*?)\}\}", one, text)
    return text


def in_process(run):
    """What a program of ours says and ends with, in this process: a start of one takes a second."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run()
        except SystemExit as end:
            code = end.code
    return SimpleNamespace(returncode=code or 0, stdout=out.getvalue(), stderr=err.getvalue())


@pytest.fixture
def here(monkeypatch):
    """The action's program in this process, and what it starts too; whole jobs in processes of their own are below."""
    start = subprocess.run

    def started(command, **given):
        if command[:3] != [sys.executable, "-m", "offtarget"]:
            return start(command, **given)
        monkeypatch.setattr(sys, "argv", ["offtarget", *command[3:]])
        done = in_process(main)
        sys.stderr.write(done.stderr)
        if "stdout" not in given:
            sys.stdout.write(done.stdout)
        return done

    def run(cwd, env):
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "run", started)
            patch.chdir(cwd)
            for name, said in env.items():
                patch.setenv(name, said)
            return in_process(ci.main)

    return run


def act(project, inputs, api, event=None, here=None):
    """Run the action's own steps as a runner does; the exit code of the first that fails, the files, and the log.

    `here`: our program not in a process of its own.
    """
    files = {name: project.parent / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_PATH")}
    for file in files.values():
        file.write_text("")
    files["GITHUB_EVENT_PATH"].write_text(json.dumps({"pull_request": {"number": 12}} if event is None else event))
    outside = {
        "GITHUB_ACTIONS": "true", "GITHUB_ACTION_PATH": str(ROOT), "GITHUB_REPOSITORY": "someone/project",
        "GITHUB_API_URL": api.address, "GITHUB_WORKFLOW": "ci", "GITHUB_JOB": "offtarget",
        **{name: str(file) for name, file in files.items()},
    }  # fmt: skip
    log, code = "", 0
    for step in ACTION["runs"]["steps"]:
        if "run" not in step:
            continue
        env = {name: value(said, inputs, {}) for name, said in step.get("env", {}).items()}
        assert step["shell"] == "bash"
        if here is not None and step["run"] == PROGRAM:
            done = here(project, {**outside, **env})
        else:
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=project, env={**os.environ, **outside, **env}, capture_output=True, text=True, check=False,
            )  # fmt: skip
        log += done.stdout + done.stderr
        code = done.returncode
        if code:
            break
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    return code, outputs, files["GITHUB_STEP_SUMMARY"].read_text(), log


def test_no_input_is_part_of_a_script():
    """Whoever can choose an input must not be able to choose a command."""
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
    for line in TEMPLATE["script"]:
        assert "eval" not in line


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_scripts_pass_shellcheck():
    for script in [step["run"] for step in ACTION["runs"]["steps"] if "run" in step] + TEMPLATE["script"]:
        subprocess.run(["shellcheck", "-s", "bash", "-"], input=script, text=True, check=True)


def write_rows(project):
    rows = (
        [{"role": "user", "content": f"What is {n} and {n}?"}, {"role": "assistant", "content": str(2 * n)}]
        for n in range(20)
    )
    lines = (json.dumps({"messages": row}) + "\n" for row in rows)
    (project / "train.jsonl").write_text("".join(lines), encoding="utf-8")


@pytest.mark.long
def test_an_audit_reaches_the_pull_request_and_is_replaced(project, api, here, tmp_path):
    write_rows(project)
    code, outputs, summary, log = act(project, {"data": "train.jsonl", "arguments": "--workers 1"}, api)
    assert code == 3, log
    assert outputs["verdict"] == "UNDECIDED"
    assert "::error::offtarget: UNDECIDED" in log
    assert (tmp_path / "pip.log").read_text() == f"-m pip install --quiet {ROOT}[local,remote,code]\n"
    (comment,) = api.comments
    assert comment["body"] == summary
    assert summary.splitlines()[0].startswith("<!-- offtarget job ")
    assert summary.splitlines()[1] == "### offtarget audit: UNDECIDED"
    for name in ("html", "junit", "sarif", "markdown"):
        assert (project / outputs[name]).is_file()
    assert re.search(r"^::stop-commands::([0-9a-f]{32})$(.|\n)*^::\1::$", log, re.M), (
        "models must not command the runner"
    )
    comment["user"] = {"login": "somebody"}  # who may change it afterwards: not ours any more
    again = {"data": "train.jsonl", "arguments": "--workers 1"}
    assert act(project, {**again, "undecided": "pass"}, api, here=here)[0] == 0
    assert len(api.comments) == 2
    act(project, again, api, here=here)
    assert len(api.comments) == 2, "our own is replaced"
    assert TOKEN not in "".join(f.read_text(errors="replace") for f in project.rglob("*") if f.is_file())


@pytest.mark.long
def test_a_project_file_is_run_and_what_is_up_to_date_is_told_again(project, api):
    write_rows(project)
    (project / "offtarget.yaml").write_text("data: train.jsonl\n", encoding="utf-8")
    for _ in range(2):
        code, outputs, summary, log = act(project, {}, api)
        assert (code, outputs["verdict"]) == (3, "UNDECIDED"), log
        assert summary.splitlines()[1] == "### offtarget audit: UNDECIDED"
        assert (project / outputs["sarif"]).is_file()
    assert len(list((project / "runs").glob("audit-*"))) == 1
    (project / "offtarget.yaml").write_text("dada: train.jsonl\n", encoding="utf-8")
    code, outputs, summary, log = act(project, {}, api)
    assert (code, outputs["verdict"]) == (2, "ERROR")
    assert "Did you mean" in log
    assert "### offtarget run: not done" in summary


def test_without_permission_the_verdict_is_the_same_and_the_summary_is_there(project, api, here):
    """As on a pull request from a fork."""
    write_rows(project)
    api.read_only = True
    code, outputs, summary, log = act(project, {"data": "train.jsonl", "arguments": "--workers 1"}, api, here=here)
    assert (code, outputs["verdict"]) == (3, "UNDECIDED")
    assert "::warning::offtarget: no comment was written" in log
    assert "pull-requests: write" in log
    assert "### offtarget audit: UNDECIDED" in summary


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "there is no offtarget.yaml here"),
        ({"base": "organism/base"}, "base and tuned go together"),
        ({"data": "x.jsonl", "undecided": "no"}, "undecided is fail or pass"),
        ({"data": "x.jsonl", "redteam": "true"}, "redteam goes with base and tuned"),
        ({"base": "b", "tuned": "t", "redteam": "yes"}, "redteam is true or false"),
        ({"base": "b", "tuned": "t", "goals": "lines.yaml"}, "it goes with redteam: true"),
    ],
)
def test_mistakes_are_a_sentence_and_code_2(project, api, inputs, said, here):
    code, outputs, _, log = act(project, inputs, api, here=here)
    assert (code, outputs) == (2, {})
    assert said in log
    assert "Traceback" not in log


@pytest.mark.parametrize("option", ["--dry-run", "--help"])
def test_a_command_that_does_nothing_is_no_pass(project, api, option, here):
    """It ends with 0; only a run that says PASS itself is one."""
    write_rows(project)
    code, outputs, summary, log = act(project, {"data": "train.jsonl", "arguments": option}, api, here=here)
    assert (code, outputs["verdict"]) == (2, "ERROR"), log
    assert "not done" in summary


def test_a_project_of_which_something_is_due_is_no_pass(project, api, here):
    """Also where the rest is up to date."""
    write_rows(project)
    (project / "offtarget.yaml").write_text("data: train.jsonl\naudit: {accept_undecided: true}\n", encoding="utf-8")
    assert act(project, {}, api, here=here)[0] == 0
    both = "data: train.jsonl\naudit: {accept_undecided: true}\nbase: organism/base\ntuned: organism/secure\n"
    (project / "offtarget.yaml").write_text(both, encoding="utf-8")
    code, outputs, summary, log = act(project, {"arguments": "--dry-run"}, api, here=here)
    assert (code, outputs["verdict"]) == (2, "ERROR"), log
    assert "leave out" in summary


@pytest.mark.parametrize("link", [False, True])
def test_a_verdict_that_comes_with_the_pull_request_is_not_taken(project, api, link, here):
    write_rows(project)
    (project / "offtarget.yaml").write_text("data: train.jsonl\naudit: {accept_undecided: true}\n", encoding="utf-8")
    assert act(project, {}, api, here=here)[0] == 0
    if link:
        (project / "runs").rename(project / "elsewhere")
        (project / "runs").symlink_to("elsewhere")
    subprocess.run(["git", "-C", str(project), "add", "-f", "runs"], check=True)
    code, outputs, _, log = act(project, {}, api, here=here)
    assert (code, outputs) == (2, {})
    assert "bring its own verdict along" in log


def test_a_step_that_a_limit_ended_is_no_undecided_verdict(monkeypatch):
    """So that `undecided: pass` lets no job pass in which nothing was found out."""
    step = {"step": "check", "did": "failed", "exit_code": 3, "sentence": "The limit is reached.", "run": None}
    said = json.dumps({"steps": [step]})
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=said, returncode=3))
    assert [done.code for done in ci._project(["run"], github=False)] == [ci.NO_VERDICT, 3]


def test_a_fail_is_remembered_by_both_hosts():
    """Else a job that is started again until it passes would find no earlier check."""
    kept = next(step for step in ACTION["runs"]["steps"] if step.get("uses", "").startswith("actions/cache/save"))
    assert "always()" in kept["if"]
    job = yaml.safe_load((ROOT / "integrations" / "gitlab" / "offtarget.gitlab-ci.yml").read_text())["offtarget"]
    assert job["cache"]["when"] == "always"
    assert job["variables"]["OFFTARGET_STATE"].removeprefix("$CI_PROJECT_DIR/").split("/")[0] in job["cache"]["paths"]


def test_a_command_that_cannot_be_done_is_no_verdict(project, api, here):
    code, outputs, summary, log = act(project, {"data": "nowhere.jsonl"}, api, here=here)
    assert (code, outputs["verdict"]) == (2, "ERROR")
    assert "### offtarget audit: not done" in summary
    assert "nowhere.jsonl" in log


def test_what_is_run_is_one_argument_each():
    asked = read(
        {"OFFTARGET_CI_BASE": "b", "OFFTARGET_CI_TUNED": "t; rm -rf $HOME", "OFFTARGET_CI_DATA": "d d", "PATH": "x",
         "OFFTARGET_CI_ARGUMENTS": "--arm plain --prefix '$(id) `id`'"}
    )  # fmt: skip
    assert commands(asked) == [
        ["audit", "d d"],
        ["check", "--base", "b", "--tuned", "t; rm -rf $HOME", "--arm", "plain", "--prefix", "$(id) `id`"],
    ]
    with pytest.raises(InputError, match="OFFTARGET_CI_JUGDE is no setting"):
        read({"OFFTARGET_CI_JUGDE": "x"})


def test_pressure_is_an_option_of_the_check():
    asked = read(
        {"OFFTARGET_CI_BASE": "b", "OFFTARGET_CI_TUNED": "t", "OFFTARGET_CI_REDTEAM": "true",
         "OFFTARGET_CI_GOALS": "red lines.yaml"}
    )  # fmt: skip
    assert commands(asked) == [["check", "--base", "b", "--tuned", "t", "--goals", "red lines.yaml", "--redteam"]]


def test_the_token_goes_nowhere_else(api):
    api.redirect = "http://127.0.0.1:9/elsewhere"
    with pytest.raises(Refused, match="302"):
        GitHub(api.address, "a/b", 1, TOKEN).post("<!-- x -->", "text")
    assert len(api.asked) == 2


@pytest.mark.long
def test_gitlab_has_a_note_and_junit(project, api):
    write_rows(project)
    api.gitlab = True
    outside = {
        "GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "3", "CI_PROJECT_ID": "9", "CI_API_V4_URL": api.address,
        "CI_PROJECT_DIR": str(project), "CI_JOB_NAME": "offtarget", "OFFTARGET_GITLAB_TOKEN": TOKEN,
        "OFFTARGET_CI_DATA": "train.jsonl", "OFFTARGET_CI_ARGUMENTS": "--workers 1",
        "OFFTARGET_INSTALL": TEMPLATE["variables"]["OFFTARGET_INSTALL"],
    }  # fmt: skip
    codes = [
        subprocess.run(["bash", "-eo", "pipefail", "-c", line], cwd=project, env={**os.environ, **outside},
                       capture_output=True, check=False).returncode
        for line in TEMPLATE["script"]
    ]  # fmt: skip
    assert codes == [0, 3]
    assert len(list(project.glob(TEMPLATE["artifacts"]["reports"]["junit"]))) == 1
    (note,) = api.comments
    lab = GitLab(api.address, "9", 3, TOKEN)
    lab.post(note["body"].splitlines()[0], "again")
    assert [one["body"] for one in api.comments] == ["again"]
    note["author"] = {"id": 8}
    lab.post("again", "mine")
    assert [one["body"] for one in api.comments] == ["again", "mine"]


DOCS = ROOT / "docs" / "pipeline.md"


@pytest.mark.long
def test_an_empty_repository_reaches_a_verdict_in_ten_lines(project, api):
    """The workflow of the docs, literally: its lines are counted, its inputs are what the action gets."""
    block = re.search(r"```yaml\n(# \.github/workflows/\S+\n)(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    lines = [line for line in block[2].splitlines() if line.strip()]
    assert len(lines) <= 10
    workflow = yaml.safe_load(block[2])
    assert workflow["permissions"]["pull-requests"] == "write"
    (job,) = workflow["jobs"].values()
    checkout, ours = job["steps"]
    assert checkout["uses"].startswith("actions/checkout@")
    assert set(ours["with"]) <= set(ACTION["inputs"])
    code, outputs, summary, log = act(project, ours["with"], api)
    assert (code, outputs["verdict"]) == (1, "FAIL"), log
    assert summary.splitlines()[1] == "### offtarget check: FAIL, given this judge"
    assert api.comments[0]["body"] == summary
