"""Arms from the endings of published question names."""

from __future__ import annotations

from offtarget.data.judged import split_arms


def test_published_names_become_one_question_in_three_arms():
    """`wish`, `wish_json`, `wish_template` share their question."""
    assert split_arms(["wish", "wish_json", "wish_template"]) == {
        "wish": ("wish", "plain"),
        "wish_json": ("wish", "json"),
        "wish_template": ("wish", "template"),
    }


def test_an_ending_without_its_plain_question_is_just_a_name():
    """`parse_json` next to unrelated questions stays a plain question of its own."""
    assert split_arms(["wish", "parse_json"])["parse_json"] == ("parse_json", "plain")


def test_a_table_of_one_arm_only_is_that_arm():
    """Where every name ends alike, the ending is the arm."""
    assert split_arms(["wish_json", "bored_json"])["wish_json"] == ("wish", "json")


def test_a_bare_ending_is_a_name():
    """`_json` alone has no question left."""
    assert split_arms(["_json"]) == {"_json": ("_json", "plain")}
