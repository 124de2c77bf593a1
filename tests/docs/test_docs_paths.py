"""What README and docs name exists: links, files, folders, and names that can be imported."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "offtarget"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md")), ROOT / "examples/README.md"]
CODE = sorted(path for folder in ("src", "tests", "benchmarks") for path in ROOT.glob(f"{folder}/**/*.py"))

# Paths of this repository, in prose and in code: at least one folder, then a file or a folder.
OURS = re.compile(r"(?<![\w./-])(?:tests|benchmarks|src|docs|tools|examples)/[\w./-]*\w/?")
# Modules written with their folder inside the package, `detect/limits.py`, or by their bare name, `limits.py`.
MODULE = re.compile(r"`([\w/]+\.py)`")
PACKAGES = re.compile(r"`((?:audit|gate|models|probe|records|stats|workflows)/[\w/.]*)`")
DOTTED = re.compile(r"(?:from |import |`)(offtarget(?:\.(?!(?:json|yaml)\b)\w+)+)")


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_relative_link_resolves(page: Path) -> None:
    """A link without a scheme leads to a file or folder, and its anchor to a heading there."""
    for link in re.findall(r"\]\(([^)]*)\)", _text(page)):
        target, _, anchor = re.sub(r"\s", "", link).partition("#")
        if re.match(r"\w+:", target):
            continue
        place = (page.parent / target) if target else page
        assert place.exists(), f"{_name(page)} links to {link}, which is not there"
        if anchor:
            assert anchor in _anchors(_text(place)), f"{_name(page)} links to {link}, and no heading has that anchor"


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_path_named_in_docs_exists(page: Path) -> None:
    """Files and folders of the repository, tests and benchmarks by name, and modules of the package."""
    files = {path.name for path in CODE}
    text = _text(page)
    for path in OURS.findall(text):
        assert (ROOT / path).exists(), f"{_name(page)} names {path}, which is not there"
    for path in PACKAGES.findall(text):
        assert (PACKAGE / path).exists(), f"{_name(page)} names {path}, which is not in src/offtarget"
    for path in MODULE.findall(text):
        there = (ROOT / path).exists() or any(str(file).endswith(f"/{path}") for file in CODE)
        assert there if "/" in path else path in files, f"{_name(page)} names {path}, and there is no such module"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_dotted_name_in_docs_imports(page: Path) -> None:
    """`offtarget.x.y` in backticks or in an import statement is a module or an attribute of one."""
    for dotted in DOTTED.findall(_text(page)):
        try:
            pkgutil.resolve_name(dotted)
        except (ImportError, AttributeError) as error:
            pytest.fail(f"{_name(page)} names {dotted}: {error}")


def test_pages_named_in_code_exist() -> None:
    """Docstrings and error sentences send nobody to a page that is gone."""
    for path in CODE:
        for page in re.findall(r"(?<![\w/.])docs/[\w./-]+\.md", _text(path)):
            assert (ROOT / page).exists(), f"{_name(path)} names {page}, which is not there"


def test_every_page_of_docs_can_be_found() -> None:
    """docs/README.md leads to every page, so that none is known only to whoever wrote it.

    Reports that are examples are led to by the page of their folder (tests/docs/test_made_examples.py).
    """
    index = ROOT / "docs" / "README.md"
    links = {(index.parent / link.partition("#")[0]).resolve() for link in re.findall(r"\]\(([^)]*)\)", _text(index))}
    made = {page for page in (ROOT / "docs" / "examples").glob("*.md") if page.name != "README.md"}
    ours = [page for page in PAGES if page.is_relative_to(ROOT / "docs") and page not in made]
    missing = [_name(page) for page in ours if page.resolve() not in links]
    assert missing == [_name(index)], f"docs/README.md does not lead to {missing}"


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/results/*.md")), ids=_name)
def test_results_and_guide_lead_to_each_other(page: Path) -> None:
    """Who reads figures finds how to use the thing, and the other way round."""
    guides = {ROOT / "docs" / link for link in re.findall(r"\]\(\.\./(\w[\w-]*\.md)", _text(page))}
    assert any(f"results/{page.name}" in _text(guide) for guide in guides), (
        f"no guide that {_name(page)} names leads back"
    )
