/** ICMP errors about packets of connections that a target has: who can see the connection is believed, who only guesses is not. RFC 5927 4.1. */
import { describe, expect, test } from 'vitest';
import { read32, write32 } from '../../src/base/bytes.ts';
import type { RawPeer } from '../system/support/twin/raw-peer.ts';
import { type Packets, play } from '../system/support/twin/script.ts';
import { type Place, StackSubject } from '../system/support/twin/stack-subject.ts';
import type { Family } from '../system/support/twin/subject.ts';

const MTU = 1300;

/** Packet too big about the last packet of ours, its number moved by so many bytes. */
function tooBig(by: number): Packets {
  const make = (peer: RawPeer): Uint8Array => {
    const quoted = peer.lastSent!.slice();
    const at = peer.family === 4 ? 24 : 44;
    write32(quoted, at, (read32(quoted, at) + by) | 0);
    return peer.family === 4 ? peer.icmp(3, 4, MTU, quoted) : peer.icmp(2, 0, MTU, quoted);
  };
  return { says: `an MTU of ${MTU}, ${by} beside`, make };
}

/** What the connection sends because of it: 2,000 bytes are in flight, after 5,000 that were acknowledged, some of them at the other place. */
async function sentBecause(place: Place, family: Family, by: number): Promise<string> {
  const steps = [
    '< S 0:0(0) win 65535 <mss 1460>',
    '< . 1:1(0) ack 1',
    'write 3000',
    '< . 1:1(0) ack 3001',
    'write 2000',
    '< . 1:1(0) ack 5001',
    'write 2000',
    tooBig(by),
  ];
  const outcomes = await play({ name: '', family, steps }, new StackSubject(place));
  return outcomes.at(-1)!.said;
}

const PLACES: readonly Place[] = ['host', 'engine', 'worker', 'moving', 'moving-worker'];

describe.each([4, 6] as const)('IPv%i', (family) => {
  const size = MTU - (family === 4 ? 40 : 60);
  test.each(PLACES)(
    '%s: what is in flight is sent again in smaller segments (RFC 1191 6.5, RFC 8201)',
    async (place) => {
      expect(await sentBecause(place, family, 0)).toMatch(
        new RegExp(`^\\. 5001\\+${size} ack 1 \\| \\. ${5001 + size}\\+`),
      );
    },
  );

  test.each(PLACES)("%s: a number that was acknowledged, or was never written, is nobody's (5927-1)", async (place) => {
    for (const by of [-2000, -4000, 1000, 100_000, -100_000, 1 << 30]) {
      expect(await sentBecause(place, family, by), `${by}`).toBe('-');
    }
  });
});
