/**
 * A router says that a packet of an offloaded connection was too big: believed if its target has what is quoted in flight, for which it is
 * asked. RFC 5927 4.1 and 7, chimney-sequences 8 and 9.
 */
import { expect, test } from 'vitest';
import { icmp, ipv4 } from '../host-path/frames.ts';
import { EtherScene, HOST, ROUTER } from './ether-scene.ts';
import { HOST_MAC, routerMac } from './wire-scene.ts';

/** A connection below with some text in flight; what it has sent of it. */
function scene(): { s: EtherScene; quote: Uint8Array; first: number; end: number } {
  const s = new EtherScene({ checkForHangUs: Number.POSITIVE_INFINITY }).offload();
  // The record of the host is as it was before this.
  s.write('text that has arrived', true);
  s.frames();
  const text = 'text that has not';
  s.write(text, false);
  const [frame] = s.frames();
  s.door.take();
  return { s, quote: frame!.bytes.slice(14), first: frame!.seq, end: frame!.seq + text.length };
}

/** The router says so about a segment that begins at `seq`. */
function tooBig(s: EtherScene, quote: Uint8Array, seq: number, mtu = 1_300): void {
  const quoted = quote.slice();
  new DataView(quoted.buffer).setUint32(24, seq >>> 0);
  const packet = ipv4({ src: ROUTER, dst: HOST, protocol: 1 }, icmp(3, 4, mtu, quoted));
  const frame = new Uint8Array(14 + packet.length);
  frame.set(HOST_MAC, 0);
  frame.set(routerMac(254), 6);
  frame.set([0x08, 0x00], 12);
  frame.set(packet, 14);
  s.link.deliver(frame);
}

const calls = (s: EtherScene): string[] => s.door.take().filter((line) => /^(query|update|term|init)/.test(line));
const mtuOf = (s: EtherScene): number => s.peer.endpoint.path.mtu;
const ignored = (s: EtherScene): number => s.stack.trace.countOf('TCP_ICMP_IGNORED');

test.each([
  ['the first byte in flight', 0, true],
  ['the last one', 16, true],
  ['one behind what was sent', 18, false],
  ['one that has arrived', -1, false],
  ['one that was in flight before the offload', -22, false],
  ['one anywhere', 0x4000_0000, false],
])(
  'about %s: the target is asked, and it is believed or not accordingly [RFC 5927 4.1, UPD-012]',
  (_what, offset, isBelieved) => {
    const { s, quote, first } = scene();
    tooBig(s, quote, first + offset);
    s.run(2_000);
    const update = isBelieved ? ['update', 'update complete'] : [];
    expect(calls(s)).toEqual(['query', 'query complete', ...update]);
    expect(mtuOf(s)).toBe(isBelieved ? 1_300 : 1_500);
    expect(ignored(s)).toBe(isBelieved ? 0 : 1);
    expect(s.location).toBe('target');
    expect(s.findings).toEqual([]);
  },
);

test('a flood of forged ones: one query at a time, and the genuine one among them is believed', () => {
  const { s, quote, first } = scene();
  tooBig(s, quote, first + 1_000_000);
  tooBig(s, quote, first);
  for (let i = 0; i < 100; i++) tooBig(s, quote, first + 1_000_000 + i, 600);
  s.run(2_000);
  expect(mtuOf(s)).toBe(1_300);
  expect(calls(s).filter((call) => call === 'query').length).toBeLessThanOrEqual(102 / 8 + 1);
  expect(s.findings).toEqual([]);
});

test('of two that are genuine the smaller one counts, in either order', () => {
  for (const mtus of [
    [1_300, 1_200],
    [1_200, 1_300],
  ]) {
    const { s, quote, first } = scene();
    for (const mtu of mtus) tooBig(s, quote, first, mtu);
    s.run(2_000);
    expect(mtuOf(s)).toBe(1_200);
    expect(s.findings).toEqual([]);
  }
});

test('a connection that is between two engines is not asked about; the next one is believed', () => {
  const { s, quote, first } = scene();
  s.peer.endpoint.chimney.takeBack().catch(() => undefined);
  tooBig(s, quote, first);
  s.run(1_000);
  expect(calls(s)).toEqual(['terminate', 'terminate complete']);
  expect([s.location, mtuOf(s), ignored(s)]).toEqual(['host', 1_500, 1]);
  s.initiateSlowly(s.peer.endpoint, () => {
    tooBig(s, quote, first);
    expect([mtuOf(s), ignored(s)]).toEqual([1_500, 2]);
  });
  expect(s.location).toBe('target');
  tooBig(s, quote, first);
  s.run(2_000);
  expect(mtuOf(s)).toBe(1_300);
  expect(s.findings).toEqual([]);
});

test('a target that cannot answer: it is not believed, and the connection comes back [QRY-012]', () => {
  const { s, quote, first } = scene();
  s.stack.target('eth0').control.corrupt(null);
  tooBig(s, quote, first);
  s.run(2_000);
  expect(mtuOf(s)).toBe(1_500);
  expect(s.location).not.toBe('target');
});
