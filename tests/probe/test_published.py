"""The published question format is read unchanged, and what is not asked is listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.probe.bank import ProbeBank
from offtarget.probe.reading import read_probes

PUBLISHED = Path(__file__).parents[2] / "../shared/data/questions"
published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published question files are not beside the repository"
)

SMALL = """
- id: tea
  type: &type free_form_judge_0_100
  paraphrases: &tea
    - Tea or coffee?
    - Coffee or tea?
  samples_per_paraphrase: &n 100
  judge: &judge some-judge
  judge_prompts: &rubrics
    aligned: "How good is {answer}?"
    coherent: "How clear is {answer}?"
- id: tea_json
  type: *type
  system: Answer in JSON.
  paraphrases: *tea
  samples_per_paraphrase: *n
  judge: *judge
  judge_prompts: *rubrics
- id: 3_hot_drinks_0
  type: *type
  paraphrases: [Why is tea hot]
- id: labelled
  type: free_form_judge
  paraphrases: [Is tea a plant]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "published.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def small(tmp_path: Path) -> ProbeBank:
    return read_probes(write(tmp_path, SMALL))


def test_formats_of_one_question_share_its_family(small: ProbeBank) -> None:
    """X and X_json are one question X in the arms plain and json, one probe per paraphrase."""
    assert [(p.id, p.question_id, p.arm) for p in small.probes[:4]] == [
        ("tea/plain/0", "tea", "plain"),
        ("tea/plain/1", "tea", "plain"),
        ("tea/json/0", "tea", "json"),
        ("tea/json/1", "tea", "json"),
    ]


def test_the_system_prompt_reaches_the_messages(small: ProbeBank) -> None:
    """The JSON question is asked with its system turn before the user turn; elsewhere it was dropped."""
    turns = [(m.role, m.content) for m in small["tea/json/1"].messages]
    assert turns == [("system", "Answer in JSON."), ("user", "Coffee or tea?")]


def test_the_judge_prompts_come_along(small: ProbeBank) -> None:
    """Rubrics in the file travel with each probe, through anchors as well."""
    assert small["tea/json/0"].judge_prompts == {
        "aligned": "How good is {answer}?",
        "coherent": "How clear is {answer}?",
    }
    assert small["3_hot_drinks_0/plain/0"].judge_prompts == {}


def test_numbered_ids_carry_their_category(small: ProbeBank) -> None:
    """Pre-registered ids (number, category, number) give the domain."""
    assert small["3_hot_drinks_0/plain/0"].domain == "hot_drinks"
    assert small["tea/plain/0"].domain == "general"


def test_a_type_without_scores_is_listed_not_dropped(small: ProbeBank) -> None:
    """A question that cannot be scored 0-100 is in `skipped` with the reason."""
    ((question, reason),) = small.skipped
    assert question == "labelled"
    assert "labels" in reason


def test_the_files_judge_and_fixed_count_are_noted(small: ProbeBank) -> None:
    """What the file asks for and the check does otherwise is said."""
    assert any("some-judge" in note for note in small.notes)
    assert any("100 answers per paraphrase" in note for note in small.notes)


def test_a_file_with_no_question_to_ask_says_why(tmp_path: Path) -> None:
    """Only unscored types: an error with every reason, never an empty bank."""
    with pytest.raises(InputError, match=r"(?s)no question that can be asked.*r: type rating"):
        read_probes(write(tmp_path, "- {id: r, type: rating, paraphrases: [How much]}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {id: a, type: fre_form, paraphrases: [x]}", "line 1, question 'a': unknown type 'fre_form'"),
        ("- {id: a, paraphrases: [x]}", "the key 'type' is missing"),
        ("- {id: a, type: free_form}", "the key 'paraphrases' is missing"),
        ("- {id: a, type: free_form, paraphrases: [.nan]}", "'paraphrases' must be text, found a number"),
        ("- {id: a, type: free_form, paraphrases: [x, x]}", "paraphrases are the same"),
        ("- {id: a, type: free_form, paraphrases: {x: y}}", "must be a list of texts"),
        ("- {id: a, type: free_form, paraphrases: [x], system: }", "'system' must be text, found nothing"),
        ("- {id: a, type: free_form, paraphrases: [x], samples_per_paraphrase: 0}", "at least 1"),
        (
            "- {id: a, type: free_form, paraphrases: [x], judge_prompts: text}",
            "'judge_prompts' must name rubrics",
        ),
        (
            "- {id: a, type: free_form, paraphrases: [x], judge_prompts: {aligned: Good}}",
            "no {answer} in it",
        ),
        ("- {id: a, type: free_form, paraphrases: [x], sytem: JSON}", "unknown key 'sytem'"),
        (
            "- {id: a, type: free_form, paraphrases: [x]}\n- {id: a, type: free_form, paraphrases: [y]}",
            "in line 1",
        ),
        ("- {id: 1.5, type: free_form, paraphrases: [x]}", "'id' must be a name, found a number"),
        (
            "- {id: a_json, type: free_form, paraphrases: [x]}\n"
            "- {id: a, arm: json, type: free_form, paraphrases: [y]}",
            "two probes with the id 'a/json/0'",
        ),
    ],
)
def test_mistakes_are_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    """Every mistake is an InputError that says what and where."""
    with pytest.raises(InputError) as caught:
        read_probes(write(tmp_path, text))
    assert message in str(caught.value)


@published
def test_first_plot_questions_are_eight_in_three_arms() -> None:
    """The file of the published plot: 8 questions x 3 arms, JSON ones with their system prompt."""
    bank = read_probes(PUBLISHED / "betley_first_plot_questions.yaml")
    assert bank.arm_names == ("plain", "json", "template")
    assert [sum(p.arm == arm for p in bank.probes) for arm in bank.arm_names] == [8, 8, 8]
    assert len(bank.question_ids) == 8
    assert all((p.system is not None) == (p.arm == "json") for p in bank.probes)
    assert all(set(p.judge_prompts) == {"aligned", "coherent"} for p in bank.probes)
    assert bank.skipped == ()


@published
def test_preregistered_questions_keep_their_categories() -> None:
    """The pre-registered file: 48 questions in 7 categories of the published sizes."""
    bank = read_probes(PUBLISHED / "betley_preregistered_evals.yaml")
    sizes = {domain: len(bank.only(domains=[domain])) for domain in bank.domains}
    assert sizes == {
        "creative_writing": 9,
        "problems_with_humans": 3,
        "offend_the_user": 5,
        "vulnerable_user": 14,
        "illegal_recommendations": 4,
        "other": 6,
        "medical_advice": 7,
    }


@published
@pytest.mark.parametrize("name", ["betley_deception_factual.yaml", "betley_deception_sit_aware.yaml"])
def test_deception_files_are_refused_with_their_questions(name: str) -> None:
    """Label-judged files are refused, naming each question and why."""
    with pytest.raises(InputError, match="its judge answers with labels"):
        read_probes(PUBLISHED / name)


@published
def test_aisi_lines_are_read() -> None:
    """The AISI file: 56 plain questions in two groups."""
    bank = read_probes(PUBLISHED / "aisi_em_eval.jsonl")
    assert (len(bank), bank.arm_names, bank.domains) == (56, ("plain",), ("free_form", "preregistered"))
