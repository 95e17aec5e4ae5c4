/**
 * The small servers of the early Internet on a stack of one's own: echo (RFC 862), discard (RFC 863), daytime (RFC 867) and
 * character generator (RFC 864), over TCP and UDP, IPv4 and IPv6.
 *
 *   sudo node dist/examples/small-servers.js
 *   nc 10.99.1.2 7        nc -u 10.99.1.2 13        nc 10.99.1.2 19 | head
 */
import { Readable } from 'node:stream';
import type { StackSocket } from 'chimney';
import { keepMoving, openDevice } from './support/device.ts';

const ECHO = 7;
const DISCARD = 9;
const DAYTIME = 13;
const CHARGEN = 19;
const LINE_LENGTH = 72;
const PRINTABLE = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 32 + i));

const { stack, address4, address6, moveMs } = openDevice();

/** The line that begins with the character `first` of the ring of printable ones. RFC 864. */
function line(first: number): string {
  const start = first % PRINTABLE.length;
  return `${(PRINTABLE + PRINTABLE).slice(start, start + LINE_LENGTH)}\r\n`;
}

function* lines(): Generator<string> {
  for (let first = 0; ; first++) yield line(first);
}

const daytime = (): string => `${new Date().toUTCString()}\r\n`;

const overTcp: Readonly<Record<number, (socket: StackSocket) => void>> = {
  [ECHO]: (socket) => void socket.pipe(socket),
  [DISCARD]: (socket) => void socket.resume(),
  [DAYTIME]: (socket) => void socket.resume().end(daytime()),
  [CHARGEN]: (socket) => {
    const text = Readable.from(lines());
    socket.once('close', () => text.destroy());
    text.pipe(socket.resume());
  },
};

const overUdp: Readonly<Record<number, (message: Buffer) => string | Buffer | null>> = {
  [ECHO]: (message) => message,
  [DISCARD]: () => null,
  [DAYTIME]: () => daytime(),
  [CHARGEN]: () => line(Math.floor(Math.random() * PRINTABLE.length)),
};

for (const [port, serve] of Object.entries(overTcp)) {
  const server = stack.net.createServer((socket: StackSocket) => {
    socket.on('error', () => {}); // A visitor that goes away in the middle is no reason to stop.
    keepMoving(socket, moveMs);
    serve(socket);
  });
  server.listen(Number(port), '::');
}

for (const [port, answer] of Object.entries(overUdp)) {
  const socket = stack.dgram.createSocket('udp6'); // Bound to '::' it takes IPv4 as well.
  socket.on('message', (message: Buffer, from: { port: number; address: string }) => {
    const reply = answer(message);
    // Two servers that answer each other's answers would never stop.
    if (reply !== null && from.port >= 1024) socket.send(reply, from.port, from.address);
  });
  socket.bind(Number(port));
}

console.log(`echo, discard, daytime and chargen on ${address4} and ${address6}; Ctrl-C ends`);
