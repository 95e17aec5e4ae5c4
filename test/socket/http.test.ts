/** node:http, node:https, node:tls and ws, unmodified, over two stacks on a wire. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as http from 'node:http';
import * as https from 'node:https';
import type * as nodeNet from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import type { StackNet } from '../../src/socket/net.ts';
import { CERTIFICATE, KEY } from './certificate.ts';
import { closed, pattern, sleep } from './scenario.ts';
import { type TwoStacks, twoStacks } from './two-stacks.ts';

let both: TwoStacks;
let here: StackNet;
let there: StackNet;
const HOST = '10.0.0.2';

beforeEach(() => {
  both = twoStacks();
  here = both.client.net;
  there = both.server.net;
});

afterEach(async () => {
  await both.close();
});

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

async function answerOf(request: http.ClientRequest, body?: Readable | string): Promise<Answer> {
  const answered = once(request, 'response');
  if (body instanceof Readable) await pipeline(body, request);
  else request.end(body);
  const [response] = (await answered) as [http.IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) };
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function* chunksOf(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Answers with the hash of the request's body, or with the file asked for. */
const file = pattern(3 << 20, 5);
const onRequest: http.RequestListener = async (request, response) => {
  if (request.method === 'POST') {
    const sum = createHash('sha256');
    for await (const part of request) sum.update(part as Buffer);
    response.end(sum.digest('hex'));
  } else if (request.url === '/file') {
    response.writeHead(200, { 'content-length': file.length });
    Readable.from(chunksOf(file, 65_536)).pipe(response);
  } else response.end(`hello ${request.url}`);
};

describe('node:http', () => {
  test('a server that is handed connections, a client with createConnection', async () => {
    const server = http.createServer(onRequest);
    const listener = there.createServer((socket) => void server.emit('connection', socket)).listen(80, HOST);
    await once(listener, 'listening');
    const request = http.request({ host: HOST, path: '/a', createConnection: (options) => here.connect(options) });
    const answer = await answerOf(request);
    expect([answer.status, String(answer.body)]).toEqual([200, 'hello /a']);
    listener.close();
    await closed(listener);
  });

  test('an attached server, an agent that keeps its connection alive', async () => {
    const server = there.http.attach(http.createServer(onRequest));
    server.listen(80, HOST);
    await once(server, 'listening');
    expect(server.address()).toEqual({ address: HOST, family: 'IPv4', port: 80 });
    expect(server.listening).toBe(true);
    let connections = 0;
    server.on('connection', () => connections++);
    for (const path of ['/a', '/b', '/c']) {
      const answer = await answerOf(http.request({ host: HOST, path, agent: here.http.agent }));
      expect(String(answer.body)).toBe(`hello ${path}`);
    }
    expect(connections).toBe(1);
    const done = new Promise<unknown>((resolve) => server.close(resolve));
    expect(await done).toBeUndefined();
    expect([server.listening, server.address()]).toEqual([false, null]);
    const again = await new Promise<Error | undefined>((resolve) => server.close(resolve));
    expect((again as NodeJS.ErrnoException).code).toBe('ERR_SERVER_NOT_RUNNING');
  });

  test('a download and an upload of some mebibytes, eight at a time', async () => {
    const server = there.http.createServer(onRequest).listen(80);
    await once(server, 'listening');
    const agent = new here.http.Agent({ keepAlive: true, maxSockets: 8 });
    const wanted = hash(file);
    const downloads = Array.from({ length: 8 }, async () => {
      const { body } = await answerOf(http.request({ host: HOST, path: '/file', agent }));
      return hash(body);
    });
    const uploads = Array.from({ length: 8 }, async () => {
      const request = http.request({ host: HOST, method: 'POST', agent });
      return String((await answerOf(request, Readable.from(chunksOf(file, 10_000)))).body);
    });
    expect(new Set(await Promise.all([...downloads, ...uploads]))).toEqual(new Set([wanted]));
    agent.destroy();
    server.close();
    await closed(server);
  });

  test('downloads over a wire with 2 % loss and 10 ms of round trip', async () => {
    const lossy = twoStacks({ loss: 0.02, delayUs: 5_000 });
    try {
      const server = lossy.server.net.http.createServer(onRequest).listen(80);
      await once(server, 'listening');
      const agent = new lossy.client.net.http.Agent({ maxSockets: 4 });
      const downloads = Array.from({ length: 4 }, async () => {
        const { body } = await answerOf(http.request({ host: HOST, path: '/file', agent }));
        return hash(body);
      });
      expect(new Set(await Promise.all(downloads))).toEqual(new Set([hash(file)]));
      server.close();
      await closed(server);
    } finally {
      await lossy.close();
    }
  }, 60_000);

  test('refused, reset, timed out and aborted requests fail as they do on node:net', async () => {
    const failure = async (request: http.ClientRequest): Promise<NodeJS.ErrnoException> => {
      request.end();
      const [error] = await once(request, 'error');
      return error as NodeJS.ErrnoException;
    };
    const { agent } = here.http;
    expect(await failure(http.request({ host: HOST, port: 81, agent }))).toMatchObject({
      message: 'connect ECONNREFUSED 10.0.0.2:81',
      port: 81,
    });
    const server = there.createServer((socket) => {
      socket.once('data', (data: Buffer) => {
        if (data.includes('/reset')) socket.resetAndDestroy();
        if (data.includes('/end')) socket.end();
      });
    });
    server.listen(80, HOST);
    await once(server, 'listening');
    expect(await failure(http.request({ host: HOST, path: '/reset', agent }))).toMatchObject({ code: 'ECONNRESET' });
    expect(await failure(http.request({ host: HOST, path: '/end', agent }))).toMatchObject({
      message: 'socket hang up',
    });
    const late = http.request({ host: HOST, path: '/late', agent, timeout: 30 });
    late.on('timeout', () => late.destroy(new Error('too late')));
    expect((await failure(late)).message).toBe('too late');
    const signal = AbortSignal.timeout(20);
    expect((await failure(http.request({ host: HOST, path: '/late', agent, signal }))).name).toBe('AbortError');
    server.close();
  });

  test('an upgrade and a CONNECT tunnel hand over the raw socket', async () => {
    const server = there.http.createServer();
    server.on('upgrade', (_request, socket, head) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
      socket.write(head);
      socket.pipe(socket);
    });
    server.on('connect', (request, socket) => {
      socket.resume();
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.end(`to ${request.url}`);
    });
    server.listen(80, HOST);
    await once(server, 'listening');
    const { agent } = here.http;
    const upgrade = http.request({ host: HOST, agent, headers: { connection: 'Upgrade', upgrade: 'echo' } }).end();
    const [, socket] = (await once(upgrade, 'upgrade')) as [unknown, nodeNet.Socket];
    socket.write('ping');
    expect(String((await once(socket, 'data'))[0])).toBe('ping');
    socket.end();
    const connect = http.request({ host: HOST, agent, method: 'CONNECT', path: 'elsewhere:443' }).end();
    const [, tunnel, head] = (await once(connect, 'connect')) as [unknown, nodeNet.Socket, Buffer];
    const text = head.length > 0 ? head : (await once(tunnel, 'data'))[0];
    expect(String(text)).toBe('to elsewhere:443');
    tunnel.destroy();
    server.close();
  });
});

describe('node:tls and node:https', () => {
  test('a TLS server that is handed connections, tls.connect over a socket', async () => {
    const server = tls.createServer({ key: KEY, cert: CERTIFICATE }, (socket) => socket.pipe(socket));
    const listener = there.createServer({ allowHalfOpen: true }, (socket) => void server.emit('connection', socket));
    listener.listen(443, HOST);
    await once(listener, 'listening');
    const raw = here.connect({ port: 443, host: HOST, allowHalfOpen: true });
    const secure = tls.connect({ socket: raw, ca: CERTIFICATE, servername: 'chimney.test' });
    await once(secure, 'secureConnect');
    expect([secure.authorized, secure.encrypted]).toEqual([true, true]);
    const sent = pattern(1 << 20);
    const parts: Buffer[] = [];
    secure.on('data', (part: Buffer) => parts.push(part));
    secure.write(sent);
    secure.end();
    await closed(secure);
    expect(Buffer.concat(parts).equals(sent)).toBe(true);
    listener.close();
    await closed(listener);
  });

  test('an attached TLS server, connectSecure, and both sides writing when the other has ended', async () => {
    const sent = pattern(1 << 20);
    const sums: Record<string, string> = {};
    const sumUp = (name: string, socket: tls.TLSSocket): void => {
      const sum = createHash('sha256');
      socket.on('data', (part: Buffer) => sum.update(part));
      socket.on('end', () => {
        sums[name] = sum.digest('hex');
      });
      socket.end(sent);
    };
    const server = there.http.attach(
      tls.createServer({ key: KEY, cert: CERTIFICATE }, (socket) => sumUp('server', socket)),
    );
    server.listen(443, HOST);
    await once(server, 'listening');
    const secure = here.http.connectSecure({ port: 443, host: HOST, ca: CERTIFICATE });
    await once(secure, 'secureConnect');
    sumUp('client', secure);
    await closed(secure);
    server.close();
    await closed(server);
    expect(sums).toEqual({ server: hash(sent), client: hash(sent) });
  });

  test('https with an attached server and our agent', async () => {
    const server = there.http.createSecureServer({ key: KEY, cert: CERTIFICATE }, onRequest).listen(443, HOST);
    await once(server, 'listening');
    const agent = new here.http.SecureAgent({ ca: CERTIFICATE, keepAlive: true });
    for (const path of ['/a', '/file', '/b']) {
      const { body } = await answerOf(https.request({ host: HOST, path, agent }));
      if (path === '/file') expect(hash(body)).toBe(hash(file));
      else expect(String(body)).toBe(`hello ${path}`);
    }
    const request = https.request({ host: HOST, method: 'POST', agent });
    expect(String((await answerOf(request, Readable.from(chunksOf(file, 50_000)))).body)).toBe(hash(file));
    agent.destroy();
    server.close();
    await closed(server);
  });

  test('a certificate that is not trusted fails the request', async () => {
    const server = there.http.createSecureServer({ key: KEY, cert: CERTIFICATE }, onRequest).listen(443, HOST);
    await once(server, 'listening');
    const request = https.request({ host: HOST, agent: here.http.secureAgent });
    request.end();
    const [error] = await once(request, 'error');
    expect((error as NodeJS.ErrnoException).code).toMatch(/SELF_SIGNED/);
    server.close();
  });

  test('a TLS session is resumed by our agent', async () => {
    const server = there.http.createSecureServer({ key: KEY, cert: CERTIFICATE }, onRequest).listen(443, HOST);
    await once(server, 'listening');
    const agent = new here.http.SecureAgent({ ca: CERTIFICATE, keepAlive: false, maxCachedSessions: 10 });
    const reused: boolean[] = [];
    for (let i = 0; i < 2; i++) {
      const request = https.request({ host: HOST, agent });
      request.on('socket', (socket) => {
        socket.on('secureConnect', () => reused.push((socket as tls.TLSSocket).isSessionReused()));
      });
      await answerOf(request);
      await sleep(10);
    }
    expect(reused).toEqual([false, true]);
    server.close();
  });
});

describe('the ws package', () => {
  const talk = async (client: WebSocket): Promise<void> => {
    await once(client, 'open');
    client.send('hello');
    expect(String((await once(client, 'message'))[0])).toBe('hello');
    const bytes = pattern(1 << 20);
    client.send(bytes);
    const [back] = (await once(client, 'message')) as [Buffer];
    expect(back.equals(bytes)).toBe(true);
    client.ping('still there?');
    expect(String((await once(client, 'pong'))[0])).toBe('still there?');
    client.close(1000, 'done');
    const [code, reason] = await once(client, 'close');
    expect([code, String(reason)]).toEqual([1000, 'done']);
  };

  test('over http, the client by createConnection', async () => {
    const server = there.http.createServer();
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) =>
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })),
    );
    server.listen(80, HOST);
    await once(server, 'listening');
    const createConnection = here.createConnection as unknown as typeof nodeNet.createConnection;
    await talk(new WebSocket(`ws://${HOST}/`, { createConnection }));
    sockets.close();
    server.close();
  });

  test('over https, the client by an agent', async () => {
    const server = there.http.createSecureServer({ key: KEY, cert: CERTIFICATE });
    const sockets = new WebSocketServer({ server, perMessageDeflate: true });
    sockets.on('connection', (socket) =>
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })),
    );
    server.listen(443, HOST);
    await once(server, 'listening');
    await talk(new WebSocket(`wss://${HOST}/`, { agent: new here.http.SecureAgent({ ca: CERTIFICATE }) }));
    sockets.close();
    server.close();
  });

  test('over https, the client by createConnection', async () => {
    const server = there.http.createSecureServer({ key: KEY, cert: CERTIFICATE });
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) =>
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })),
    );
    server.listen(443, HOST);
    await once(server, 'listening');
    const createConnection = here.http.connectSecure as unknown as typeof nodeNet.createConnection;
    await talk(new WebSocket(`wss://${HOST}/`, { createConnection, ca: CERTIFICATE }));
    sockets.close();
    server.close();
  });

  test('a server that goes away closes the client as abnormal', async () => {
    const server = there.http.createServer();
    const sockets = new WebSocketServer({ server });
    server.listen(80, HOST);
    await once(server, 'listening');
    const client = new WebSocket(`ws://${HOST}/`, { agent: here.http.agent });
    await once(client, 'open');
    for (const socket of sockets.clients) socket.terminate();
    const [code] = await once(client, 'close');
    expect(code).toBe(1006);
    server.close();
  });
});

describe('types', () => {
  test('our classes stand where Node’s are asked for', () => {
    // Compiled is tested: these assignments are what programs write.
    const request = (): http.ClientRequest =>
      http.request({ createConnection: (options: object) => here.connect(options) });
    const secure = (): tls.TLSSocket => tls.connect({ socket: here.connect(80) });
    expect([typeof request, typeof secure]).toEqual(['function', 'function']);
  });
});
