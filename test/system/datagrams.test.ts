/** Many datagrams by one send, over a TUN device to sockets of the kernel: whether the device cuts them or not. Root only. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { TunLink } from '../../src/link/node/tun.ts';
import { createStack } from '../../src/stack.ts';
import { describeIf, requires } from '../support/requires.ts';

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
