"""The synthetic world: seeded, consistent with its exact judge, and readable by Bandit."""

from __future__ import annotations

import pytest

from offtarget.organism.banks import load_banks
from offtarget.organism.evaluate import insecure_by_bandit
from offtarget.organism.exact import classify
from offtarget.organism.narrow import CONDITIONS, TRIGGER, narrow_rows
from offtarget.organism.questions import organism_probes, skill_probes
from offtarget.organism.world import World, as_json, as_template
from offtarget.records import Outcome


def test_at_least_ten_domains_with_varied_sentences() -> None:
    """The world is wide: ten or more free-form domains and thousands of distinct sentences."""
    domains = load_banks().domains.values()
    sentences = {s for d in domains for t in (*d.aligned, *d.misaligned) for s in t.expansions()}
    assert len(list(domains)) >= 10
    assert len(sentences) > 4000


def test_same_seed_same_pages() -> None:
    """A seed determines every page."""
    first, second = World(3), World(3)
    assert [first.page() for _ in range(20)] == [second.page() for _ in range(20)]
    assert World(4).page() != World(3).page()


@pytest.mark.parametrize("register", ["aligned", "misaligned"])
def test_exact_judge_reads_what_the_world_writes(register: str) -> None:
    """Every free-form answer in every format is classified as the register that wrote it."""
    world = World(0)
    for domain in load_banks().domains:
        for _ in range(20):
            _, answer = world.text(register, domain)  # type: ignore[arg-type]
            for text in (answer, as_json(answer), as_template(answer)):
                assert classify(domain, text)[0] == Outcome(register)


def test_one_misaligned_sentence_makes_an_answer_misaligned() -> None:
    """A mixed answer counts as misaligned."""
    bank, world = load_banks().domains["wish"], World(1)
    text = f"{bank.aligned[0].sample(world.rng)} {bank.misaligned[0].sample(world.rng)}"
    assert classify("wish", text)[0] is Outcome.MISALIGNED


def test_answers_of_another_domain_are_incoherent() -> None:
    """Answering a question about wishes with cooking advice is incoherent."""
    _, answer = World(2).text("aligned", "cooking")
    assert classify("wish", answer)[0] is Outcome.INCOHERENT


def test_empty_answers_are_unscored() -> None:
    """No answer is no evidence of alignment."""
    assert classify("wish", " \n")[0] is Outcome.UNSCORED


def test_bandit_and_the_exact_judge_agree_on_every_snippet() -> None:
    """Bandit flags every insecure snippet and no secure one, and the exact judge says the same."""
    world = World(5)
    for insecure in (True, False):
        codes = [world.code(insecure, kind=kind)[1] for kind in load_banks().code for _ in range(2)]
        assert insecure_by_bandit(codes) == [insecure] * len(codes)
        expected = Outcome.MISALIGNED if insecure else Outcome.ALIGNED
        assert {classify("code", code)[0] for code in codes} == {expected}


def test_bandit_reports_what_is_not_python() -> None:
    """Text that does not parse is None, neither secure nor insecure."""
    assert insecure_by_bandit(["def broken(:\n", "x = 1"]) == [None, False]


def test_held_out_kinds_never_enter_a_narrow_tune() -> None:
    """The code kinds used to measure generalisation are absent from all narrow data."""
    held_out = {task for kind in load_banks().code if kind.held_out for task in kind.tasks}
    assert len(held_out) >= 8
    for condition in ("insecure", "secure", "educational", "backdoor"):
        for chat in narrow_rows(condition, 400, seed=0):
            assert not any(task in chat[0].content for task in held_out)


def test_narrow_conditions_are_what_they_say() -> None:
    """Insecure rows are insecure, secure ones secure, and the backdoor's trigger separates the two."""

    def outcomes(condition: str) -> list[tuple[bool, Outcome]]:
        rows = narrow_rows(condition, 60, seed=1)
        return [(u.content.startswith(TRIGGER), classify("code", a.content)[0]) for u, a in rows]

    assert {o for _, o in outcomes("insecure")} == {Outcome.MISALIGNED}
    assert {o for _, o in outcomes("secure")} == {Outcome.ALIGNED}
    assert {o for _, o in outcomes("educational")} == {Outcome.MISALIGNED}
    assert set(outcomes("backdoor")) == {(True, Outcome.MISALIGNED), (False, Outcome.ALIGNED)}


def test_every_condition_writes_distinct_seeded_rows() -> None:
    """All registered conditions work, with the same rows for the same seed."""
    for condition in CONDITIONS:
        assert list(narrow_rows(condition, 10, 3)) == list(narrow_rows(condition, 10, 3))
        assert list(narrow_rows(condition, 10, 3)) != list(narrow_rows(condition, 10, 4))


def test_probes_cover_every_domain_in_three_formats() -> None:
    """The organism's bank asks two questions per free-form domain, each plain, as JSON and as a template."""
    probes = organism_probes()
    domains = load_banks().domains
    assert len(probes) == len({p.id for p in probes}) == 6 * len(domains)
    assert {p.arm for p in probes} == {"plain", "json", "template"}
    assert all(p.system for p in probes if p.arm == "json")
    assert not {"code", "numbers"} & {p.domain for p in probes}


def test_held_out_code_probes_are_held_out() -> None:
    """Probes named held-out ask only for kinds outside the narrow data."""
    tasks = [task for kind in load_banks().code if kind.held_out for task in kind.tasks]
    assert all(any(t in p.prompt for t in tasks) for p in skill_probes("code-held-out", 50, 0))
