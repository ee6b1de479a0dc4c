"""The table of proofs in README: every tier, as the last real run told it, and how to run it again."""

import re
from pathlib import Path

from klined.simulation.proof import TIERS

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_readme_quotes_a_row_for_every_tier_of_the_proof() -> None:
    rows = re.findall(r"^\| ([^|]+?) +\| +([\d,]+) +\| +([\d,]*) +\| +([\d,]*) +\| +(\d+) +\|", README, re.MULTILINE)
    assert [row[0] for row in rows] == list(TIERS)
    assert [row[4] for row in rows] == ["0"] * len(TIERS), "violations"
    assert "make prove" in README


def test_every_row_says_how_to_play_it_again() -> None:
    for tier in TIERS:
        row = next(line for line in README.splitlines() if line.startswith(f"| {tier} |"))
        found = re.search(r"\| `(klined sim|pytest) ([^`]+)` \|$", row)
        assert found is not None, row
        for word in found[2].split():
            assert not word.startswith("tests/") or (Path(__file__).parents[2] / word).exists(), word
