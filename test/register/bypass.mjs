/** An ordinary program that talks to itself and to the world outside: which of its connections is where, only they know. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';

const outside = Number(process.env.TEST_OUTSIDE);
const [key, cert] = [readFileSync(process.env.TEST_KEY), readFileSync(process.env.TEST_CERT)];
const said = {};
const textOf = async (stream) => {
  let text = '';
  for await (const part of stream) text += part;
  return text;
};
const where = (socket) => (socket.chimney === undefined ? 'the kernel' : 'a stack');
const listening = async (server, host) => {
  server.listen(0, host);
  await once(server, 'listening');
  return server.address().port;
};

// Inside: a server on the stack, found by a name.
const inner = net.createServer((socket) => socket.end('inside'));
const innerPort = await listening(inner, '127.0.0.1');
const toInner = net.connect({ port: innerPort, host: 'inner.test' });
said.inside = [await textOf(toInner), where(toInner)];
const other = new net.Socket();
other.connect(innerPort, '127.0.0.1');
said.insideLater = [await textOf(other), where(other), other instanceof net.Socket];
inner.close();

// Outside: a server of another process, in every form in which programs connect.
const direct = net.connect(outside, '127.0.0.1');
direct.end('a');
said.connect = [await textOf(direct), where(direct), direct instanceof net.Socket];
const later = new net.Socket({ allowHalfOpen: true });
later.mark = 'mine';
const told = [];
for (const event of ['connect', 'end', 'close']) later.once(event, () => told.push(event));
later.setEncoding('utf8');
later.connect({ port: outside, host: '127.0.0.1' }, () => later.end('b'));
said.later = [await textOf(later), where(later), later instanceof net.Socket, later.mark, told.slice(0, 2)];

// A server for the world outside.
const sockets = [];
const open = http.createServer((request, response) => {
  sockets.push(where(request.socket));
  response.end(`served ${request.url}`);
});
const openPort = await listening(open, '127.0.0.2');
const get = (module, options) =>
  new Promise((resolve, reject) => {
    module.get(options, (response) => textOf(response).then(resolve, reject)).on('error', reject);
  });
said.served = await get(http, { host: '127.0.0.2', port: openPort, path: '/self' });
const secure = https.createServer({ key, cert }, (request, response) => {
  sockets.push(where(request.socket));
  response.end(`secure ${request.url}`);
});
const securePort = await listening(secure, '127.0.0.2');
said.secure = await get(https, { host: '127.0.0.2', port: securePort, path: '/s', rejectUnauthorized: false });
const raw = tls.connect({ host: '127.0.0.2', port: securePort, rejectUnauthorized: false });
await once(raw, 'secureConnect');
raw.destroy();
secure.close();
// Whoever started us asks now.
process.stdout.write(`${JSON.stringify({ openPort })}\n`);
await once(open, 'request');
await new Promise((resolve) => setTimeout(resolve, 20));
open.close();
open.closeAllConnections();
said.sockets = [...new Set(sockets)];
process.stdout.write(`${JSON.stringify(said)}\n`);
