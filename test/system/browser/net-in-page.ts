/** `stack.net`: an echo server and a client, as they are written for Node; a page runs them when it has what node-in-page.ts brings. */
import { createStack, memoryLinkPair, type StackSocket, SystemRuntime } from 'chimney';

export interface NetAnswer {
  readonly heard: string;
  readonly bytes: number;
  readonly isSame: boolean;
  readonly events: readonly string[];
  readonly moves: number;
  readonly refused: string;
  readonly datagram: string;
}

/** Echoes so many bytes while the client's end moves. */
export async function echo(length: number): Promise<NetAnswer> {
  const runtime = new SystemRuntime();
  const wire = memoryLinkPair({ runtime, impairment: { delayUs: 500 } });
  const server = createStack({ runtime, links: [{ link: wire.a, addresses: ['10.0.0.1/24'] }] });
  const client = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });
  const events: string[] = [];
  const listening = server.net.createServer((one: StackSocket) => one.pipe(one));
  await new Promise<void>((resolve) => listening.listen(7, '10.0.0.1', resolve));

  const socket = client.net.connect({ port: 7, host: '10.0.0.1' });
  for (const name of ['lookup', 'connect', 'ready', 'end', 'finish', 'close']) {
    socket.on(name, () => events.push(name));
  }
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write('first words ');
  const sent = new Uint8Array(length).map((_, i) => i % 251);
  const chunks: Uint8Array[] = [];
  const moving = (async (): Promise<void> => {
    await socket.chimney!.offload();
    await socket.chimney!.takeBack();
  })();
  socket.end(sent);
  for await (const chunk of socket) chunks.push(chunk as Uint8Array);
  await moving;
  const all = new Uint8Array(await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  const heard = new TextDecoder().decode(all.subarray(0, 12));
  const isSame = all.length === length + 12 && sent.every((byte, i) => byte === all[i + 12]);

  const nobody = client.net.connect(8, '10.0.0.1');
  const refused = await new Promise<string>((resolve) => {
    nobody.on('error', (error: { code?: string; syscall?: string }) => resolve(`${error.syscall} ${error.code}`));
  });
  const udp = server.dgram.createSocket('udp4');
  await new Promise<void>((resolve) => udp.bind(7, '10.0.0.1', resolve));
  const got = new Promise<string>((resolve) => udp.on('message', (message: Uint8Array) => resolve(String(message))));
  const from = client.dgram.createSocket('udp4');
  from.send('a datagram', 7, '10.0.0.1');
  const datagram = await got;
  const moves = socket.chimney?.moveCount ?? 0;
  listening.close();
  await Promise.all([client.close(), server.close()]);
  runtime.close();
  return { heard, bytes: all.length, isSame, events, moves, refused, datagram };
}
