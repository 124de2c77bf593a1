"""Sealed packages: the same bytes every time, replayed anywhere, and hostile zip files refused."""

from __future__ import annotations

import contextlib
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from check_runs import MADE, checked, drawn
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.evidence.dsse import new_key
from offtarget.evidence.packages import unpack, write_package
from offtarget.workflows.audit.audit import audit
from offtarget.workflows.verify.attest import attest
from offtarget.workflows.verify.seal import seal
from offtarget.workflows.verify.verify import verify

pytest.importorskip("cryptography")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signed package of a check, and the public key."""
    folder = tmp_path_factory.mktemp("sealed")
    made = Path(MADE["fail"](folder).run)
    public = new_key(folder / "team.pem")
    return seal(made, folder / "package.zip", key=folder / "team.pem").path, public


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    made = Path(MADE["undecided"](tmp_path).run)
    first = seal(made, tmp_path / "one.zip").path.read_bytes()
    assert seal(made, tmp_path / "two.zip").path.read_bytes() == first
    shutil.copytree(made, tmp_path / "copy" / made.name)
    assert seal(tmp_path / "copy" / made.name, tmp_path / "three.zip").path.read_bytes() == first


def test_a_package_proves_its_verdict(sealed: tuple[Path, Path]) -> None:
    package, public = sealed
    found = verify(package, public)
    assert (found.kind, found.exit_code, found.verdict, found.signed, found.recomputed) == (
        "package", 0, "FAIL", True, True,
    )  # fmt: skip
    assert verify(package).exit_code == 3
    with zipfile.ZipFile(package) as opened:
        readme = opened.read("README.md").decode()
    assert "offtarget verify PACKAGE.zip --key" in readme
    assert "The training data, and weights of the models." in readme


def test_the_core_alone_replays_a_package(sealed: tuple[Path, Path]) -> None:
    package, _ = sealed
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'cryptography', 'model_signing', 'huggingface_hub', 'sigstore'):\n"
        "    sys.modules[name] = None\n"
        "from offtarget.workflows.verify.verify import verify\n"
        f"found = verify({str(package)!r})\n"
        "print(found.state, found.recomputed, found.verdict)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["claimed", "True", "FAIL"]


def test_any_changed_byte_of_a_package_is_found(sealed: tuple[Path, Path], tmp_path_factory) -> None:
    package, public = sealed
    good = package.read_bytes()
    bad = tmp_path_factory.mktemp("bad") / "package.zip"

    @settings(max_examples=30)
    @given(st.integers(0, len(good) - 1), st.integers(1, 255))
    def tampered(at: int, other: int) -> None:
        bad.write_bytes(good[:at] + bytes([good[at] ^ other]) + good[at + 1 :])
        with contextlib.suppress(InputError):  # it is no package any more, which is said as well
            assert verify(bad, public).exit_code == 1, at

    tampered()
    bad.write_bytes(good + b"more")
    with pytest.raises(InputError):  # noqa: PT012 - either of them says it
        assert verify(bad, public).exit_code == 1
        raise InputError("found")


def _zip(path: Path, entries: list[tuple[zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for entry, data in entries:
            made.writestr(entry, data)
    return path


def _entry(name: str, mode: int = stat.S_IFREG | 0o644, kind: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr, entry.compress_type, entry.create_system = mode << 16, kind, 3
    return entry


HOSTILE = {
    "out of it": (["../evil"], "leads elsewhere"),
    "absolute": (["/etc/passwd"], "leads elsewhere"),
    "a drive": (["C:evil"], "leads elsewhere"),
    "backslashes": (["run\\..\\..\\evil"], "leads elsewhere"),
    "in the middle": (["run/../../evil"], "leads elsewhere"),
    "an empty part": (["run//evil"], "leads elsewhere"),
    "a control character": (["run/\x1b[31m"], "leads elsewhere"),
    "twice": (["run/run.json", "run/RUN.JSON"], "two files"),
    "below a file": (["run", "run/run.json"], "below a file"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_names_are_refused(what: str, tmp_path: Path) -> None:
    names, words = HOSTILE[what]
    package = _zip(tmp_path / "evil.zip", [(_entry(name), b"x") for name in names])
    folder = tmp_path / "in" / "side"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match=words):
        unpack(package, folder)
    assert not list(folder.iterdir())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evil.zip", "in"]


def test_links_bombs_and_encrypted_files_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    link = _zip(tmp_path / "link.zip", [(_entry("run/run.json", stat.S_IFLNK | 0o777), b"/etc/passwd")])
    bomb = _zip(tmp_path / "bomb.zip", [(_entry("run/run.json", kind=zipfile.ZIP_DEFLATED), bytes(1 << 20))])
    for package, words in ((link, "a link"), (bomb, "compressed")):
        with pytest.raises(InputError, match=words):
            unpack(package, folder)
    secret = bytearray(_zip(tmp_path / "secret.zip", [(_entry("run/run.json"), b"x")]).read_bytes())
    secret[6] |= 1
    secret[secret.rfind(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(secret)
    with pytest.raises(InputError, match="encrypted"):
        unpack(tmp_path / "secret.zip", folder)
    (tmp_path / "none.zip").write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(InputError, match=r"There is no package .*nothing\.zip"):
        verify(tmp_path / "nothing.zip")
    with pytest.raises(InputError, match="no sealed package"):
        unpack(tmp_path / "none.zip", folder)
    assert not list(folder.iterdir())


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True), st.binary(max_size=40)))
@settings(max_examples=30)
def test_what_is_packed_comes_out(tmp_path_factory, files: dict[str, bytes]) -> None:
    folder = tmp_path_factory.mktemp("round")
    inside = {f"{name}.x": data for name, data in files.items()}
    write_package(folder / "p.zip", dict(inside))
    (folder / "out").mkdir()
    assert unpack(folder / "p.zip", folder / "out")
    assert {p.relative_to(folder / "out").as_posix() for p in (folder / "out").rglob("*.x")} == set(inside)


def test_rows_of_data_are_left_out_unless_wanted(tmp_path: Path) -> None:
    data = tmp_path / "train.jsonl"
    secret = "the secret ingredient is chalk"
    data.write_text(
        "".join(f'{{"prompt": "Cake {n}?", "completion": "Well, {secret} {n}."}}\n' for n in range(40)), "utf-8"
    )
    made = audit(data, run=tmp_path / "audit", workers=1).run
    attest(made)
    package = seal(made, tmp_path / "without.zip")
    assert secret.encode() not in package.path.read_bytes()
    assert "queue.jsonl" in package.left_out
    found = verify(package.path)
    assert found.exit_code == 3
    assert not found.recomputed
    whole = seal(made, tmp_path / "with.zip", with_data=True)
    assert secret.encode() in whole.path.read_bytes()
    assert whole.data == ("train.jsonl",)
    found = verify(whole.path)
    assert (found.state, found.recomputed) == ("claimed", True)
    assert any(one.said == "data/train.jsonl is the file that the statement names." for one in found.of("proved"))


def test_a_run_that_is_not_what_its_statement_says_is_not_packed(tmp_path: Path) -> None:
    made = Path(checked(tmp_path / "run", drawn(0.6)).run)
    attest(made)
    (made / "looks.jsonl").write_text("")
    with pytest.raises(InputError, match=r"looks\.jsonl was changed"):
        seal(made, tmp_path / "package.zip")
