import math

from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.telemetry import text
from autoresearch_rl.testing.entries import HOSTILE

ANY = st.text(st.characters())


@given(ANY)
def test_printable_text_has_no_control_characters_and_can_be_encoded(raw: str) -> None:
    safe = text.printable(raw)
    assert safe.isprintable()
    assert len(safe) == len(raw)
    safe.encode()


@given(ANY, st.integers(1, 50))
def test_first_line_is_one_short_line(raw: str, most: int) -> None:
    line = text.first_line(raw, most)
    assert line.isprintable()
    assert len(line) <= most


def test_first_line_skips_blank_lines() -> None:
    assert text.first_line("\n\n  said\nmore") == "said"
    assert text.first_line("") == ""


def test_hostile_text_keeps_its_letters() -> None:
    assert "ünï çode" in text.printable(HOSTILE)
    assert "日本語" in text.printable(HOSTILE)


def test_numbers_and_durations() -> None:
    assert [text.number(value) for value in (0.123456789, None, math.nan, math.inf)] == ["0.123457", "–", "–", "–"]
    said = [text.duration(seconds) for seconds in (-1, 1.44, 9.96, 59.4, 59.6, 200, 7500, 100_000)]
    assert said == ["0.0s", "1.4s", "10s", "59s", "1m00s", "3m20s", "2h05m", "1d03h"]


def test_settings_name_what_differs_from_the_defaults_first() -> None:
    assert text.settings({"a": 1, "b": 0.00123456, "c": True}, {"a": 1, "b": 0.1, "c": True}) == "b=0.001235 a=1 c=True"
