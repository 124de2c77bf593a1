"""`offtarget view` without a browser: what is listed, found and compared; damage is named; strangers see nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import tune_runs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markup_attacks import ATTACKS
from report_runs import make_run, models

import offtarget.pages
from offtarget.errors import InputError
from offtarget.pages.page import REPORT_SCRIPTS
from offtarget.pages.view.shown import Wanted, ident
from offtarget.records import Generation, Probe
from offtarget.rundir import JsonLines, RunDir, read_jsonl
from offtarget.workflows.view.aligned import side_by_side
from offtarget.workflows.view.answers import Indexes, read_index
from offtarget.workflows.view.gather import Gathered
from offtarget.workflows.view.search import search
from offtarget.workflows.view.shelf import Shelf
from offtarget.workflows.view.view import opened

pytest.importorskip("starlette", reason="needs the extra 'review'")
from starlette.testclient import TestClient

from offtarget.review.security import Access
from offtarget.workflows.view.app import make_app

SECRET = "t"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished checks, one that goes on, a training, and two folders that are no runs."""
    root = tmp_path_factory.mktemp("runs")
    for name, rate in (("check-1-before", 0.02), ("check-2-after", 0.4)):
        both = models("hf/some/base", f"hf/out/{name}")
        both["tuned"]["fingerprint"] = name
        make_run(root / name, tuned_rate=rate, per_probe=(2, 3), manifest={"models": both})
    make_run(root / "check-3-going", per_probe=(1, 1), finished=False)
    (root / "check-3-going" / ".lock").touch()
    tune_runs.write(root / "tune-1", None)
    (root / "empty").mkdir()
    (root / "torn").mkdir()
    (root / "torn" / "run.json").write_text('{"verb": "check", "mod')
    return root


@pytest.fixture
def page(folder: Path) -> TestClient:
    client = TestClient(make_app(folder, Access(SECRET), {"testserver"}))
    client.get(f"/?token={SECRET}")
    return client


def texts(client: TestClient, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, answer.text[-800:]
    return answer.text


def rows(html: str) -> list[str]:
    return re.findall(r'<tr id="row-([^"]+)"', html)


def test_a_stranger_sees_nothing(folder: Path) -> None:
    """Without the cookie, with a wrong token, under another host's name: no name of a run or of the folder."""
    client = TestClient(make_app(folder, Access(SECRET), {"testserver"}), follow_redirects=False)
    for address in ("/", "/?token=wrong", "/run/check-1-before", "/report/check-1-before", "/search?q=a", "/nowhere"):
        answer = client.get(address)
        assert answer.status_code in (403, 404)
        assert "check-1" not in answer.text
        assert str(folder) not in answer.text
    entered = client.get(f"/?token={SECRET}")
    assert entered.status_code == 303
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/").headers["content-security-policy"].startswith("default-src 'none'")


def test_the_list_has_every_folder_and_says_what_is_wrong(page: TestClient) -> None:
    html = texts(page, "/")
    assert set(rows(html)) == {"check-1-before", "check-2-after", "check-3-going", "tune-1", "empty", "torn"}
    assert html.count('is-bad">BROKEN<') == 2
    assert "not readable JSON" in html
    assert "so far: 120 answers" in html.replace("\u00a0", " ")
    assert "not readable JSON" in texts(page, "/run/torn")
    assert "was stopped before it began, or is no run" in texts(page, "/run/empty")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("verb=tune", {"tune-1"}),
        ("verdict=FAIL", {"check-2-after"}),
        ("verdict=BROKEN", {"empty", "torn"}),
        ("model=OUT/check-2", {"check-2-after"}),
        ("q=after+fail", {"check-2-after"}),
        ("verb=check&verdict=UNFINISHED", {"check-3-going"}),
        ("q=nosuch", set()),
        ("page=99&verb=tune", {"tune-1"}),
        ("page=%E2%91%A0&verb=tune", {"tune-1"}),
    ],
)
def test_the_address_says_what_is_shown(page: TestClient, query: str, found: set[str]) -> None:
    html = texts(page, f"/?{query}")
    assert set(rows(html)) == found
    assert "No run is like that." in html or found


def test_a_run_has_its_card_its_answers_and_every_report(page: TestClient) -> None:
    html = texts(page, "/run/check-2-after")
    assert ">FAIL, given this judge<" in html
    assert html.count('<article class="exchange">') > 20  # a page of answers, and the telling ones
    reports = re.findall(r'href="(/report/check-2-after\?format=[^"]+)"', html)
    assert len(reports) >= 5
    for address in reports:
        assert texts(page, address.replace("&amp;", "&"))
    bad = texts(page, "/run/check-2-after?outcome=misaligned")
    shown = bad[bad.index('id="answers"') :]
    assert shown.count("outcome is-misaligned") >= shown.count('<article class="exchange">') > 0


def test_a_report_runs_no_script_but_ours(page: TestClient, folder: Path) -> None:
    """A page that lies in the run may come from anybody."""
    answer = page.get("/report/tune-1?format=html")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy
    assert not re.search(r"script-src[^;]*('unsafe-inline'|'self'|\*)", policy)
    assert "connect-src" not in policy  # falls back to default-src 'none'
    assert policy.startswith("default-src 'none'")


def test_every_script_of_a_report_may_run() -> None:
    """A report that gains a script is named where the policy is made."""
    sources = Path(offtarget.pages.__file__).parent.rglob("*.py")
    named = {name for source in sources for name in re.findall(r'script="([^"]+)"', source.read_text(encoding="utf-8"))}
    assert named == set(REPORT_SCRIPTS)


def test_nothing_is_changed(page: TestClient, folder: Path) -> None:
    """Neither a file nor its time, whatever is looked at."""
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}
    for address in ("/", "/run/check-3-going", "/report/check-2-after", "/compare?run=check-1-before&run=check-2-after",
                    "/search?q=the", "/run/tune-1"):  # fmt: skip
        texts(page, address)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")} == before
    assert all(route.methods in ({"GET", "HEAD"}, None) for route in page.app.routes)  # type: ignore[attr-defined]


def test_two_runs_side_by_side(page: TestClient) -> None:
    html = texts(page, "/compare?run=check-1-before&run=check-2-after&show=misaligned")
    assert "Questions lost" in html
    assert "Both were asked 60 questions in the same words" in html
    aligned = html[html.index('id="aligned"') :]
    assert aligned.count('<article class="exchange">') == 15
    assert texts(page, "/compare?run=check-1-before&run=check-1-before").count("Both are the same run") == 1
    assert "two kinds" in texts(page, "/compare?run=check-1-before&run=tune-1")
    assert "cannot be read" in texts(page, "/compare?run=check-1-before&run=torn")
    assert "Two runs are compared; 1 were chosen" in texts(page, "/compare?run=check-1-before", 404)


def test_answers_are_aligned_by_what_was_asked(tmp_path: Path) -> None:
    """The same words under another id stand beside each other; other words, and another number of answers, do not."""
    for name, ids in (("a", ("x", "y")), ("b", ("other", "z"))):
        run = make_run(tmp_path / name, per_probe=(1, 1), questions=1)
        probes = [Probe(ids[0], "q", "plain", "Same?"), Probe(ids[1], "q", "plain", f"Only {name}?")]
        count = 1 if name == "a" else 2
        answers = [
            Generation("tuned", p.id, n, 0, f"{name} {p.id} {n}", 1, "stop") for p in probes for n in range(count)
        ]
        for file, records in (("probes", probes), ("generations", answers), ("verdicts", [])):
            (run / f"{file}.jsonl").unlink()
            lines = JsonLines(run / f"{file}.jsonl")
            lines.extend(records)
            lines.close()
    found = side_by_side(read_index(tmp_path / "a"), read_index(tmp_path / "b"))
    assert (found.same, found.only) == (1, (1, 1))
    assert [[side.text for side in e.sides] for e in found.exchanges] == [["a x 0", "b other 0"], [None, "b other 1"]]


def test_a_page_of_answers_reads_no_more_than_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large a run is, the page holds twenty answers and the index no text."""
    run = make_run(tmp_path / "large", per_probe=(40, 40), longer=40, hostile=False)
    index = read_index(run)
    assert len(index.keys) == 2400
    read: list[int] = []
    real = type(index).texts
    monkeypatch.setattr(type(index), "texts", lambda self, wanted: real(self, [read.append(1) or w for w in wanted]))
    monkeypatch.setattr("offtarget.workflows.view.gather.LARGE", 1000)
    shown = Gathered(tmp_path).run("large", "", 7)
    assert shown.answers is not None
    assert (shown.answers.page, shown.answers.pages, len(shown.answers.exchanges)) == (7, 120, 20)
    assert len(read) == 40
    assert shown.card is not None
    assert "page by page" in shown.card.sentence


def test_an_index_says_what_the_whole_records_say(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", per_probe=(2, 2))
    index = read_index(run)
    wanted = {(g.role, (g.probe_id, g.index)): g for g in read_jsonl(run / "generations.jsonl", Generation)}
    assert index.texts(wanted) == wanted
    again = Indexes()
    assert again.of(run) is again.of(run)
    lines = JsonLines(run / "generations.jsonl")
    lines.extend([Generation("tuned", "wish/plain/0", 2, 0, "new", 1, "stop")])
    lines.close()
    assert len(again.of(run).keys) == len(index.keys) + 1


def test_search_says_where_and_goes_on_where_it_stopped(folder: Path) -> None:
    """All pieces together are what one search without bounds finds, each answer once, the newest run first."""
    runs = [(one.summary.name, one.summary.path) for one in Shelf(folder).runs()]
    whole = search(runs, "THE  people", most_hits=10_000, most_bytes=10**9)
    assert whole.go_on == ""
    assert {hit.run for hit in whole.hits} <= {name for name, _ in runs}
    assert all(re.fullmatch(r"the\s+people", hit.match, re.IGNORECASE) for hit in whole.hits)
    assert len(whole.hits) > 20
    pieces, since = [], ""
    for _ in range(1000):
        piece = search(runs, "THE  people", since=since, most_hits=7, most_bytes=30_000)
        pieces += piece.hits
        since = piece.go_on
        assert len(piece.hits) <= 7
        if not since:
            break
    assert tuple(pieces) == whole.hits
    alone = search(runs, "the people", run=ident("check-2-after"), most_hits=10_000)
    assert {hit.run for hit in alone.hits} == {"check-2-after"}


def test_a_hit_leads_to_the_answer(page: TestClient) -> None:
    html = texts(page, "/search?q=windowless+nothing")
    assert "0 answers found" in html
    html = texts(page, "/search?q=governed+by+machines&run=check-2-after")
    address = re.findall(r'<a href="(/run/[^"#]+)', html)[0].replace("&amp;", "&")
    led = texts(page, address)
    sought = led[led.index('class="sought"') :]
    assert "governed by machines" in sought[: sought.index("</article>")]


class Marks(HTMLParser):
    """Tags of a page, and its attributes that act."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


ACTING = {"script", "img", "iframe", "style", "object", "embed", "base", "meta", "form", "svg", "math", "video", "link"}


def test_hostile_texts_stay_text(tmp_path: Path) -> None:
    """In answers, questions, names of models and of folders: not a tag more, no handler, no control character."""

    def made(text: str, name: str) -> Path:
        both = models(f"hf/{text[:300]}", f"hf/{text[:300]}")
        run = make_run(tmp_path / name / re.sub("[/\x00\ud800]", "_", text)[:60], per_probe=(1, 1), questions=1,
                       manifest={"models": both, "judge": text[:300]})  # fmt: skip
        probes = [Probe("a", "q", "plain", text, system=text, domain=text[:50])]
        for file, records in (("probes", probes), ("generations", [Generation("tuned", "a", 0, 0, text, 1, "stop")])):
            (run / f"{file}.jsonl").unlink()
            lines = JsonLines(run / f"{file}.jsonl")
            lines.extend(records)
            lines.close()
        return tmp_path / name

    def tags(text: str, name: str) -> list[tuple[str, int]]:
        root = made(text, name)
        client = TestClient(make_app(root, Access(SECRET), {"testserver"}))
        client.get(f"/?token={SECRET}")
        run = Shelf(root).runs()[0].summary.name
        pages = ["/", f"/run/{ident(run)}", f"/compare?run={ident(run)}&run={ident(run)}", "/search?q=e"]
        found = []
        for address in pages:
            html = texts(client, address)
            assert len(html) < 400_000
            assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202e\u2066\ud800-\udfff]", html)
            marks = Marks(html).found
            assert not [a for _, attributes in marks for a in attributes if a.startswith("on")]
            assert not [v for _, attributes in marks for v in attributes.values() if v and v.startswith("javascript:")]
            found.append((address[:4], sum(tag in ACTING and tag != "svg" for tag, _ in marks)))
        return found

    harmless = tags("harmless text here", "harmless")
    for number, attack in enumerate(ATTACKS):
        assert tags(attack, str(number)) == harmless, attack[:60]


FILES = ("run.json", "result.json", "generations.jsonl", "looks.jsonl", "verdicts.jsonl", "probes.jsonl", "spent.jsonl")


@pytest.mark.long
@given(damage=st.binary(max_size=60), file=st.sampled_from(FILES))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_listed_and_never_a_crash(damage: bytes, file: str, tmp_path: Path) -> None:
    """Any file of a run may hold anything: the list, the run's page and a search still answer."""
    root = tmp_path / "damage"
    run = root / "run"
    if not run.exists():
        make_run(run, per_probe=(1, 1), questions=1)
    kept = (run / file).read_bytes() if (run / file).exists() else None
    try:
        (run / file).write_bytes(damage)
        gathered = Gathered(root)
        assert len(gathered.listed(Wanted()).rows) == 1
        shown = gathered.run("run", "", 1)
        assert shown.card is not None or shown.fault
        gathered.found("a", "", "")
        client = TestClient(make_app(root, Access(SECRET), {"testserver"}))
        client.get(f"/?token={SECRET}")
        for address in ("/", "/run/run", "/report/run", "/search?q=a", "/compare?run=run&run=run"):
            answer = client.get(address)
            assert "<main" in answer.text
            assert answer.status_code == 200 or "That did not work" in answer.text
    finally:
        (run / file).unlink() if kept is None else (run / file).write_bytes(kept)


def test_a_run_at_work_is_told_from_one_that_was_stopped(folder: Path, tmp_path: Path) -> None:
    """By the system's list of locks, without taking the lock itself."""
    if not Path("/proc/locks").exists():
        pytest.skip("only Linux lists its locks")
    run = make_run(tmp_path / "run", per_probe=(1, 1), finished=False)
    shelf = Shelf(tmp_path)
    assert not shelf.find("run").live
    with RunDir.open(run):
        assert shelf.find("run").live
        shown = Gathered(tmp_path).run("run", "", 1)
        assert shown.going is not None
        assert shown.going.panels
    assert not shelf.find("run").live


def test_what_did_not_change_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        make_run(tmp_path / f"run{number}", per_probe=(1, 1), questions=1)
    shelf = Shelf(tmp_path)
    first = {one.summary.name: one for one in shelf.runs()}
    result = json.loads((tmp_path / "run1" / "result.json").read_text())
    result["decision"]["status"] = "UNDECIDED"
    (tmp_path / "run1" / "result.json").write_text(json.dumps(result))
    second = {one.summary.name: one for one in shelf.runs()}
    assert [name for name in first if first[name] is not second[name]] == ["run1"]
    assert second["run1"].summary.state == "UNDECIDED"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"host": "0.0.0.0"}, "lets other machines in"),
        ({"host": "example.org"}, "lets other machines in"),
        ({"folder": "nosuch"}, "does not exist"),
        ({"folder": "file"}, "is a file"),
        ({"folder": "run"}, "is one run"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    make_run(Path("run"), per_probe=(1, 1), questions=1)
    with pytest.raises(InputError, match=said):
        opened(**arguments)
