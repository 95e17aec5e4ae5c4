/**
 * One run of the example: a host in this page, one in a worker, bytes from here to there, moves at both ends.
 *
 * It knows nothing of how it is shown: {@link start} answers with something to ask, and to wait for.
 */
import * as chimney from 'chimney';
import { MessagePortLink } from 'chimney/browser';
import { lossyWire } from './lossy-wire.ts';
import { type FromWorker, type Report, Side, sha256, type ToWorker } from './side.ts';

export interface RunOptions {
  readonly bytes: number;
  /** Probability of a frame's loss. */
  readonly loss: number;
  /** One way, milliseconds. */
  readonly delayMs: number;
  /** Milliseconds between two moves of each end; 0: none but by hand. */
  readonly moveMs: number;
  readonly verify: boolean;
}

export interface Outcome {
  readonly sentSha256: string;
  readonly receivedSha256: string;
  readonly elapsedMs: number;
  /** What the sender's end of the wire carried, for Wireshark. */
  readonly capture: Blob;
}

export interface Run {
  readonly sender: () => Report;
  /** The last that the worker told. */
  readonly receiver: () => Report;
  readonly framesLost: () => number;
  move(which: 'sender' | 'receiver'): void;
  moveEvery(ms: number): void;
  readonly outcome: Promise<Outcome>;
}

const NOTHING: Report = {
  bytes: 0,
  location: 'none',
  moves: 0,
  freezeUs: [0, 0, 0],
  byHost: 0,
  byTarget: 0,
  retransmitted: 0,
  findings: 0,
  operations: [],
};

const ADDRESS = '10.0.0.2';
const REMOTE = { address: '10.0.0.1', port: 9 };
const AHEAD_BYTES = 2 << 20;
const BLOCK_BYTES = 1 << 16;
const CAPTURE_BYTES_MAX = 64 << 20;

/** Begins. */
export function start(options: RunOptions): Run {
  const runtime = new chimney.SystemRuntime();
  const worker = new Worker(new URL('./receiver-worker.js', import.meta.url), { type: 'module' });
  const { port1, port2 } = new MessageChannel();
  const wire = lossyWire(runtime, new MessagePortLink({ runtime, port: port1 }), options.loss, options.delayMs * 1000);
  const pieces: BlobPart[] = [];
  const capture = new chimney.PcapngWriter({
    write: (piece) => pieces.push(piece as Uint8Array<ArrayBuffer>),
    limitBytes: CAPTURE_BYTES_MAX,
  });
  const { verify } = options;
  const here = new Side({ chimney, runtime, link: wire.link, address: ADDRESS, verify, tap: capture });
  const say = (message: ToWorker, transfer: Transferable[] = []): void => worker.postMessage(message, transfer);
  let there = NOTHING;
  let startedMs = 0;
  let sending: Promise<void> = Promise.resolve();
  const receiving = new Promise<string>((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(event.message || 'the worker could not be loaded'));
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === 'report' || data.kind === 'received') there = data.report;
      if (data.kind === 'received') resolve(data.sha256);
      else if (data.kind === 'failed') reject(new Error(data.why));
      else if (data.kind === 'ready') {
        startedMs = performance.now();
        sending = send(here, content, options.moveMs).catch(reject);
      }
    };
  });
  const content = randomBytes(options.bytes);
  say({ kind: 'start', modules: modules(), port: port2, bytes: options.bytes, verify, moveMs: options.moveMs }, [
    port2,
  ]);

  const finish = async (): Promise<Outcome> => {
    try {
      const receivedSha256 = await receiving;
      const elapsedMs = performance.now() - startedMs;
      await sending;
      const sentSha256 = await sha256(content);
      await here.close();
      capture.flush();
      return { sentSha256, receivedSha256, elapsedMs, capture: new Blob(pieces, { type: 'application/x-pcapng' }) };
    } finally {
      worker.terminate();
      runtime.close();
    }
  };
  return {
    sender: () => here.report(),
    receiver: () => there,
    framesLost: wire.framesLost,
    move: (which) => (which === 'sender' ? here.move() : say({ kind: 'move' })),
    moveEvery: (ms) => {
      here.moveEvery(ms);
      say({ kind: 'moveEvery', ms });
    },
    outcome: finish(),
  };
}

/** Where the modules are that the worker loads. */
function modules(): { readonly chimney: string; readonly contract: string; readonly links: string } {
  return {
    chimney: import.meta.resolve('chimney'),
    contract: import.meta.resolve('chimney/contract'),
    links: import.meta.resolve('chimney/browser'),
  };
}

/** Connects, writes all with so much ahead of the acknowledgments, and closes. */
function send(side: Side, content: Uint8Array, moveMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let hasFinished = false;
    const pump = (): void => {
      while (side.bytes < content.length && endpoint.unacknowledgedBytes < AHEAD_BYTES) {
        const block = content.subarray(side.bytes, side.bytes + BLOCK_BYTES);
        side.bytes += block.length;
        endpoint.write(block, pump);
      }
      if (side.bytes < content.length || hasFinished) return;
      hasFinished = true;
      endpoint.shutdown();
    };
    const endpoint = side.stack.transports.connect(
      { remote: REMOTE },
      {
        connected: () => {
          side.follow(endpoint);
          side.moveEvery(moveMs);
          pump();
        },
        data: (_bytes, _at, length) => length,
        dataDone: () => {},
        end: () => {},
        closed: (error) => {
          if (error === null) resolve();
          else reject(new Error(`the sender's connection ended with ${error}`));
        },
      },
    );
  });
}

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
}
