/** A process with a NIC thread ends when it wants to, and how it wants to. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { describeIf, requires } from '../support/requires.ts';

/** For a machine that is busy with other things. */
const TIMEOUT_MS = 90_000;
const dist = fileURLToPath(new URL('../../dist/src/', import.meta.url));

const PROGRAM = `
import { createStack } from '${dist}index.js';
import { DeviceLink, openPair } from '${dist}link/node/index.js';
import { workerTarget } from '${dist}target/worker/index.js';
const [a, b] = openPair();
const stack = createStack({ links: [{ ...workerTarget(a, { resourceLimits: { maxOldGenerationSizeMb: 64 } }), addresses: ['10.0.0.1/24'] }] });
const other = createStack({ links: [{ link: new DeviceLink(b), addresses: ['10.0.0.2/24'] }] });
globalThis.control = [...stack.targets.values()][0].control;
const server = stack.net.createServer((socket) => { globalThis.accepted = socket; socket.on("error", () => {}); socket.chimney.offload().then(() => socket.write("now")); });
await new Promise((resolve) => server.listen(80, resolve));
const socket = other.net.connect(80, '10.0.0.1');
socket.on('error', () => {});
await new Promise((resolve) => socket.once('data', resolve));
`;

/** Exit code and what was written to standard error. */
async function run(end: string): Promise<{ code: number | null; errors: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM + end], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, errors };
}

describeIf([requires.linux, requires.package('koffi')], 'a process with a NIC thread', () => {
  test(
    'ends at once by process.exit(), also while a connection is in the thread',
    async () => {
      expect(await run('process.exit(7);')).toEqual({ code: 7, errors: '' });
    },
    TIMEOUT_MS,
  );

  test.each([
    [
      'on its way to the thread',
      'accepted.chimney.takeBack().then(() => { accepted.chimney.offload(); setImmediate(exit); });',
    ],
    ['on its way back', 'accepted.chimney.takeBack(); setImmediate(exit);'],
    [
      'moved again and again',
      'const on = () => accepted.chimney.takeBack().then(() => accepted.chimney.offload()).then(on); on(); setTimeout(exit, 30);',
    ],
    ['in full flow', 'accepted.write(Buffer.alloc(8 << 20)); socket.resume(); setTimeout(exit, 20);'],
    ['full of what nobody reads', 'accepted.write(Buffer.alloc(8 << 20)); setTimeout(exit, 50);'],
    [
      'with a peer that is silent: retransmissions are due',
      'other.close(); accepted.write("lost"); setTimeout(exit, 300);',
    ],
    ['being closed', 'accepted.end(); socket.end(); setImmediate(exit);'],
    ['of a stack that is being closed', 'void stack.close(); setImmediate(exit);'],
    ['of a thread that is being replaced', "control.fail('throw'); setTimeout(exit, 60);"],
    [
      'of a thread that was replaced',
      "control.fail('exit'); const look = setInterval(() => control.restarts > 0 && exit(), 5);",
    ],
    ['of a thread that has run out of memory', "control.fail('memory'); setTimeout(exit, 700);"],
  ])(
    'ends at once by process.exit() while a connection is %s',
    async (_what, end) => {
      const named = 'const { accepted, control } = globalThis; const exit = () => process.exit(7);';
      expect(await run(`${named} ${end}`)).toEqual({ code: 7, errors: '' });
    },
    TIMEOUT_MS,
  );

  test(
    'ends with an uncaught error like any other',
    async () => {
      const { code, errors } = await run("throw new Error('of its own');");
      expect(code).toBe(1);
      expect(errors).toContain('of its own');
    },
    TIMEOUT_MS,
  );

  test(
    'ends by itself once its stacks are closed',
    async () => {
      expect(await run('await other.close(); await stack.close();')).toEqual({ code: 0, errors: '' });
    },
    TIMEOUT_MS,
  );

  test(
    'ends by itself when a stack with a thread could not be made: nothing of it is left',
    async () => {
      const again = 'await other.close(); await stack.close(); const [c, d] = openPair();';
      const links =
        "links: [{ ...workerTarget(c), addresses: ['10.0.0.1/24'] }, { link: new DeviceLink(d), addresses: ['10.0.0.1/24'] }]";
      const { code, errors } = await run(`${again} try { createStack({ ${links} }); } catch { process.exitCode = 4; }`);
      expect({ code, errors }).toEqual({ code: 4, errors: '' });
    },
    TIMEOUT_MS,
  );

  test(
    'ends although the thread hangs',
    async () => {
      const end = "[...stack.targets.values()][0].control.fail('hang'); setTimeout(() => process.exit(3), 50);";
      expect(await run(end)).toEqual({ code: 3, errors: '' });
    },
    TIMEOUT_MS,
  );
});
