/** WHATWG streams over the sockets of a stack, by Node's own adapters. */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Duplex, Readable, Writable } from 'node:stream';
import type { ReadableStream, WritableStream } from 'node:stream/web';
import { afterEach, expect, test } from 'vitest';
import { memoryLinkPair } from '../../src/link/memory.ts';
import { SystemRuntime } from '../../src/runtime.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import { createStack } from '../../src/stack.ts';
import { type TwoStacks, twoStacks } from './two-stacks.ts';

const open: TwoStacks[] = [];

afterEach(async () => {
  for (const stacks of open.splice(0)) await stacks.close();
});

/** A connection between two stacks. */
async function pair(allowHalfOpen = false): Promise<{ client: StackSocket; server: StackSocket }> {
  const stacks = twoStacks();
  open.push(stacks);
  const listening = stacks.server.net.createServer({ allowHalfOpen });
  listening.listen(0, stacks.serverAddress);
  await once(listening, 'listening');
  const { port } = listening.address() as AddressInfo;
  const client = stacks.client.net.connect({ port, host: stacks.serverAddress });
  const [server] = (await once(listening, 'connection')) as [StackSocket];
  listening.close();
  return { client, server };
}

/** What a web stream makes of a socket. */
function web(socket: StackSocket): { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> } {
  return Duplex.toWeb(socket) as never;
}

async function textOf(readable: ReadableStream<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readable) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('Duplex.toWeb: bytes go both ways, with back-pressure, and an end is an end', async () => {
  const { client, server } = await pair(true);
  const ours = web(client);
  server.pipe(server);
  const text = 'what is said comes back. '.repeat(40_000);
  const saying = (async () => {
    const writer = ours.writable.getWriter();
    for (let at = 0; at < text.length; at += 50_000) {
      await writer.ready;
      await writer.write(Buffer.from(text.slice(at, at + 50_000)));
    }
    await writer.close();
  })();
  expect((await textOf(ours.readable)) === text).toBe(true);
  await saying;
  if (!client.closed) await once(client, 'close');
});

test('Readable.toWeb and Writable.toWeb: through a transform stream', async () => {
  const { client, server } = await pair();
  client.resume();
  const unpacked = (Readable.toWeb(server) as ReadableStream<Uint8Array>).pipeThrough(
    new DecompressionStream('gzip') as never,
  );
  const reading = textOf(unpacked as ReadableStream<Uint8Array>);
  const writable = Writable.toWeb(client) as WritableStream<Uint8Array>;
  const packed = new Blob(['squeezed '.repeat(20_000)]).stream().pipeThrough(new CompressionStream('gzip') as never);
  await (packed as unknown as ReadableStream<Uint8Array>).pipeTo(writable);
  expect(await reading).toBe('squeezed '.repeat(20_000));
});

test('a reset is the error of both streams', async () => {
  const { client, server } = await pair();
  const ours = web(client);
  client.on('error', () => {});
  const reading = ours.readable.getReader().read();
  server.resetAndDestroy();
  await expect(reading).rejects.toMatchObject({ code: 'ECONNRESET' });
  await expect(ours.writable.getWriter().closed).rejects.toMatchObject({ code: 'ECONNRESET' });
});

test('who cancels the one and aborts the other has closed the connection', async () => {
  const { client, server } = await pair();
  const ours = web(client);
  server.on('error', () => {});
  server.resume();
  await ours.writable.getWriter().write(Buffer.from('x'));
  await ours.readable.cancel();
  if (!client.destroyed) await once(client, 'close');
  expect(client.destroyed).toBe(true);
  if (!server.closed) await once(server, 'close');
});

test('a connection moves while a web stream is read from it', async () => {
  const runtime = new SystemRuntime();
  const wire = memoryLinkPair({ runtime, names: ['server', 'client'] });
  const stacks = [
    createStack({ runtime, verify: true, links: [{ link: wire.a, addresses: ['10.0.0.1/24'] }] }),
    createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] }),
  ] as const;
  const listening = stacks[0].net.createServer();
  listening.listen(80, '10.0.0.1');
  await once(listening, 'listening');
  const client = stacks[1].net.connect({ port: 80, host: '10.0.0.1' });
  const [server] = (await once(listening, 'connection')) as [StackSocket];
  const reading = textOf(web(server).readable);
  client.write('on the host path, ');
  await server.chimney!.offload();
  client.write('at the target, ');
  await server.chimney!.takeBack();
  client.end('and back');
  client.resume();
  expect(await reading).toBe('on the host path, at the target, and back');
  expect(stacks[0].findings).toEqual([]);
  for (const stack of stacks) await stack.close();
});
