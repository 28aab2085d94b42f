"""Sealed JSON: the layout that files have, and that no byte of it can be altered unseen."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.seal import laid_out, sealed, unsealed

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(JSON)
def test_the_layout_is_that_of_json_with_an_indent_of_one(value):
    data = json.loads(json.dumps(value))
    assert laid_out(data) == json.dumps(data, indent=1)


@given(st.dictionaries(st.text(), JSON.filter(lambda value: "NaN" not in json.dumps(value))))
def test_what_was_sealed_is_read_back(data):
    assert unsealed("record", sealed("record", data).encode()) == json.loads(json.dumps(data))


@given(st.data())
def test_an_altered_byte_breaks_the_seal(data):
    content = bytearray(sealed("record", {"curve": [0.5, 1e300], "names": {"a": None, "b": [True, "é\n"]}}).encode())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match=r"."):
        unsealed("record", bytes(content))
