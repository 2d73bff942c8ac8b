// The JavaScript packages ollama and openai against a server: node node_clients.mjs URL
// The models are those of golden/api (fix/...). Prints a line of JSON per check; test_node.py reads it.
import assert from 'node:assert/strict';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

const [url, modules] = process.argv.slice(2);
const require = createRequire(path.join(modules, 'here.js'));
const { Ollama } = require('ollama');
const { OpenAI } = require('openai');

const ollama = new Ollama({ host: url });
const openai = new OpenAI({ baseURL: url + '/v1', apiKey: 'any', maxRetries: 0, timeout: 60000 });
const say = (content) => [{ role: 'user', content }];
const weather = { type: 'function', function: { name: 'get_weather', description: 'Get weather',
  parameters: { type: 'object', required: ['city'], properties: { city: { type: 'string' } } } } };
const time = { type: 'function', function: { name: 'get_time', parameters: { type: 'object', properties: {
  zone: { type: 'string' }, hours: { type: 'array', items: { type: 'integer' } } } } } };
const TEXT = 'Hello there friend.';

async function all(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

const refused = (promise, status) => assert.rejects(promise, (e) => (e.status_code ?? e.status) === status);

const checks = {
  async list_ps_version() {
    await ollama.generate({ model: 'fix/chat', prompt: '1' });
    const names = (await ollama.list()).models.map((m) => m.name);
    assert(names.includes('fix/chat:latest') && names.every((n) => n.includes(':')));
    const [loaded] = (await ollama.ps()).models;
    assert(loaded.size > 0 && !Number.isNaN(Date.parse(loaded.expires_at)));
    assert.match((await ollama.version()).version, /^\d+\.\d+\.\d+/);
  },
  async show() {
    assert((await ollama.show({ model: 'fix/chat' })).capabilities.includes('completion'));
    await refused(ollama.show({ model: 'nope' }), 404);
  },
  async generate() {
    assert.equal((await ollama.generate({ model: 'fix/chat', prompt: 'Say 1' })).response, TEXT);
    const items = await all(await ollama.generate({ model: 'fix/chat', prompt: 'Say 1', stream: true }));
    assert.equal(items.map((i) => i.response).join(''), TEXT);
    assert(items.at(-1).done && items.length > 2);
  },
  async unknown_model() {
    await refused(ollama.generate({ model: 'nope', prompt: 'x' }), 404);
    await refused(ollama.generate({ model: 'nope', prompt: 'x', stream: true }), 404);
    await refused(openai.chat.completions.create({ model: 'nope', messages: say('x') }), 404);
  },
  async chat() {
    assert.equal((await ollama.chat({ model: 'fix/chat', messages: say('1') })).message.content, TEXT);
    const items = await all(await ollama.chat({ model: 'fix/chat', messages: say('1'), stream: true }));
    assert.equal(items.map((i) => i.message.content).join(''), TEXT);
  },
  async chat_tools() {
    const items = await all(await ollama.chat({ model: 'fix/tools', messages: say('6'), tools: [weather, time], stream: true }));
    const calls = items.filter((i) => i.message.tool_calls);
    assert.equal(calls.length, 2);
    for (const c of calls) assert.equal(typeof c.message.tool_calls[0].function.arguments, 'object');
  },
  async think() {
    const r = await ollama.chat({ model: 'fix/think', messages: say('7'), think: true });
    assert.equal(r.message.thinking, 'First I look.');
    assert.equal(r.message.content, 'The answer is 42.');
  },
  async format() {
    const format = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'], additionalProperties: false };
    const r = await ollama.chat({ model: 'fix/chat', messages: say('q'), format, options: { num_predict: 60 } });
    assert(Number.isInteger(JSON.parse(r.message.content).age));
  },
  async embed() {
    const r = await ollama.embed({ model: 'fix/embed', input: ['a', 'b'] });
    assert.deepEqual(r.embeddings.map((e) => e.length), [64, 64]);
    assert.equal((await ollama.embeddings({ model: 'fix/embed', prompt: 'a' })).embedding.length, 64);
    const o = await openai.embeddings.create({ model: 'fix/embed', input: 'a' }); // base64 inside
    assert.equal(o.data[0].embedding.length, 64);
    assert(Math.abs(o.data[0].embedding[0] - r.embeddings[0][0]) < 1e-6);
  },
  async create_copy_delete() {
    assert.equal((await ollama.create({ model: 'js/new', from: 'fix/chat', system: 'S' })).status, 'success');
    const items = await all(await ollama.create({ model: 'js/new', from: 'fix/chat', stream: true }));
    assert.equal(items.at(-1).status, 'success');
    await refused(ollama.create({ model: 'js/bad', from: 'fix/chat', template: '{{' }), 400);
    assert.equal((await ollama.copy({ source: 'js/new', destination: 'js/copy' })).status, 'success');
    for (const model of ['js/new', 'js/copy']) assert.equal((await ollama.delete({ model })).status, 'success');
    await refused(ollama.delete({ model: 'js/new' }), 404);
  },
  async ends_with_a_last_item() { // the peer stops after 30 equal tokens without one, and this client throws
    const items = await all(await ollama.generate({ model: 'fix/chat', prompt: 'r', stream: true, options: { num_predict: 60 } }));
    assert.equal(items.at(-1).done_reason, 'length');
    assert.equal(items.at(-1).eval_count, 60);
  },
  async abort() {
    const own = new Ollama({ host: url });
    const stream = await own.generate({ model: 'fix/chat', prompt: 'r', stream: true, options: { num_predict: 100000 } });
    let n = 0;
    await assert.rejects(async () => { for await (const _ of stream) if (++n === 3) own.abort(); }, { name: 'AbortError' });
    assert.equal((await ollama.chat({ model: 'fix/chat', messages: say('1') })).message.content, TEXT);
  },
  async push_of_an_unknown_model() {
    await assert.rejects(ollama.push({ model: 'js/none' }));
    await assert.rejects(async () => all(await ollama.push({ model: 'js/none', stream: true })));
  },
  async openai_models() {
    assert((await all(openai.models.list())).some((m) => m.id === 'fix/chat:latest'));
    assert.equal((await openai.models.retrieve('fix/chat')).id, 'fix/chat'); // sent as fix%2Fchat
    await refused(openai.models.retrieve('nope'), 404);
  },
  async openai_chat() {
    const body = { model: 'fix/chat', messages: say('1') };
    const r = await openai.chat.completions.create(body);
    assert.equal(r.choices[0].message.content, TEXT);
    const chunks = await all(await openai.chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } }));
    assert.equal(chunks.map((c) => c.choices[0]?.delta.content ?? '').join(''), TEXT);
    assert.deepEqual(chunks.at(-1).usage, r.usage);
  },
  async openai_tools() {
    const stream = openai.chat.completions.stream({ model: 'fix/tools', messages: say('6'), tools: [weather, time] });
    const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
    assert.equal(finish_reason, 'tool_calls');
    assert.equal(message.tool_calls.length, 2);
    for (const c of message.tool_calls) assert(c.id && JSON.parse(c.function.arguments));
  },
  async openai_responses() {
    const r = await openai.responses.create({ model: 'fix/chat', input: '1' });
    assert.equal(r.output_text, TEXT);
    const events = await all(await openai.responses.create({ model: 'fix/chat', input: '1', stream: true }));
    assert.equal(events.at(-1).type, 'response.completed');
    // Not with a thinking model: this wrapper wants reasoning_summary_part events, which the peer does not send.
    const final = await openai.responses.stream({ model: 'fix/chat', input: '1' }).finalResponse();
    assert.equal(final.output_text, TEXT);
    const tools = [{ type: 'function', name: 'get_weather', parameters: weather.function.parameters, strict: null }];
    const called = await openai.responses.create({ model: 'fix/tools', input: '5', tools });
    assert.equal(called.output[0].type, 'function_call');
    assert.equal(JSON.parse(called.output[0].arguments).city, 'Paris');
  },
  async one_request_for_a_bad_schema() { // a 5xx would be sent three times
    const eager = new OpenAI({ baseURL: url + '/v1', apiKey: 'any' });
    let n = 0;
    const counting = eager.withOptions({ fetch: (...args) => { n++; return fetch(...args); } });
    const response_format = { type: 'json_schema', json_schema: { name: 'x', schema: 'x' } };
    await refused(counting.chat.completions.create({ model: 'fix/chat', messages: say('1'), response_format }), 400);
    assert.equal(n, 1);
  },
  async no_server() {
    const free = await new Promise((ok) => { const s = http.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => ok(port)); }); });
    await assert.rejects(new Ollama({ host: `http://127.0.0.1:${free}` }).list());
  },
  async many_at_once() {
    const want = { 1: TEXT, 9: 'alpha beta STOP gamma delta', 3: 'naïve café😀 done' };
    const ask = async (p) => assert.equal((await ollama.generate({ model: 'fix/chat', prompt: p })).response, want[p]);
    await Promise.all(Array.from({ length: 24 }, (_, i) => ask(Object.keys(want)[i % 3])));
  },
};

for (const [name, check] of Object.entries(checks)) {
  let problem = null;
  try {
    await check();
  } catch (e) {
    problem = `${e?.stack ?? e}`.slice(0, 800);
  }
  console.log(JSON.stringify({ name, problem }));
}
process.exit(0); // an aborted stream may keep a socket open
