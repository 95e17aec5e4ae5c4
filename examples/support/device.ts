/**
 * What the examples on a real device share: a TUN device with the kernel at one end and a stack at the other, and an orderly
 * end on Ctrl-C. Needs root, or CAP_NET_ADMIN.
 */
import { parseArgs } from 'node:util';
import { createStack, type Stack, type StackOptions, type StackSocket } from 'chimney';
import { DeviceError, TunLink } from 'chimney/node';

export interface Device {
  readonly stack: Stack;
  /** Where the kernel finds the stack. */
  readonly address4: string;
  readonly address6: string;
  /** Milliseconds between two moves of a connection; 0: none moves. */
  readonly moveMs: number;
  /** Closes the stack, and then the device, which takes it away. */
  close(): Promise<void>;
}

const USAGE = `options:
  --subnet N   the kernel is 10.99.N.1 and fd99:N::1, the stack 10.99.N.2 and fd99:N::2 (1 to 254, default 1)
  --mtu N      bytes of IP packet, 1280 to 65535 (default 1500)
  --move MS    each connection goes host -> target -> host, a step every MS milliseconds (default: none moves)`;

function fail(message: string): never {
  console.error(`${message}\n\n${USAGE}`);
  process.exit(2);
}

function integer(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most) {
    fail(`--${name}: expected an integer from ${least} to ${most}, got '${text}'`);
  }
  return value;
}

function options(): { subnet: number; mtu: number; move: number } {
  const text = { type: 'string' } as const;
  try {
    const { values } = parseArgs({ options: { subnet: text, mtu: text, move: text } });
    return {
      subnet: integer('subnet', values.subnet ?? '1', 1, 254),
      mtu: integer('mtu', values.mtu ?? '1500', 1280, 65_535),
      move: integer('move', values.move ?? '0', 0, 3_600_000),
    };
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

/** Opens the device of the command line. Where there can be none, says why and ends the program with status 1. */
export function openDevice(more: Partial<StackOptions> = {}): Device {
  const { subnet, mtu, move } = options();
  const address6 = new Uint8Array(16);
  address6.set([0xfd, 0x99, 0, subnet]);
  address6[15] = 1;
  let link: TunLink;
  try {
    link = TunLink.open({
      mtu,
      addresses: [
        { address: Uint8Array.of(10, 99, subnet, 1), prefixLength: 24 },
        { address: address6, prefixLength: 64 },
      ],
    });
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
  const prefix6 = `fd99:${subnet.toString(16)}:`;
  const stack = createStack({
    ...more,
    links: [{ link, addresses: [`10.99.${subnet}.2/24`, `${prefix6}:2/64`] }],
  });
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= stack.close().then(() => link.close());
    return closing;
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void close().then(() => process.exit()));
  return { stack, address4: `10.99.${subnet}.2`, address6: `${prefix6}:2`, moveMs: move, close };
}

/** Moves a connection down and up for as long as it lives, a step every `everyMs` milliseconds; 0: not at all. */
export function keepMoving(socket: StackSocket, everyMs: number): void {
  if (everyMs === 0) return;
  const timer = setInterval(() => {
    const { chimney } = socket;
    const step =
      chimney?.location === 'host' ? chimney.offload() : chimney?.location === 'target' ? chimney.takeBack() : null;
    step?.catch(() => {}); // A connection that is about to end is not taken below any more.
  }, everyMs);
  socket.once('close', () => clearInterval(timer));
}
