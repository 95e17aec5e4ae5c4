/** ECN through the host: what stands in the IP headers both ways, and why such a connection is not offloaded. */
import { describe, expect, test } from 'vitest';
import type { MemoryLink } from '../../src/link/memory.ts';
import { TcpMode } from '../../src/tcp/connection.ts';
import { type Peer, pattern, World } from './two-hosts.ts';

const ETHERNET = 14;
const ECN_HOST = { tcp: { ecn: true } };

/** Looks at the ECN field of each packet that goes out by this end, and marks those that are ECN-capable if told to. */
function watch(link: MemoryLink): { readonly fields: Set<number>; isMarking: boolean } {
  const seen = { fields: new Set<number>(), isMarking: false };
  const transmit = link.transmit.bind(link);
  link.transmit = (bytes, at, length, ...rest) => {
    const ip = at + ETHERNET;
    // Not of an ARP.
    if (bytes[ip - 2] === 0x08 && bytes[ip - 1] === 0x06) return transmit(bytes, at, length, ...rest);
    const isIpv6 = bytes[ip]! >> 4 === 6;
    const field = isIpv6 ? (bytes[ip + 1]! >> 4) & 3 : bytes[ip + 1]! & 3;
    seen.fields.add(field);
    if (!seen.isMarking || field !== 2) return transmit(bytes, at, length, ...rest);
    const marked = bytes.slice(at, at + length);
    if (isIpv6) marked[ETHERNET + 1]! |= 0x30;
    else markIpv4(marked);
    return transmit(marked, 0, length, ...rest);
  };
  return seen;
}

/** ECT(0) becomes CE, and the header checksum follows (RFC 1624). */
function markIpv4(frame: Uint8Array): void {
  frame[ETHERNET + 1]! |= 3;
  const view = new DataView(frame.buffer, ETHERNET);
  const sum = (~view.getUint16(10) & 0xffff) + 1;
  view.setUint16(10, ~((sum & 0xffff) + (sum >> 16)));
}

function exchange(world: World, client: Peer, server: Peer, bytes: number): void {
  const before = server.received;
  client.endpoint.write(pattern(bytes), null);
  world.until(() => server.received === before + bytes, 'data');
}

describe.each([4, 6] as const)('ECN over IPv%i', (family) => {
  test('is in the IP headers of data where both ask for it, and a mark comes back to where it slows the sender [3168-10, 3168-11, 3168-16]', () => {
    const world = new World({ a: ECN_HOST, b: ECN_HOST });
    const out = watch(world.links.a);
    const { client, server } = world.connection(80, family);
    expect(out.fields).toEqual(new Set([0]));
    exchange(world, client, server, 200_000);
    expect(out.fields).toEqual(new Set([0, 2]));
    const { tcp } = client.endpoint;
    const { ssThresh } = tcp;
    out.isMarking = true;
    exchange(world, client, server, 200_000);
    expect(tcp.ssThresh).toBeLessThan(ssThresh);
    expect(tcp.retransmittedSegments).toBe(0);
    out.isMarking = false;
    exchange(world, client, server, 200_000);
    world.runtime.advance(1_000_000);
    expect(server.endpoint.tcp.hasMode(TcpMode.ECN_ECHO)).toBe(false);
  });

  test.each([
    ['the client', ECN_HOST, {}],
    ['the server', {}, ECN_HOST],
  ] as const)('is not there where only %s wants it [3168-2]', (_name, a, b) => {
    const world = new World({ a, b });
    const out = [watch(world.links.a), watch(world.links.b)];
    const { client, server } = world.connection(80, family);
    exchange(world, client, server, 100_000);
    exchange(world, server, client, 100_000);
    for (const { fields } of out) expect(fields).toEqual(new Set([0]));
  });
});

test('the type of service of a connection keeps its other bits [3168-10]', () => {
  const world = new World({ a: ECN_HOST, b: ECN_HOST });
  const { client, server } = world.connection();
  client.endpoint.setTrafficClass(0xb8);
  const fields = new Set<number>();
  const transmit = world.links.a.transmit.bind(world.links.a);
  world.links.a.transmit = (bytes, at, ...rest) => {
    fields.add(bytes[at + ETHERNET + 1]!);
    return transmit(bytes, at, ...rest);
  };
  exchange(world, client, server, 50_000);
  expect([...fields].sort()).toContain(0xba);
  expect([...fields].every((tos) => (tos & 0xfc) === 0xb8)).toBe(true);
});

test('a connection that has agreed on ECN is not offloaded, and says why; others are', async () => {
  const world = new World({ a: ECN_HOST, b: ECN_HOST, hasTargets: true });
  const { client } = world.connection();
  const refusal = client.endpoint.chimney.offload().then(
    () => 'offloaded',
    (error: Error) => error.message,
  );
  world.runtime.settle();
  expect(await refusal).toBe('NOT_OFFLOADABLE: it has agreed on ECN, whose echo has no place in the delegated state');
  const plain = new World({ a: ECN_HOST, hasTargets: true });
  const { client: other } = plain.connection();
  const answer = other.endpoint.chimney.offload();
  plain.runtime.advance(1_000_000);
  await answer;
  expect(other.endpoint.location).toBe('target');
});
