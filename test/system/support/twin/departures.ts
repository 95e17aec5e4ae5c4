/**
 * Where our TCP may answer otherwise than the kernel's, and what of the RFCs allows both, or ours.
 *
 * Each is as narrow as it can be told from one step: the segment, and what both have answered. What follows such a step is not compared, as
 * the two are then in different states; `goesOn` says where they are not.
 */
import type { Outcome, Script } from './script.ts';

export interface Difference {
  readonly script: Script;
  /** The name of our subject: 'host', 'engine', ... */
  readonly place: string;
  /** Index of the step. */
  readonly at: number;
  readonly kernel: Outcome;
  readonly ours: Outcome;
}

export interface Departure {
  readonly id: string;
  /** The section, and what it says of both. */
  readonly because: string;
  readonly is: (difference: Difference) => boolean;
  readonly goesOn?: true;
}

const isReset = (said: string): boolean => said.startsWith('R ') || said.startsWith('R. ');
const isAck = (said: string): boolean => /^\. -?\d+ ack -?\d+[^|]*$/.test(said);
const hasEnded = ({ app }: Outcome): boolean => app.includes(' end');
const isOver = (one: Outcome): boolean => hasEnded(one) || one.app.includes(' closed');
/** States behind the peer's FIN; a kernel that has reset is in the last. */
const FINISHED: readonly string[] = ['CLOSE-WAIT', 'CLOSING', 'LAST-ACK', 'CLOSED'];
const flagsOf = (step: string): string => /^< ([A-Z.]+) /.exec(step)?.[1] ?? '';

/** The bytes of the subject's stream in an answer that has nothing else: '1:1001'; null: it has something else, or they do not join. */
function textOf(said: string): string | null {
  let range: [number, number] | null = null;
  for (const one of said.split(' | ')) {
    const [, seq, length] = /^\. (\d+)\+(\d+) ack/.exec(one) ?? [];
    if (seq === undefined) return null;
    const next: number = Number(seq) + Number(length);
    if (range !== null && range[1] !== Number(seq)) return null;
    range = [range === null ? Number(seq) : range[0], next];
  }
  return range === null ? null : range.join(':');
}

/** A number in a line: what stands behind a word. */
const numberBehind = (word: string, line: string): number =>
  Number(new RegExp(`${word.replace('.', '\\.')} (\\d+)`).exec(line)?.[1] ?? Number.NaN);

/** The number behind a segment of the peer. */
function endOf(step: string): number {
  const [, flags = '', seq, length] = /^< (\S+) (-?\d+):\S+\((\d+)\)/.exec(step) ?? [];
  return Number(seq) + Number(length) + (flags.includes('F') ? 1 : 0);
}

/** What an answer acknowledges. */
const ackOf = (said: string): number => Number(/.* ack (-?\d+)/.exec(said)?.[1] ?? Number.NEGATIVE_INFINITY);

/** Whether the segment, with text or FIN, may have come before one that precedes it. */
const isBeyondGap = (step: string): boolean => Number(/^< \S+ (-?\d+):/.exec(step)?.[1] ?? 0) > 1;

const withoutSack = (said: string): string => said.replace(/ sack .*/, '');

/** Bytes in all SACK blocks of an answer. */
function bytesReported(said: string): number {
  let bytes = 0;
  for (const [, left, right] of said.matchAll(/(-?\d+):(-?\d+)/g)) bytes += Number(right) - Number(left);
  return bytes;
}

/** Whether the first acknowledges less of the peer's stream than the second, or by fewer blocks. */
function acksLess(ours: string, kernel: string): boolean {
  const [ourAck, theirAck] = [ackOf(ours), ackOf(kernel)];
  return ourAck < theirAck || (ourAck === theirAck && bytesReported(ours) < bytesReported(kernel));
}

export const DEPARTURES: readonly Departure[] = [
  {
    id: 'options of a SYN,ACK of a simultaneous open',
    because:
      'RFC 7323 2.2, 3.2 and RFC 2018 2: in a SYN,ACK those that the SYN had; the kernel sends all that its first SYN had',
    is: ({ script, kernel, ours }) =>
      script.steps[0] === 'connect' &&
      kernel.said.startsWith('S. ') &&
      kernel.said.startsWith(ours.said.replace(/ (ws|sackOK|ecr).*/, '')),
    goesOn: true,
  },
  {
    id: 'text behind a FIN',
    because:
      'RFC 9293 3.10.7.4, seventh: in CLOSE-WAIT and later text is ignored; the kernel resets, or is silent, we acknowledge what we have',
    is: ({ script, at, kernel, ours }) =>
      script.steps.slice(0, at + 1).some((step) => typeof step === 'string' && flagsOf(step).includes('F')) &&
      (isOver(ours) || FINISHED.includes(kernel.state)) &&
      isAck(ours.said) &&
      (isReset(kernel.said) || kernel.said === '-'),
  },
  {
    id: 'text beyond a FIN that came first',
    because:
      'RFC 9293 3.4: nothing follows a FIN; the kernel delivers what it got for text beyond it, in place of the FIN',
    is: ({ kernel, ours }) => kernel.app.includes('WRONG') && !ours.app.includes('WRONG'),
  },
  {
    id: 'SYN in the window of a passive SYN-RECEIVED',
    because:
      'RFC 9293 3.10.7.4, fourth: the connection returns to LISTEN, and nothing is said of an answer; the kernel resets',
    is: ({ kernel, ours }) =>
      flagsOf(kernel.step).includes('S') && isReset(kernel.said) && ours.said === '-' && ours.state === '-',
  },
  {
    id: 'SYN,FIN for a listener',
    because:
      'RFC 9293 3.10.7.2, third: a SYN is processed whatever else is set, text and controls may be left for later; the kernel drops it',
    is: ({ kernel, ours }) => flagsOf(kernel.step) === 'FS' && kernel.said === '-' && ours.said.startsWith('S. '),
  },
  {
    id: 'an ACK from before everything that was sent',
    because:
      'RFC 5961 5.2: acceptable from SND.UNA - MAX.SND.WND on, whether or not so much was sent; the kernel also asks that it was',
    is: ({ kernel, ours }) => / ack 0\b/.test(kernel.step) && isAck(kernel.said) && kernel.said !== ours.said,
  },
  {
    id: 'the form of a reset',
    because:
      'RFC 9293 3.10.5 and 3.10.7.1: both name the number the peer expects; the kernel answers as if there were no connection any more',
    is: ({ kernel, ours }) =>
      isReset(kernel.said) &&
      isReset(ours.said) &&
      kernel.app === ours.app &&
      ours.said.includes('ack') &&
      !kernel.said.includes('ack'),
  },
  {
    id: 'out of order, for an application that has closed',
    because:
      'RFC 9293 3.6.1, SHLD-3: new data after CLOSE is reset; we do that when it is next in order, the kernel when it comes',
    is: ({ kernel, ours }) => isReset(kernel.said) && isAck(ours.said) && ours.app.includes('closed'),
  },
  {
    id: 'a reset just before the window, behind a FIN',
    because:
      'RFC 5961 3.2: outside of the window it is dropped; the kernel takes it, as some systems forget that their FIN has a number',
    is: ({ kernel, ours }) =>
      flagsOf(kernel.step).startsWith('R') && kernel.state === 'CLOSED' && ours.said === '-' && hasEnded(ours),
  },
  {
    id: 'a segment in TIME-WAIT without ACK, or with nothing in it',
    because:
      'RFC 9293 3.10.7.4, fifth: without ACK it is dropped; only a FIN that comes again has to be acknowledged (eighth)',
    is: ({ kernel, ours }) =>
      (kernel.state === 'CLOSED' || kernel.state === '?') && hasEnded(ours) && isAck(kernel.said) && ours.said === '-',
  },
  {
    id: 'refused while both open',
    because:
      'RFC 9293 3.10.7.4, second: in SYN-RECEIVED out of SYN-SENT a reset means "connection refused"; the kernel says that it was reset',
    is: ({ kernel, ours }) =>
      kernel.app.endsWith('ECONNRESET') && ours.app.endsWith('ECONNREFUSED') && kernel.said === ours.said,
  },
  {
    id: 'the SYN again while both open',
    because:
      'RFC 9293 3.10.7.4, first: an ACK; that of our SYN,ACK sent again is one, and the peer lacks its SYN (3.8.1)',
    is: ({ kernel, ours }) => flagsOf(kernel.step) === 'S' && isAck(kernel.said) && ours.said.startsWith('S. '),
  },
  {
    id: 'the SYN,ACK while both open',
    because: 'RFC 9293 3.5 figure 8: it establishes, and no answer is due; text behind the SYN is new and may be taken',
    is: ({ kernel, ours }) =>
      flagsOf(kernel.step) === 'S.' &&
      isAck(kernel.said) &&
      (ours.said === '-' || isAck(ours.said)) &&
      ours.state === 'ESTABLISHED',
  },
  {
    id: 'an ACK of nothing while both open',
    because: 'RFC 9293 3.10.7.4, fifth: in SYN-RECEIVED an ACK that is not of our SYN is reset; the kernel takes it',
    is: ({ kernel, ours }) => / ack 0\b/.test(kernel.step) && ours.said === 'R 0',
  },
  {
    id: 'an ACK of nothing, on a SYN that is old',
    because:
      'RFC 9293 3.10.7.4, first before fifth: a SYN,ACK before the window is answered by an ACK; the kernel looks at its ACK first, and resets',
    is: ({ kernel, ours }) => flagsOf(kernel.step) === 'S.' && kernel.said === 'R 0' && isAck(ours.said),
  },
  {
    id: 'SYN at RCV.NXT, at a target',
    because:
      'TCP-089: it makes the target upload the connection in CLOSED state (RFC 9293 3.10.7.4, fourth, without RFC 5961 4.2)',
    is: ({ place, kernel, ours }) =>
      place !== 'host' &&
      flagsOf(kernel.step).includes('S') &&
      isAck(kernel.said) &&
      ours.said === '-' &&
      / (ECONNRESET|closed|end)$/.test(ours.app),
  },
  {
    id: 'out of order text dropped at a move',
    because:
      'TERM-043 and RFC 2018 8: a receiver may renege; what was out of order is dropped when the connection goes to a target or comes back',
    is: ({ script, place, at, kernel, ours }) =>
      place !== 'host' &&
      script.steps.slice(0, at + 1).some((step) => typeof step === 'string' && isBeyondGap(step)) &&
      acksLess(ours.said, kernel.said),
  },
  {
    id: 'the ACK on a SYN that is old',
    because:
      'RFC 9293 3.10.7.4, first before fifth: a SYN,ACK before the window is answered by an ACK, and its own is not looked at; the kernel looks',
    is: ({ kernel, ours }) => flagsOf(kernel.step) === 'S.' && kernel.said === ours.said && ours.state === '-',
  },
  {
    id: 'where an IPv4 option is wrong',
    because:
      'RFC 792: the octet where an error was detected; for a length that cannot be we name the length, the kernel the option',
    is: ({ kernel, ours }) => kernel.said === 'icmp 12/0 at 20,0,0,0' && ours.said === 'icmp 12/0 at 21,0,0,0',
    goesOn: true,
  },
  {
    id: 'an IPv6 option beyond its header',
    because: 'RFC 4443 3.4: a problem with a field may be told of; the kernel drops in silence',
    is: ({ kernel, ours }) => kernel.said === '-' && ours.said === 'icmp 4/0 at 0,0,0,43',
    goesOn: true,
  },
  {
    id: 'a fragment inside of another',
    because:
      'RFC 5722 3, RFC 8200 4.5: a datagram with an overlap that is no exact repetition is dropped as a whole; the kernel drops the smaller fragment',
    is: ({ kernel, ours }) => kernel.step.includes('in parts') && isAck(kernel.said) && ours.said === '-',
  },
  {
    id: 'soft errors for an open',
    because: 'RFC 9293 3.9.2.2 MUST-56: they do not end it; the kernel gives the open up',
    is: ({ script, kernel, ours }) =>
      script.steps[0] === 'connect' &&
      kernel.state === 'CLOSED' &&
      ours.state === 'SYN-SENT' &&
      kernel.said === ours.said,
  },
  {
    id: 'the name of a hard error',
    because:
      'RFC 9293 3.9.2.2 SHLD-26: it ends an open; a protocol that is unreachable we call ECONNREFUSED, the kernel ENOPROTOOPT or EPROTO',
    is: ({ script, kernel, ours }) =>
      script.steps[0] === 'connect' &&
      kernel.state === 'CLOSED' &&
      ours.app.endsWith('ECONNREFUSED') &&
      kernel.said === ours.said,
  },
  {
    id: 'an MTU that cannot be',
    because: 'RFC 1191 3: no path is narrower than 68; we drop such a message, the kernel takes its own minimum',
    is: ({ script, kernel, ours }) =>
      script.name === 'PMTU: IPv4, 20' && textOf(kernel.said) === '1:4001' && ours.said === '-',
  },
  {
    id: 'a router that does not say its MTU',
    because:
      'RFC 1191 5 and 7.1: the next plateau below the packet that did not fit, 1006; the kernel takes its own minimum',
    is: ({ script, kernel, ours }) =>
      script.name === 'PMTU: IPv4, 0' &&
      textOf(kernel.said) === '1:4001' &&
      textOf(ours.said) === '1:4001' &&
      ours.said.startsWith('. 1+966 '),
  },
  {
    id: 'an MTU that is told of a SYN',
    because:
      'RFC 8201 4: the path has the MTU, whatever packet it was told of; the kernel does not take it for the connection that is being opened',
    is: ({ script, kernel, ours }) =>
      script.name === 'PMTU: IPv6, for a SYN' && textOf(kernel.said) === '1:4001' && ours.said.startsWith('. 1+1240 '),
  },
  {
    id: 'a segment without ACK outside of the window',
    because:
      'RFC 9293 3.10.7.4, first before fifth: what is not acceptable is answered by an ACK; the kernel drops what has no ACK before it looks',
    is: ({ kernel, ours }) => /^< [FPUS]+ /.test(kernel.step) && kernel.said === '-' && isAck(ours.said),
    goesOn: true,
  },
  {
    id: 'an ACK with an old timestamp',
    because: 'RFC 7323 5.3 R1: it is answered by an ACK; the kernel lets one pass that may have been overtaken',
    is: ({ kernel, ours }) =>
      /^< [PU]*\. .*\(0\)/.test(kernel.step) &&
      kernel.said === '-' &&
      numberBehind('TS val', kernel.step) < numberBehind('ecr', ours.said),
  },
  {
    id: 'D-SACK of a segment with an old timestamp',
    because: 'RFC 7323 5.3 R1: it is dropped, whatever its numbers are; the kernel reports the duplicate all the same',
    is: ({ kernel, ours }) =>
      numberBehind('TS val', kernel.step) < numberBehind('ecr', ours.said) &&
      withoutSack(kernel.said) === withoutSack(ours.said),
  },
  {
    id: 'D-SACK beside a FIN',
    because: 'RFC 2883 4.2: a part that came twice is reported; the kernel does not where the segment has a FIN',
    is: ({ kernel, ours }) =>
      (flagsOf(kernel.step).includes('F') || FINISHED.includes(kernel.state)) &&
      ours.said.includes(' sack ') &&
      kernel.said === withoutSack(ours.said),
    goesOn: true,
  },
  {
    id: 'TSecr after an ACK that is old',
    because: 'RFC 7323 5.3 R3: an acceptable segment sets TS.Recent; the kernel asks for an ACK that is not old, too',
    is: ({ kernel, ours }) =>
      kernel.said.replace(/ ecr \d+/, '') === ours.said.replace(/ ecr \d+/, '') &&
      numberBehind('ecr', kernel.said) < numberBehind('ecr', ours.said) &&
      (numberBehind('ack', kernel.step) < numberBehind('.', ours.said) || FINISHED.includes(kernel.state)),
  },
  {
    id: 'a reset behind an end that nobody has read',
    because:
      'RFC 9293 3.10.7.4, second: the user is told of the reset; the kernel tells of the end that came before it, and of the reset by EPIPE',
    is: ({ kernel, ours }) =>
      flagsOf(kernel.step).startsWith('R') &&
      kernel.app.endsWith(' end') &&
      ours.app.endsWith(' ECONNRESET') &&
      kernel.said === ours.said,
  },
  {
    id: 'a SYN with a signature',
    because:
      'RFC 9293 3.2, MUST-6: an option that is not implemented is ignored; the kernel knows it, and drops the SYN as nobody has given it a key',
    is: ({ script, kernel, ours }) =>
      script.name.includes('(MD5)') && kernel.said === '-' && ours.said.startsWith('S. '),
  },
  {
    id: 'the same text in other pieces',
    because:
      "RFC 9293 3.7: how a stream is cut is the sender's; the kernel cuts at half of the largest window that it has seen",
    is: ({ script, kernel, ours }) =>
      !script.name.startsWith('PMTU') &&
      textOf(ours.said) !== null &&
      textOf(ours.said) === textOf(kernel.said) &&
      kernel.app === ours.app,
    goesOn: true,
  },
  {
    id: 'less than half of the window',
    because:
      'RFC 9293 3.8.6.2.1 (3): what is less than a segment and than half of the largest window waits; for the kernel half a window is a segment',
    is: ({ script, kernel, ours }) =>
      script.name === 'a window in a SYN is not scaled' &&
      textOf(ours.said) === '1:1001' &&
      textOf(kernel.said) === '1:1501',
  },
  {
    id: 'the override of the silly window',
    because:
      'RFC 9293 3.8.6.2.1 (4): after 0.1 to 1 s it is sent all the same; while a connection moves so much time passes',
    is: ({ script, place, kernel, ours }) =>
      script.name === 'a window that is scaled' &&
      place.startsWith('moving') &&
      kernel.said === '-' &&
      textOf(ours.said) === '2001:2009',
  },
  {
    id: 'a window that is drawn back without progress',
    because:
      'RFC 9293 3.10.7.4, fifth: the window of a segment with the same numbers is taken; the kernel takes only a larger one, or 0',
    is: ({ script, kernel, ours }) =>
      script.name === 'a window that is drawn back without progress' &&
      textOf(ours.said) === '1:1001' &&
      textOf(kernel.said) === '1:3001',
  },
  {
    id: 'TSecr of an answer to what is old',
    because:
      'RFC 7323 5.3: a segment outside of the window is rejected (R2) before TS.Recent is set (R3); the kernel sets it',
    is: ({ kernel, ours }) =>
      kernel.said.replace(/ ecr \d+/, '') === ours.said.replace(/ ecr \d+/, '') &&
      numberBehind('ecr', kernel.said) > numberBehind('ecr', ours.said),
  },
  {
    id: 'a timestamp that is older by one',
    because: 'RFC 7323 5.3 R1: less than TS.Recent is old; the kernel lets one tick pass',
    is: ({ kernel, ours }) =>
      numberBehind('TS val', kernel.step) === numberBehind('ecr', ours.said) - 1 &&
      isAck(ours.said) &&
      isAck(kernel.said),
  },
  {
    id: 'more blocks of SACK',
    because: 'RFC 2018 3: as many as there is room for; the kernel remembers four',
    is: ({ kernel, ours }) => kernel.said.includes(' sack ') && ours.said.startsWith(`${kernel.said} `),
    goesOn: true,
  },
  {
    id: 'a peer that takes back what it has reported',
    because:
      'RFC 2018 8: where SND.UNA is reported and not acknowledged the peer has reneged; we send again at once, the kernel when its timer expires',
    is: ({ script, at, kernel, ours }) =>
      kernel.said === '-' &&
      ours.said.startsWith(`. ${numberBehind('ack', kernel.step)}+`) &&
      script.steps.slice(0, at + 1).some((step) => typeof step === 'string' && step.includes('<sack')),
  },
  {
    id: 'a FIN in SACK',
    because: 'RFC 2018 3, RFC 2883 4: blocks tell of data; the kernel also reports the number of a FIN',
    is: ({ kernel, ours }) =>
      flagsOf(kernel.step).includes('F') &&
      kernel.said.includes(' sack ') &&
      withoutSack(kernel.said) === withoutSack(ours.said),
  },
  {
    id: 'the ACK of a segment that ends just before the window',
    because:
      'RFC 9293 3.4 table 6: SEG.SEQ + SEG.LEN - 1 must not be before RCV.NXT, its ACK field is not looked at; the kernel looks',
    is: ({ kernel, ours }) =>
      kernel.said === ours.said && kernel.app === ours.app && endOf(kernel.step) === ackOf(ours.said),
  },
  {
    id: 'an old ACK in the fast path',
    because:
      'RFC 5961 5.2: a segment with an ACK from before SND.UNA - MAX.SND.WND is dropped and challenged; the kernel takes its text where it expected it',
    is: ({ kernel, ours }) =>
      / ack -\d{4,}/.test(kernel.step) &&
      isAck(kernel.said) &&
      isAck(ours.said) &&
      ackOf(kernel.said) > ackOf(ours.said),
  },
];

/** What of two outcomes is compared: all, but what one of the two cannot tell. */
export function isSame(kernel: Outcome, ours: Outcome): boolean {
  const isStateSame = kernel.state === '?' || ours.state === '?' || kernel.state === ours.state;
  return kernel.said === ours.said && kernel.app === ours.app && isStateSame;
}
