"""fleet.toml: what `init` writes is right, and every mistake is told with line and hint."""

import pytest

from fleet import settings
from fleet.__main__ import main
from gateway.core.errors import ConfigError
from tests.support.cabinets import make_fleet

EXTRA = '\n[factors]\nid = "de-2024-direct-duck-1"\n\n[page]\nhosts = ["energy.example.org"]\n'
# what stands in the file -> what a hasty hand makes of it, and what the report must say
MISTAKES = (
    ("port = 8883", "port = 88830", "broker.port: 88830 is out of range; allowed: 1 to 65535"),
    ("port = 8883", 'port = "8883"', "broker.port: must be a whole number"),
    ("port = 8883", "port = true", "broker.port: must be a whole number"),
    ("port = 8883", "prot = 8883", 'broker.prot: unknown key (did you mean "port"?)'),
    ('host = "127.0.0.1"', 'host = "mqtts://127.0.0.1:8883"', 'next: write host = "127.0.0.1"'),
    ('host = "127.0.0.1"', "host = 1", "broker.host: must be text in quotes"),
    ('host = "127.0.0.1"', 'host = "a b"', "neither a host's name nor an IP address"),
    ('host = "127.0.0.1"\n', "", "broker.host: is missing (broker, as the fleet reaches it)"),
    ('ca = "keys/ca.crt"', 'ca = "keys/none.crt"', "broker.ca: "),
    ('ca = "keys/ca.crt"', "ca = 3", "broker.ca: must be a path in quotes"),
    ("[receipt]", "[recipt]", 'unknown table (did you mean "receipt"?)'),
    ("[factors]", "[factor]", 'unknown table (did you mean "factors"?)'),
    ('id = "de-2024-direct-duck-1"', 'id = "../own"', "is not the id of a factor set"),
    ('id = "de-2024-direct-duck-1"', 'file = "own.toml"', "factors.file: unknown key"),
    ('hosts = ["energy.example.org"]', 'hosts = ["*"]', "page.hosts: "),
    ('hosts = ["energy.example.org"]', 'hosts = ["[example.org"]', "page.hosts: "),
    ("[cabinets]", "[cabinet]", 'unknown table (did you mean "cabinets"?)'),
    ("[receipt]", "[[receipt]]", "receipt: must be a table"),
    ("[broker]", "[broker", "not TOML"),
)


@pytest.fixture
def data(tmp_path):
    """A fleet's folder with every table in its fleet.toml."""
    made = make_fleet(tmp_path / "fleet")
    (made / "fleet.toml").write_text((made / "fleet.toml").read_text() + EXTRA)
    return made


def test_what_init_writes_is_right(data, capsys):
    assert settings.load(data).page_hosts == ("energy.example.org",)
    assert main(["check", "--data", str(data)]) == 0
    assert "fleet.toml: no mistakes" in capsys.readouterr().out


@pytest.mark.parametrize(("right", "wrong", "words"), MISTAKES)
def test_each_mistake_names_its_line_and_what_is_allowed(data, right, wrong, words, capsys):
    file = data / "fleet.toml"
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong, 1))
    line = text[:text.index(right)].count("\n") + 1
    assert main(["check", "--data", str(data)]) == 1
    told = capsys.readouterr().err
    assert words in told and "python -m fleet check" in told
    numbers = [int(one.split("fleet.toml:")[1].split(":")[0])
               for one in told.splitlines() if "fleet.toml:" in one and words in one]
    assert numbers and all(line - 2 <= number <= line + 2 for number in numbers), (numbers, line)


def test_all_mistakes_are_told_at_once(data):
    file = data / "fleet.toml"
    file.write_text(file.read_text().replace("port = 8883", "port = 0").replace(
        'key = "keys/receipt.key"', 'key = "keys/receipt.key"\nkye = 1'))
    with pytest.raises(ConfigError, match="3 mistakes; next: fix them") as told:
        settings.load(data)
    assert 'did you mean "key"?' in str(told.value)


def test_a_factor_set_that_is_not_there_is_told_at_the_start(data, capsys):
    file = data / "fleet.toml"
    file.write_text(file.read_text().replace("de-2024-direct-duck-1", "none-1"))
    for words in (["check"], ["serve", "--port", "1"]):
        assert main([*words, "--data", str(data)]) == 1
        assert "no factor set is named 'none-1'" in capsys.readouterr().err
