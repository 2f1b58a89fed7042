"""Log lines that a peer causes are limited, and what is left out is counted."""

import logging

from gateway.aio.log_limit import KINDS_MAX, LINES_MAX, WINDOW_S, LogLimit


def line(at_s, text="refused: %s", about="cab-1", level=logging.WARNING, args=("x",)):
    """Return a log record of a moment."""
    made = logging.LogRecord("fleet", level, "", 0, text, args, None)
    made.created, made.about = at_s, about
    return made


def written(limit, lines):
    """Return the texts of the lines that pass."""
    return [one.getMessage() for one in lines if limit.filter(one)]


def test_ten_thousand_refusals_are_a_few_lines_and_a_count():
    limit = LogLimit()
    found = written(limit, [line(i * 0.001, args=(f"detail {i}",)) for i in range(10_000)])
    assert len(found) == LINES_MAX
    assert "counted only, for 60 s" in found[-1]
    assert written(limit, [line(WINDOW_S + 1)]) == [
        f"refused: x [{10_000 - LINES_MAX} more lines like this one were left out before]"]


def test_a_noisy_cabinet_does_not_hide_another_one():
    limit = LogLimit()
    written(limit, [line(0, about="noisy") for _ in range(1000)])
    assert written(limit, [line(0, about="quiet")]) == ["refused: x"]
    assert written(limit, [line(0, "stopped: %s", about="noisy")]) == ["stopped: x"]


def test_information_is_never_left_out():
    limit = LogLimit()
    assert len(written(limit, [line(0, level=logging.INFO) for _ in range(1000)])) == 1000


def test_a_clock_that_was_set_back_silences_nothing_for_long():
    limit = LogLimit()
    written(limit, [line(5000) for _ in range(1000)])
    assert len(written(limit, [line(10)])) == 1


def test_names_that_are_invented_count_as_one_kind_in_the_end():
    limit = LogLimit()
    found = written(limit, [line(0, about=f"name {i}") for i in range(20 * KINDS_MAX)])
    assert len(found) == KINDS_MAX + LINES_MAX
