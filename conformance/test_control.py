"""Looking at a server and stopping requests: request ids, the list of requests, cancelling, the system, metrics,
prompts that were cut."""
import http.client
import json
import re
import threading
import time

import pytest

ENDLESS = {"num_predict": 5000}  # the scripted model never ends after "r"


def call(server, method, path, body=None, headers=None):
    host, port = server.netloc.rsplit(":", 1)
    c = http.client.HTTPConnection(host, int(port), timeout=60)
    c.request(method, path, json.dumps(body) if body is not None else None, headers or {})
    r = c.getresponse()
    data = r.read().decode()
    c.close()
    return r, data


def metrics(server):
    """{name with labels: value}; every line must be of the text form."""
    r, text = call(server, "GET", "/metrics")
    assert r.status == 200 and r.getheader("Content-Type").startswith("text/plain; version=0.0.4")
    out, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name not in types and kind in ("counter", "gauge", "histogram")
            types[name] = kind
        elif not line.startswith("# HELP "):
            m = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-z_]+="[^"\\\n]*",?)*\})? (-?[0-9.e+-]+)', line)
            assert m, line
            base = re.sub("_(bucket|sum|count)$", "", m[1])
            assert m[1] in types or types.get(base) == "histogram", line
            out[m[1] + (m[2] or "")] = float(m[3])
    return out


def wait_for(server, want, what):
    """Asks for the list of requests until want(list) holds."""
    end = time.time() + 60
    while time.time() < end:
        requests = json.loads(call(server, "GET", "/api/requests")[1])["requests"]
        if want(requests):
            return requests
        time.sleep(0.01)
    raise AssertionError(what)


def test_request_id(server):
    for good in ("a", "my-id_1.2:3", "x" * 64):
        assert call(server, "GET", "/", headers={"X-Request-Id": good})[0].getheader("X-Request-Id") == good
    for bad in ("", "x" * 65, "a b", "a/b", "<script>"):
        got = call(server, "GET", "/", headers={"X-Request-Id": bad})[0].getheader("X-Request-Id")
        assert re.fullmatch("req_[0-9a-f]{24}", got), bad
    a, b = (call(server, "GET", "/nowhere")[0].getheader("X-Request-Id") for _ in range(2))
    assert a != b
    assert "id=my-id_1.2:3" in server.log_tail(100000)


@pytest.mark.parametrize("path,body,end", [
    ("/api/generate", {"prompt": "r"}, '{"error":"request canceled"}\n'),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "r"}], "stream": True}, "request canceled"),
    ("/v1/messages", {"messages": [{"role": "user", "content": "r"}], "max_tokens": 5000, "stream": True},
     "request canceled"),
])
def test_cancel_a_stream(server, scripted, path, body, end):
    got = {}
    name = "cancel" + path.replace("/", ".")

    def ask():
        got["answer"] = call(server, "POST", path, {"model": scripted, "options": ENDLESS, **body},
                             {"X-Request-Id": name})

    before = metrics(server)
    t = threading.Thread(target=ask)
    t.start()
    one = wait_for(server, lambda l: any(r["id"] == name and r["state"] == "generating" for r in l), "it runs")
    mine = next(r for r in one if r["id"] == name)
    assert (mine["route"], mine["method"], mine["model"]) == (path, "POST", scripted) and mine["tokens"] > 0
    r, text = call(server, "DELETE", "/api/requests/" + name)
    assert r.status == 200 and json.loads(text) == {"id": name, "status": "canceled"}
    t.join()
    r, text = got["answer"]
    assert r.status == 200 and end in text and r.getheader("X-Request-Id") == name
    wait_for(server, lambda l: all(r["id"] != name for r in l), "it has gone")
    after = metrics(server)
    assert after["cria:request_aborted_total"] == before["cria:request_aborted_total"] + 1
    assert call(server, "DELETE", "/api/requests/" + name)[0].status == 404


def test_cancel_before_the_first_piece(server, scripted):
    """All slots are taken; one more waits, is listed as queued, and is canceled with a status."""
    def ask(i, stream, out):
        out[i] = call(server, "POST", "/api/generate",
                      {"model": scripted, "prompt": "r", "options": ENDLESS, "stream": stream}, {"X-Request-Id": f"q{i}"})

    out, threads = {}, []
    for i in range(4):
        threads.append(threading.Thread(target=ask, args=(i, True, out)))
        threads[-1].start()
    wait_for(server, lambda l: sum(r["state"] == "generating" for r in l) == 4, "four run")
    threads.append(threading.Thread(target=ask, args=(4, False, out)))
    threads[-1].start()
    wait_for(server, lambda l: any(r["id"] == "q4" and r["state"] == "queued" for r in l), "the fifth waits")
    end = time.time() + 30
    while (m := metrics(server))["cria:num_requests_waiting"] != 1:  # it is listed before it is in the queue
        assert time.time() < end
    assert m["cria:num_requests_running"] == 4
    for i in (4, 0, 1, 2, 3):
        assert call(server, "DELETE", f"/api/requests/q{i}")[0].status == 200
    for t in threads:
        t.join()
    assert out[4][0].status == 499 and json.loads(out[4][1]) == {"error": "request canceled"}


def test_cancel_what_cannot_be(server):
    assert call(server, "DELETE", "/api/requests/nobody")[0].status == 404
    r, _ = call(server, "DELETE", "/api/requests/me", headers={"X-Request-Id": "me"})
    assert r.status == 409


def test_system(server, tiny, client):
    client.generate(tiny, "Hi", options={"num_predict": 1})
    r, text = call(server, "GET", "/api/system")
    got = json.loads(text)
    assert r.status == 200 and got["cores"] >= 1 and got["isa"] and got["backend"] == "cpu"
    assert re.match(r"[0-9]+\.[0-9]+", got["version"])
    assert got["memory"]["total"] > got["memory"]["resident"] > 0
    assert tiny + ":latest" in [m["name"] for m in got["models"]]


def test_sec_S_NET_14_nothing_private(server, scripted, client):
    secret, key = "canary-5f2c prompt", "cria_canary-5f2c-key"
    client.generate(scripted, secret, options={"num_predict": 2})
    call(server, "GET", "/api/tags", headers={"Authorization": "Bearer " + key, "x-api-key": key, "Cookie": key})
    for path in ("/metrics", "/api/system", "/api/requests"):
        text = call(server, "GET", path, headers={"Authorization": "Bearer " + key})[1]
        assert "canary" not in text and server.tmp not in text, path


def test_sec_S_LC_7_nothing_private_in_the_log(server, scripted, client):
    log = server.log_tail(10_000_000)
    test_sec_S_NET_14_nothing_private(server, scripted, client)
    call(server, "GET", "/canary-5f2c-path?canary=1")
    new = server.log_tail(10_000_000)[len(log):]
    assert "GET /api/tags 200" in new and "canary" not in new


def test_metrics_count(server, scripted, client):
    wait_for(server, lambda l: all(r["route"] != "/api/generate" for r in l), "nobody else generates")
    before = metrics(server)
    r = client.generate(scripted, "1")
    again = client.generate(scripted, "1")
    wait_for(server, lambda l: all(r["route"] != "/api/generate" for r in l), "both are counted")
    after = metrics(server)

    def more(name):
        return after[name] - before.get(name, 0)

    assert more("cria:prompt_tokens_total") == r.prompt_eval_count + again.prompt_eval_count
    assert more("cria:prefix_cache_queries_total") == more("cria:prompt_tokens_total")
    assert again.prompt_eval_count - 1 <= more("cria:prefix_cache_hits_total") <= more("cria:prompt_tokens_total") - 2
    assert more("cria:generation_tokens_total") == r.eval_count + again.eval_count
    assert more('cria:request_success_total{finished_reason="stop"}') == 2
    assert more('cria:http_requests_total{method="POST",route="/api/generate",status="200"}') == 2
    assert more("cria:time_to_first_token_seconds_count") == 2
    assert more("cria:e2e_request_latency_seconds_count") == more("cria:request_queue_time_seconds_count") == 2
    assert more("cria:inter_token_latency_seconds_count") >= 2
    buckets = [v for k, v in after.items() if k.startswith("cria:inter_token_latency_seconds_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == after["cria:inter_token_latency_seconds_count"]
    used = [v for k, v in after.items() if k.startswith("cria:kv_cache_usage_perc{")]
    assert used and all(0 <= v <= 1 for v in used)


# ---- prompts that are cut ------------------------------------------------------------------------------


def test_prompt_truncated(server, scripted):
    long = [{"role": "user", "content": "word " * 40} for _ in range(4)] + [{"role": "user", "content": "1"}]
    small = {"num_ctx": 64}

    def ask(path, body, want, field=True):
        before = metrics(server)["cria:prompt_truncated_total"]
        asked = {"report_truncation": True} if field else {}
        r, text = call(server, "POST", path, {"model": scripted, "options": small, **asked, **body})
        assert r.status == 200, text
        assert (r.getheader("X-Prompt-Truncated") == "true") == want, path
        if field:
            assert json.loads(text.strip().splitlines()[-1])["prompt_truncated"] is want
        else:
            assert "prompt_truncated" not in text
        assert (metrics(server)["cria:prompt_truncated_total"] > before) == want

    ask("/api/chat", {"messages": long[-1:]}, False)
    ask("/api/chat", {"messages": long}, True)
    ask("/api/chat", {"messages": long}, True, field=False)
    ask("/api/chat", {"messages": long, "stream": False}, True)
    ask("/api/generate", {"prompt": "word " * 300, "raw": True}, True)
    ask("/v1/chat/completions", {"messages": long}, True, field=False)
    ask("/v1/messages", {"messages": long, "max_tokens": 5}, True, field=False)
    assert "cut to fit 64 tokens" in server.log_tail(100000)
    r, text = call(server, "POST", "/api/chat", {"model": scripted, "options": small, "messages": long, "truncate": False})
    assert r.status == 400 and "context" in text and r.getheader("X-Prompt-Truncated") is None
