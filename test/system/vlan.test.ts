/** VLANs over AF_PACKET, whose tags the kernel takes off what it receives: they come back, and each VLAN is by itself. Root only. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findingText } from '../../src/contract/finding.ts';
import { openPacket, PacketLink } from '../../src/link/node/index.ts';
import { PcapngWriter } from '../../src/link/pcapng.ts';
import type { StackSocket } from '../../src/socket/socket.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import { workerTarget } from '../../src/target/worker/index.ts';
import type { PacketTap } from '../../src/trace/trace.ts';
import { decodeEthernet, EthernetFrame, EtherType } from '../../src/wire/ethernet.ts';
import { describeIf, requires } from '../support/requires.ts';

const near = `chv${process.pid % 100_000}a`;
const far = `chv${process.pid % 100_000}b`;
const BYTES = Buffer.alloc(2 << 20, 'a tag that was taken off is put back; ');
const HASH = createHash('sha256').update(BYTES).digest('hex');

/** Tag control information of the TCP frames that come in. */
class TagsSeen implements PacketTap {
  readonly tags: Set<number> = new Set();
  readonly #frame = new EthernetFrame();

  packet(direction: 0 | 1, _handledBy: number, bytes: Uint8Array, at: number, length: number): void {
    const frame = this.#frame;
    if (direction !== 0 || decodeEthernet(bytes, at, length, frame) !== 0 || frame.etherType !== EtherType.IPV4) return;
    this.tags.add(frame.tagged ? (bytes[at + 14]! << 8) | bytes[at + 15]! : -1);
  }
  operation(): void {}
}

interface End {
  readonly name: string;
  readonly host: number;
  /** 0: none. */
  readonly vlanId: number;
  readonly offload: 'all' | 'none';
  readonly hasThread?: boolean;
}

function stackOn({ name, host, vlanId, offload, hasThread = false }: End): Stack {
  const wire = hasThread ? workerTarget(openPacket({ name, offload })) : { link: PacketLink.open({ name, offload }) };
  const addresses = [`10.202.9.${host}/24`, `fd00:c44::${host}/64`];
  return createStack({ verify: true, links: [{ ...wire, addresses, ...(vlanId === 0 ? {} : { vlanId }) }] });
}

async function echoHash(stack: Stack, host: string): Promise<string> {
  const socket = stack.net.connect({ host, port: 7 });
  const hash = createHash('sha256');
  socket.on('data', (data: Buffer) => hash.update(data));
  socket.end(BYTES);
  await once(socket, 'end');
  return hash.digest('hex');
}

async function connects(stack: Stack): Promise<string> {
  const socket = stack.net.connect({ host: '10.202.9.1', port: 7 });
  return new Promise((resolve) => {
    socket.on('connect', () => resolve('connected'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.on('close', () => socket.destroy());
  });
}

describeIf(requires.tun, 'VLANs over AF_PACKET', () => {
  beforeEach(() => {
    execFileSync('ip', ['link', 'add', near, 'type', 'veth', 'peer', 'name', far]);
    for (const name of [near, far]) execFileSync('ip', ['link', 'set', name, 'up']);
  });

  afterEach(() => {
    execFileSync('ip', ['link', 'delete', near]);
  });

  test.each([
    ['all', false],
    ['none', false],
    ['all', true],
    ['none', true],
  ] as const)(
    'the stacks of one speak with each other, and with nobody else: offload %s, a NIC thread %s',
    async (offload, hasThread) => {
      const server = stackOn({ name: near, host: 1, vlanId: 10, offload, hasThread });
      const [same, other, none] = [10, 20, 0].map((vlanId, i) => stackOn({ name: far, host: 2 + i, vlanId, offload }));
      const listener = server.net.createServer((socket) => {
        void (socket as StackSocket).chimney!.offload();
        socket.pipe(socket);
      });
      listener.listen(7, '::');
      expect(await echoHash(same!, '10.202.9.1')).toBe(HASH);
      expect(await echoHash(same!, 'fd00:c44::1')).toBe(HASH);
      expect(await Promise.all([connects(other!), connects(none!)])).toEqual(['EHOSTUNREACH', 'EHOSTUNREACH']);
      listener.close();
      const stacks = [same!, other!, none!, server];
      await Promise.all(stacks.map((stack) => stack.close()));
      expect(stacks.flatMap(({ findings }) => findings.map(findingText))).toEqual([]);
    },
    60_000,
  );

  test('a stack of none hears nothing of what is in one', async () => {
    const written: Uint8Array[] = [];
    const capture = new PcapngWriter({ write: (bytes) => void written.push(bytes.slice()) });
    const server = createStack({
      links: [{ link: PacketLink.open({ name: near }), addresses: ['10.202.9.1/24'], capture }],
    });
    const [tagged, untagged] = [10, 0].map((vlanId, i) => stackOn({ name: far, host: 2 + i, vlanId, offload: 'all' }));
    server.net.createServer((socket) => socket.end()).listen(7);
    expect(await Promise.all([connects(tagged!), connects(untagged!)])).toEqual(['EHOSTUNREACH', 'connected']);
    await Promise.all([server, tagged!, untagged!].map((stack) => stack.close()));
    capture.flush();
    const seen = Buffer.concat(written);
    expect([2, 3].map((host) => seen.includes(Buffer.of(10, 202, 9, host)))).toEqual([false, true]);
  }, 60_000);

  test.each([
    ['all', false],
    ['none', false],
    ['all', true],
  ] as const)(
    'the priority of a frame arrives with it, and with each as it was sent: offload %s, a NIC thread %s',
    async (offload, hasThread) => {
      const capture = new TagsSeen();
      const wire = hasThread
        ? workerTarget(openPacket({ name: near, offload }))
        : { link: PacketLink.open({ name: near, offload }) };
      const server = createStack({ links: [{ ...wire, addresses: ['10.202.9.1/24'], vlanId: 10, capture }] });
      const client = stackOn({ name: far, host: 2, vlanId: 10, offload });
      server.net.createServer((socket) => socket.pipe(socket)).listen(7);
      for (const priority of [0, 5, 7]) {
        await new Promise((closed) => {
          const endpoint = client.transports.connect(
            { remote: { address: '10.202.9.1', port: 7 } },
            {
              connected: () => {
                capture.tags.clear();
                endpoint.setUserPriority(priority);
                endpoint.write(BYTES.subarray(0, 100_000), null);
                endpoint.shutdown();
              },
              data: (_bytes, _at, length) => length,
              dataDone: () => undefined,
              end: () => undefined,
              closed,
            },
          );
        });
        // The handshake's last ACK may have come after it was connected.
        expect([...capture.tags].filter((tag) => tag !== 10)).toEqual(priority === 0 ? [] : [(priority << 13) | 10]);
      }
      await Promise.all([client.close(), server.close()]);
    },
    60_000,
  );
});
