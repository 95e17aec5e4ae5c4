/**
 * A link of your own: IP packets in UDP datagrams, a tunnel of the simplest kind. Two stacks talk over a pair of them.
 *
 *   node dist/examples/custom-link.js
 *
 * A link is an object with a name, a medium, an MTU and the three methods `start`, `transmit` and `close`. What it is given it
 * borrows for the call; what it receives it lends for the call.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createStack, type Link, type LinkReceiver, type StackSocket } from 'chimney';

/** Frames that wait for the operating system before `transmit` says no. */
const QUEUE_MAX = 256;

class UdpLink implements Link {
  readonly name: string;
  readonly medium = 'ip';
  readonly mtu = 1400;
  readonly #socket: Socket;
  readonly #peerPort: number;
  #receiver: LinkReceiver | null = null;
  #queued = 0;
  #isFull = false;
  #isEndOfBatchComing = false;

  /** `socket` is bound; the other end is on `peerPort` of this machine. */
  constructor(name: string, socket: Socket, peerPort: number) {
    this.name = name;
    this.#socket = socket;
    this.#peerPort = peerPort;
  }

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    this.#socket.on('message', (packet) => {
      this.#receiver?.receive(packet, 0, packet.length);
      this.#endBatchSoon();
    });
  }

  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    if (this.#queued === QUEUE_MAX) {
      this.#isFull = true;
      return false; // Not taken: `writable` follows.
    }
    this.#queued++;
    this.#socket.send(bytes.slice(at, at + length), this.#peerPort, '127.0.0.1', () => {
      this.#queued--;
      if (!this.#isFull) return;
      this.#isFull = false;
      this.#receiver?.writable();
    });
    return true;
  }

  close(): Promise<void> {
    this.#receiver = null;
    return new Promise((resolve) => this.#socket.close(resolve));
  }

  /** Packets of one turn of the event loop are one batch: acknowledged together. */
  #endBatchSoon(): void {
    if (this.#isEndOfBatchComing) return;
    this.#isEndOfBatchComing = true;
    setImmediate(() => {
      this.#isEndOfBatchComing = false;
      this.#receiver?.receiveDone();
    });
  }
}

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

const [a, b] = [await bound(), await bound()];
const left = createStack({
  links: [{ link: new UdpLink('left', a, b.address().port), addresses: ['10.0.0.1/24', 'fd00::1/64'] }],
});
const right = createStack({
  links: [{ link: new UdpLink('right', b, a.address().port), addresses: ['10.0.0.2/24', 'fd00::2/64'] }],
});

left.net.createServer((socket: StackSocket) => socket.pipe(socket)).listen(7, '::');
for (const address of ['10.0.0.1', 'fd00::1']) {
  const socket = right.net.connect(7, address);
  socket.end('over a link of my own');
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  console.log(`${address}: ${text}`);
}
await Promise.all([left.close(), right.close()]);
