/** Scenarios of data in flow: volume, back-pressure, pausing, encodings, counting, timeouts. Each answers what was seen. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { closed, open, pattern, SOCKET_EVENTS, shut, sleep, watch } from './scenario.ts';
import type { World } from './world.ts';

type Scenario = (world: World) => Promise<unknown>;

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function readAll(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

export const flowScenarios: Readonly<Record<string, Scenario>> = {
  'four mebibytes both ways at once, with back-pressure': async (world) => {
    const up = pattern(4 << 20, 7);
    const down = pattern(4 << 20, 11);
    const atServer = createHash('sha256');
    const atClient = createHash('sha256');
    const here = await open(
      world,
      (socket) => {
        socket.on('data', (data) => atServer.update(data));
        void pipeline(Readable.from(chunksOf(down, 50_000)), socket);
      },
      { allowHalfOpen: true },
    );
    const socket = here.connect({ allowHalfOpen: true });
    socket.on('data', (data) => atClient.update(data));
    void pipeline(Readable.from(chunksOf(up, 99_999)), socket);
    await closed(socket);
    await shut(here.server);
    return {
      up: atServer.digest('hex') === hash(up),
      down: atClient.digest('hex') === hash(down),
      counts: [socket.bytesRead, socket.bytesWritten],
    };
  },

  'a peer that does not read stops the writer, and lets it go on': async (world) => {
    const log: unknown[] = [];
    const total = 24 << 20;
    let other: Socket | null = null;
    const here = await open(world, (socket) => {
      other = socket;
      socket.pause();
    });
    const socket = here.connect();
    await once(socket, 'connect');
    const chunk = pattern(1 << 20);
    let accepted = 0;
    for (let i = 0; i < 24; i++) socket.write(chunk, () => accepted++);
    await sleep(150);
    log.push(accepted < 24, socket.writableNeedDrain, socket.bytesWritten === total);
    log.push(socket.bufferSize === socket.writableLength, socket.writableLength > 0);
    const peer = other as Socket | null;
    let read = 0;
    peer!.on('data', (data) => {
      read += data.length;
    });
    peer!.resume();
    await once(socket, 'drain');
    log.push(accepted, socket.writableLength);
    socket.end();
    await closed(socket);
    log.push(read, peer!.bytesRead, socket.bytesWritten);
    await shut(here.server);
    return log;
  },

  'the writer may reuse its buffer once the write is called back': async (world) => {
    let read: Buffer = Buffer.alloc(0);
    const here = await open(world, async (socket) => {
      read = await readAll(socket);
    });
    const socket = here.connect();
    const buffer = Buffer.alloc(100_000);
    for (let i = 0; i < 20; i++) {
      buffer.fill(i);
      await new Promise((resolve) => socket.write(buffer, resolve));
    }
    buffer.fill(255);
    socket.end();
    await closed(socket);
    await shut(here.server);
    const wanted = Buffer.concat(Array.from({ length: 20 }, (_, i) => Buffer.alloc(100_000, i)));
    return read.equals(wanted);
  },

  'strings, encodings, corked and empty writes': async (world) => {
    const here = await open(
      world,
      async (socket) => {
        socket.end(await readAll(socket));
      },
      { allowHalfOpen: true },
    );
    const socket = here.connect();
    socket.cork();
    socket.write('grüße ');
    socket.write('68656c6c6f', 'hex');
    socket.write(new Uint8Array([33, 10]));
    process.nextTick(() => socket.uncork());
    socket.write('');
    socket.write('ÿ', 'latin1');
    socket.write('snowman ☃', 'utf16le');
    await once(socket, 'connect');
    const atConnect = socket.bytesWritten;
    socket.end(Buffer.from('.'));
    const back = (await readAll(socket)).toString('hex');
    await shut(here.server);
    return { atConnect, back, written: socket.bytesWritten, read: socket.bytesRead };
  },

  'writes count before the connection is there': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => socket.resume());
    const socket = here.connect();
    log.push(socket.bytesWritten, socket.write('abc'), socket.bytesWritten, socket.writableLength, socket.bufferSize);
    log.push(socket.write(Buffer.alloc(100_000)), socket.bytesWritten, socket.writableNeedDrain);
    await once(socket, 'drain');
    log.push(socket.bytesWritten, socket.writableLength);
    socket.end();
    await closed(socket);
    log.push(socket.bytesWritten, socket.bytesRead, socket.bufferSize);
    await shut(here.server);
    return log;
  },

  'pause and resume': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => {
      let i = 0;
      const timer = setInterval(() => {
        socket.write(`${i++};`);
        if (i < 10) return;
        clearInterval(timer);
        socket.end();
      }, 2);
      socket.on('error', () => {});
    });
    const socket = here.connect();
    socket.setEncoding('utf8');
    let text = '';
    let isPaused = false;
    socket.on('data', (data) => {
      if (isPaused) log.push('data while paused');
      text += data;
      isPaused = true;
      socket.pause();
      log.push(socket.isPaused());
      setTimeout(() => {
        isPaused = false;
        socket.resume();
      }, 12);
    });
    await closed(socket);
    await shut(here.server);
    return { text, flags: new Set(log), bytes: socket.bytesRead };
  },

  'readable and read, with an end behind them': async (world) => {
    const here = await open(world, (socket) => socket.end('0123456789'));
    const socket = here.connect();
    const log: unknown[] = [];
    socket.on('readable', () => {
      for (let part = socket.read(4); part !== null; part = socket.read(4)) log.push(String(part));
    });
    watch(log, socket, ['end', 'close']);
    await closed(socket);
    await shut(here.server);
    return log;
  },

  'onread fills one buffer again and again': async (world) => {
    const sent = pattern(300_000);
    const here = await open(world, (socket) => socket.end(sent));
    const parts: Buffer[] = [];
    const buffer = Buffer.alloc(10_000);
    const same: boolean[] = [];
    const log: unknown[] = [];
    const socket = here.connect({
      onread: {
        buffer,
        callback(bytes, given) {
          same.push(given === buffer, bytes > 0, bytes <= 10_000);
          parts.push(Buffer.from(given.subarray(0, bytes)));
          return true;
        },
      },
    });
    watch(log, socket, ['data', 'end', 'close', 'error']);
    await closed(socket);
    await shut(here.server);
    return { isEqual: Buffer.concat(parts).equals(sent), same: new Set(same), log, read: socket.bytesRead };
  },

  'onread takes a new buffer each time, and stops when told': async (world) => {
    const sent = pattern(100_000);
    const here = await open(world, (socket) => socket.end(sent));
    const parts: Buffer[] = [];
    let stops = 0;
    const socket = here.connect({
      onread: {
        buffer: () => Buffer.alloc(7_000),
        callback(bytes, given) {
          parts.push(Buffer.from(given.subarray(0, bytes)));
          if (parts.length % 4 !== 0) return true;
          stops++;
          setTimeout(() => socket.resume(), 2);
          return false;
        },
      },
    });
    await closed(socket);
    await shut(here.server);
    return [Buffer.concat(parts).equals(sent), stops > 0, socket.bytesRead];
  },

  'pauseOnConnect leaves the data alone until resume': async (world) => {
    const log: unknown[] = [];
    const here = await open(
      world,
      (socket) => {
        log.push(socket.isPaused(), socket.readableFlowing);
        socket.on('data', (data) => log.push(String(data)));
        setTimeout(() => {
          log.push('resumed');
          socket.resume();
        }, 20);
      },
      { pauseOnConnect: true },
    );
    const socket = here.connect();
    socket.end('patience');
    socket.resume();
    await closed(socket);
    await shut(here.server);
    return log;
  },

  'a proxy that pipes both ways, whose clients end one after the other': async (world) => {
    const log: unknown[] = [];
    const sockets: Socket[] = [];
    const ends: Promise<unknown>[] = [];
    const here = await open(
      world,
      (socket) => {
        sockets.push(socket);
        ends.push(closed(socket));
        watch(log, socket, [...SOCKET_EVENTS, 'pipe', 'unpipe']);
        if (sockets.length < 2) return;
        const [left, right] = sockets as [Socket, Socket];
        left.pipe(right);
        right.pipe(left);
      },
      { allowHalfOpen: true },
    );
    const left = here.connect({ allowHalfOpen: true });
    await once(left, 'connect');
    const right = here.connect({ allowHalfOpen: true });
    const up = pattern(3 << 20, 5);
    const down = pattern(1 << 20, 9);
    const atLeft = readAll(left);
    const atRight = readAll(right);
    left.end(up);
    const isUpWhole = (await atRight).equals(up);
    right.end(down);
    const isDownWhole = (await atLeft).equals(down);
    await Promise.all(ends);
    log.push(isUpWhole, isDownWhole);
    log.push(sockets.map((socket) => [socket.bytesRead, socket.bytesWritten]));
    await shut(here.server);
    return log;
  },

  'a socket is unpiped and piped anew, with a timeout set, and the sink is destroyed at last': async (world) => {
    const log: unknown[] = [];
    const sockets: Socket[] = [];
    const here = await open(world, (socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
    });
    const left = here.connect();
    await once(left, 'connect');
    const right = here.connect();
    await once(right, 'connect');
    while (sockets.length < 2) await sleep(5);
    const [from, to] = sockets as [Socket, Socket];
    watch(log, to, ['pipe', 'unpipe', 'close']);
    let received = 0;
    right.on('data', (data) => {
      received += data.length;
    });
    const reach = async (bytes: number): Promise<void> => {
      while (received < bytes) await sleep(5);
    };
    from.setTimeout(60_000, () => log.push('timeout'));
    from.pipe(to);
    left.write(pattern(200_000));
    await reach(200_000);
    from.unpipe(to);
    log.push(from.readableFlowing, from.isPaused(), from.listenerCount('data'));
    left.write(pattern(1000));
    await sleep(30);
    log.push(received, from.bytesRead <= 201_000);
    from.pipe(to);
    await reach(201_000);
    log.push(to.bytesWritten, to.writableLength, to.writableNeedDrain);
    const left2 = once(to, 'unpipe');
    to.destroy();
    await left2;
    log.push(from.readableFlowing, from.isPaused(), from.destroyed);
    left.destroy();
    right.destroy();
    from.resume();
    await closed(from);
    await shut(here.server);
    return log;
  },

  'an idle socket times out once, a busy one does not': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => socket.on('data', (data) => socket.write(data)));
    const socket = here.connect();
    log.push(socket.timeout, socket.setTimeout(300, () => log.push('timeout')) === socket, socket.timeout);
    socket.resume();
    // Far enough apart that a machine which stands still for a while does not turn them round.
    for (let i = 0; i < 18; i++) {
      await sleep(20);
      socket.write('x');
    }
    log.push('busy');
    await sleep(450);
    log.push('idle');
    socket.write('again');
    await sleep(100);
    socket.setTimeout(0);
    log.push(socket.timeout);
    socket.end();
    await closed(socket);
    await shut(here.server);
    return log;
  },

  'a timeout is an option of connect, and starts before the connection': async (world) => {
    const log: unknown[] = [];
    const here = await open(world, (socket) => socket.resume());
    const socket = here.connect({ timeout: 30 });
    watch(log, socket, ['connect', 'timeout', 'close']);
    await once(socket, 'timeout');
    socket.destroy();
    await closed(socket);
    await shut(here.server);
    return log;
  },
};

function* chunksOf(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
