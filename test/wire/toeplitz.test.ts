import { expect, test } from 'vitest';
import { parseIp } from '../../src/wire/ip-address.ts';
import { Toeplitz } from '../../src/wire/toeplitz.ts';

// The published verification suite: source, its port, destination, its port, hash with ports, hash of addresses alone.
const VECTORS: readonly (readonly [string, number, string, number, number, number])[] = [
  ['66.9.149.187', 2794, '161.142.100.80', 1766, 0x51ccc178, 0x323e8fc2],
  ['199.92.111.2', 14230, '65.69.140.83', 4739, 0xc626b0ea, 0xd718262a],
  ['24.19.198.95', 12898, '12.22.207.184', 38024, 0x5c2b394a, 0xd2d0a5de],
  ['38.27.205.30', 48228, '209.142.163.6', 2217, 0xafc7327f, 0x82989176],
  ['153.39.163.191', 44251, '202.188.127.2', 1303, 0x10e828a2, 0x5d1809c5],
  ['3ffe:2501:200:1fff::7', 2794, '3ffe:2501:200:3::1', 1766, 0x40207d3d, 0x2cc18cd5],
  ['3ffe:501:8::260:97ff:fe40:efab', 14230, 'ff02::1', 4739, 0xdde51bbf, 0x0f0c461c],
  ['3ffe:1900:4545:3:200:f8ff:fe21:67cf', 44251, 'fe80::200:f8ff:fe21:67cf', 38024, 0x02d1feef, 0x4b61e985],
];

test.each(VECTORS)('%s port %i to %s port %i hashes as published [RSS-002]', (source, from, to, toPort, full, bare) => {
  const [src, dst] = [parseIp(source)!.bytes, parseIp(to)!.bytes];
  const hash = new Toeplitz();
  hash.begin().add(src, 0, src.length).add(dst, 0, dst.length);
  expect(hash.end()).toBe(bare);
  expect(hash.addPort(from).addPort(toPort).end()).toBe(full);
});
