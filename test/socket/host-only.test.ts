/** What only ours can show: errors of the stack's turn, one turn with several events, back-pressure down to the endpoint. */

import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import type { TcpEndpoint, TcpHandler, TransportErrorCode } from '../../src/host/api.ts';
import { createNet } from '../../src/socket/net.ts';
import { FakeTransports } from './fake-transports.ts';
import { closed, pattern, seen, sleep, watch } from './scenario.ts';

/** Transports whose next connection is the test's to play. */
class PlayedTransports extends FakeTransports {
  handler: TcpHandler | null = null;
  endpoint: TcpEndpoint | null = null;
  readonly calls: string[] = [];
  written = 0;
  unacknowledged = 0;
  readonly dones: ((error?: TransportErrorCode) => void)[] = [];

  override connect(...args: Parameters<FakeTransports['connect']>): TcpEndpoint {
    const [options, handler] = args;
    this.handler = handler;
    const { calls } = this;
    const note = (name: string) => (): void => void calls.push(name);
    const outer = this;
    this.endpoint = {
      ...({ local: { address: '10.0.0.1', port: 50000 }, remote: options.remote, family: 4, handler } as object),
      get unacknowledgedBytes(): number {
        return outer.unacknowledged;
      },
      write(bytes: Uint8Array, done: ((error: TransportErrorCode | null) => void) | null): void {
        outer.written += bytes.length;
        outer.unacknowledged += bytes.length;
        outer.dones.push((error) => {
          outer.unacknowledged -= bytes.length;
          done?.(error ?? null);
        });
      },
      sendBacklog: 20_000,
      info: () => ({ minRttUs: 0 }),
      shutdown: note('shutdown'),
      close: note('close'),
      abort: note('abort'),
      resume: note('resume'),
      setNoDelay: note('setNoDelay'),
      setKeepAlive: note('setKeepAlive'),
      takeData: () => false,
    } as unknown as TcpEndpoint;
    return this.endpoint;
  }
}

async function played() {
  const transports = new PlayedTransports();
  const net = createNet(transports);
  const socket = net.connect({ host: '10.0.0.2', port: 80 });
  await sleep(1);
  return { transports, net, socket, handler: transports.handler! };
}

/** Bytes come on a later turn than the connection. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const uncaught: unknown[] = [];
const listeners = process.listeners('uncaughtException');

/** Takes what would end the process, for one test. */
function catchUncaught(): void {
  uncaught.length = 0;
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => uncaught.push(error));
}

afterEach(() => {
  process.removeAllListeners('uncaughtException');
  for (const listener of listeners) process.on('uncaughtException', listener);
});

describe('one turn of the stack', () => {
  test('a reset right behind the connection can be caught after awaiting it', async () => {
    const { socket, handler } = await played();
    const connected = once(socket, 'connect');
    handler.connected();
    handler.closed('ECONNRESET');
    await connected;
    const [error] = await once(socket, 'error');
    expect(seen(error)).toMatchObject({ message: 'read ECONNRESET', syscall: 'read', code: 'ECONNRESET' });
  });

  test('data, the end and the close of one turn are three events that can be awaited one by one', async () => {
    const { socket, handler } = await played();
    handler.connected();
    await turn();
    handler.data(Buffer.from('last words'), 0, 10);
    handler.dataDone();
    handler.end();
    handler.closed(null);
    const [data] = await once(socket, 'data');
    expect(String(data)).toBe('last words');
    await once(socket, 'end');
    expect(await once(socket, 'close')).toEqual([false]);
  });

  test('bytes that come with the connection wait until the ticks and promises of who is told of it have run', async () => {
    const { socket, handler, transports } = await played();
    const log: string[] = [];
    socket.on('data', () => log.push('data'));
    socket.on('connect', () => {
      process.nextTick(() => log.push('a tick'));
      void Promise.resolve()
        .then(() => {})
        .then(() => log.push('a promise'));
    });
    handler.connected();
    expect(handler.data(Buffer.from('early'), 0, 5)).toBe(0);
    await turn();
    expect(transports.calls).toContain('resume');
    expect(log).toHaveLength(2);
    expect(handler.data(Buffer.from('early'), 0, 5)).toBe(5);
    handler.dataDone();
    expect(log.sort()).toEqual(['a promise', 'a tick', 'data']);
  });

  test('what comes in one batch is one chunk, and small ones keep no more memory than Node’s pool', async () => {
    const { socket, handler } = await played();
    handler.connected();
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    await sleep(1);
    const bytes = pattern(100_000);
    for (let at = 0; at < 14_600; at += 1460) handler.data(bytes, at, 1460);
    handler.dataDone();
    expect(chunks.map((chunk) => chunk.length)).toEqual([14_600]);
    // Some versions of Node round the pool's memory up a little.
    const most = 14_600 <= Buffer.poolSize / 2 ? Buffer.poolSize + 1024 : 14_600;
    expect(chunks[0]!.buffer.byteLength).toBeLessThanOrEqual(most);
    for (let at = 14_600; at < 100_000; at += 1400) handler.data(bytes, at, 1400);
    handler.dataDone();
    expect(chunks.map((chunk) => chunk.length)).toEqual([14_600, 65_536, 85_400 - 65_536]);
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
  });

  test('a listener that throws is an uncaught exception, and the stack goes on', async () => {
    catchUncaught();
    const { socket, handler } = await played();
    socket.on('connect', () => {});
    socket.on('data', (data) => {
      throw new Error(`in ${data}`);
    });
    socket.on('end', () => {
      throw new Error('in end');
    });
    expect(() => handler.connected()).not.toThrow();
    await sleep(1);
    for (const text of ['one', 'two']) {
      expect(() => {
        expect(handler.data(Buffer.from(text), 0, 3)).toBe(3);
        handler.dataDone();
      }).not.toThrow();
    }
    handler.end();
    await sleep(5);
    expect(uncaught.map((error) => (error as Error).message)).toEqual(['in one', 'in two', 'in end']);
    expect(socket.destroyed).toBe(false);
  });

  test('a connection listener that throws is an uncaught exception too', async () => {
    catchUncaught();
    const net = createNet(new FakeTransports());
    const server = net.createServer(() => {
      throw new Error('in connection');
    });
    server.listen(80);
    const socket = net.connect(80, '10.0.0.2');
    await once(socket, 'connect');
    await sleep(5);
    expect(uncaught.map((error) => (error as Error).message)).toEqual(['in connection']);
  });
});

describe('back-pressure', () => {
  test('a full stream refuses bytes, and asks for them again when it is read', async () => {
    const { socket, handler, transports } = await played();
    handler.connected();
    await turn();
    const bytes = pattern(64 << 10);
    expect(handler.data(bytes, 0, bytes.length)).toBe(bytes.length);
    handler.dataDone();
    expect(handler.data(bytes, 0, 1000)).toBe(0);
    expect(transports.calls).not.toContain('resume');
    socket.resume();
    await sleep(1);
    expect(transports.calls).toContain('resume');
    expect(handler.data(bytes, 0, 1000)).toBe(1000);
  });

  test('the send buffer is bounded, and grows with what is worth having unacknowledged', async () => {
    const { socket, handler, transports } = await played();
    handler.connected();
    let isWritten = false;
    socket.write(pattern(8 << 20), () => {
      isWritten = true;
    });
    expect(transports.written).toBe(256 << 10);
    (transports.endpoint as { sendBacklog: number }).sendBacklog = 2 << 20;
    transports.dones.shift()!();
    expect(transports.unacknowledged).toBe(256 << 10);
    transports.dones.shift()!();
    while (transports.dones.length > 0 && !isWritten) {
      expect(transports.unacknowledged).toBeLessThanOrEqual(4 << 20);
      transports.dones.shift()!();
      await sleep(0);
    }
    expect(transports.written).toBe(8 << 20);
  });

  test('a corked write of many pieces is one write of the endpoint', async () => {
    const { socket, handler, transports } = await played();
    handler.connected();
    socket.cork();
    for (let i = 0; i < 50; i++) socket.write(`line ${i}\r\n`);
    socket.uncork();
    expect(transports.dones.length).toBe(1);
  });

  test('a write that waits when the connection breaks fails with the write’s syscall', async () => {
    const { socket, handler } = await played();
    handler.connected();
    await turn();
    socket.pause();
    const bytes = pattern(64 << 10);
    handler.data(bytes, 0, bytes.length);
    handler.dataDone();
    const error = once(socket, 'error');
    socket.write(pattern(1 << 20));
    handler.closed('ETIMEDOUT');
    expect(seen((await error)[0])).toMatchObject({ message: 'write ETIMEDOUT', syscall: 'write' });
  });

  test('a reset after the peer’s end is a broken pipe to whoever still writes', async () => {
    const transports = new PlayedTransports();
    const socket = createNet(transports).connect({ host: '10.0.0.2', port: 80, allowHalfOpen: true });
    await sleep(1);
    transports.handler!.connected();
    socket.resume();
    transports.handler!.end();
    await once(socket, 'end');
    transports.handler!.closed('ECONNRESET');
    socket.write('x');
    expect(seen((await once(socket, 'error'))[0])).toMatchObject({ message: 'write EPIPE', code: 'EPIPE' });
  });

  test('a paused socket hears of a reset when it writes, and of a broken pipe from then on', async () => {
    const { socket, handler } = await played();
    handler.connected();
    await turn();
    socket.pause();
    handler.data(pattern(64 << 10), 0, 64 << 10);
    handler.dataDone();
    handler.closed('ECONNRESET');
    await sleep(5);
    expect(socket.destroyed).toBe(false);
    socket.write('x');
    expect(seen((await once(socket, 'error'))[0])).toMatchObject({ message: 'write ECONNRESET' });
  });
});

describe('the endpoint underneath', () => {
  test('gets the options, once it is connected', async () => {
    const { socket, handler, transports } = await played();
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 5000);
    expect(transports.calls).toEqual([]);
    handler.connected();
    expect(transports.calls).toEqual(['setNoDelay', 'setKeepAlive']);
    socket.setNoDelay(true);
    expect(transports.calls.length).toBe(2);
  });

  test('is closed by destroy, aborted while connecting, and aborted by resetAndDestroy', async () => {
    for (const [when, how] of [
      ['destroy', 'close'],
      ['connecting', 'abort'],
      ['reset', 'abort'],
    ]) {
      const { socket, handler, transports } = await played();
      if (when !== 'connecting') handler.connected();
      if (when === 'reset') socket.resetAndDestroy();
      else socket.destroy();
      await closed(socket);
      expect(transports.calls.filter((call) => call === 'close' || call === 'abort')).toEqual([how]);
    }
  });

  test('is held for the process until the peer has what was written', async () => {
    const transports = new PlayedTransports();
    let held = 0;
    const keepAlive = { ref: () => void held++, unref: () => void held-- };
    const net = createNet(transports, { keepAlive });
    const socket = net.connect({ host: '10.0.0.2', port: 80 });
    await sleep(1);
    expect(held).toBe(1);
    transports.handler!.connected();
    socket.unref();
    expect(held).toBe(0);
    socket.ref();
    socket.end('goodbye');
    await once(socket, 'finish');
    socket.destroy();
    await closed(socket);
    expect(held).toBe(1);
    for (const done of transports.dones) done();
    expect(held).toBe(0);
    transports.handler!.closed(null);
    expect(held).toBe(0);
  });

  test('a reset after the peer has finished breaks the write that waits, and nothing more is written', async () => {
    const { transports, socket, handler } = await played();
    handler.connected();
    const codes: unknown[] = [];
    socket.on('error', (error) => codes.push((error as NodeJS.ErrnoException).code));
    socket.resume();
    socket.write(Buffer.alloc(1 << 20));
    const { written } = transports;
    expect(written).toBeLessThan(1 << 20);
    handler.end();
    await sleep(1);
    // As the host does it: first every write is given up, then the connection is over.
    for (const done of transports.dones) done('ECONNRESET');
    handler.closed('ECONNRESET');
    await closed(socket);
    expect(codes).toEqual(['EPIPE']);
    expect(transports.written).toBe(written);
  });

  test('a server holds the process while it listens', () => {
    let held = 0;
    const keepAlive = { ref: () => void held++, unref: () => void held-- };
    const net = createNet(new FakeTransports(), { keepAlive });
    const server = net.createServer().listen(80);
    expect(held).toBe(1);
    server.unref();
    expect(held).toBe(0);
    server.ref();
    expect(held).toBe(1);
    server.close();
    expect(held).toBe(0);
  });

  test('late events of a connection that was let go of reach nobody', async () => {
    const { socket, handler } = await played();
    handler.connected();
    const log: unknown[] = [];
    watch(log, socket);
    socket.destroy();
    expect(handler.data(pattern(100), 0, 100)).toBe(100);
    handler.dataDone();
    handler.end();
    handler.closed('ECONNRESET');
    await closed(socket);
    await sleep(5);
    expect(log).toEqual([['close', false]]);
  });
});
