/**
 * An iperf3 server on the stack: the machine's own `iperf3 -c` measures it through the kernel's TCP, while the connections
 * that it measures are moved, when asked, down the chimney and up again.
 *
 *   sudo node dist/examples/iperf3-server.js --move 50
 *   iperf3 -c 10.99.1.2            # -R, --bidir, -P 4, -6 … ; TCP only
 *
 * Prints a line of JSON after each test.
 */
import type { StackSocket } from 'chimney';
import { COOKIE_BYTES, State, take } from './iperf3/protocol.ts';
import { Session } from './iperf3/session.ts';
import { keepMoving, openDevice } from './support/device.ts';

const PORT = 5201;
/** A connection that says nothing for so long is closed, unless it carries a test. Milliseconds. */
const PATIENCE_MS = 30_000;

const { stack, address4, address6, moveMs } = openDevice({ verify: true });
const moves = { initiate: 0, terminate: 0, longestFreezeUs: 0 };
stack.onMove((move) => {
  moves[move.kind]++;
  moves.longestFreezeUs = Math.max(moves.longestFreezeUs, move.freezeUs);
});

let session: Session | null = null;

/** Every connection says first which test it belongs to. */
async function welcome(socket: StackSocket): Promise<void> {
  socket.on('error', () => {});
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  const cookie = (await take(socket, COOKIE_BYTES))?.toString('latin1');
  if (cookie === undefined) {
    socket.destroy();
  } else if (session === null) {
    await runTest(socket, cookie);
  } else if (session.cookie === cookie && session.join(socket)) {
    socket.setTimeout(0);
    keepMoving(socket, moveMs);
  } else {
    socket.end(Buffer.of(State.ACCESS_DENIED)); // iperf3 says: the server is busy.
  }
}

async function runTest(control: StackSocket, cookie: string): Promise<void> {
  control.setNoDelay(true);
  control.setTimeout(0);
  session = new Session(control, cookie);
  const before = { ...moves };
  try {
    const summary = await session.run();
    const moved = moves.initiate + moves.terminate - before.initiate - before.terminate;
    const { longestFreezeUs } = moves;
    console.log(JSON.stringify({ ...summary, moves: moved, longestFreezeUs, findings: stack.findings.length }));
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
  } finally {
    session = null;
  }
}

stack.net
  .createServer((socket: StackSocket) => void welcome(socket))
  .listen(PORT, '::', () => console.log(`iperf3 -c ${address4}   iperf3 -c ${address6}   Ctrl-C ends`));
