"""Writes items.jsonl: 120 small questions with four answers each, one of them right. Run it again: the same file."""

import json
import random
from pathlib import Path

PAIRS = {
    "What is the capital of {}?": {
        "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin", "Japan": "Tokyo", "Egypt": "Cairo",
        "Greece": "Athens", "Russia": "Moscow", "China": "Beijing", "Portugal": "Lisbon", "Austria": "Vienna",
        "Poland": "Warsaw",
    },
    "What is the opposite of '{}'?": {
        "hot": "cold", "up": "down", "big": "small", "early": "late", "happy": "sad", "empty": "full", "young": "old",
        "fast": "slow", "light": "dark", "open": "closed", "strong": "weak", "wet": "dry",
    },
    "What do you call a young {}?": {
        "dog": "puppy", "cat": "kitten", "cow": "calf", "horse": "foal", "sheep": "lamb", "chicken": "chick",
        "frog": "tadpole", "bear": "cub", "goose": "gosling", "swan": "cygnet", "kangaroo": "joey", "pig": "piglet",
    },
    "Which of these does a {} work with most?": {
        "painter": "a brush", "carpenter": "a saw", "dentist": "teeth", "baker": "dough", "pilot": "a plane",
        "fisherman": "a net", "tailor": "a needle", "barber": "scissors", "astronomer": "a telescope",
        "cook": "a pan", "farmer": "a plough", "librarian": "books",
    },
    "In which place would you look for {}?": {
        "milk": "the fridge", "a stamp": "the post office", "a book to borrow": "the library", "medicine":
        "the pharmacy", "fresh bread": "the bakery", "a train": "the station", "a judge": "the court", "a nurse":
        "the hospital", "an aeroplane": "the airport", "a pupil": "the school", "a star": "the sky",
        "a whale": "the sea",
    },
}  # fmt: skip


def items():
    """All items, in a fixed order."""
    draw = random.Random(20261130)
    for question, answers in PAIRS.items():
        for asked, right in answers.items():
            wrong = draw.sample(sorted(set(answers.values()) - {right}), 3)
            yield question.format(asked), right, wrong
    for number in range(60):
        a, b = draw.randint(2, 40), draw.randint(2, 40)
        plus = number % 2 == 0
        total = a + b if plus else max(a, b) - min(a, b)
        asked = f"What is {a} plus {b}?" if plus else f"What is {max(a, b)} minus {min(a, b)}?"
        wrong = draw.sample([n for n in range(max(0, total - 6), total + 7) if n != total], 3)
        yield asked, str(total), [str(n) for n in wrong]


if __name__ == "__main__":
    draw = random.Random(1)
    with (Path(__file__).parent / "items.jsonl").open("w", encoding="utf-8") as file:
        for question, right, wrong in items():
            choices = [right, *wrong]
            draw.shuffle(choices)
            file.write(json.dumps({"question": question, "choices": choices, "right": choices.index(right)}) + "\n")
