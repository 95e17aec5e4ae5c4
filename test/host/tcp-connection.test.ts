import { describe, expect, test } from 'vitest';
import { A4, A6, B4, B6, Peer, pattern, same, World } from './two-hosts.ts';

describe('opening', () => {
  for (const family of [4, 6] as const) {
    test(`a connection is opened, both sides know their addresses (IPv${family}, MUST-44, MUST-45)`, () => {
      const world = new World();
      const { client, server } = world.connection(80, family);
      const a = family === 4 ? A4 : A6;
      const b = family === 4 ? B4 : B6;
      expect(client.calls).toEqual(['connected']);
      expect(client.endpoint.remote).toEqual({ address: b, port: 80 });
      expect(client.endpoint.local.address).toBe(a);
      expect(server.endpoint.local).toEqual({ address: b, port: 80 });
      expect(server.endpoint.remote).toEqual(client.endpoint.local);
      expect(client.endpoint.info().state).toBe('ESTABLISHED');
      expect(server.endpoint.family).toBe(family);
    });
  }

  test('a port without listener refuses: RST, ECONNREFUSED (9293-SM-1, 9293-SM-3)', () => {
    const world = new World();
    const client = new Peer();
    client.attach(world.a.connect({ remote: { address: B4, port: 81 } }, client));
    world.until(() => client.isClosed, 'refused', 5);
    expect(client.calls).toEqual(['closed ECONNREFUSED']);
    expect(world.traceB.countOf('TCP_RST_SENT')).toBe(1);
    expect(world.a.tcp.connectionCount).toBe(0);
  });

  test('both ends open at once and get one connection (simultaneous open, MUST-10)', () => {
    const world = new World({ impairment: { delayUs: 1000 } });
    const left = new Peer();
    const right = new Peer();
    // Neighbors must be known first, or one SYN would arrive before the other leaves.
    world.connection(99);
    left.attach(world.a.connect({ remote: { address: B4, port: 2000 }, local: { port: 1000 } }, left));
    right.attach(world.b.connect({ remote: { address: A4, port: 1000 }, local: { port: 2000 } }, right));
    world.until(() => left.isConnected && right.isConnected, 'both connected', 10);
    left.endpoint.write(pattern(5000), null);
    right.endpoint.write(pattern(5000, 2), null);
    world.until(() => left.received === 5000 && right.received === 5000, 'both got everything', 10);
    expect(same(right.bytes(), pattern(5000))).toBe(true);
    expect(same(left.bytes(), pattern(5000, 2))).toBe(true);
  });

  test('what is written and shut down before the handshake is done still arrives, then the end', () => {
    const world = new World({ impairment: { delayUs: 10_000 } });
    const server = new Peer();
    world.b.listen({ local: { address: '0.0.0.0', port: 80 } }, (endpoint) => server.attach(endpoint));
    const client = new Peer();
    client.attach(world.a.connect({ remote: { address: B4, port: 80 } }, client));
    client.endpoint.write(pattern(3000), null);
    client.endpoint.shutdown();
    world.until(() => server.hasEnded, 'end', 10);
    expect(same(server.bytes(), pattern(3000))).toBe(true);
  });

  test('nobody there: the open ends with EHOSTUNREACH, and nothing is left of it', () => {
    const world = new World();
    const client = new Peer();
    client.attach(world.a.connect({ remote: { address: '10.0.0.77', port: 80 } }, client));
    world.until(() => client.isClosed, 'unreachable', 300);
    expect(client.error).toBe('EHOSTUNREACH');
    expect(world.a.tcp.connectionCount).toBe(0);
  });

  test('a peer that never answers: the open is given up after at least three minutes with ETIMEDOUT (MUST-22, MUST-23)', () => {
    const world = new World({ medium: 'ip', impairment: [{ loss: 1 }, {}] });
    const client = new Peer();
    const beganUs = world.runtime.nowUs();
    client.attach(world.a.connect({ remote: { address: B4, port: 80 } }, client));
    world.until(() => client.isClosed, 'timed out', 3600);
    expect(client.error).toBe('ETIMEDOUT');
    expect(world.runtime.nowUs() - beganUs).toBeGreaterThan(180_000_000);
  });
});

describe('data', () => {
  test('bytes arrive in order, in one piece a segment, and writes are finished once acknowledged', () => {
    const world = new World();
    const { client, server } = world.connection();
    const bytes = pattern(200_000);
    let done = 0;
    for (let at = 0; at < bytes.length; at += 10_000) {
      client.endpoint.write(bytes.subarray(at, at + 10_000), (error) => {
        expect(error).toBeNull();
        done += 10_000;
      });
    }
    expect(client.endpoint.unacknowledgedBytes).toBe(200_000);
    world.until(() => done === bytes.length, 'all acknowledged', 30);
    expect(same(server.bytes(), bytes)).toBe(true);
    expect(client.endpoint.unacknowledgedBytes).toBe(0);
    expect(client.endpoint.queuedBytes).toBe(0);
    expect(client.endpoint.tcp.sendQueue).toBeNull();
    expect(world.a.tcp.writes.outstanding).toBe(0);
  });

  test('an empty write is finished after what was written before it', () => {
    const world = new World();
    const { client } = world.connection();
    const order: string[] = [];
    client.endpoint.write(pattern(100), () => order.push('first'));
    client.endpoint.write(new Uint8Array(0), () => order.push('empty'));
    expect(order).toEqual([]);
    world.until(() => order.length === 2, 'both done', 10);
    expect(order).toEqual(['first', 'empty']);
    client.endpoint.write(new Uint8Array(0), () => order.push('alone'));
    world.until(() => order.length === 3, 'the lone empty one', 10);
  });

  test('a handler that refuses closes the window, gets the rest after resume, and dataDone once a batch', () => {
    const world = new World();
    const { client, server } = world.connection();
    server.appetite = 1000;
    const bytes = pattern(3_000_000);
    client.endpoint.write(bytes, null);
    world.runtime.advance(20_000_000);
    expect(server.received).toBe(1000);
    expect(server.endpoint.unreadBytes).toBeGreaterThan(900_000);
    expect(server.endpoint.unreadBytes).toBeLessThanOrEqual(server.endpoint.tcp.initialRcvWnd);
    expect(server.endpoint.isReadable).toBe(false);
    const batches = server.batches;
    server.take(2000);
    world.runtime.settle();
    expect(server.received).toBe(3000);
    expect(server.batches).toBe(batches + 1);
    server.take(Number.POSITIVE_INFINITY);
    world.until(() => server.received === bytes.length, 'everything', 60);
    expect(same(server.bytes(), bytes)).toBe(true);
    expect(server.endpoint.unread).toBeNull();
    expect(world.b.tcp.chunks.held).toBe(0);
  });

  test('resume from inside data does not lose the wake-up', () => {
    const world = new World();
    const { client, server } = world.connection();
    server.appetite = 10;
    server.onData = () => {
      server.appetite += 500;
      server.endpoint.resume();
    };
    client.endpoint.write(pattern(20_000), null);
    world.until(() => server.received === 20_000, 'everything', 10);
  });

  test('what came before a handler was set waits for it', () => {
    const world = new World();
    let accepted: Peer['endpoint'] | null = null;
    world.b.listen({ local: { address: '0.0.0.0', port: 80 } }, (endpoint) => {
      accepted = endpoint as Peer['endpoint'];
    });
    const client = new Peer();
    client.attach(world.a.connect({ remote: { address: B4, port: 80 } }, client));
    client.endpoint.write(pattern(4000), null);
    client.endpoint.shutdown();
    world.runtime.advance(3_000_000);
    const server = new Peer();
    server.attach(accepted!);
    world.until(() => server.hasEnded, 'data and end', 5);
    expect(same(server.bytes(), pattern(4000))).toBe(true);
  });

  test('one connection with much to send does not keep another one waiting', () => {
    const world = new World({ impairment: { rateBps: 100_000_000 } });
    const first = world.connection(80);
    const second = world.connection(81);
    first.client.endpoint.write(pattern(8_000_000), null);
    world.runtime.advance(200_000);
    second.client.endpoint.write(pattern(10_000), null);
    world.until(() => second.server.received === 10_000, 'the small one', 30);
    expect(first.server.received).toBeLessThan(8_000_000);
    world.until(() => first.server.received === 8_000_000, 'the big one', 30);
  });

  test('a link that is full holds senders back and loses nothing', () => {
    const world = new World({ impairment: { rateBps: 50_000_000 }, queueBytes: 20_000, medium: 'ip' });
    const { client, server } = world.connection();
    client.endpoint.write(pattern(2_000_000), null);
    world.until(() => server.received === 2_000_000, 'everything', 60);
    expect(client.endpoint.info().retransmittedSegments).toBe(0);
  });
});

describe('closing', () => {
  test('half-close: the end arrives, the other direction goes on, both orderly ends close both (MUST-12)', () => {
    const world = new World();
    const { client, server } = world.connection();
    client.endpoint.write(pattern(1000), null);
    client.endpoint.shutdown();
    world.until(() => server.hasEnded, 'end', 10);
    expect(server.received).toBe(1000);
    expect(client.isClosed).toBe(false);
    server.endpoint.write(pattern(50_000, 3), null);
    world.until(() => client.received === 50_000, 'the answer', 10);
    server.endpoint.shutdown();
    world.until(() => client.isClosed && server.isClosed, 'closed', 10);
    expect(client.calls).toEqual(['connected', 'data', 'end', 'closed null']);
    expect(server.calls).toEqual(['data', 'end', 'closed null']);
  });

  test('end and closed wait until the handler has taken everything', () => {
    const world = new World();
    const { client, server } = world.connection();
    server.appetite = 0;
    client.endpoint.write(pattern(5000), null);
    client.endpoint.shutdown();
    server.endpoint.shutdown();
    // Far beyond TIME-WAIT: the record is gone, the text is not.
    world.runtime.advance(300_000_000);
    expect(server.calls).toEqual(['data']);
    server.take(5000);
    world.runtime.settle();
    expect(server.calls).toEqual(['data', 'end', 'closed null']);
    expect(same(server.bytes(), pattern(5000))).toBe(true);
  });

  test('both close at once: CLOSING, TIME-WAIT, closed in good order', () => {
    const world = new World({ impairment: { delayUs: 5000 } });
    const { client, server } = world.connection();
    client.endpoint.shutdown();
    server.endpoint.shutdown();
    world.until(() => client.isClosed && server.isClosed, 'closed', 10);
    expect([client.error, server.error]).toEqual([null, null]);
    expect(world.a.tcp.resting.timeWaitCount + world.b.tcp.resting.timeWaitCount).toBe(2);
  });

  test('abort: RST; the peer hears ECONNRESET, we ECONNABORTED, and every write is given back (9293-SM-17)', () => {
    const world = new World({ impairment: { delayUs: 1000 } });
    const { client, server } = world.connection();
    server.appetite = 0;
    const errors: (string | null)[] = [];
    client.endpoint.write(pattern(10_000), (error) => errors.push(error));
    client.endpoint.write(pattern(2_000_000), (error) => errors.push(error));
    world.runtime.advance(1_000_000);
    client.endpoint.abort();
    expect(client.isClosed).toBe(false); // never from inside the call
    world.until(() => client.isClosed && server.isClosed, 'both closed', 10);
    expect(client.error).toBe('ECONNABORTED');
    expect(server.error).toBe('ECONNRESET');
    expect(errors).toEqual([null, 'ECONNABORTED']);
    expect(world.a.tcp.connectionCount + world.b.tcp.connectionCount).toBe(0);
    expect(world.b.tcp.chunks.held).toBe(0);
    expect(world.a.tcp.writes.outstanding).toBe(0);
  });

  test('write after shutdown or after the end of the connection: EPIPE', () => {
    const world = new World();
    const { client, server } = world.connection();
    const errors: (string | null)[] = [];
    client.endpoint.shutdown();
    client.endpoint.write(pattern(10), (error) => errors.push(error));
    expect(errors).toEqual([]);
    world.runtime.settle();
    server.endpoint.abort();
    world.until(() => server.isClosed, 'closed', 10);
    server.endpoint.write(pattern(10), (error) => errors.push(error));
    server.endpoint.shutdown();
    server.endpoint.abort();
    server.endpoint.resume();
    server.endpoint.setKeepAlive(true, 1000);
    world.runtime.settle();
    expect(errors).toEqual(['EPIPE', 'EPIPE']);
  });

  test('close with unread data, or data after close, resets (SHLD-3)', () => {
    const world = new World();
    const first = world.connection(80);
    first.server.appetite = 0;
    first.client.endpoint.write(pattern(100), null);
    world.runtime.advance(1_000_000);
    first.server.endpoint.close();
    world.until(() => first.client.isClosed, 'reset', 10);
    expect(first.client.error).toBe('ECONNRESET');

    const second = world.connection(81);
    second.server.endpoint.close();
    world.until(() => second.client.hasEnded, 'end', 10);
    second.client.endpoint.write(pattern(100), null);
    world.until(() => second.client.isClosed, 'reset', 10);
    expect(second.client.error).toBe('ECONNRESET');
  });

  test('data after close that brings the FIN with it, or lies unread behind it, is reset at once, too (SHLD-3)', () => {
    const world = new World();
    const behind = world.connection(80);
    behind.server.endpoint.close();
    world.until(() => behind.client.hasEnded, 'end', 10);
    behind.client.endpoint.write(pattern(100), null);
    behind.client.endpoint.shutdown();
    // Sooner than a FIN would be sent again.
    world.runtime.advance(150_000);
    expect(behind.client.error).toBe('ECONNRESET');

    const unread = world.connection(81);
    unread.server.appetite = 0;
    unread.server.endpoint.shutdown();
    world.runtime.advance(50_000);
    unread.client.endpoint.write(pattern(100), null);
    unread.client.endpoint.shutdown();
    world.runtime.advance(50_000);
    expect(unread.client.isClosed).toBe(true);
    const resets = world.traceB.countOf('TCP_RST_SENT');
    unread.server.endpoint.close();
    world.runtime.settle();
    expect(world.traceB.countOf('TCP_RST_SENT')).toBe(resets + 1);
  });

  test('a connection its application closed does not wait for ever for its peer; a half-open one does', () => {
    const world = new World();
    const closed = world.connection(80);
    closed.client.endpoint.close();
    const halfOpen = world.connection(81);
    halfOpen.client.endpoint.shutdown();
    world.runtime.advance(55_000_000);
    expect(closed.client.isClosed).toBe(false);
    world.runtime.advance(10_000_000);
    expect(closed.client.isClosed).toBe(true);
    expect(world.traceA.countOf('TCP_ORPHAN_GIVEN_UP')).toBe(1);
    world.runtime.advance(3_600_000_000);
    expect(halfOpen.client.isClosed).toBe(false);
    halfOpen.server.endpoint.write(pattern(10), null);
    world.until(() => halfOpen.client.received === 10, 'late data', 10);
  });

  test('the peer dies: data not acknowledged ends with ETIMEDOUT after the user timeout (MUST-21, 9293-SM-18)', () => {
    const world = new World({ medium: 'ip' });
    const { client } = world.connection();
    client.endpoint.setUserTimeout(20_000);
    world.links.b.close();
    const beganUs = world.runtime.nowUs();
    let error: string | null = 'not called';
    client.endpoint.write(pattern(100), (e) => {
      error = e;
    });
    world.until(() => client.isClosed, 'timed out', 600);
    const tookS = (world.runtime.nowUs() - beganUs) / 1e6;
    expect(tookS).toBeGreaterThanOrEqual(20);
    expect(tookS).toBeLessThan(45);
    expect(client.error).toBe('ETIMEDOUT');
    expect(error).toBe('ETIMEDOUT');
  });

  test('keepalive finds a dead peer, and leaves a live one alone (MUST-24, MUST-26, MUST-27)', () => {
    const world = new World({ medium: 'ip' });
    const { client, server } = world.connection();
    client.endpoint.setKeepAlive(true, 10_000, 1000, 3);
    world.runtime.advance(300_000_000);
    expect(client.isClosed).toBe(false);
    expect(server.isClosed).toBe(false);
    world.links.b.close();
    world.runtime.advance(9_000_000);
    expect(client.isClosed).toBe(false);
    world.until(() => client.isClosed, 'keepalive', 30);
    expect(client.error).toBe('ETIMEDOUT');
  });

  test('an option that starts a timer on a connection at rest is heard at once', () => {
    const world = new World({ medium: 'ip' });
    const { client } = world.connection();
    world.runtime.advance(100_000_000);
    world.links.b.close();
    client.endpoint.setKeepAlive(true, 10_000, 1000, 3);
    world.until(() => client.isClosed, 'keepalive', 20);
  });

  test('a connection that is shut down first and closed later is given up as well', () => {
    const world = new World();
    const { client, server } = world.connection();
    client.endpoint.shutdown();
    world.runtime.advance(1000_000_000);
    expect(server.hasEnded).toBe(true);
    expect(client.isClosed).toBe(false);
    client.endpoint.close();
    world.until(() => client.isClosed && server.isClosed, 'given up', 70);
  });

  test('closing a stack resets its connections', async () => {
    const world = new World();
    const { client, server } = world.connection();
    const closing = world.a.close();
    for (let i = 0; i < 20; i++) {
      world.runtime.advance(100_000);
      await Promise.resolve();
    }
    await closing;
    world.runtime.advance(100_000);
    expect(client.error).toBe('ECANCELED');
    expect(server.error).toBe('ECONNRESET');
    expect(() => world.a.connect({ remote: { address: B4, port: 80 } }, client)).toThrow(/closed/);
  });
});

describe('TIME-WAIT', () => {
  test('the active closer rests 2 MSL, then its record is free (MUST-13)', () => {
    const world = new World();
    const { client, server } = world.connection();
    client.endpoint.shutdown();
    world.until(() => server.hasEnded, 'end', 10);
    server.endpoint.shutdown();
    world.until(() => client.isClosed && server.isClosed, 'closed', 10);
    expect(world.a.tcp.resting.timeWaitCount).toBe(1);
    expect(world.b.tcp.connectionCount).toBe(0);
    world.runtime.advance(59_000_000);
    expect(world.a.tcp.connectionCount).toBe(1);
    world.runtime.advance(2_000_000);
    expect(world.a.tcp.connectionCount).toBe(0);
  });

  test('the number at rest is bounded: the oldest is forgotten', () => {
    const world = new World({ a: { tcp: { limits: { timeWait: 3 } } } });
    for (let i = 0; i < 6; i++) {
      const { client, server } = world.connection(80 + i);
      client.endpoint.shutdown();
      server.endpoint.shutdown();
      world.until(() => client.isClosed && server.isClosed, 'closed', 10);
    }
    expect(world.a.tcp.resting.timeWaitCount).toBe(3);
    expect(world.traceA.countOf('TCP_TIME_WAIT_RECYCLED')).toBe(3);
  });

  test('a new SYN with a newer timestamp opens anew while the old connection rests (RFC 6191, MAY-2)', () => {
    const world = new World();
    const peers: Peer[] = [];
    world.b.listen({ local: { address: '0.0.0.0', port: 80 } }, (endpoint) => {
      const peer = new Peer();
      peer.attach(endpoint);
      peers.push(peer);
    });
    const open = (): Peer => {
      const client = new Peer();
      client.attach(world.a.connect({ remote: { address: B4, port: 80 }, local: { port: 5000 } }, client));
      world.until(() => client.isConnected || client.isClosed, 'open', 10);
      return client;
    };
    const first = open();
    peers[0]!.endpoint.shutdown(); // the server closes first, and rests
    world.until(() => first.hasEnded, 'end', 10);
    first.endpoint.shutdown();
    world.until(() => first.isClosed && peers[0]!.isClosed, 'closed', 10);
    expect(world.b.tcp.resting.timeWaitCount).toBe(1);
    world.runtime.advance(2_000_000);
    const second = open();
    expect(second.isConnected).toBe(true);
    expect(world.b.tcp.resting.timeWaitCount).toBe(0);
    second.endpoint.write(pattern(1000), null);
    world.until(() => peers[1]!.received === 1000, 'data', 10);
  });
});
