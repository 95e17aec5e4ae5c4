/**
 * Every state of RFC 9293 3.10.7 and every kind of segment in it: the scripts are the product of the two tables here.
 *
 * After the segment the peer asks where the subject stands now, by a byte that it has sent before, and the subject's application writes:
 * what a state answers to both tells it from the others.
 */
import type { Script } from './script.ts';

/** A state and how to come there, and the numbers in it: RCV.NXT, SND.UNA, SND.NXT, relative. */
interface State {
  readonly name: string;
  readonly steps: readonly string[];
  readonly rcvNxt: number;
  readonly sndUna: number;
  readonly sndNxt: number;
}

const SYN = '< S 0:0(0) win 65535 <mss 1460>';
const FULL_SYN = '< S 0:0(0) win 65535 <mss 1460,sackOK,wscale 7>';
const OPEN: readonly string[] = [SYN, '< . 1:1(0) ack 1'];

export const STATES: readonly State[] = [
  { name: 'CLOSED', steps: [...OPEN, 'abort', 'unlisten'], rcvNxt: 1, sndUna: 1, sndNxt: 1 },
  { name: 'LISTEN', steps: [], rcvNxt: 0, sndUna: 1, sndNxt: 1 },
  { name: 'SYN-SENT', steps: ['connect'], rcvNxt: 0, sndUna: 0, sndNxt: 1 },
  { name: 'SYN-RCVD', steps: [SYN], rcvNxt: 1, sndUna: 0, sndNxt: 1 },
  { name: 'SYN-RCVD, both opened', steps: ['connect', FULL_SYN], rcvNxt: 1, sndUna: 0, sndNxt: 1 },
  { name: 'ESTABLISHED', steps: OPEN, rcvNxt: 1, sndUna: 1, sndNxt: 1 },
  { name: 'ESTABLISHED, in flight', steps: [...OPEN, 'write 100'], rcvNxt: 1, sndUna: 1, sndNxt: 101 },
  { name: 'FIN-WAIT-1', steps: [...OPEN, 'shutdown'], rcvNxt: 1, sndUna: 1, sndNxt: 2 },
  { name: 'FIN-WAIT-1, closed', steps: [...OPEN, 'close'], rcvNxt: 1, sndUna: 1, sndNxt: 2 },
  { name: 'FIN-WAIT-2', steps: [...OPEN, 'shutdown', '< . 1:1(0) ack 2'], rcvNxt: 1, sndUna: 2, sndNxt: 2 },
  { name: 'FIN-WAIT-2, closed', steps: [...OPEN, 'close', '< . 1:1(0) ack 2'], rcvNxt: 1, sndUna: 2, sndNxt: 2 },
  { name: 'CLOSE-WAIT', steps: [...OPEN, '< F. 1:1(0) ack 1'], rcvNxt: 2, sndUna: 1, sndNxt: 1 },
  { name: 'CLOSING', steps: [...OPEN, 'shutdown', '< F. 1:1(0) ack 1'], rcvNxt: 2, sndUna: 1, sndNxt: 2 },
  { name: 'LAST-ACK', steps: [...OPEN, '< F. 1:1(0) ack 1', 'shutdown'], rcvNxt: 2, sndUna: 1, sndNxt: 2 },
  {
    name: 'TIME-WAIT',
    steps: [...OPEN, 'shutdown', '< . 1:1(0) ack 2', '< F. 1:1(0) ack 2'],
    rcvNxt: 2,
    sndUna: 2,
    sndNxt: 2,
  },
];

interface Kind {
  readonly name: string;
  readonly make: (state: State) => readonly string[];
}

/** A segment without text. */
const bare = (flags: string, seq: number, ack?: number, rest = ''): string =>
  `< ${flags} ${seq}:${seq}(0)${ack === undefined ? '' : ` ack ${ack}`}${rest}`;
/** One with text. */
const text = (flags: string, seq: number, length: number, ack?: number, rest = ''): string =>
  `< ${flags} ${seq}:${seq + length}(${length})${ack === undefined ? '' : ` ack ${ack}`}${rest}`;

/** Beyond any window that was offered. */
const FAR = 3_000_000;

const one = (name: string, make: (s: State) => string): Kind => ({ name, make: (s) => [make(s)] });

export const KINDS: readonly Kind[] = [
  one('RST, exact', (s) => bare('R', s.rcvNxt)),
  one('RST,ACK, exact', (s) => bare('R.', s.rcvNxt, s.sndNxt)),
  one('RST,ACK of what was not sent', (s) => bare('R.', s.rcvNxt, s.sndNxt + 1000)),
  one('RST in the window', (s) => bare('R', s.rcvNxt + 10)),
  one('RST,ACK in the window', (s) => bare('R.', s.rcvNxt + 10, s.sndNxt)),
  one('RST just before the window', (s) => bare('R', s.rcvNxt - 1)),
  one('RST far outside', (s) => bare('R', s.rcvNxt + FAR)),
  one('RST with text, exact', (s) => text('R', s.rcvNxt, 10)),
  one('RST with text before the window', (s) => text('R', s.rcvNxt - 5, 10)),
  one('RST,FIN', (s) => bare('FR', s.rcvNxt)),
  one('RST,SYN', (s) => bare('SR', s.rcvNxt)),
  one('RST,SYN,ACK', (s) => bare('SR.', s.rcvNxt, s.sndNxt)),
  { name: 'RST in the window, then exact', make: (s) => [bare('R', s.rcvNxt + 10), bare('R', s.rcvNxt)] },
  one('SYN, exact', (s) => bare('S', s.rcvNxt, undefined, ' <mss 1460>')),
  one('SYN in the window', (s) => bare('S', s.rcvNxt + 20, undefined, ' <mss 1460>')),
  one('SYN far outside', (s) => bare('S', s.rcvNxt + FAR, undefined, ' <mss 1460>')),
  one('SYN far before', (s) => bare('S', s.rcvNxt - FAR, undefined, ' <mss 1460>')),
  one('SYN, the first again', () => bare('S', 0, undefined, ' <mss 1460>')),
  one('SYN with text', (s) => text('S', s.rcvNxt, 10, undefined, ' <mss 1460>')),
  one('SYN,FIN', (s) => bare('FS', s.rcvNxt, undefined, ' <mss 1460>')),
  one('SYN,ACK, exact', (s) => bare('S.', s.rcvNxt, s.sndNxt, ' <mss 1460>')),
  one('SYN,ACK, the first', (s) => bare('S.', 0, s.sndNxt, ' <mss 1460>')),
  one('SYN,ACK of what was not sent', (s) => bare('S.', s.rcvNxt, s.sndNxt + 1, ' <mss 1460>')),
  one('SYN,ACK, old', (s) => bare('S.', 0, s.sndUna, ' <mss 1460>')),
  one('SYN,ACK with text', (s) => text('S.', 0, 10, s.sndNxt, ' <mss 1460>')),
  one('ACK of everything', (s) => bare('.', s.rcvNxt, s.sndNxt)),
  one('ACK, the same again', (s) => bare('.', s.rcvNxt, s.sndUna)),
  one('ACK of what was not sent', (s) => bare('.', s.rcvNxt, s.sndNxt + 1)),
  one('ACK of what was not sent by far', (s) => bare('.', s.rcvNxt, s.sndNxt + 1_000_000_000)),
  one('ACK, a little old', (s) => bare('.', s.rcvNxt, s.sndUna - 1)),
  one('ACK, very old', (s) => bare('.', s.rcvNxt, s.sndUna - 1_000_000)),
  one('ACK ahead in the window', (s) => bare('.', s.rcvNxt + 50, s.sndNxt)),
  one('ACK far outside', (s) => bare('.', s.rcvNxt + FAR, s.sndNxt)),
  one('ACK that closes the window', (s) => bare('.', s.rcvNxt, s.sndNxt, ' win 0')),
  one('text, exact', (s) => text('P.', s.rcvNxt, 10, s.sndNxt)),
  one('text with an ACK, a little old', (s) => text('P.', s.rcvNxt, 10, s.sndUna - 1)),
  one('text with an ACK, very old', (s) => text('P.', s.rcvNxt, 10, s.sndUna - 1_000_000)),
  one('text with an ACK of what was not sent', (s) => text('P.', s.rcvNxt, 10, s.sndNxt + 5)),
  one('text without ACK', (s) => text('P', s.rcvNxt, 10)),
  one('text, half of it old', (s) => text('P.', s.rcvNxt - 5, 10, s.sndNxt)),
  one('text beyond a gap', (s) => text('P.', s.rcvNxt + 20, 10, s.sndNxt)),
  one('text far outside', (s) => text('P.', s.rcvNxt + FAR, 10, s.sndNxt)),
  one('FIN, exact', (s) => bare('F.', s.rcvNxt, s.sndNxt)),
  one('FIN, nothing acknowledged', (s) => bare('F.', s.rcvNxt, s.sndUna)),
  one('FIN with text', (s) => text('FP.', s.rcvNxt, 10, s.sndNxt)),
  one('FIN without ACK', (s) => bare('F', s.rcvNxt)),
  one('FIN beyond a gap', (s) => bare('F.', s.rcvNxt + 20, s.sndNxt)),
  one('FIN before the window', (s) => bare('F.', s.rcvNxt - 1, s.sndNxt)),
  one('FIN far outside', (s) => bare('F.', s.rcvNxt + FAR, s.sndNxt)),
  one('FIN with an ACK of what was not sent', (s) => bare('F.', s.rcvNxt, s.sndNxt + 5)),
  {
    name: 'FIN, and text behind it',
    make: (s) => [bare('F.', s.rcvNxt, s.sndNxt), text('P.', s.rcvNxt + 1, 10, s.sndNxt)],
  },
  {
    name: 'FIN beyond a gap, then what is missing',
    make: (s) => [bare('F.', s.rcvNxt + 20, s.sndNxt), text('P.', s.rcvNxt, 20, s.sndNxt)],
  },
  {
    name: 'FIN beyond a gap, and text beyond the FIN',
    make: (s) => [
      bare('F.', s.rcvNxt + 20, s.sndNxt),
      text('P.', s.rcvNxt + 21, 10, s.sndNxt),
      text('P.', s.rcvNxt, 20, s.sndNxt),
    ],
  },
  one('urgent text', (s) => text('U.', s.rcvNxt, 10, s.sndNxt, ' urg 5')),
  one('an urgent pointer far ahead', (s) => text('U.', s.rcvNxt, 10, s.sndNxt, ' urg 5000')),
  one('urgent, and no text', (s) => bare('U.', s.rcvNxt, s.sndNxt, ' urg 5')),
  one('an urgent pointer of 0', (s) => text('U.', s.rcvNxt, 10, s.sndNxt, ' urg 0')),
  one('keepalive without text', (s) => bare('.', s.rcvNxt - 1, s.sndNxt)),
  one('keepalive with a byte', (s) => text('.', s.rcvNxt - 1, 1, s.sndNxt)),
  one('all flags', (s) => text('FSRPU.', s.rcvNxt, 10, s.sndNxt, ' urg 3')),
  one('FIN, PSH and URG alone', (s) => text('FPU', s.rcvNxt, 10, undefined, ' urg 3')),
];

/** All of them. */
export function stateScripts(): Script[] {
  return STATES.flatMap((state) =>
    KINDS.map(({ name, make }) => ({
      name: `${state.name}: ${name}`,
      steps: [
        ...state.steps,
        ...make(state),
        text('.', state.rcvNxt - 1, 1, Math.max(1, state.sndUna)),
        'write 30',
        text('P.', state.rcvNxt, 3, state.sndNxt),
      ],
    })),
  );
}
