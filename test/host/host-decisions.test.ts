/** What a host decides by itself: what it does not offload, and what it takes back without being asked. */
import { describe, expect, test } from 'vitest';
import type { TakeBackPolicy } from '../../src/host/api.ts';
import { type NetPnpEvent, NetPnpEventCode } from '../../src/ndis/protocol.ts';
import { IdleTap } from '../../src/ndis/tap.ts';
import { TcpFlag } from '../../src/wire/tcp-segment.ts';
import { ChimneyScene, packetOf } from './chimney-scene.ts';

const { ACK, PSH } = TcpFlag;
/** Two no-operations and the end of the list. */
const OPTIONS = [1, 1, 0, 0];

/** Writes down what NDIS tells the host of its adapter. */
class Bell extends IdleTap {
  readonly codes: number[] = [];
  override netPnpEvent(event: NetPnpEvent): void {
    this.codes.push(event.code);
  }
}

async function refusalOf(s: ChimneyScene): Promise<string> {
  const refusal = s.endpoint.chimney.offload().then(
    () => 'offloaded',
    (error: Error) => error.message,
  );
  s.runtime.settle();
  return refusal;
}

describe('IPv4 options', () => {
  test('a connection whose packets have them is not offloaded, then or ever after [INIT-073]', async () => {
    const s = new ChimneyScene();
    s.deliver(0, s.text('with options', ACK | PSH, { options: OPTIONS }));
    expect(s.got()).toBe('with options');
    s.door.take();
    expect(await refusalOf(s)).toBe('NOT_OFFLOADABLE: its packets have IPv4 options');
    s.deliver(0, s.text(', without'));
    expect(await refusalOf(s)).toBe('NOT_OFFLOADABLE: its packets have IPv4 options');
    expect(s.door.take().filter((line) => line.startsWith('initiate'))).toEqual([]);
    expect(s.got()).toBe('with options, without');
  });

  test('a forged packet with options, outside the window, keeps nobody up [INIT-073]', async () => {
    const s = new ChimneyScene();
    s.deliver(0, packetOf({ flags: ACK, seq: s.seq + 5_000_000, ack: s.ack, text: 'x', options: OPTIONS }));
    expect(await refusalOf(s)).toBe('offloaded');
  });

  test('options that show only while the connection is below keep it up once it has come back [INIT-073]', async () => {
    const s = new ChimneyScene().offload();
    s.deliver(0, s.text('a', ACK | PSH, { options: OPTIONS }));
    s.beginTakeBack();
    s.runtime.settle();
    s.deliver(0, s.text('b', ACK | PSH, { options: OPTIONS }));
    expect(await refusalOf(s)).toContain('IPv4 options');
    expect(s.got()).toBe('ab');
  });
});

describe('a lost link', () => {
  const withPolicy = (takeBack?: TakeBackPolicy): ChimneyScene =>
    new ChimneyScene(takeBack === undefined ? {} : { host: { takeBack } }).offload();

  test('NDIS turns its status into a call of ProtocolNetPnPEvent, once, and the link that comes back into none [TERM-070]', () => {
    const s = withPolicy();
    const bell = new Bell();
    s.ndis.attachTap('nic0', bell);
    s.links[0]!.receiver!.linkState(false);
    s.links[0]!.receiver!.linkState(true);
    s.runtime.settle();
    expect(bell.codes).toEqual([NetPnpEventCode.MEDIA_DISCONNECT]);
  });

  test('the host that wants its connections back then takes them back [TERM-088, TERM-068]', () => {
    const s = withPolicy({ onLinkDown: true });
    s.links[0]!.receiver!.linkState(false);
    s.runtime.settle();
    expect(s.door.take()).toEqual(['terminate', 'terminate complete']);
    expect(s.location).toBe('host');
    expect(s.moves.at(-1)).toMatchObject({ kind: 'terminate', cause: 'media', status: 'SUCCESS' });
  });

  test('the one that does not leaves them; they go on below when it is mended [TERM-088]', () => {
    const s = withPolicy();
    s.links[0]!.receiver!.linkState(false);
    s.runtime.advance(3_000_000);
    expect([s.location, s.door.take()]).toEqual(['target', []]);
    s.links[0]!.receiver!.linkState(true);
    s.deliver(0, s.text('mended'));
    expect([s.location, s.got()]).toEqual(['target', 'mended']);
  });
});

describe('reasons of the host’s own', () => {
  test('a target that asks for a pause loses what it has, if that is the policy [TERM-068]', () => {
    for (const onPause of [true, false]) {
      const s = new ChimneyScene({ host: { takeBack: { onPause } } }).offload();
      s.target.control.pause();
      s.runtime.settle();
      expect(s.door.take()).toEqual(onPause ? ['terminate', 'terminate complete'] : []);
      expect(s.location).toBe(onPause ? 'host' : 'target');
      if (onPause) expect(s.moves.at(-1)).toMatchObject({ cause: 'pause', reason: null });
    }
  });

  test('a connection on which nothing flows comes back after the time the policy says, one that is used does not [TERM-068]', () => {
    const s = new ChimneyScene({ host: { takeBack: { afterIdleSeconds: 10 } } }).offload();
    for (let i = 0; i < 8; i++) {
      s.runtime.advance(4_000_000);
      s.deliver(0, s.text('x'));
      s.endpoint.write(Uint8Array.of(0x79), null);
      s.runtime.settle();
      s.ack += 1;
    }
    expect(s.location).toBe('target');
    s.receive({ flags: ACK, seq: s.seq, ack: s.ack });
    s.door.take();
    s.runtime.advance(9_000_000);
    expect(s.location).toBe('target');
    s.runtime.advance(4_000_000);
    expect(s.door.take()).toEqual(['terminate', 'terminate complete']);
    expect(s.moves.at(-1)).toMatchObject({ kind: 'terminate', cause: 'idle', reason: null, status: 'SUCCESS' });
    expect(s.got()).toBe('xxxxxxxx');
  });

  test('a connection is not invalidated by the host, whatever fails on it: it is terminated [INV-016]', () => {
    for (const fail of ['query', 'update'] as const) {
      const s = new ChimneyScene().offload();
      s.target.control.corrupt(null);
      if (fail === 'query') s.endpoint.chimney.query().catch(() => undefined);
      else s.endpoint.setHopLimit(7);
      s.runtime.settle();
      const lines = s.door.take();
      expect(lines.slice(0, 2)).toEqual([fail, `${fail} complete`]);
      expect(lines).toContain('terminate');
      expect(lines.filter((line) => line.startsWith('invalidate'))).toEqual([]);
    }
  });
});

test('a target that goes on with what was invalidated is as good as one that stops [INV-012]', async () => {
  const s = new ChimneyScene({ target: { invalidated: 'continue' } }).offload();
  const invalidated = s.endpoint.chimney.invalidate();
  s.runtime.settle();
  await invalidated;
  expect(s.door.take()).toEqual(['invalidate', 'invalidate complete']);
  s.deliver(0, s.text('goes on'));
  expect(s.got()).toBe('goes on');
  s.endpoint.write(new TextEncoder().encode('and out'), null);
  s.runtime.advance(1_000);
  const sent = s.sent();
  expect(sent.at(-1)).toMatchObject({ textLength: 7 });
  expect(s.location).toBe('target');
  s.beginTakeBack();
  s.runtime.settle();
  expect(s.moves.at(-1)).toMatchObject({ kind: 'terminate', cause: 'manual', status: 'SUCCESS' });
  s.deliver(0, s.text(', up here'));
  expect([s.location, s.got()]).toEqual(['host', 'goes on, up here']);
});
