/** express, fastify, undici and ws, unmodified, server and client on one stack. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import express from 'express';
import fastify from 'fastify';
import { Agent, request, WebSocket as UndiciSocket } from 'undici';
import { WebSocket, WebSocketServer } from 'ws';

const said = {};
const body = Buffer.alloc(1 << 20, 'the same again; ');
const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
const wanted = hash(body);

const app = express();
app.get('/file', (_request, response) => response.type('bin').send(body));
app.post('/upload', express.raw({ limit: '8mb' }), (request, response) => {
  response.json({ hash: hash(request.body) === wanted, ip: request.ip });
});
const shop = app.listen(0, '127.0.0.1');
await once(shop, 'listening');
const base = `http://127.0.0.1:${shop.address().port}`;

const dispatcher = new Agent({ connections: 4, pipelining: 1 });
const downloads = await Promise.all(
  Array.from({ length: 8 }, async () => {
    const answer = await request(`${base}/file`, { dispatcher });
    return hash(Buffer.from(await answer.body.arrayBuffer())) === wanted;
  }),
);
said.express = downloads.every(Boolean);
const upload = await request(`${base}/upload`, {
  dispatcher,
  method: 'POST',
  body,
  headers: { 'content-type': 'application/octet-stream' },
});
said.upload = await upload.body.json();
said.fetch = hash(Buffer.from(await (await fetch(`${base}/file`)).arrayBuffer())) === wanted;

const fast = fastify();
fast.get('/greet/:name', async (request) => ({ hello: request.params.name }));
await fast.listen({ port: 0, host: '127.0.0.1' });
const greeted = await request(`http://127.0.0.1:${fast.server.address().port}/greet/you`, { dispatcher });
said.fastify = await greeted.body.json();

const sockets = new WebSocketServer({ server: shop });
sockets.on('connection', (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })));
const socket = new WebSocket(base.replace('http', 'ws'));
await once(socket, 'open');
socket.send(body);
said.ws = hash((await once(socket, 'message'))[0]) === wanted;
socket.close();
await once(socket, 'close');
const other = new UndiciSocket(base.replace('http', 'ws'));
await once(other, 'open');
other.send('from undici');
said.undiciSocket = (await once(other, 'message'))[0].data;
other.close();
await once(other, 'close');

await dispatcher.close();
await fast.close();
sockets.close();
shop.close();
shop.closeAllConnections();
console.log(JSON.stringify(said));
process.exit(0);
