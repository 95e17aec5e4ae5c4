/**
 * A million packets of rubbish: random bytes, real packets with bent bits, cut short, with lying lengths, and the same with
 * their checksums made right again. Nothing throws, nothing grows, what is dropped is counted, and connections go on.
 */
import { expect, test } from 'vitest';
import { checksumOf } from '../../src/base/checksum.ts';
import { SeededRandom } from '../../src/base/random.ts';
import { findingText } from '../../src/contract/finding.ts';
import type { PacketTap } from '../../src/trace/trace.ts';
import { writeTcpChecksum } from '../../src/wire/tcp.ts';
import { seed, seedNote } from '../support/seed.ts';
import { connectPeers, type TwoHosts, twoHosts } from './two-hosts.ts';

const PACKETS = Number(process.env['GARBAGE'] ?? 1_000_000);
const SOME = 20_000;

/** Keeps real frames that the server received, as material. */
class Collector implements PacketTap {
  readonly frames: Uint8Array[] = [];
  packet(direction: 0 | 1, _handledBy: number, bytes: Uint8Array, at: number, length: number): void {
    if (direction === 0 && this.frames.length < 400) this.frames.push(bytes.slice(at, at + length));
  }
  operation(): void {}
}

/** Makes the checksums of an Ethernet/IPv4/TCP frame right again, so that what is bent is what is looked at. */
function mend(frame: Uint8Array): void {
  if (frame.length < 54 || frame[12] !== 8 || frame[13] !== 0 || frame[14] !== 0x45 || frame[23] !== 6) return;
  frame[24] = 0;
  frame[25] = 0;
  const sum = checksumOf(frame, 14, 20);
  frame[24] = sum >> 8;
  frame[25] = sum & 255;
  const length = Math.min(frame.length - 14, frame[16]! * 256 + frame[17]!);
  if (length >= 40) writeTcpChecksum(frame, 34, length - 20, 4, 26, 30);
}

function rubbish(material: readonly Uint8Array[], random: SeededRandom, out: Uint8Array): number {
  const kind = random.nextUint32() % 4;
  if (kind === 0) {
    const length = random.nextUint32() % 200;
    for (let i = 0; i < length; i++) out[i] = random.nextUint32();
    if (random.nextUint32() % 2 === 0) out.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45], 0);
    return Math.max(length, 1);
  }
  const real = material[random.nextUint32() % material.length]!;
  out.set(real);
  let { length } = real;
  if (kind === 1) length = 1 + (random.nextUint32() % length); // cut short
  const bends = 1 + (random.nextUint32() % 4);
  // Mostly the headers: there the lengths, flags, numbers and options are.
  for (let i = 0; i < bends; i++) out[random.nextUint32() % Math.min(length, 90)] = random.nextUint32();
  if (kind === 3) {
    out.set(real.subarray(0, 14), 0);
    mend(out.subarray(0, length));
  }
  return length;
}

function pelt(hosts: TwoHosts, material: readonly Uint8Array[], random: SeededRandom, count: number): void {
  const frame = new Uint8Array(2048);
  for (let i = 0; i < count; i++) {
    const length = rubbish(material, random, frame);
    hosts.wire.b.transmit(frame, 0, length);
    if (i % 64 === 0) hosts.runtime.advance(200);
  }
  hosts.runtime.advance(1000);
}

test(`${PACKETS} packets of rubbish disturb neither a host connection nor an offloaded one`, {
  timeout: 120_000,
}, async () => {
  const random = new SeededRandom(seed);
  const collector = new Collector();
  const hosts = twoHosts({
    seed,
    impairment: { delayUs: 100, rateBps: 1_000_000_000 },
    server: { capture: collector },
  });
  const onHost = connectPeers(hosts, SOME, SOME, 4, 80, false);
  const offloaded = connectPeers(hosts, SOME, SOME, 6, 81, false);
  hosts.runtime.runUntil(() => onHost.server.isConnected && offloaded.server.isConnected, 5_000_000);
  hosts.runtime.advance(50_000);
  void offloaded.server.endpoint.chimney.offload();
  hosts.runtime.advance(50_000);
  expect(offloaded.server.endpoint.chimney.location).toBe('target');
  // The connections of the material are not the ones under watch: a guessed byte may well be a good one.
  const victims = connectPeers(hosts, SOME, SOME, 4, 82, false);
  hosts.runtime.runUntil(() => victims.server.isConnected, 5_000_000);
  collector.frames.length = 0;
  victims.client.more(SOME);
  victims.server.more(SOME);
  hosts.runtime.advance(30_000);
  const material = collector.frames.filter((f) => f[12] === 8 && (f[36]! * 256 + f[37]! === 82 || f[23] !== 6));
  expect(material.length).toBeGreaterThan(20);

  pelt(hosts, material, random, PACKETS / 10);
  (globalThis as { gc?: () => void }).gc?.();
  const before = process.memoryUsage().heapUsed + process.memoryUsage().external;
  pelt(hosts, material, random, (PACKETS * 9) / 10);
  (globalThis as { gc?: () => void }).gc?.();
  const grown = process.memoryUsage().heapUsed + process.memoryUsage().external - before;
  expect(grown, 'bytes grown').toBeLessThan(64 << 20);

  for (const { server, client } of [onHost, offloaded]) {
    const had = [server.received, client.received];
    server.more(SOME);
    client.more(SOME);
    hosts.runtime.advance(1_000_000);
    expect([server.wrongBytes, client.wrongBytes, server.closedWith, client.closedWith], seedNote).toEqual([
      0,
      0,
      undefined,
      undefined,
    ]);
    expect(server.received, seedNote).toBe(had[0]! + SOME);
    expect(client.received, seedNote).toBe(had[1]! + SOME);
  }
  const counters = hosts.server.counters();
  const dropped = Object.values(counters).reduce((sum, n) => sum + n, 0);
  expect(dropped).toBeGreaterThan(PACKETS / 2);
  expect(Object.keys(counters).length).toBeGreaterThan(10);
  expect(hosts.server.findings.map(findingText), seedNote).toEqual([]);
  for (const pair of [onHost, offloaded, victims]) {
    pair.server.endpoint.abort();
    pair.client.endpoint.abort();
  }
  await hosts.close();
  expect(hosts.server.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
});
