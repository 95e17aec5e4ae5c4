/**
 * A web server that the machine itself can visit, through a real device and the kernel's TCP.
 *
 *   sudo node dist/examples/tun-http.js --move 100
 *   curl http://10.99.1.2/                        # hello
 *   curl http://10.99.1.2/bytes/1000000000 | wc -c   # and what became of the connection meanwhile: http://10.99.1.2/moves
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { StackSocket } from 'chimney';
import { keepMoving, openDevice } from './support/device.ts';

const BYTES_MAX = 1e12;

const { stack, address4, address6, moveMs } = openDevice();
const moves = { initiate: 0, terminate: 0, longestFreezeUs: 0 };
stack.onMove((move) => {
  moves[move.kind]++;
  moves.longestFreezeUs = Math.max(moves.longestFreezeUs, move.freezeUs);
});

function* zeros(total: number): Generator<Buffer> {
  const block = Buffer.alloc(65_536);
  for (let left = total; left > 0; left -= block.length) yield left < block.length ? block.subarray(0, left) : block;
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const { url = '/' } = request;
  if (url === '/') {
    response.end(`hello ${request.socket.remoteAddress}\n`);
  } else if (url === '/moves') {
    response.end(`${JSON.stringify(moves)}\n`);
  } else if (url.startsWith('/bytes/')) {
    const total = Number(url.slice('/bytes/'.length));
    if (!Number.isInteger(total) || total < 0 || total > BYTES_MAX) {
      response.writeHead(400).end(`expected /bytes/N with N from 0 to ${BYTES_MAX}\n`);
      return;
    }
    response.writeHead(200, { 'content-length': total });
    Readable.from(zeros(total), { objectMode: false }).pipe(response);
  } else {
    response.writeHead(404).end('there is /, /moves and /bytes/N\n');
  }
}

const web = stack.net.http.createServer(answer);
web.on('connection', (socket: Socket) => keepMoving(socket as unknown as StackSocket, moveMs));
web.listen(80, '::', () => console.log(`http://${address4}/ and http://[${address6}]/; Ctrl-C ends`));
