// A deliberately minimal session worker for Node 20: standard library only. It shows what the contract
// (docs/session-protocol.md) requires and nothing beyond: it runs JavaScript, sends output before result, honours
// credits, and declares in `hello` what it can do. It captures what goes through `console` and `process.stdout`, not
// what child processes write, and says so by not declaring `child_output`.
'use strict';
const net = require('net');
const vm = require('vm');
const util = require('util');

const PROTOCOL = 1;
const FRAME_BYTES_MAX = 10 * 1024 * 1024;
const FRAME_COST_BYTES = 64;
const CHUNK_BYTES_MAX = 64 * 1024;

// ---- MessagePack

function encode(value) {
  const parts = [];
  const head = (...bytes) => parts.push(Buffer.from(bytes));
  const sized = (codes, count) => {
    const b = Buffer.alloc(5);
    if (count < 256 && codes[0]) { b[0] = codes[0]; b[1] = count; parts.push(b.subarray(0, 2)); }
    else if (count < 65536) { b[0] = codes[1]; b.writeUInt16BE(count, 1); parts.push(b.subarray(0, 3)); }
    else { b[0] = codes[2]; b.writeUInt32BE(count, 1); parts.push(b); }
  };
  const walk = (v) => {
    if (v === null) head(0xc0);
    else if (v === true || v === false) head(v ? 0xc3 : 0xc2);
    else if (typeof v === 'number') {
      const b = Buffer.alloc(9);
      if (Number.isSafeInteger(v) && v >= 0) { b[0] = 0xcf; b.writeBigUInt64BE(BigInt(v), 1); }
      else if (Number.isSafeInteger(v)) { b[0] = 0xd3; b.writeBigInt64BE(BigInt(v), 1); }
      else { b[0] = 0xcb; b.writeDoubleBE(v, 1); }
      parts.push(b);
    } else if (typeof v === 'string') { const b = Buffer.from(v); sized([0xd9, 0xda, 0xdb], b.length); parts.push(b); }
    else if (Buffer.isBuffer(v)) { sized([0xc4, 0xc5, 0xc6], v.length); parts.push(v); }
    else if (Array.isArray(v)) { sized([0, 0xdc, 0xdd], v.length); v.forEach(walk); }
    else { const e = Object.entries(v).filter(([, x]) => x !== undefined); sized([0, 0xde, 0xdf], e.length); e.forEach(([k, x]) => { walk(k); walk(x); }); }
  };
  walk(value);
  return Buffer.concat(parts);
}

function decode(buffer) {
  let at = 0;
  const take = (n) => { if (at + n > buffer.length) throw new Error('a message is cut short'); at += n; return at - n; };
  const text = (n) => { const from = take(n); return buffer.toString('utf8', from, from + n); };
  const list = (n) => Array.from({ length: n }, walk);
  const map = (n) => { const m = {}; for (let i = 0; i < n; i++) { const k = walk(); m[k] = walk(); } return m; };
  const u = { 1: () => buffer.readUInt8(take(1)), 2: () => buffer.readUInt16BE(take(2)), 4: () => buffer.readUInt32BE(take(4)) };
  function walk() {
    const c = buffer[take(1)];
    if (c < 0x80) return c;
    if (c < 0x90) return map(c & 15);
    if (c < 0xa0) return list(c & 15);
    if (c < 0xc0) return text(c & 31);
    if (c >= 0xe0) return c - 256;
    switch (c) {
      case 0xc0: return null; case 0xc2: return false; case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: { const n = u[1 << (c - 0xc4)](); const from = take(n); return buffer.subarray(from, from + n); }
      case 0xca: return buffer.readFloatBE(take(4)); case 0xcb: return buffer.readDoubleBE(take(8));
      case 0xcc: return u[1](); case 0xcd: return u[2](); case 0xce: return u[4](); case 0xcf: return Number(buffer.readBigUInt64BE(take(8)));
      case 0xd0: return buffer.readInt8(take(1)); case 0xd1: return buffer.readInt16BE(take(2));
      case 0xd2: return buffer.readInt32BE(take(4)); case 0xd3: return Number(buffer.readBigInt64BE(take(8)));
      case 0xd9: case 0xda: case 0xdb: return text(u[1 << (c - 0xd9)]());
      case 0xdc: case 0xdd: return list(u[2 << (c - 0xdc)]()); case 0xde: case 0xdf: return map(u[2 << (c - 0xde)]());
      default: throw new Error(`byte ${c} starts no value of this protocol`);
    }
  }
  const value = walk();
  if (at !== buffer.length) throw new Error('bytes follow the message');
  return value;
}

// ---- the socket

const socket = new net.Socket({ fd: Number(process.argv[2]), readable: true, writable: true });
let buffer = Buffer.alloc(0);

function send(message) {
  const body = encode(message);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  socket.write(Buffer.concat([length, body]));
}

function fault(message, code = 'WORKER_PROTOCOL') {
  send({ type: 'fault', code, message: String(message).slice(0, 1000) });
  socket.end(() => process.exit(70));
}

socket.on('data', (data) => {
  buffer = Buffer.concat([buffer, data]);
  try {
    while (buffer.length >= 4) {
      const size = buffer.readUInt32BE(0);
      if (size > FRAME_BYTES_MAX) throw new Error(`expected a frame of at most ${FRAME_BYTES_MAX} bytes, got ${size}`);
      if (buffer.length < 4 + size) break;
      const message = decode(buffer.subarray(4, 4 + size));
      buffer = buffer.subarray(4 + size);
      handle(message);
    }
  } catch (error) { fault(error.message); }
});
socket.on('close', () => process.exit(0));
socket.on('error', () => process.exit(0));

// ---- output, with credit

const credit = { stdout: 0, stderr: 0 };
let pending = [];
let current = null;
let seq = {};
let drained = null;

function write(stream, data) {
  const bytes = Buffer.isBuffer(data) ? data : Buffer.from(String(data));
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES_MAX) pending.push({ stream, data: bytes.subarray(at, at + CHUNK_BYTES_MAX) });
  pump();
}

function pump() {
  while (pending.length && current !== null) {
    const { stream, data } = pending[0];
    if (credit[stream] < data.length + FRAME_COST_BYTES) return;
    credit[stream] -= data.length + FRAME_COST_BYTES;
    pending.shift();
    send({ type: 'output', id: current, stream, seq: seq[stream]++, data });
  }
  if (drained) { const done = drained; drained = null; done(); }
}

for (const name of ['stdout', 'stderr']) {
  process[name].write = (data, encoding, done) => {
    write(name, data);
    const callback = typeof encoding === 'function' ? encoding : done;
    if (callback) process.nextTick(callback);
    return true;
  };
}

// ---- executions

const queue = [];
const context = vm.createContext({ console, process: { stdout: process.stdout, stderr: process.stderr }, Buffer, setTimeout, setImmediate, clearTimeout });
let stop = null;

async function serve() {
  while (queue.length && current === null) {
    const { id, code } = queue.shift();
    current = id;
    seq = { stdout: 0, stderr: 0 };
    const began = process.hrtime.bigint();
    let answer;
    try {
      const stopped = new Promise((_, reject) => { stop = () => reject(Object.assign(new Error('stopped'), { stopped: true })); });
      stopped.catch(() => {});
      const value = await Promise.race([vm.runInContext(code, context, { filename: `<cell ${id}>` }), stopped]);
      answer = { type: 'result', id, repr: value === undefined ? '' : util.inspect(value).slice(0, 65536) };
      try { if (value !== undefined) answer.value = JSON.parse(JSON.stringify(value)); } catch { answer.valueOmitted = 'JSON has no form for it'; }
    } catch (error) {
      answer = { type: 'error', id, code: error && error.stopped ? 'CANCELLED' : 'EXCEPTION', errorType: (error && error.name) || 'Error', message: String(error && error.message).slice(0, 8192), traceback: String(error && error.stack).slice(0, 65536), notes: [] };
    }
    stop = null;
    if (pending.length) await new Promise((done) => { drained = done; });
    answer.durationNs = Number(process.hrtime.bigint() - began);
    send(answer);
    current = null;
  }
}

function handle(message) {
  switch (message.type) {
    case 'hello':
      if (message.protocol !== PROTOCOL) return fault(`this worker speaks protocol ${PROTOCOL}`, 'PROTOCOL_MISMATCH');
      Object.assign(credit, { stdout: message.credits.stdout || 0, stderr: message.credits.stderr || 0 });
      return send({ type: 'ready', session: '', pid: process.pid });
    case 'execute':
      send({ type: 'ack', of: message.id });
      queue.push(message);
      return void serve();
    case 'credit':
      if (message.stream in credit) credit[message.stream] += message.bytes;
      return pump();
    case 'cancel': case 'interrupt': {
      const place = queue.findIndex((one) => one.id === message.id);
      if (place >= 0) {
        queue.splice(place, 1);
        return send({ type: 'error', id: message.id, code: 'CANCELLED', errorType: 'Cancelled', message: 'cancelled before it began', traceback: '', notes: [], durationNs: 0 });
      }
      return void (message.id === current && stop && stop());
    }
    case 'shutdown': return socket.end(() => process.exit(0));
    default: return undefined;
  }
}

send({ type: 'hello', protocol: PROTOCOL, worker: `node/${process.versions.node}`, capabilities: ['execute', 'javascript', 'cancel'] });
