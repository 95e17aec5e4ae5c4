/**
 * Datagrams of the kernel's own sockets, in a process of its own, as that may live in another namespace.
 *
 *   receive HOST COUNT         prints 'port N'; after COUNT datagrams a line of JSON: their lengths and the SHA-256 of all bytes
 *   send HOST PORT SIZE BYTES  sends that many bytes as one packet that stands for datagrams of SIZE (UDP_SEGMENT, udp(7)): bytes 0, 1, ... 250, 0, ...
 */
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { DeviceError, errnoName, libc } from '../../../src/link/node/libc.ts';

const IPPROTO_UDP = 17;
const UDP_SEGMENT = 103;

const [what, host = '', ...numbers] = process.argv.slice(2);
const type = isIPv6(host) ? 'udp6' : 'udp4';
const socket = createSocket({ type, recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
if (what === 'receive') receive(Number(numbers[0]));
else send(Number(numbers[0]), Number(numbers[1]), Number(numbers[2]));

function receive(count: number): void {
  const lengths: number[] = [];
  const hash = createHash('sha256');
  socket.on('message', (message) => {
    hash.update(message);
    if (lengths.push(message.length) < count) return;
    console.log(JSON.stringify({ lengths, hash: hash.digest('hex') }));
    socket.close();
  });
  socket.bind(0, host, () => console.log(`port ${socket.address().port}`));
}

function send(port: number, size: number, bytes: number): void {
  socket.bind(0, () => {
    const c = libc();
    const value = new Uint8Array(128);
    new DataView(value.buffer).setInt32(0, size, true);
    // Node tells the descriptor of a socket nowhere else.
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
    if (c.setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, c.addressOf(value), 4) < 0) {
      throw new DeviceError(errnoName(c.errno()), 'setsockopt', 'UDP_SEGMENT');
    }
    const text = Uint8Array.from({ length: bytes }, (_, i) => i % 251);
    socket.send(text, port, host, (error) => {
      if (error !== null) throw error;
      socket.close();
    });
  });
}
