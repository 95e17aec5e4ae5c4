/** An HTTP server of node:http on a stack: GET /N answers N known bytes, PUT answers how many came and their SHA-256. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Stack } from '../../../src/stack.ts';
import { digest, pour } from './content.ts';
import type { Movable } from './mover.ts';

export async function serveFiles(stack: Stack, port: number, onSocket: (socket: Movable) => void): Promise<Server> {
  const server = stack.net.http.createServer((request: IncomingMessage, response: ServerResponse) => {
    void answer(request, response);
  });
  server.on('connection', (socket) => onSocket(socket as unknown as Movable));
  await new Promise<void>((resolve) => server.listen(port, '::', resolve));
  return server;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'PUT') {
    const { bytes, hash } = await digest(request);
    response.end(`${bytes} ${hash}\n`);
    return;
  }
  const length = Number(request.url?.slice(1));
  response.writeHead(200, { 'content-length': length });
  await pour(response, length);
  response.end();
}
