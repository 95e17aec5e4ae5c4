/**
 * One connection goes down the chimney and comes back while 64 MiB flow over it; at the end the hashes are compared.
 *
 *   node dist/examples/move-a-connection.js
 *
 * What happened to it stands in `socket.chimney.moves`: the direction, who asked, and how long nobody served the connection.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createStack, memoryLinkPair, type StackSocket, SystemRuntime } from 'chimney';

const BLOCKS = 1024;
const block = randomBytes(65_536);

const runtime = new SystemRuntime();
const wire = memoryLinkPair({ runtime, impairment: { delayUs: 1000 } });
const left = createStack({ runtime, verify: true, links: [{ link: wire.a, addresses: ['10.0.0.1/24'] }] });
const right = createStack({ runtime, verify: true, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });

/** Writes all blocks, waiting for room whenever there is none. Answers the SHA-256 of what was written. */
async function send(socket: StackSocket): Promise<string> {
  const hash = createHash('sha256');
  for (let i = 0; i < BLOCKS; i++) {
    hash.update(block);
    if (!socket.write(block)) await new Promise((resolve) => socket.once('drain', resolve));
  }
  socket.end();
  return hash.digest('hex');
}

/** Reads to the end. Answers the SHA-256 of what came. */
async function receive(socket: StackSocket): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of socket) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Down, a look at the target's state of it, and up again, for as long as it lives. */
async function move(socket: StackSocket): Promise<void> {
  const { chimney } = socket;
  while (chimney !== null && !socket.writableFinished) {
    await chimney.offload();
    const { delegated } = await chimney.query();
    console.log(`at the target: congestion window ${delegated['cWnd']}, round trip ${socket.tcpInfo()?.sRttUs} us`);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await chimney.takeBack();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const arrived = new Promise<string>((resolve) => {
  left.net.createServer((socket: StackSocket) => void receive(socket).then(resolve)).listen(9, '10.0.0.1');
});
const socket = right.net.connect(9, '10.0.0.1');
await new Promise((resolve) => socket.once('connect', resolve));
const moving = move(socket).catch((error: unknown) => console.log(`it moves no more: ${String(error)}`));
const sent = await send(socket);
const equal = sent === (await arrived);
await moving;

for (const { kind, freezeUs } of socket.chimney?.moves ?? []) console.log(`${kind}: frozen for ${freezeUs} us`);
console.log(
  `${socket.chimney?.moveCount} moves, ${socket.bytesWritten} bytes, hashes ${equal ? 'equal' : 'DIFFERENT'}`,
);
await Promise.all([left.close(), right.close()]);
const findings = left.findings.length + right.findings.length;
console.log(`${findings} rules of the contract broken`);
process.exitCode = equal && findings === 0 ? 0 : 1;
