"""Our CBOR against cbor2: equal bytes, equal verdicts."""

import io

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.codec import cbor
from gateway.core.errors import FormatError

INTS = st.integers(-(2 ** 63), 2 ** 64 - 1)
SCALARS = st.one_of(st.none(), st.booleans(), INTS, st.binary(max_size=300), st.text(max_size=80))
KEYS = st.one_of(INTS, st.text(max_size=20))
VALUES = st.recursive(
    SCALARS, lambda one: st.lists(one, max_size=30) | st.dictionaries(KEYS, one, max_size=8),
    max_leaves=40)


def refuse(*_):
    """Stand in for every tag: none is wanted."""
    raise cbor2.CBORDecodeError("tag refused")


TAGS = {tag: refuse for tag in (*range(64), 100, 256, 258, 260, 261, 1004, 43000, 55799)}


def strict(data):
    """Return what cbor2 reads in its strictest profile; raises CBORDecodeError or ValueError."""
    stream = io.BytesIO(data)
    value = cbor2.CBORDecoder(stream, tag_hook=refuse, semantic_decoders=TAGS, max_depth=9,
                              allow_indefinite=False, allow_duplicate_keys=False).decode()
    if stream.tell() != len(data):
        raise ValueError("trailing bytes")
    return value


def by_the_rule(value):
    """Return cbor2's bytes with map keys in bytewise order (cbor2 sorts by length first)."""
    if isinstance(value, dict):
        pairs = sorted((cbor2.dumps(k), by_the_rule(v)) for k, v in value.items())
        head = cbor2.dumps(dict.fromkeys(range(len(value))))[:1 + (len(value) > 23)]
        return head + b"".join(k + v for k, v in pairs)
    if isinstance(value, list):
        head = cbor2.dumps([0] * len(value))[:1 + (len(value) > 23)]
        return head + b"".join(by_the_rule(v) for v in value)
    return cbor2.dumps(value)


def depth(value):
    """Return how many containers lie inside each other."""
    if isinstance(value, (list, dict)):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max((depth(v) for v in inner), default=0)
    return 0


@given(VALUES)
def test_our_bytes_are_those_of_cbor2_and_both_read_them_back(value):
    if depth(value) > cbor.DEPTH_MAX:
        return
    data = cbor.encode(value)
    assert data == by_the_rule(value)
    assert cbor.decode(data) == value
    assert strict(data) == value


@given(st.binary(max_size=60))
@settings(max_examples=500)
def test_arbitrary_bytes_are_either_refused_or_the_one_encoding_of_their_value(data):
    try:
        value = cbor.decode(data)
    except FormatError:
        return
    assert cbor.encode(value) == data


@given(VALUES, st.data())
@settings(max_examples=300)
def test_changed_bytes_are_refused_or_mean_what_cbor2_reads(value, data):
    if depth(value) > cbor.DEPTH_MAX:
        return
    raw = bytearray(cbor.encode(value))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    raw = bytes(raw)
    try:
        ours = cbor.decode(raw)
    except FormatError:
        return
    assert cbor.encode(ours) == raw
    if not holds_tag(ours):
        assert strict(raw) == ours


def holds_tag(value):
    """Return True if a Tag is anywhere inside."""
    if isinstance(value, cbor.Tag):
        return True
    if isinstance(value, dict):
        return any(holds_tag(v) for v in value.values())
    return isinstance(value, list) and any(holds_tag(v) for v in value)


@given(st.binary(max_size=40))
@settings(max_examples=300)
def test_text_is_taken_exactly_if_python_takes_it_as_utf8(raw):
    data = cbor.head(cbor.TEXT, len(raw)) + raw
    try:
        expected = raw.decode("utf-8")
    except UnicodeDecodeError:
        with pytest.raises(FormatError):
            cbor.decode(data)
    else:
        assert cbor.decode(data) == expected


@pytest.mark.parametrize("text", [
    "9b00000000ffffffff", "bb00000000ffffffff", "5b00000000ffffffff", "7b00000000ffffffff",
    "9affffffff00", "d9d9f79a00ffffff00", "81" * 5000, "c1" * 5000, "a100" * 3000])
def test_announced_sizes_and_depths_cost_nothing(text):
    with pytest.raises(FormatError):
        cbor.decode(bytes.fromhex(text))
