/**
 * The conversation of iperf3 on its control connection, as far as a TCP server needs it: states are single bytes, parameters
 * and results are JSON behind a length of 32 bits, every connection begins with the cookie of its test.
 */
import type { StackSocket } from 'chimney';

export const State = {
  TEST_START: 1,
  TEST_RUNNING: 2,
  TEST_END: 4,
  PARAM_EXCHANGE: 9,
  CREATE_STREAMS: 10,
  CLIENT_TERMINATE: 12,
  EXCHANGE_RESULTS: 13,
  DISPLAY_RESULTS: 14,
  IPERF_DONE: 16,
  /** Followed by two 32-bit numbers: iperf3's own error, and errno. */
  SERVER_ERROR: 254,
  ACCESS_DENIED: 255,
} as const;

/** iperf3's "an option you are attempting to set is not supported". */
const IEUNIMP = 13;

/** 36 characters and a zero. */
export const COOKIE_BYTES = 37;

/** Longest JSON that is read: results of 128 streams are far below. */
const JSON_BYTES_MAX = 1 << 20;
const STREAMS_MAX = 128;
const BLOCK_BYTES_MAX = 1 << 20;

/** What of a client's parameters this server goes by. */
export interface Parameters {
  /** Streams in each direction. */
  readonly parallel: number;
  /** Bytes of one write. */
  readonly blockBytes: number;
  /** Whether the client sends, and whether this server does. Both with --bidir. */
  readonly clientSends: boolean;
  readonly serverSends: boolean;
  readonly noDelay: boolean;
}

/** What one stream did. */
export interface StreamResult {
  readonly id: number;
  readonly bytes: number;
  readonly retransmits: number;
  readonly seconds: number;
}

/** A client that does not keep to the protocol, or went away. */
export class ProtocolError extends Error {
  override readonly name: string = 'ProtocolError';
}

/** A client that asks for what is not to be had here. */
export class UnsupportedError extends ProtocolError {
  override readonly name: string = 'UnsupportedError';
}

/** The next `count` bytes of the stream; null: it ended before. */
export async function take(socket: StackSocket, count: number): Promise<Buffer | null> {
  for (;;) {
    const bytes = socket.read(count) as Buffer | null;
    if (bytes !== null) return bytes.length === count ? bytes : null;
    if (socket.readableEnded || socket.destroyed) return null;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        for (const event of EVENTS) socket.removeListener(event, done);
        resolve();
      };
      for (const event of EVENTS) socket.once(event, done);
    });
  }
}

const EVENTS = ['readable', 'end', 'close', 'error'] as const;

/** One state, or -1 when the client is gone. */
export async function takeState(control: StackSocket): Promise<number> {
  const byte = await take(control, 1);
  return byte === null ? -1 : byte[0]!;
}

export function sendState(control: StackSocket, state: number): void {
  control.write(Buffer.of(state));
}

/** A JSON object. Throws {@link ProtocolError}. */
export async function takeJson(control: StackSocket): Promise<Record<string, unknown>> {
  const length = (await take(control, 4))?.readUInt32BE(0);
  if (length === undefined) throw new ProtocolError('the client went away');
  if (length > JSON_BYTES_MAX) throw new ProtocolError(`${length} bytes of JSON are more than ${JSON_BYTES_MAX}`);
  const text = await take(control, length);
  if (text === null) throw new ProtocolError('the client went away');
  try {
    const value: unknown = JSON.parse(text.toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new ProtocolError('the client sent something else than a JSON object');
}

/** Tells the client that what it asks for is not to be had here. */
export function refuse(control: StackSocket): void {
  const message = Buffer.alloc(9);
  message.writeUInt8(State.SERVER_ERROR, 0);
  message.writeUInt32BE(IEUNIMP, 1);
  control.write(message);
}

export function sendJson(control: StackSocket, value: unknown): void {
  const text = Buffer.from(JSON.stringify(value));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length, 0);
  control.write(Buffer.concat([length, text]));
}

/** Checks what a client wants. Throws {@link UnsupportedError}. */
export function parseParameters(given: Record<string, unknown>): Parameters {
  if (given['udp'] === true || given['sctp'] === true) throw new UnsupportedError('this server knows TCP only');
  const reverse = given['reverse'] === true || given['reverse'] === 1;
  const both = given['bidirectional'] === true || given['bidirectional'] === 1;
  return {
    parallel: count(given, 'parallel', 1, STREAMS_MAX),
    blockBytes: count(given, 'len', 131_072, BLOCK_BYTES_MAX),
    clientSends: both || !reverse,
    serverSends: both || reverse,
    noDelay: given['nodelay'] === true,
  };
}

function count(given: Record<string, unknown>, name: string, usual: number, most: number): number {
  const value = given[name] ?? usual;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new UnsupportedError(`${name}: expected 1 to ${most}, got ${String(value)}`);
}

/** The server's results, in the words of the client. */
export function resultsJson(streams: readonly StreamResult[], isSender: boolean, cpuPercent: number): object {
  return {
    cpu_util_total: cpuPercent,
    cpu_util_user: cpuPercent,
    cpu_util_system: 0,
    sender_has_retransmits: isSender ? 1 : -1,
    congestion_used: 'newreno',
    streams: streams.map(({ id, bytes, retransmits, seconds }) => ({
      id,
      bytes,
      retransmits: isSender ? retransmits : -1,
      jitter: 0,
      errors: 0,
      packets: 0,
      start_time: 0,
      end_time: seconds,
    })),
  };
}
