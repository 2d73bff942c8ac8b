"""A small form of load.py: no stream loses a token while others are idle and many stream."""
from conftest import binary
from load import many


def test_many_clients():
    errors, _ = many(binary(), 12, 8, 2, 6)
    assert not errors
