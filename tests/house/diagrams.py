"""State diagrams of docs/concurrency.md, printed from the tables that the code runs by.

    python -m tests.house.diagrams          put them into the page
"""

from pathlib import Path

from gateway.core import session_table
from gateway.core.journal import policy

PAGE = Path(__file__).resolve().parents[2] / "docs" / "concurrency.md"
BEGIN, END = "<!-- printed: {} -->\n", "<!-- end -->\n"


def diagram(moves, first):
    """Return a Mermaid state diagram.  moves: {(state, event): next}, words.  first: a state."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {word(first)}"]
    pairs = {}
    for (state, event), after in sorted(moves.items()):
        pairs.setdefault((state, after), []).append(event)
    lines += [f"    {word(state)} --> {word(after)}: {', '.join(events)}"
              for (state, after), events in pairs.items()]
    return "\n".join([*lines, "```"]) + "\n"


def word(state):
    """Return a state's name as Mermaid takes it."""
    return state.replace("-", "_")


def diagrams():
    """Return {name of a table: its diagram}."""
    states, events = session_table.STATES, session_table.EVENTS
    return {
        "gateway/core/session_table.py: NEXT": diagram(
            {(states[state], events[event]): states[after]
             for (state, event), after in session_table.NEXT.items()}, "starting"),
        "gateway/core/journal/policy.py: RECLAIM": diagram(policy.RECLAIM, policy.CHECK),
    }


def printed(text):
    """Return a page's text with every diagram as its table has it; a missing place raises
    ValueError."""
    for name, made in diagrams().items():
        begin = text.index(BEGIN.format(name)) + len(BEGIN.format(name))
        text = text[:begin] + made + text[text.index(END, begin):]
    return text


if __name__ == "__main__":
    PAGE.write_text(printed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
