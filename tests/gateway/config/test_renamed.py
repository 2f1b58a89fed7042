"""Old keys of [[bus]]: refused with the line and the new ones, and nothing else goes unsaid."""

import pytest

from gateway.config import load as config
from gateway.config.renamed import renamed
from tests.support.cabinet_folder import EXAMPLE, FakeCatalogue, make_folder

NEW_AND_OLD = (
    ('transport = "serial"\nprotocol = "modbus"\ntty = "bus/rtu-1"',
     'kind = "rtu"\nport = "bus/rtu-1"',
     ['kind = "rtu" is now transport = "serial", protocol = "modbus"',
      'port = "bus/rtu-1" is now tty = "bus/rtu-1"; port is the port of a TCP server']),
    ('transport = "tcp"\nprotocol = "modbus"\nhost = "127.0.0.1"\nport = 1502',
     'kind = "tcp"\ntcp_port = 1502\nhost = "127.0.0.1"',
     ['kind = "tcp" is now transport = "tcp", protocol = "modbus"',
      "tcp_port = 1502 is now port = 1502"]),
    ('transport = "serial"\nprotocol = "pylontech"', 'kind = "pylontech"',
     ['kind = "pylontech" is now transport = "serial", protocol = "pylontech"']),
    ('transport = "http"\nprotocol = "prometheus"', 'kind = "http"',
     ['kind = "http" is now transport = "http", protocol = "prometheus"']),
)


@pytest.mark.parametrize(("new", "old", "told"), NEW_AND_OLD, ids=lambda part: str(part)[:30])
def test_an_old_key_is_told_with_its_line_and_the_new_keys_and_nothing_more(
        tmp_path, new, old, told):
    text = EXAMPLE.read_text()
    assert new in text
    path = make_folder(tmp_path, text.replace(new, old, 1))
    first = text[: text.index(new)].count("\n") + 1
    assert config.check(path, FakeCatalogue()) == [
        (first + number, f"bus.{line.split(' ')[0]}: {line}") for number, line in enumerate(told)]


def test_the_other_mistakes_of_a_file_with_old_keys_are_told_in_the_same_run(tmp_path):
    text = EXAMPLE.read_text().replace(
        'transport = "tcp"\nprotocol = "modbus"\nhost = "127.0.0.1"\nport = 1502',
        'kind = "tcp"\ntcp_port = 99999')
    found = [mistake.text for mistake in config.check(make_folder(tmp_path, text),
                                                      FakeCatalogue())]
    assert len(found) == 4
    assert 'bus.host: is missing; a "modbus-tcp" bus needs it' in found
    assert "bus.port: 99999 is out of range; allowed: 1 to 65535" in found


def test_new_keys_are_left_as_they_are():
    bus = {"name": "lan", "transport": "tcp", "protocol": "modbus", "port": "1502"}
    assert renamed(bus) == (bus, [])
