/**
 * The soak: `soak.js MINUTES [SEED]`. Two stacks on a wire with loss and delay, a pass-through driver on one side, verifiers everywhere;
 * 24 clients with a mixed load (bulk both ways, small questions, HTTP, idle connections, ones that break off), and meanwhile moves
 * without pause: single offloads and take-backs of whatever is open, and from time to time all of a target at once.
 *
 * Exit status 1 if a hash is wrong, anything is still held at the end, a verifier has found something, or memory grows: the
 * median of the last third of the samples against that of the third before. Run with --expose-gc.
 */
import { createStack, memoryLinkPair, SystemRuntime } from 'chimney';
import { type Figure, median, quantile, report } from '../measure.ts';
import { type Account, Client, Dice, pause, type Socket, serve } from '../soak/load.ts';

const minutes = Number(process.argv[2] ?? 10);
const seed = Number(process.argv[3] ?? 1);
const CLIENTS = 24;
const SAMPLE_MS = Math.max(1000, Math.min(5000, minutes * 1000));
/** TIME-WAIT and whatever else lasts for a minute is there by then. */
const WARM_MS = Math.min(90_000, minutes * 30_000);
/** Growth that is none: a share, and some bytes of noise. */
const GROWTH_SHARE = 0.1;
const GROWTH_BYTES = 4 << 20;

const gc = (globalThis as { gc?: () => void }).gc;
if (gc === undefined) throw new Error('run with --expose-gc');

const runtime = new SystemRuntime();
const wire = memoryLinkPair({
  runtime,
  medium: 'ethernet',
  names: ['server', 'client'],
  seed: `soak ${seed}`,
  impairment: { delayUs: 500, loss: 0.0005, reorder: 0.0005 },
});
const intermediates = ['pass-through'] as const;
const server = createStack({
  runtime,
  verify: true,
  links: [{ link: wire.a, addresses: ['10.0.0.1/24'], intermediates }],
});
const client = createStack({ runtime, verify: true, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });

const open = new Set<Socket>();
const began = (socket: Socket): void => {
  open.add(socket);
  socket.once('close', () => open.delete(socket));
};
const freezes: number[] = [];
let moves = 0;
let refused = 0;
for (const stack of [server, client]) {
  stack.onMove((move) => {
    moves++;
    if (freezes.length < 100_000) freezes.push(move.freezeUs);
    else freezes[moves % freezes.length] = move.freezeUs;
  });
}

/** Moves something every few milliseconds. */
async function moveOn(isOver: () => boolean): Promise<void> {
  const dice = new Dice(seed ^ 0x5eed);
  for (let round = 0; !isOver(); round++) {
    await pause(2);
    if (round % 2000 === 1999)
      (dice.next(2) === 0 ? server.target('server') : client.target('client')).control.uploadAll();
    if (round % 2000 === 250)
      for (const [stack, name] of [
        [server, 'server'],
        [client, 'client'],
      ] as const)
        stack.target(name).control.resume();
    let at = open.size === 0 ? 0 : dice.next(open.size);
    for (const socket of open) {
      if (at-- > 0) continue;
      const { chimney } = socket;
      if (chimney === null) break;
      const moved = chimney.location === 'host' ? chimney.offload() : chimney.takeBack();
      moved.catch(() => refused++);
      break;
    }
  }
}

interface Sample {
  readonly ms: number;
  readonly heap: number;
  readonly external: number;
  readonly rss: number;
}
const samples: Sample[] = [];
const start = performance.now();

function sample(): void {
  gc!();
  const { heapUsed, external, rss } = process.memoryUsage();
  samples.push({ ms: performance.now() - start, heap: heapUsed, external, rss });
}

/** Bytes a minute, by least squares. */
function slope(of: (sample: Sample) => number, over: readonly Sample[]): number {
  const meanMs = over.reduce((sum, { ms }) => sum + ms, 0) / over.length;
  const mean = over.reduce((sum, one) => sum + of(one), 0) / over.length;
  let above = 0;
  let below = 0;
  for (const one of over) {
    above += (one.ms - meanMs) * (of(one) - mean);
    below += (one.ms - meanMs) ** 2;
  }
  return below === 0 ? 0 : (above / below) * 60_000;
}

const account: Account = { jobs: 0, bytes: 0, faults: [] };
const isOver = (): boolean => performance.now() - start > minutes * 60_000;
await serve(server, began);
const sampling = setInterval(sample, SAMPLE_MS);
const clients = Array.from({ length: CLIENTS }, (_, i) =>
  new Client(client, seed * 1000 + i, account, began).run(isOver),
);
await Promise.all([moveOn(isOver), ...clients]);
clearInterval(sampling);
const seconds = (performance.now() - start) / 1000;
await Promise.all([client.close(), server.close()]);
const held = [server.held(), client.held()];

const faults = [...account.faults];
const findings = server.findings.length + client.findings.length;
const heldCount = held.reduce(
  (sum, { buffers, stateObjects, connections }) => sum + buffers + stateObjects + connections,
  0,
);
if (findings > 0)
  faults.push(`the verifiers found ${findings}: ${JSON.stringify([...server.findings, ...client.findings][0])}`);
if (heldCount > 0) faults.push(`still held: ${JSON.stringify(held)}`);

const warm = samples.filter(({ ms }) => ms >= WARM_MS);
const kinds = {
  heap: (one: Sample) => one.heap,
  external: (one: Sample) => one.external,
  'resident set': (one: Sample) => one.rss,
};
const figures: Figure[] = [
  { name: 'soak', value: seconds / 60, unit: 'min' },
  { name: 'jobs', value: account.jobs, unit: '' },
  { name: 'bytes', value: account.bytes / 1e9, unit: 'GB' },
  { name: 'moves', value: moves, unit: '' },
  { name: 'moves refused', value: refused, unit: '' },
  { name: 'freeze p50', value: quantile(freezes, 0.5), unit: 'us' },
  { name: 'freeze p99', value: quantile(freezes, 0.99), unit: 'us' },
  { name: 'findings', value: findings, unit: '' },
  { name: 'still held', value: heldCount, unit: '' },
];
for (const [name, of] of Object.entries(kinds)) {
  const third = Math.floor(warm.length / 3);
  const before = median(warm.slice(-2 * third, -third).map(of));
  const after = median(warm.slice(-third).map(of));
  figures.push({ name: `${name}, at the end`, value: after / 2 ** 20, unit: 'MiB' });
  figures.push({ name: `${name}, slope`, value: slope(of, warm) / 1024, unit: 'KiB/min' });
  const mayGrow = Math.max(before * GROWTH_SHARE, GROWTH_BYTES) * (name === 'resident set' ? 4 : 1);
  if (third >= 3 && after - before > mayGrow) faults.push(`${name} grows: ${before} then ${after} bytes`);
}
report(figures);
for (const fault of faults) console.error(fault);
process.exit(faults.length === 0 ? 0 : 1);
