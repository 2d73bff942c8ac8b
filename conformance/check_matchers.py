"""Tests of matchers.py with plain Python: python3 conformance/check_matchers.py"""
from collections import namedtuple

from matchers import diff, diff_answer, diff_stream

Answer = namedtuple("Answer", "status headers body")

SAME = [
    (1, 1.0), ("$$x", "$x"), ("$any", None), ("$posint", 3), ("$null", None), ("$text", "a"),
    ("$rfc3339", "2026-11-21T15:04:05.123456789Z"), ("$rfc3339", "2026-11-21T15:04:05+01:00"),
    ("$digest", "sha256:" + "0f" * 32), ("$re:^a.c$", "abc"), ("$near:1.5,0.1", 1.45), ("$ints:2", [1, 2]),
    ("$jsoneq:{\"a\": 1}", "{ \"a\":1 }"), ({"a": 1, "?b": 2}, {"a": 1}), ({"$open": True, "a": 1}, {"a": 1, "z": 0}),
    ({"$each": "$int", "$min": 1}, [1, 2]), ({"$unordered": [1, 2]}, [2, 1]), ({"$has": [2]}, [1, 2]),
    ({"$oneof": [None, "x"]}, "x"), ({"$lines": ["a", "b"]}, "b\na"),
]
DIFFERENT = [
    (1, True), (0, False), (1, "1"), ("x", "$x"), ("$posint", 0), ("$text", ""), ("$int", True),
    ("$rfc3339", "2026-11-21 15:04:05"), ("$in_s:0,10", "2020-01-01T00:00:00Z"), ("$ints:2", [1]),
    ({"a": 1}, {"a": 1, "b": 2}), ({"a": 1}, {}), ({"$each": "$int", "$min": 1}, []), ([1, 2], [2, 1]),
    ({"$unordered": [1, 1]}, [1, 2]), ({"$has": [3]}, [1, 2]), ({"$oneof": [1, 2]}, 3), ("$duration_ns", 0),
]


def say(text, done=False):
    return {"response": text, "done": done}


WANT = [say("He"), say("llo"), say("", True)]
STREAMS = [  # want, got, joined matches, exact matches
    (WANT, [say("He"), say("llo"), say("", True)], True, True),
    (WANT, [say("H"), say("el"), say("lo"), say("", True)], True, False),
    (WANT, [say("Hello"), say("", True)], True, False),
    (WANT, [say("Hello"), say("!"), say("", True)], False, False),
    (WANT, [say("Hell"), say("", True)], False, False),
    (WANT, [say("Hello")], False, False),
    ({"$runs": [{"s": "a"}, {"$opt": {"s": "b"}}, {"s": "c"}]}, [{"s": "a"}, {"s": "a"}, {"s": "c"}], True, True),
    ({"$runs": [{"s": "a"}, {"s": "c"}]}, [{"s": "a"}], False, False),
]


def check():
    for p, v in SAME:
        assert diff(p, v) == [], (p, v, diff(p, v))
    for p, v in DIFFERENT:
        assert diff(p, v) != [], (p, v)
    for want, got, joined, exact in STREAMS:
        assert (diff_stream(want, got, "joined") == []) == joined, (want, got)
        assert (diff_stream(want, got, "exact") == []) == exact, (want, got)
    answer = Answer(200, [("content-type", "text/event-stream")], b"data: {\"delta\":\"x\"}\n\ndata: [DONE]\n\n")
    want = {"status": 200, "headers": {"Content-Type": "text/event-stream", "x-no": None},
            "sse": [{"event": None, "data": {"delta": "x"}}, {"event": None, "data": "[DONE]"}]}
    assert diff_answer(want, answer) == [], diff_answer(want, answer)
    assert diff_answer(dict(want, status=[404, 500]), answer) != []
    slow = Answer(200, [], b'{"total_duration": 10, "load_duration": 0, "eval_duration": 99000000}')
    assert diff_answer({"status": 200, "json": "$any"}, slow) != []


check()
print(f"{len(SAME) + len(DIFFERENT) + 2 * len(STREAMS) + 3} passed, 0 failed, 0 skipped")
