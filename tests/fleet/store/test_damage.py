"""A rotten page of the fleet's database is named, with a next step that works."""

import asyncio
import random
import re
import shutil
import sqlite3
from html import unescape
from types import SimpleNamespace

import pytest

from fleet.__main__ import main
from fleet.errors import StoreDamaged, StoreUnavailable
from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest
from fleet.ingest.live_table import LiveTable
from fleet.store import backup, damage
from fleet.store.reader import open_reader
from fleet.store.watch import Watch
from fleet.store.writer import EvidenceStore
from fleet.web import app
from tests.fleet.maker import ORIGIN_MS
from tests.fleet.web.asgi import Browser

PAGE = 4096
EMPTY = (b"\x0a\0\0\0\0", b"\x0d\0\0\0\0")       # leaves of an index or a table without a cell
PATHS = ("/", "/site/shop", "/site/shop/report")


@pytest.fixture
def rotten(filled, store):
    """A stopped fleet's folder with a backup, and a function that damages a copy of it."""
    data, _ = filled
    backup.take(data, data / "backup")
    store.close()
    whole = (data / "fleet.db").read_bytes()

    def damaged(seed):
        """Replace bytes 8 to 300 of each twentieth page, not in the first two, and not where
        nothing stands."""
        chance, found = random.Random(seed), bytearray(whole)
        pages = [page for page in range(2, len(found) // PAGE)
                 if found[page * PAGE:page * PAGE + 5] not in EMPTY]
        for page in chance.sample(pages, max(1, len(pages) // 20)):
            found[page * PAGE + 8:page * PAGE + 300] = chance.randbytes(292)
        (data / "fleet.db").write_bytes(found)
        return data
    return damaged


def browser(data, watch=None):
    receiver = SimpleNamespace(connected=True, last_receipt_ms={})
    return Browser(app.make(app.PageSources(data, Registry(data), LiveTable(), receiver, None, (),
                                            watch)))


def said(text):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text)))


@pytest.mark.parametrize("seed", range(8))
def test_each_command_and_page_says_that_the_store_is_damaged(rotten, capsys, seed):
    data = rotten(seed)
    assert main(["verify", "--data", str(data), "--site", "shop"]) == 1
    out, err = capsys.readouterr()
    assert "restore" in out + err and "Traceback" not in out + err
    watch = Watch(data)
    watch.check()
    for path in PATHS:
        answer = browser(data, watch).get(path)
        assert answer.status_code in (200, 503)
        text = said(answer.text)
        assert "damaged" in text and "wattproof-fleet restore" in text, path


@pytest.mark.parametrize("seed", range(8))
def test_a_page_read_before_the_check_is_no_bare_error(rotten, seed):
    data = rotten(seed)
    for path in PATHS:
        answer = browser(data).get(path)
        text = said(answer.text)
        assert answer.status_code in (200, 404) or (
            answer.status_code == 503 and "wattproof-fleet restore" in text), path


@pytest.mark.parametrize("seed", range(4))
def test_the_next_step_works(rotten, capsys, seed):
    data = rotten(seed)
    main(["verify", "--data", str(data), "--site", "shop"])
    step = re.search(r"wattproof-fleet (restore --data \S+ --backup) FILE", "".join(
        capsys.readouterr()))
    assert main([*step[1].split(), str(data / "backup")]) == 0
    assert main(["verify", "--data", str(data), "--site", "shop"]) == 0
    watch = Watch(data)
    watch.check()
    assert watch.damaged == ""
    assert [browser(data, watch).get(path).status_code for path in PATHS] == [200] * 3


def test_without_a_backup_an_empty_store_takes_everything_again(rotten, gateway, receipt_key,
                                                               filled):
    data = rotten(1)
    assert main(["restore", "--data", str(data), "--empty"]) == 0
    store = EvidenceStore(data)
    ingest = Ingest(store, Registry(data).find, receipt_key, lambda: ORIGIN_MS)
    assert [ingest.process_one("shop-1", one).code for one in filled[1]] == ["admit"] * 4
    store.close()
    assert main(["verify", "--data", str(data), "--site", "shop"]) == 0


def test_a_batch_whose_bytes_rotted_is_named(filled, capsys):
    data, _ = filled
    beside = sqlite3.connect(data / "fleet.db")
    beside.execute("UPDATE batches SET sealed = CAST(substr(sealed, 1, 500) || x'00' || "
                        "substr(sealed, 502) AS BLOB) WHERE number = 2")
    beside.commit()
    beside.close()
    assert main(["verify", "--data", str(data), "--site", "shop"]) == 1
    assert "batch 2" in capsys.readouterr().out


@pytest.mark.parametrize("error", [TypeError("x"), ValueError("x"), KeyError("x")])
def test_a_bug_is_not_called_damage(filled, error):
    with pytest.raises(type(error)), open_reader(filled[0]):
        raise error


def test_a_wrong_value_from_a_damaged_store_is_called_damage(rotten):
    data = rotten(3)
    with pytest.raises(StoreDamaged, match="wattproof-fleet restore"), damage.named(data):
        raise TypeError("a text where a number should stand")


def test_a_store_without_the_right_to_write_is_not_called_damaged(tmp_path):
    (tmp_path / "fleet.db").mkdir()
    with pytest.raises(StoreUnavailable):
        EvidenceStore(tmp_path)


async def test_an_event_stream_says_so_and_goes_on(rotten, monkeypatch):
    data = rotten(1)
    monkeypatch.setattr(app, "PAUSE_S", 0.0)
    monkeypatch.setattr(app, "TICK_S", 0.0)
    (data / "fleet.db").write_bytes(b"\xa5" * PAGE * 20)
    receiver = SimpleNamespace(connected=True, last_receipt_ms={})
    pages = app.Pages(app.PageSources(data, Registry(data), LiveTable(), receiver, None))
    answer = await pages.events(SimpleNamespace(path_params={"site": "shop"}))
    stream = aiter(answer.body_iterator)
    first = await asyncio.wait_for(anext(stream), 10)
    shutil.copy(data / "backup", data / "fleet.db")
    second = await asyncio.wait_for(anext(stream), 10)
    await answer.body_iterator.aclose()
    assert "wattproof-fleet restore" in first and "wattproof-fleet restore" not in second
