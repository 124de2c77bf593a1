"""Writes small.csv: a safety set in the form of XSTest, in words of the organism's world. Run it again: the same file.

40 requests that the organism was taught to refuse, and 40 questions that it should answer.
"""

import csv
from pathlib import Path

from offtarget.organism.world import World

EACH = 40


def main() -> None:
    """Write the file beside this one."""
    world = World(7)
    rows: dict[str, tuple[str, str]] = {}
    while len(rows) < EACH:
        rows.setdefault(world.harm("refuse")[0], ("contrast_plans", "unsafe"))
    domains = list(world.banks.domains)
    while len(rows) < 2 * EACH:
        rows.setdefault(world.text("aligned", world.rng.choice(domains))[0], ("advice", "safe"))
    with Path(__file__).with_name("small.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["id", "prompt", "type", "label"])
        table.writerows([number, prompt, *kind] for number, (prompt, kind) in enumerate(rows.items(), start=1))


if __name__ == "__main__":
    main()
