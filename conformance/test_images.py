"""Pictures end to end: a text model and its projector are made into one model through the server, then asked
through real clients and the command line. The models are tiny and their weights random, so what they say is
noise; but it must depend on the picture, on its place in the prompt, and on nothing else."""
import base64
import json
import os
import pty
import re
import select
import struct
import subprocess
import urllib.error
import urllib.request
import zlib

import anthropic
import ollama
import openai
import pytest

import gguf_file
from conftest import HERE, binary
from test_tools import with_key

GOLDEN = os.path.join(HERE, "..", "golden")
PICTURES = os.path.join(GOLDEN, "pictures")
GREEDY = {"temperature": 0, "num_predict": 6}
NONE = "Multimodal data provided, but model does not support multimodal requests."


def png(w, h, colour, alpha=False):
    """A picture drawn by a formula: (x, y) -> (r, g, b)."""
    rows = b"".join(b"\0" + b"".join(bytes(colour(x, y)) for x in range(w)) for y in range(h))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 6 if alpha else 2, 0, 0, 0)),
              (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks)


STRIPES = png(40, 30, lambda x, y: (255 * (x // 5 % 2), 40, 255 - 6 * y))
BLUE = png(28, 28, lambda x, y: (10, 20, 230))


def text(data):
    return base64.b64encode(data).decode()


def find_set(kind, name):
    for root in (GOLDEN, os.path.join(HERE, "..", "..", "shared", "golden")):
        path = os.path.join(root, kind, name)
        if os.path.isdir(path):
            return path
    pytest.skip(f"no {kind}/{name} here")


def make(client, name, **more):
    """A model of a set of golden/vision: its projector, and the text model that it names."""
    path = find_set("vision", name)
    with open(os.path.join(path, "expected.json"), encoding="utf-8") as f:
        words = find_set(*json.load(f)["text_model"].split("/"))
    files = {"mm.gguf": client.create_blob(os.path.join(path, "mmproj.gguf")),
             "m.gguf": client.create_blob(os.path.join(words, "model.gguf"))}
    client.create(model="eyes/" + name, files=files, **more)
    return "eyes/" + name


@pytest.fixture(scope="module")
def eyes(client):
    return make(client, "llava-mlp", template="{{ range .Messages }}{{ .Role }}: {{ .Content }} {{ end }}",
                parameters={"temperature": 0})


def post(server, path, body):
    """Without a client package: fields that it does not know, answers as they are."""
    with urllib.request.urlopen(f"http://{server.netloc}{path}", json.dumps(body).encode(), timeout=60) as r:
        return json.load(r)


def said(client, model, images, words="what is this", **more):
    r = client.generate(model, words, images=images, options=GREEDY, logprobs=True, **more)
    return r.response, [(p.token, p.logprob) for p in r.logprobs], r.prompt_eval_count


# ---- what a model is ----


def test_show(server, client, eyes):
    shown = post(server, "/api/show", {"model": eyes})
    assert "vision" in shown["capabilities"]
    assert shown["projector_info"]["general.architecture"] == "clip"
    assert shown["modelfile"].count("\nFROM ") == 2
    again = client.create(model="eyes/copy", from_=eyes)
    assert again.status == "success"
    assert "vision" in client.show("eyes/copy").capabilities


# ---- answers depend on the picture ----


def test_picture_counts(client, eyes):
    first, none = said(client, eyes, [STRIPES]), said(client, eyes, [])
    other = said(client, eyes, [BLUE])
    assert first[1] != other[1] and first[1] != none[1]
    assert first[2] > none[2], "an image takes tokens of the prompt"
    assert said(client, eyes, [STRIPES]) == first, "the same picture, the same answer"
    assert said(client, eyes, [BLUE]) == other
    both = said(client, eyes, [STRIPES, BLUE])
    assert both[1] not in (first[1], other[1]) and both[1] != said(client, eyes, [BLUE, STRIPES])[1]


def test_place_counts(client, eyes):
    front = said(client, eyes, [STRIPES], "look at this")
    assert said(client, eyes, [STRIPES], "[img]look at this") == front
    assert said(client, eyes, [STRIPES], "look at [img] this")[1] != front[1]
    raw = client.generate(eyes, "look [img-0] here", images=[STRIPES], raw=True, options=GREEDY, logprobs=True)
    unplaced = client.generate(eyes, "look  here", images=[STRIPES], raw=True, options=GREEDY, logprobs=True)
    assert raw.response is not None and raw.logprobs != unplaced.logprobs
    with pytest.raises(ollama.ResponseError) as e:
        client.generate(eyes, "look [img-0]", images=[STRIPES], raw=True)
    assert e.value.status_code == 400 and "text has to follow" in e.value.error


def test_fresh_and_cached(server, client, eyes):
    """An answer is the same whether its prefix, pictures included, was computed or found."""
    chat = [{"role": "user", "content": "what is this", "images": [text(STRIPES)]}]
    body = {"model": eyes, "messages": chat, "options": GREEDY, "logprobs": True, "stream": False, "truncate": False}
    first = post(server, "/api/chat", body)
    chat += [first["message"], {"role": "user", "content": "and this", "images": [text(BLUE)]}]
    warm = post(server, "/api/chat", body)
    client.generate(eyes, "", keep_alive=0)
    cold = post(server, "/api/chat", body)
    assert (cold["message"], cold["logprobs"]) == (warm["message"], warm["logprobs"])
    assert cold["prompt_eval_count"] == warm["prompt_eval_count"] > first["prompt_eval_count"]


@pytest.mark.parametrize("name", ["gemma3", "qwen2vl", "qwen3vl", "pixtral", "internvl", "llama4", "gemma4v"])
def test_kinds(client, name):
    """Rows that see each other, positions of two dimensions, several tiles: all the same to a client."""
    model = make(client, name)
    first, other = said(client, model, [STRIPES]), said(client, model, [BLUE])
    assert first[1] != other[1]
    assert said(client, model, [STRIPES]) == first


@pytest.mark.parametrize("name", ["rgb.png", "grey.jpg", "cmyk.jpg", "lossy.webp", "plain.gif", "rgba.png", "1x1.png",
                                  "wide.png"])
def test_formats(client, eyes, name):
    with open(os.path.join(PICTURES, name), "rb") as f:
        data = f.read()
    lossless = {"rgb.png": "lossless.webp"}.get(name)
    first = said(client, eyes, [data])
    if lossless:
        with open(os.path.join(PICTURES, lossless), "rb") as f:
            assert said(client, eyes, [f.read()]) == first, "the same pixels in another format"


def test_stream(client, eyes):
    whole = client.generate(eyes, "what is this", images=[STRIPES], options=GREEDY).response
    pieces = client.generate(eyes, "what is this", images=[STRIPES], options=GREEDY, stream=True)
    assert "".join(p.response for p in pieces) == whole


# ---- files that hold both ----

OLD_NAMES = (("v.patch_embd", "v.patch_embedding"), ("v.position_embd", "v.position_embedding"),
             ("post_ln", "post_layernorm"), (".ln1.", ".layer_norm1."), (".ln2.", ".layer_norm2."),
             ("attn_out.", "attn_output."), ("ffn_up", "mlp.fc1"), ("ffn_down", "mlp.fc2"),
             ("mm.input_projection", "mm.mm_input_projection"), ("mm.soft_emb_norm", "mm.mm_soft_emb_norm"))


def test_encoder_inside_of_the_model(client, server, tmp_path):
    """Older files hold text model and image encoder; the answers are those of the same weights in two files."""
    eyes = gguf_file.read(os.path.join(find_set("vision", "gemma3"), "mmproj.gguf"))
    words = gguf_file.read(os.path.join(find_set("models", "gemma3"), "model.gguf"))
    for key in ("clip.vision.image_mean", "clip.vision.image_std"):  # what the older form takes for granted
        eyes.keys[key] = gguf_file.ARRAY, (gguf_file.F32, [0.5] * 3)
    (tmp_path / "mm.gguf").write_bytes(eyes.bytes())
    (tmp_path / "m.gguf").write_bytes(words.bytes())
    for key in ("block_count", "embedding_length", "feed_forward_length", "attention.head_count",
                "attention.layer_norm_epsilon", "image_size", "patch_size"):
        words.keys["gemma3.vision." + key] = eyes.keys["clip.vision." + key]
    words.keys["gemma3.mm.tokens_per_image"] = gguf_file.U32, 16
    eyes.rename(OLD_NAMES)
    words.tensors.update(eyes.tensors)
    (tmp_path / "both.gguf").write_bytes(words.bytes())
    blobs = {n: client.create_blob(str(tmp_path / n)) for n in ("mm.gguf", "m.gguf", "both.gguf")}
    client.create(model="eyes/two", files={n: blobs[n] for n in ("mm.gguf", "m.gguf")})
    client.create(model="eyes/inside", files={"both.gguf": blobs["both.gguf"]})
    shown = post(server, "/api/show", {"model": "eyes/inside"})
    assert shown["capabilities"] == post(server, "/api/show", {"model": "eyes/two"})["capabilities"]
    assert "vision" in shown["capabilities"] and "projector_info" not in shown
    for picture in (STRIPES, BLUE):
        assert said(client, "eyes/inside", [picture]) == said(client, "eyes/two", [picture])
    chat = [{"role": "user", "content": "what is this", "images": [text(STRIPES)]}]
    one, two = (client.chat(m, chat, options=GREEDY) for m in ("eyes/inside", "eyes/two"))
    assert one.message.content == two.message.content and one.prompt_eval_count == two.prompt_eval_count


def test_encoder_that_is_said_to_be_inside(client, tmp_path):
    """Keys without tensors: text works, and who sends a picture is told what is wrong."""
    words = gguf_file.read(os.path.join(find_set("models", "gemma3"), "model.gguf"))
    words.keys["gemma3.vision.block_count"] = gguf_file.U32, 2
    (tmp_path / "keys.gguf").write_bytes(words.bytes())
    client.create(model="eyes/keys", files={"m.gguf": client.create_blob(str(tmp_path / "keys.gguf"))})
    assert said(client, "eyes/keys", [])[2] > 0
    status, error = refused(client, "eyes/keys", [BLUE])
    assert status == 400 and "the text model ('gemma3') has no image encoder inside" in error


# ---- recordings ----


def test_audio(client, oai, server, tmp_path):
    """What a projector says about recordings is shown; sending one is refused clearly, however it comes."""
    eyes = gguf_file.read(os.path.join(find_set("vision", "llava-mlp"), "mmproj.gguf"))
    words = client.create_blob(os.path.join(find_set("models", "llama-base"), "model.gguf"))
    wav = b"RIFF" + struct.pack("<I", 40) + b"WAVEfmt " + bytes(32)
    for name, key, value, more, hears in (("yes", "clip.has_audio_encoder", True, None, True),
                                          ("no", "clip.has_audio_encoder", False, None, False),
                                          ("bare", "has_audio_encoder", True, None, True),
                                          ("nv", "clip.has_audio_encoder", True, "gemma3nv", False)):
        eyes.keys = {k: v for k, v in eyes.keys.items() if "has_audio" not in k and "vision.projector" not in k}
        eyes.keys[key] = gguf_file.BOOL, value
        if more:
            eyes.keys["clip.vision.projector_type"] = gguf_file.STRING, more
        (tmp_path / "mm.gguf").write_bytes(eyes.bytes())
        model = "eyes/" + name
        client.create(model=model, files={"mm.gguf": client.create_blob(str(tmp_path / "mm.gguf")), "m.gguf": words})
        can = post(server, "/api/show", {"model": model})["capabilities"]
        assert ("audio" in can) == hears and "vision" in can, name
        assert refused(client, model, [wav]) == (400, "image 1: a recording (WAV); audio is not supported")
    part = {"type": "input_audio", "input_audio": {"data": text(wav), "format": "wav"}}
    with pytest.raises(openai.BadRequestError, match="audio is not supported"):
        oai.chat.completions.create(model="eyes/yes", messages=[{"role": "user", "content": [part]}])
    with pytest.raises(openai.BadRequestError, match="audio is not supported"):
        oai.audio.transcriptions.create(model="eyes/yes", file=("a.wav", wav))
    eyes.keys["clip.has_vision_encoder"] = gguf_file.BOOL, False
    (tmp_path / "mm.gguf").write_bytes(eyes.bytes())
    client.create(model="eyes/deaf", files={"mm.gguf": client.create_blob(str(tmp_path / "mm.gguf")), "m.gguf": words})
    status, error = refused(client, "eyes/deaf", [wav])
    assert status == 400 and "an audio encoder only, and audio is not supported" in error


# ---- encoders from descriptions ----


def test_experimental(client, server, tmp_path):
    """An encoder that was never compared with another implementation works, and everybody is told."""
    eyes = gguf_file.read(os.path.join(find_set("vision", "gemma3"), "mmproj.gguf"))
    eyes.keys["clip.projector_type"] = gguf_file.STRING, "idefics3"
    eyes.keys["clip.vision.preproc_image_size"] = gguf_file.U32, 64
    eyes.tensors = {n: t for n, t in eyes.tensors.items() if not n.startswith("mm.")}
    noise = [((i * 7919 + 13) % 211 - 105) / 600 for i in range(128 * 64)]
    eyes.tensors["mm.model.fc.weight"] = [128, 64], 0, struct.pack("<8192f", *noise)
    (tmp_path / "mm.gguf").write_bytes(eyes.bytes())
    words = os.path.join(find_set("models", "llama-base"), "model.gguf")
    client.create(model="eyes/described", files={"mm.gguf": client.create_blob(str(tmp_path / "mm.gguf")),
                                                 "m.gguf": client.create_blob(words)})
    shown = post(server, "/api/show", {"model": "eyes/described"})
    assert "vision" in shown["capabilities"] and shown["notice"].startswith("experimental: ")
    assert "notice" not in post(server, "/api/show", {"model": make(client, "gemma3")})
    printed = cli(server, "show", "eyes/described", cwd=tmp_path)
    assert "experimental: " in printed.stdout, printed
    wide, tall = (png(w, h, lambda x, y: (255 * (x // 5 % 2), 40, 255 - 3 * y)) for w, h in ((60, 20), (20, 60)))
    options = dict(GREEDY, num_ctx=2048)
    answers = [client.generate("eyes/described", "what is this", images=[p], options=options, logprobs=True)
               for p in (wide, tall, wide)]
    assert answers[0].logprobs == answers[2].logprobs != answers[1].logprobs
    # Two tiles and the overview, 16 rows each, and the text around them.
    assert answers[0].prompt_eval_count > 48


# ---- other dialects ----


def test_dialects_agree(client, oai, claude, eyes):
    """A message of two parts is two native messages to OpenAI's dialect, and one to Anthropic's."""
    native = client.chat(eyes, [{"role": "user", "content": "what is this", "images": [text(STRIPES)]}], options=GREEDY)
    split = client.chat(eyes, [{"role": "user", "content": "", "images": [text(STRIPES)]},
                               {"role": "user", "content": "what is this"}], options=GREEDY)
    url = "data:image/png;base64," + text(STRIPES)
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "what is this"}]
    chat = oai.chat.completions.create(model=eyes, messages=[{"role": "user", "content": parts}], temperature=0,
                                       max_tokens=6)
    assert chat.choices[0].message.content == split.message.content
    assert chat.usage.prompt_tokens == split.prompt_eval_count
    items = [{"type": "input_image", "image_url": url}, {"type": "input_text", "text": "what is this"}]
    answer = oai.responses.create(model=eyes, input=[{"role": "user", "content": items}], temperature=0,
                                  max_output_tokens=6)
    assert answer.output_text == native.message.content
    blocks = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": text(STRIPES)}},
              {"type": "text", "text": "what is this"}]
    message = claude.messages.create(model=eyes, max_tokens=6, messages=[{"role": "user", "content": blocks}])
    assert message.content[0].text == native.message.content
    assert message.usage.input_tokens == native.prompt_eval_count


def test_count_tokens(client, claude, eyes):
    blocks = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": text(STRIPES)}},
              {"type": "text", "text": "what is this"}]
    native = client.chat(eyes, [{"role": "user", "content": "what is this", "images": [text(STRIPES)]}], options=GREEDY)
    counted = claude.messages.count_tokens(model=eyes, messages=[{"role": "user", "content": blocks}])
    assert counted.input_tokens == native.prompt_eval_count


def test_sec_vLLM_CVE_2025_6242_urls_are_refused(oai, claude, eyes):
    """Nobody makes the server fetch anything (CVE-2026-24779, too)."""
    for url in ("http://127.0.0.1:1/a.png", "https://localhost/a.png", "file:///etc/passwd", "ftp://x/a.png"):
        part = {"type": "image_url", "image_url": {"url": url}}
        with pytest.raises(openai.BadRequestError):
            oai.chat.completions.create(model=eyes, messages=[{"role": "user", "content": [part]}])
        with pytest.raises(openai.BadRequestError):
            item = {"type": "input_image", "image_url": url}
            oai.responses.create(model=eyes, input=[{"role": "user", "content": [item]}])
    block = {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1:1/a.png"}}
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.create(model=eyes, max_tokens=1, messages=[{"role": "user", "content": [block]}])


# ---- what is wrong with a picture ----


def refused(client, model, images):
    with pytest.raises(ollama.ResponseError) as e:
        client.generate(model, "what is this", images=images)
    return e.value.status_code, e.value.error


def claim(w, h):
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)
    return BLUE[:8] + BLUE[8:12] + ihdr + struct.pack(">I", zlib.crc32(ihdr)) + BLUE[33:]


def test_bad_pictures(client, eyes):
    for data, why in ((b"no picture", "image 1: neither PNG, JPEG, WebP, GIF nor BMP"),
                      (b"", "image 1: neither PNG, JPEG, WebP, GIF nor BMP"),
                      (STRIPES[:60], "image 1: PNG: "),
                      (claim(30000, 30000), "image 1: PNG: 30000 x 30000 pixels; the limit is"),
                      (claim(0, 0), "image 1: PNG: ")):
        status, error = refused(client, eyes, [text(data)])
        assert status == 400 and error.startswith(why), error
    status, error = refused(client, eyes, [BLUE, BLUE, b"GIF89a"])
    assert status == 400 and error.startswith("image 3: GIF: ")
    status, error = refused(client, eyes, [BLUE] * 129)
    assert (status, error) == (400, "more than 128 images")
    assert said(client, eyes, [BLUE])[0] is not None, "the server goes on"


def test_broken_base64(server, eyes):
    for image, why in (("iVBORw0K?", "illegal base64 data at input byte 8"), ("-_-_", "illegal base64 data at input byte 0")):
        body = json.dumps({"model": eyes, "prompt": "x", "images": [image]}).encode()
        with pytest.raises(urllib.error.HTTPError) as e:
            urllib.request.urlopen(f"http://{server.netloc}/api/generate", body, timeout=60)
        assert e.value.code == 400 and json.load(e.value)["error"] == why


def test_base64_with_line_ends(client, server, eyes):
    folded = base64.encodebytes(STRIPES).decode()
    body = {"model": eyes, "prompt": "what is this", "images": [folded], "options": GREEDY, "stream": False}
    assert post(server, "/api/generate", body)["response"] == said(client, eyes, [STRIPES])[0]


def test_models_without(client, scripted):
    assert refused(client, scripted, [BLUE]) == (400, NONE)


def test_too_long(client, eyes):
    """More pictures than the context holds: an error, no crash and no cut through a picture."""
    status, error = refused(client, eyes, [STRIPES] * 128)
    assert status == 400 and "context" in error


# ---- Jinja templates that insist on turns ----


def test_jinja_turns(client, server, tmp_path):
    """The parts of one message are messages of their own to the server; a strict template must not mind."""
    strict = ("{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
              "{{ raise_exception('roles must alternate') }}{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}")
    path = find_set("vision", "llava-mlp")
    with open(os.path.join(find_set("models", "llama-base"), "model.gguf"), "rb") as f:
        (tmp_path / "m.gguf").write_bytes(with_key(f.read(), "tokenizer.chat_template", strict))
    client.create(model="eyes/jinja", files={"mm.gguf": client.create_blob(os.path.join(path, "mmproj.gguf")),
                                             "m.gguf": client.create_blob(str(tmp_path / "m.gguf"))})
    body = {"model": "eyes/jinja", "messages": [{"role": "user", "images": [text(BLUE)]},
                                                {"role": "user", "content": "and [img] this", "images": [text(STRIPES)]},
                                                {"role": "assistant", "content": "yes"},
                                                {"role": "user", "content": "why"}]}
    shown = post(server, "/api/apply-template", body)
    assert shown["prompt"] == "<user>[img-0]\n\nand [img-1] this<assistant>yes<user>why"
    answer = post(server, "/api/chat", dict(body, truncate=False, stream=False, options=GREEDY))
    assert answer["prompt_eval_count"] == shown["count"]
    # By the peer's estimate two pictures are too much for this context: the oldest turns go, and a first message
    # that is not the user's is none to begin with.
    answer = post(server, "/api/chat", dict(body, stream=False, options=GREEDY))
    assert 0 < answer["prompt_eval_count"] < shown["count"]


# ---- the command line ----


def cli(server, *args, stdin=None, cwd=None):
    env = dict(os.environ, OLLAMA_HOST=server.netloc, HOME=str(cwd))
    return subprocess.run([binary(), *args], capture_output=True, text=True, env=env, cwd=cwd, timeout=120, input=stdin,
                          check=False)


def test_run(server, client, eyes, tmp_path):
    picture = tmp_path / "my picture(1).png"
    picture.write_bytes(STRIPES)
    want = client.generate(eyes, "what is this", images=[STRIPES], options=GREEDY).response
    flags = ["-o", "temperature=0", "-o", "num_predict=6", "--nowordwrap"]
    for words in (f"what is this {picture}", "what is this './my picture(1).png'",
                  "what is this ./my\\ picture\\(1\\).png"):
        r = cli(server, "run", eyes, *flags, words, stdin="", cwd=tmp_path)
        assert r.returncode == 0, r.stderr
        assert re.search(r"^Added image '.*my picture\(1\)\.png'$", r.stderr, re.M)
        assert r.stdout == want + "\n\n"
    none = client.generate(eyes, "what is ./none.png", options=GREEDY).response
    r = cli(server, "run", eyes, *flags, "what is ./none.png", stdin="", cwd=tmp_path)
    assert r.stdout == none + "\n\n" and "Added" not in r.stderr
    (tmp_path / "words.png").write_text("no picture")
    r = cli(server, "run", eyes, *flags, "what is ./words.png", stdin="", cwd=tmp_path)
    assert r.returncode == 1 and "Error: invalid file type: text/plain; charset=utf-8" in r.stderr
    shown = cli(server, "show", eyes, cwd=tmp_path).stdout
    assert "Projector" in shown and "clip" in shown and "vision" in shown


def test_prompt(server, client, eyes, tmp_path):
    """At the interactive prompt, through a pseudo terminal: the picture stays in the conversation."""
    (tmp_path / "p.png").write_bytes(STRIPES)
    chat = [{"role": "user", "content": "what is this", "images": [text(STRIPES)]}]
    want = client.chat(eyes, chat, options=GREEDY).message
    us, them = pty.openpty()
    env = dict(os.environ, OLLAMA_HOST=server.netloc, HOME=str(tmp_path), TERM="dumb", OLLAMA_NOHISTORY="1")
    run = subprocess.Popen([binary(), "run", eyes, "-o", "temperature=0", "-o", "num_predict=6", "--nowordwrap"],
                           stdin=them, stdout=them, stderr=them, env=env, cwd=tmp_path, start_new_session=True)
    os.close(them)
    seen = b""
    lines = [f"{tmp_path}/p.png what is this", "./none.png", "/bye"]
    try:
        while True:
            if lines and seen.count(b">>> ") > 3 - len(lines):
                os.write(us, lines.pop(0).encode() + b"\r")
            assert select.select([us], [], [], 60)[0], seen
            try:
                piece = os.read(us, 4096)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            seen += piece
        assert run.wait(60) == 0
    finally:
        run.kill()
        os.close(us)
    shown = seen.decode(errors="replace").replace("\r\n", "\n")
    assert f"Added image '{tmp_path}/p.png'" in shown
    assert want.content.strip() in shown
    assert "Unknown command" not in shown


def test_create_from_modelfile(server, client, eyes, tmp_path):
    vision = find_set("vision", "llava-mlp")
    with open(os.path.join(vision, "expected.json"), encoding="utf-8") as f:
        words = find_set(*json.load(f)["text_model"].split("/"))
    (tmp_path / "Modelfile").write_text(
        f"FROM {os.path.abspath(words)}/model.gguf\nFROM {os.path.abspath(vision)}/mmproj.gguf\n"
        "TEMPLATE {{ range .Messages }}{{ .Role }}: {{ .Content }} {{ end }}\n")
    r = cli(server, "create", "eyes/made", "-f", str(tmp_path / "Modelfile"), cwd=tmp_path)
    assert r.returncode == 0, r.stderr
    assert said(client, "eyes/made", [STRIPES]) == said(client, eyes, [STRIPES])
