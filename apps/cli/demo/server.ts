/**
 * The demonstration's HTTP server: node:http on a stack, serving files and taking uploads.
 *
 * `GET /streams/7` sends stream 7 (a real file is read from the disk while it is sent), `PUT /streams/7` takes it. Content
 * that is not a file goes out no faster than its connection moves, so that even a short and fast one moves often.
 */
import { open } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from 'chimney';
import type { Mover } from './mover.ts';
import type { Stream, Streams } from './streams.ts';

export const SERVER_PORT = 80;

const READ_BUFFER_BYTES = 8 * 1024;
const SLICE_BYTES = 32 * 1024;
/** An upload's reader dozes off now and then while the target has the connection: what comes is refused, and asked for later by a receive. */
const NAPS = 8;
const NAP_MS = 50;

/** Starts it; resolves when it listens. */
export async function startServer(stack: Stack, streams: Streams, mover: Mover): Promise<Server> {
  // Small buffers, so that an upload whose reader dozes is refused at the target.
  const server = stack.net.http.createServer(
    { highWaterMark: READ_BUFFER_BYTES },
    (request: IncomingMessage, response: ServerResponse) => {
      void answer(request, response, streams, mover);
    },
  );
  server.keepAliveTimeout = 60_000;
  server.on('connection', (socket: unknown) => mover.follow(socket));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(SERVER_PORT, '::', resolve);
  });
  return server;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  streams: Streams,
  mover: Mover,
): Promise<void> {
  const id = /^\/streams\/(\d+)$/.exec(request.url ?? '')?.[1];
  const stream = id === undefined ? null : streams.byId(Number(id));
  try {
    if (stream === null || (request.method === 'GET') !== (stream.kind === 'download')) {
      response.writeHead(404).end();
    } else if (stream.kind === 'download') {
      response.writeHead(200, { 'content-length': stream.content.length, 'content-type': 'application/octet-stream' });
      await pipeline(stream.sending(contentOf(stream, mover, request.socket)), response);
    } else {
      await takeUpload(request, stream, mover);
      response.writeHead(200, { 'content-type': 'text/plain' }).end(`${stream.receivedHash}\n`);
    }
  } catch (error) {
    stream?.end(error);
    response.destroy();
  }
}

async function* contentOf(stream: Stream, mover: Mover, socket: object): AsyncGenerator<Uint8Array> {
  const { content, file } = stream;
  if (file !== null) {
    yield* bytesOfFile(file.path, content.length);
    return;
  }
  for (let at = 0; at < content.length; at += SLICE_BYTES) {
    await mover.hasKeptUp(socket, at / content.length);
    yield content.subarray(at, at + SLICE_BYTES);
  }
}

/**
 * Reads a file in slices. It is closed before the last slice is handed on: a client that has all bytes it was promised may
 * close the connection at once, and must find the answer complete.
 */
async function* bytesOfFile(path: string, length: number): AsyncGenerator<Uint8Array> {
  const file = await open(path);
  let at = 0;
  try {
    while (at < length) {
      const slice = Buffer.allocUnsafe(Math.min(SLICE_BYTES, length - at));
      const { bytesRead } = await file.read(slice, 0, slice.length, at);
      if (bytesRead === 0) throw new Error(`${path} has become shorter`);
      at += bytesRead;
      if (at === length) await file.close();
      yield slice.subarray(0, bytesRead);
    }
  } finally {
    if (at < length) await file.close();
  }
}

async function takeUpload(request: IncomingMessage, stream: Stream, mover: Mover): Promise<void> {
  const napEvery = stream.content.length / NAPS;
  let untilNap = napEvery;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    stream.received(chunk);
    untilNap -= chunk.length;
    if (untilNap <= 0) {
      untilNap = napEvery;
      await mover.isAtTarget(request.socket);
      await sleep(NAP_MS);
      // It may have moved meanwhile; what it holds is asked for where it waits now.
      await mover.isAtTarget(request.socket);
    }
    await mover.hasKeptUp(request.socket, stream.bytesReceived / stream.content.length);
  }
  stream.end();
}
