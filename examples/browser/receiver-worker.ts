/**
 * The host in the worker: it listens, takes one connection to its end, and says what came.
 *
 * The page says what to do by messages; the packets come over the port that the first of them brings.
 */
import type { FromWorker, ToWorker } from './side.ts';
import { type Report, Side, sha256 } from './side.ts';

/** What a worker has of its global scope. */
interface WorkerScope {
  onmessage: ((event: { readonly data: ToWorker }) => void) | null;
  postMessage(message: FromWorker): void;
}

export const PORT = 9;
export const ADDRESS = '10.0.0.1';
const REPORT_MS = 100;

const scope = globalThis as unknown as WorkerScope;
let side: Side | null = null;

scope.onmessage = ({ data }): void => {
  if (data.kind === 'start') {
    start(data).catch((error: unknown) => scope.postMessage({ kind: 'failed', why: String(error) }));
  } else if (data.kind === 'move') side?.move();
  else side?.moveEvery(data.ms);
};

async function start(given: Extract<ToWorker, { kind: 'start' }>): Promise<void> {
  const chimney = (await import(given.modules.chimney)) as typeof import('chimney');
  const { MessagePortLink } = (await import(given.modules.links)) as typeof import('chimney/browser');
  if (given.verify) await import(given.modules.contract);

  const runtime = new chimney.SystemRuntime();
  const link = new MessagePortLink({ runtime, port: given.port });
  const here = new Side({ chimney, runtime, link, address: ADDRESS, verify: given.verify });
  side = here;
  const all = new Uint8Array(given.bytes);
  const received = new Promise<Report>((resolve, reject) => {
    here.stack.transports.listen({ local: { address: ADDRESS, port: PORT } }, (endpoint) => {
      here.follow(endpoint);
      here.moveEvery(given.moveMs);
      endpoint.handler = {
        connected: () => {},
        data: (bytes, at, length) => {
          if (here.bytes + length <= all.length) all.set(bytes.subarray(at, at + length), here.bytes);
          here.bytes += length;
          return length;
        },
        dataDone: () => {},
        end: () => endpoint.shutdown(),
        closed: (error) => {
          if (error === null) resolve(here.report());
          else reject(new Error(`the receiver's connection ended with ${error}`));
        },
      };
    });
  });
  scope.postMessage({ kind: 'ready' });
  const reporting = setInterval(() => scope.postMessage({ kind: 'report', report: here.report() }), REPORT_MS);
  try {
    const report = await received;
    const hash = await sha256(all);
    await here.close();
    const findings = here.stack.findings.length;
    scope.postMessage({ kind: 'received', report: { ...report, findings }, sha256: hash });
  } finally {
    clearInterval(reporting);
    runtime.close();
  }
}
