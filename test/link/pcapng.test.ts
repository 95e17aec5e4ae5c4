/** Captures: what stands in the file, read back by a small reader here and by tshark where it is installed. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PcapngWriter } from '../../src/link/pcapng.ts';
import { HandledBy } from '../../src/trace/trace.ts';
import { describeIf, requires } from '../support/requires.ts';

function capture(
  write: (writer: PcapngWriter) => void,
  options: { limitBytes?: number; snapLength?: number } = {},
): Buffer {
  const pieces: Uint8Array[] = [];
  const writer = new PcapngWriter({
    write: (bytes) => pieces.push(bytes),
    medium: 'ethernet',
    interfaceName: 'eth-test',
    epochOffsetUs: 1_700_000_000_000_000,
    ...options,
  });
  write(writer);
  writer.flush();
  return Buffer.concat(pieces);
}

/** Walks the blocks and checks that both lengths of each agree. */
function blocksOf(file: Buffer): { type: number; body: Buffer }[] {
  const blocks = [];
  for (let at = 0; at < file.length; ) {
    const length = file.readUInt32LE(at + 4);
    expect(length % 4).toBe(0);
    expect(file.readUInt32LE(at + length - 4)).toBe(length);
    blocks.push({ type: file.readUInt32LE(at), body: file.subarray(at + 8, at + length - 4) });
    at += length;
  }
  return blocks;
}

const arp = Uint8Array.from(
  Buffer.from(
    'ffffffffffff0200000000010806000108000604000102000000000 10a0000010000000000000a000002'.replace(/ /g, ''),
    'hex',
  ),
);

test('a packet says when it was, how long, which way it went and which engine handled it', () => {
  const file = capture((w) => w.packet(1, HandledBy.TARGET, arp, 0, arp.length, 5_000_000));
  const [section, iface, packet] = blocksOf(file);
  expect(section!.type).toBe(0x0a0d0d0a);
  expect(iface!.type).toBe(1);
  expect(iface!.body.includes('eth-test')).toBe(true);
  expect(packet!.type).toBe(6);
  const time = packet!.body.readUInt32LE(4) * 2 ** 32 + packet!.body.readUInt32LE(8);
  expect(time).toBe(1_700_000_005_000_000);
  expect(packet!.body.readUInt32LE(16)).toBe(arp.length);
  expect(packet!.body.subarray(20, 20 + arp.length).equals(arp)).toBe(true);
  expect(packet!.body.includes('handled by the offload target')).toBe(true);
});

test('an operation stands as a custom block and as a comment on the next packet', () => {
  const file = capture((w) => {
    w.operation('NdisInitiateOffload tcp 10.0.0.1:80–10.0.0.2:4711', 1);
    w.packet(0, HandledBy.HOST, arp, 0, arp.length, 2);
    w.packet(0, HandledBy.HOST, arp, 0, arp.length, 3);
  });
  const blocks = blocksOf(file);
  expect(blocks.map((b) => b.type)).toEqual([0x0a0d0d0a, 1, 0xbad, 6, 6]);
  expect(blocks[2]!.body.includes('NdisInitiateOffload tcp 10.0.0.1:80–10.0.0.2:4711')).toBe(true);
  expect(blocks[3]!.body.includes('chimney: NdisInitiateOffload')).toBe(true);
  expect(blocks[4]!.body.includes('NdisInitiateOffload')).toBe(false);
});

test('a capture stays within its limit and counts what it left out', () => {
  let writer: PcapngWriter | undefined;
  const file = capture(
    (w) => {
      writer = w;
      for (let i = 0; i < 1000; i++) w.packet(0, HandledBy.HOST, new Uint8Array(1000), 0, 1000, i);
    },
    { limitBytes: 100_000 },
  );
  expect(file.length).toBeLessThan(120_000);
  expect(writer!.packets + writer!.packetsLeftOut).toBe(1000);
  expect(writer!.packetsLeftOut).toBeGreaterThan(800);
});

test('giants and thousands of packets keep the blocks whole', () => {
  const file = capture((w) => {
    for (let i = 0; i < 300; i++) {
      w.operation(`operation ${i} `.repeat(i % 40), i);
      w.packet(i % 2 === 0 ? 0 : 1, HandledBy.NOBODY, new Uint8Array(65535).fill(i), 0, 1 + ((i * 977) % 65535), i);
    }
  });
  expect(blocksOf(file).filter((b) => b.type === 6).length).toBe(300);
});

describeIf(requires.program('tshark'), 'tshark', () => {
  test('reads the file, the comments included', () => {
    const folder = mkdtempSync(join(tmpdir(), 'chimney-pcapng-'));
    try {
      const path = join(folder, 'test.pcapng');
      writeFileSync(
        path,
        capture((w) => {
          w.operation('NdisTerminateOffload', 1);
          w.packet(1, HandledBy.HOST, arp, 0, arp.length, 2);
        }),
      );
      const out = execFileSync(
        'tshark',
        ['-r', path, '-T', 'fields', '-e', '_ws.col.Protocol', '-e', 'frame.comment'],
        {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        },
      );
      expect(out).toContain('ARP');
      expect(out).toContain('handled by the host stack');
      expect(out).toContain('chimney: NdisTerminateOffload');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
