/**
 * Many datagrams by one send, to sockets of the kernel and from them (UDP_SEGMENT), over each kind of device: whether the device cuts and
 * joins them or not. Root only.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { TunLink } from '../../src/link/node/tun.ts';
import { createStack } from '../../src/stack.ts';
import { compiled } from '../support/child.ts';
import { describeIf, requires } from '../support/requires.ts';
import { KernelWorld, until } from './support/kernel-world.ts';
import { run } from './support/programs.ts';

const SIZE = 1200;
const BYTES = Buffer.from(Uint8Array.from({ length: 40 * SIZE + 77 }, (_, i) => (i * 131 + (i >>> 8)) & 255));

describeIf(requires.tun, 'many datagrams by one send, over a TUN device', () => {
  const six = new Uint8Array(16);
  six.set([0xfd, 0, 0x0c, 0x46, 1, 1]);
  six[15] = 1;
  const addresses = [
    { address: Uint8Array.of(10, 215, 7, 1), prefixLength: 24 },
    { address: six, prefixLength: 64 },
  ];

  test.each([
    ['all', 4],
    ['all', 6],
    ['checksum', 4],
    ['none', 4],
    ['none', 6],
  ] as const)('arrive at the kernel as datagrams, offload %s, IPv%i', async (offload, family) => {
    const link = TunLink.open({ offload, addresses });
    const stack = createStack({ links: [{ link, addresses: ['10.215.7.2/24', 'fd00:c46:101::2/64'] }] });
    const kernel = createSocket({ type: family === 4 ? 'udp4' : 'udp6', recvBufferSize: 1 << 20 });
    const host = family === 4 ? '10.215.7.1' : 'fd00:c46:101::1';
    await new Promise<void>((resolve) => kernel.bind(0, host, resolve));
    const ours = stack.dgram.createSocket(family === 4 ? 'udp4' : 'udp6');
    try {
      const datagrams: Buffer[] = [];
      kernel.on('message', (message) => datagrams.push(message));
      ours.bind(0);
      await once(ours, 'listening');
      ours.setSegmentSize(SIZE);
      ours.send(BYTES, kernel.address().port, host);
      await expect.poll(() => datagrams.length).toBe(41);
      expect(datagrams.map(({ length }) => length)).toEqual([...Array(40).fill(SIZE), 77]);
      expect(Buffer.concat(datagrams).equals(BYTES)).toBe(true);
      ours.setSegmentSize(0);
      ours.send('one', kernel.address().port, host);
      await expect.poll(() => datagrams.at(-1)?.toString()).toBe('one');
    } finally {
      ours.close();
      kernel.close();
      await stack.close();
    }
  });
});

const KERNEL = 'test/system/support/kernel-datagrams.ts';
const CASES = (['tap', 'packet'] as const).flatMap((kind) =>
  (['all', 'checksum', 'none'] as const).flatMap((offload) =>
    ([4, 6] as const).map((family) => [kind, offload, family] as const),
  ),
);
/** A wire on which nothing is left out: the kernel's end finds wrong checksums. */
const PLAIN = { txChecksum: false, tso: false } as const;

describeIf([requires.tun, requires.netns, requires.program('tshark')], 'many datagrams in one packet', () => {
  let world: KernelWorld | undefined;
  let receiver: ChildProcess | undefined;

  afterEach(async () => {
    receiver?.kill('SIGKILL');
    await world?.close();
    world = undefined;
  });

  /** Packets on the device that stand for several datagrams, as the capture has them. */
  const long = async (direction: string): Promise<number> => {
    const [count] = await world!.capture.count(`udp && frame.len > 3000 && ${direction}`);
    return count!;
  };

  test.each(CASES)('leave for the kernel by %s, offload %s, IPv%i', async (kind, offload, family) => {
    // All of the work is the near end's, but where the device is to cut.
    world = new KernelWorld({ kind, offload, bulk: offload !== 'all', features: [PLAIN, PLAIN] });
    const args = [compiled(KERNEL), 'receive', world.kernelAddress(family), '42'];
    receiver = spawn(...world.command(process.execPath, args), { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    receiver.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await until(() => said.startsWith('port '), 'the kernel listens');
    const port = Number(said.split(/\s/)[1]);
    const ours = world.stack.dgram.createSocket(family === 4 ? 'udp4' : 'udp6');
    ours.bind(0);
    await once(ours, 'listening');
    ours.setSegmentSize(SIZE);
    await new Promise((sent) => ours.send(BYTES, port, world!.kernelAddress(family), sent));
    ours.setSegmentSize(0);
    ours.send('one', port, world.kernelAddress(family));
    await until(() => said.includes('}'), 'all datagrams are there');
    const { lengths, hash } = JSON.parse(said.split('\n')[1]!) as { lengths: number[]; hash: string };
    expect(lengths).toEqual([...Array(40).fill(SIZE), 77, 3]);
    expect(hash).toBe(createHash('sha256').update(BYTES).update('one').digest('hex'));
    // Cut by the device, or just before it: the stack made one packet of them.
    expect(await long(`udp.dstport == ${port}`)).toBeGreaterThan(0);
    expect(world.device.transmitErrors).toBe(0);
    ours.close();
  });

  test.each(CASES)('come from the kernel by %s, offload %s, IPv%i', async (kind, offload, family) => {
    const far = offload === 'all' ? {} : PLAIN;
    world = new KernelWorld({ kind, offload, features: [{ gro: offload === 'all' }, far] });
    const ours = world.stack.dgram.createSocket({ type: family === 4 ? 'udp4' : 'udp6', recvBufferSize: 1 << 20 });
    const datagrams: Buffer[] = [];
    ours.on('message', (message: Buffer) => datagrams.push(message));
    ours.bind(5000, world.stackAddress(family));
    await once(ours, 'listening');
    const numbers = ['5000', String(SIZE), String(40 * SIZE + 77)];
    const args = [compiled(KERNEL), 'send', world.stackAddress(family), ...numbers];
    await run(...world.command(process.execPath, args));
    await until(() => datagrams.length >= 41, 'all datagrams are there');
    expect(datagrams.map(({ length }) => length)).toEqual([...Array(40).fill(SIZE), 77]);
    const sent = Buffer.from({ length: 40 * SIZE + 77 } as ArrayLike<number>).map((_, i) => i % 251);
    expect(Buffer.concat(datagrams).equals(sent)).toBe(true);
    if (offload === 'all') expect(await long('udp.dstport == 5000')).toBeGreaterThan(0);
    else expect(await long('udp.dstport == 5000')).toBe(0);
    ours.close();
  });
});
