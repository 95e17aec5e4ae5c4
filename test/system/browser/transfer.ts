/**
 * Bytes from one stack to another, over the callbacks of `stack.transports`, with hashes at both ends.
 *
 * Runs wherever the core does: in a page, in a worker, in Node. Nothing of Node's is used here.
 */
import { type RandomSource, SeededRandom, type Stack, type TcpEndpoint } from '../../../src/index.ts';

/** Bytes that a sender has in flight at most before it waits for acknowledgments. */
const AHEAD_BYTES = 1 << 20;
const BLOCK_BYTES = 1 << 16;

/** SHA-256 in hexadecimal. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  return [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** So many bytes that nobody can guess and everybody can repeat. */
export function content(bytes: number, seed: number): Uint8Array {
  const random: RandomSource = new SeededRandom(seed);
  const all = new Uint8Array(bytes);
  const words = new Uint32Array(all.buffer, 0, bytes >>> 2);
  for (let i = 0; i < words.length; i++) words[i] = random.nextUint32();
  return all;
}

/** What arrived. */
export interface Arrival {
  readonly bytes: number;
  readonly sha256: string;
}

/** Listens at a port and takes one connection, to its end. `expected` bytes at most are kept. */
export function receiveOne(
  stack: Stack,
  local: { address: string; port: number },
  expected: number,
  onConnection: (endpoint: TcpEndpoint) => void = () => {},
): Promise<Arrival> {
  return new Promise((resolve, reject) => {
    const listener = stack.transports.listen({ local }, (endpoint) => {
      const all = new Uint8Array(expected);
      let length = 0;
      onConnection(endpoint);
      endpoint.handler = {
        connected: () => {},
        data: (bytes, at, count) => {
          // More than was expected is counted: the lengths will differ.
          if (length + count <= expected) all.set(bytes.subarray(at, at + count), length);
          length += count;
          return count;
        },
        dataDone: () => {},
        end: () => endpoint.shutdown(),
        closed: (error) => {
          listener.close();
          if (error === null) sha256(all).then((hash) => resolve({ bytes: length, sha256: hash }), reject);
          else reject(new Error(`the receiver's connection ended with ${error} after ${length} bytes`));
        },
      };
    });
  });
}

/** Connects, sends all and closes. `onConnected` is given the endpoint once it is established. */
export function sendAll(
  stack: Stack,
  remote: { address: string; port: number },
  bytes: Uint8Array,
  onConnected: (endpoint: TcpEndpoint) => void = () => {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    let sent = 0;
    let hasFinished = false;
    const pump = (): void => {
      while (sent < bytes.length && endpoint.unacknowledgedBytes < AHEAD_BYTES) {
        const block = bytes.subarray(sent, sent + BLOCK_BYTES);
        sent += block.length;
        endpoint.write(block, pump);
      }
      if (sent < bytes.length || hasFinished) return;
      hasFinished = true;
      endpoint.shutdown();
    };
    const endpoint: TcpEndpoint = stack.transports.connect(
      { remote },
      {
        connected: () => {
          onConnected(endpoint);
          pump();
        },
        data: (_bytes, _at, count) => count,
        dataDone: () => {},
        end: () => {},
        closed: (error) => {
          if (error === null) resolve();
          else reject(new Error(`the sender's connection ended with ${error} after ${sent} bytes`));
        },
      },
    );
  });
}
