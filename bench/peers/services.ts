/**
 * The services that every server of the comparison offers, on whatever has the shape of `node:net`: echo (7), discard (9) and chargen
 * (19) of RFC 862 to 864, and a call back (29), each at {@link PORT_BASE} plus its number. The other
 * end is kernel.c.
 */
import type net from 'node:net';

/** What is added to each port. */
export const PORT_BASE = 7000;

/** A program that serves says so with this line. */
export const READY = 'ready';

const CHUNK = Buffer.alloc(65536, 7);
const CALL_BACK = 29;

type Accepted = (socket: net.Socket) => unknown;

/** A maker of sockets and servers. */
export interface Shape {
  readonly Socket: { readonly prototype: object };
  createServer(options: net.ServerOpts, accepted: Accepted): net.Server;
  connect(options: net.NetConnectOpts): net.Socket;
}

/** Serves all; resolves when all listen. `began` sees every connection first. */
export async function serve(shape: Shape, address: string, began: Accepted): Promise<void> {
  const at = (service: number, handle: Accepted): Promise<void> => {
    const server = shape.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      socket.on('error', () => socket.destroy());
      began(socket);
      handle(socket);
    });
    return listening(server, service, address);
  };
  await at(7, (socket) => socket.on('data', (data) => socket.write(data)).on('end', () => socket.end()));
  await at(9, (socket) => socket.on('data', () => {}).on('end', () => socket.end()));
  await at(19, generate);
  await at(CALL_BACK, (socket) => callBack(shape, socket, began));
}

function listening(server: net.Server, service: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(PORT_BASE + service, address, 16_384, () => resolve());
  });
}

/** Writes 64 KiB at a time, with respect for back-pressure, until the other end has enough. */
function generate(socket: net.Socket): void {
  const go = (): void => {
    while (!socket.destroyed && socket.write(CHUNK));
  };
  socket.resume();
  socket.on('end', () => socket.destroy());
  socket.on('drain', go);
  go();
}

/** Connects to who called and takes what it sends without a copy, where that can be had, or into a buffer of its own (`onread`). */
function callBack(shape: Shape, call: net.Socket, began: Accepted): void {
  const callback = (): boolean => true;
  const onread = (
    'setOnRead' in shape.Socket.prototype ? { borrow: true, callback } : { buffer: Buffer.alloc(65536), callback }
  ) as net.OnReadOpts;
  const host = call.remoteAddress ?? '';
  const socket = shape.connect({ host, port: PORT_BASE + CALL_BACK, onread });
  socket.on('error', () => socket.destroy());
  socket.on('connect', () => began(socket));
  call.resume();
  call.on('close', () => socket.destroy());
}

/** Tells the harness that the services are there. */
export function ready(): void {
  process.stdout.write(`${READY}\n`);
}
