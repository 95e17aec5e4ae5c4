/**
 * Streams: timestamps that are old or missing, text in every order, SACK and DSACK, windows that close, shrink and open, ends that cross.
 * RFC 7323 5, RFC 2018, RFC 2883, RFC 9293 3.8.6, RFC 1337, RFC 6191.
 */
import type { Script } from './script.ts';

const STAMPED: readonly string[] = [
  '< S 0:0(0) win 65535 <mss 1460,sackOK,TS val 1000 ecr 0,wscale 7>',
  '< . 1:1(0) ack 1 win 512 <TS val 1001 ecr last>',
];
const SACKED: readonly string[] = ['< S 0:0(0) win 65535 <mss 1000,sackOK>', '< . 1:1(0) ack 1'];
const BARE: readonly string[] = ['< S 0:0(0) win 65535 <mss 1000>', '< . 1:1(0) ack 1'];

const stamped = (name: string, ...steps: string[]): Script => ({
  name: `PAWS: ${name}`,
  steps: [...STAMPED, ...steps],
});
const sacked = (name: string, ...steps: string[]): Script => ({ name: `SACK: ${name}`, steps: [...SACKED, ...steps] });
const bare = (name: string, ...steps: string[]): Script => ({ name, steps: [...BARE, ...steps] });
/** With so little of a window from the first segment on. */
const small = (name: string, window: number, ...steps: string[]): Script => ({
  name,
  steps: [`< S 0:0(0) win ${window} <mss 1000>`, `< . 1:1(0) ack 1 win ${window}`, ...steps],
});
/** Text of ours from `from` to `to`. */
const text = (from: number, to: number, ack = 1, rest = ''): string =>
  `< P. ${from}:${to}(${to - from}) ack ${ack}${rest}`;

/** Timestamps. */
const TIMES: readonly Script[] = [
  stamped(
    'text with an old timestamp',
    '< P. 1:11(10) ack 1 win 512 <TS val 999 ecr last>',
    '< P. 1:11(10) ack 1 win 512 <TS val 1001 ecr last>',
  ),
  stamped(
    'an ACK with an old timestamp',
    'write 10',
    '< . 1:1(0) ack 11 win 512 <TS val 900 ecr last>',
    '< . 1:1(0) ack 11 win 512 <TS val 1001 ecr last>',
  ),
  stamped('a reset with an old timestamp', '< R 1:1(0) <TS val 1 ecr 0>', 'write 10'),
  stamped('a reset without timestamp', '< R 1:1(0)', 'write 10'),
  stamped('a SYN with an old timestamp', '< S 1:1(0) win 512 <mss 1000,TS val 1 ecr 0>', 'write 10'),
  stamped('a FIN with an old timestamp', '< F. 1:1(0) ack 1 win 512 <TS val 999 ecr last>', 'write 10'),
  stamped(
    'a timestamp half the circle ahead',
    '< P. 1:11(10) ack 1 win 512 <TS val 2147484600 ecr last>',
    '< P. 11:21(10) ack 1 win 512 <TS val 1002 ecr last>',
  ),
  stamped('a timestamp more than half the circle ahead', '< P. 1:11(10) ack 1 win 512 <TS val 2147484700 ecr last>'),
  stamped(
    'out of order does not move TS.Recent',
    '< P. 11:21(10) ack 1 win 512 <TS val 1005 ecr last>',
    '< P. 1:11(10) ack 1 win 512 <TS val 1003 ecr last>',
    '< P. 21:31(10) ack 1 win 512 <TS val 1006 ecr last>',
  ),
  stamped(
    'a duplicate does not move TS.Recent',
    '< P. 1:11(10) ack 1 win 512 <TS val 1002 ecr last>',
    '< P. 1:11(10) ack 1 win 512 <TS val 1009 ecr last>',
    '< P. 11:21(10) ack 1 win 512 <TS val 1003 ecr last>',
  ),
  stamped(
    'an ACK moves TS.Recent',
    '< . 1:1(0) ack 1 win 512 <TS val 1010 ecr last>',
    '< P. 1:11(10) ack 1 win 512 <TS val 1009 ecr last>',
    '< P. 1:11(10) ack 1 win 512 <TS val 1010 ecr last>',
  ),
  stamped(
    'an ACK ahead in the window does not',
    '< . 50:50(0) ack 1 win 512 <TS val 1010 ecr last>',
    '< P. 1:11(10) ack 1 win 512 <TS val 1009 ecr last>',
  ),
  stamped(
    'a keepalive does not',
    '< . 0:0(0) ack 1 win 512 <TS val 1010 ecr last>',
    '< P. 1:11(10) ack 1 win 512 <TS val 1009 ecr last>',
  ),
  stamped(
    'what was not agreed on is ignored',
    '< P. 1:11(10) ack 1 win 512 <TS val 1002 ecr 12345>',
    'write 10',
    '< . 11:11(0) ack 11 win 512 <TS val 1003 ecr 99999>',
  ),
  stamped(
    'what comes after the FIN',
    '< F. 1:1(0) ack 1 win 512 <TS val 1004 ecr last>',
    '< F. 1:1(0) ack 1 win 512 <TS val 1002 ecr last>',
    'shutdown',
    '< . 2:2(0) ack 2 win 512 <TS val 1003 ecr last>',
    '< . 2:2(0) ack 2 win 512 <TS val 1004 ecr last>',
  ),
  bare(
    'timestamps that were not agreed on',
    '< P. 1:11(10) ack 1 <TS val 5 ecr 6>',
    '< P. 11:21(10) ack 1 <TS val 1 ecr 6>',
    'write 10',
  ),
];

/** Text in disorder. */
const DISORDER: readonly Script[] = [
  sacked('one gap, filled', text(101, 201), text(1, 101)),
  sacked('a gap filled in two parts', text(101, 201), text(1, 51), text(51, 101)),
  sacked(
    'three blocks and the newest first',
    text(101, 151),
    text(301, 351),
    text(201, 251),
    text(1, 101),
    text(151, 201),
    text(251, 301),
  ),
  sacked('four blocks', text(101, 111), text(201, 211), text(301, 311), text(401, 411), text(301, 311), text(1, 101)),
  sacked(
    'five blocks',
    text(101, 111),
    text(201, 211),
    text(301, 311),
    text(401, 411),
    text(501, 511),
    text(101, 111),
    text(1, 101),
  ),
  sacked('blocks that grow together', text(101, 201), text(301, 401), text(201, 301), text(1, 101)),
  sacked('blocks that grow to the left', text(201, 301), text(101, 201), text(51, 101), text(1, 51)),
  sacked('a block that overlaps two', text(101, 201), text(301, 401), text(151, 351), text(1, 101)),
  sacked('a segment over everything', text(101, 201), text(301, 401), text(1, 501)),
  sacked('a duplicate below', text(1, 101), text(1, 101), text(101, 201)),
  sacked('a duplicate in part below', text(1, 101), text(51, 151)),
  sacked('a duplicate out of order', text(101, 201), text(101, 201), text(1, 101)),
  sacked('a duplicate in part out of order', text(101, 201), text(151, 251), text(1, 101)),
  sacked('a duplicate inside of a block', text(101, 301), text(151, 201), text(1, 101)),
  sacked('a duplicate below with a gap open', text(1, 101), text(201, 301), text(51, 101), text(101, 201)),
  sacked('duplicates of two blocks at once', text(101, 201), text(301, 401), text(101, 401)),
  sacked('a FIN out of order, twice', '< F. 101:101(0) ack 1', '< F. 101:101(0) ack 1', text(1, 101)),
  sacked('a FIN with text out of order', '< FP. 51:101(50) ack 1', text(1, 51), 'close', '< . 102:102(0) ack 2'),
  bare('without SACK: a gap', text(101, 201), text(201, 301), text(1, 101)),
  bare('without SACK: duplicates', text(1, 101), text(1, 101), text(51, 151)),
];

/** What the peer reports of our text. The answers are what is sent again at once. */
const REPORTS: readonly Script[] = [
  sacked('what was not sent is reported', 'write 3000', '< . 1:1(0) ack 1 <sack 5001:6001>', '< . 1:1(0) ack 3001'),
  sacked(
    'a block that ends before it begins',
    'write 3000',
    '< . 1:1(0) ack 1 <sack 2001:1001>',
    '< . 1:1(0) ack 3001',
  ),
  sacked('an empty block', 'write 3000', '< . 1:1(0) ack 1 <sack 1001:1001>', '< . 1:1(0) ack 3001'),
  sacked('a block below the ACK', 'write 3000', '< . 1:1(0) ack 2001 <sack 1:1001>', '< . 1:1(0) ack 3001'),
  sacked('a block across the ACK', 'write 3000', '< . 1:1(0) ack 1001 <sack 501:1501>', '< . 1:1(0) ack 3001'),
  sacked('all but the first', 'write 5000', '< . 1:1(0) ack 1 <sack 1001:5001>', '< . 1:1(0) ack 5001'),
  sacked(
    'all, and then nothing of it',
    'write 5000',
    '< . 1:1(0) ack 1 <sack 1001:5001>',
    '< . 1:1(0) ack 1001',
    '< . 1:1(0) ack 5001',
  ),
];

/** The peer's window, and ours. */
const WINDOWS: readonly Script[] = [
  small(
    'a window of one segment',
    1000,
    'write 3000',
    '< . 1:1(0) ack 1001 win 1000',
    '< . 1:1(0) ack 2001 win 1000',
    '< . 1:1(0) ack 3001 win 1000',
  ),
  small(
    'a window that closes and opens',
    100,
    'write 100',
    '< . 1:1(0) ack 101 win 0',
    'write 100',
    '< . 1:1(0) ack 101 win 1000',
    '< . 1:1(0) ack 201 win 1000',
  ),
  bare(
    'a window that shrinks below what was sent',
    'write 3000',
    '< . 1:1(0) ack 1 win 500',
    '< . 1:1(0) ack 1001 win 0',
    '< . 1:1(0) ack 3001 win 5000',
    'write 100',
  ),
  bare(
    'an older segment does not set the window',
    '< P. 1:11(10) ack 1 win 2000',
    '< . 1:1(0) ack 1 win 0',
    'write 1000',
  ),
  bare(
    'an older ACK does not set the window',
    'write 100',
    '< . 1:1(0) ack 101 win 2000',
    '< . 1:1(0) ack 1 win 0',
    'write 1000',
  ),
  small('a window that is silly', 100, 'write 100'),
  bare('a window that is drawn back without progress', '< . 1:1(0) ack 1 win 1000', 'write 3000'),
  small(
    'the FIN waits for the window',
    10,
    'write 10',
    'shutdown',
    '< . 1:1(0) ack 11 win 0',
    '< . 1:1(0) ack 11 win 10',
    '< . 1:1(0) ack 12 win 10',
  ),
  small(
    'the FIN behind text that does not fit',
    1000,
    'write 1500',
    'shutdown',
    '< . 1:1(0) ack 1001 win 1000',
    '< . 1:1(0) ack 1502 win 1000',
  ),
  bare('text with a window of 0', '< P. 1:11(10) ack 1 win 0', 'write 10', '< P. 11:21(10) ack 1 win 10'),
];

/** Ends. */
const ENDS: readonly Script[] = [
  bare(
    'both end at once',
    'shutdown',
    '< F. 1:1(0) ack 1',
    '< . 2:2(0) ack 2',
    '< F. 1:1(0) ack 2',
    '< F. 1:1(0) ack 1',
  ),
  bare(
    'the FIN acknowledges text and not the FIN',
    'write 100',
    'shutdown',
    '< F. 1:1(0) ack 101',
    '< . 2:2(0) ack 102',
  ),
  bare('TIME-WAIT: the FIN again', 'shutdown', '< F. 1:1(0) ack 2', '< F. 1:1(0) ack 2', '< F. 1:1(0) ack 2'),
  bare('TIME-WAIT: old text', text(1, 101), 'shutdown', '< F. 101:101(0) ack 2', text(1, 101, 2), text(51, 101, 2)),
  bare('TIME-WAIT: a SYN beyond', 'shutdown', '< F. 1:1(0) ack 2', '< S 100:100(0) win 65535 <mss 1000>'),
  bare('TIME-WAIT: a SYN before', 'shutdown', '< F. 1:1(0) ack 2', '< S -100:-100(0) win 65535 <mss 1000>'),
  bare('TIME-WAIT: a SYN at the next number', 'shutdown', '< F. 1:1(0) ack 2', '< S 2:2(0) win 65535 <mss 1000>'),
  bare('TIME-WAIT: a SYN,ACK', 'shutdown', '< F. 1:1(0) ack 2', '< S. 100:100(0) ack 2 win 65535 <mss 1000>'),
  bare('TIME-WAIT: a reset', 'shutdown', '< F. 1:1(0) ack 2', '< R 2:2(0)', '< F. 1:1(0) ack 2'),
  bare('TIME-WAIT: a reset outside', 'shutdown', '< F. 1:1(0) ack 2', '< R 1000000:1000000(0)', '< F. 1:1(0) ack 2'),
  stamped(
    'TIME-WAIT: a SYN with a younger timestamp',
    'shutdown',
    '< F. 1:1(0) ack 2 win 512 <TS val 1002 ecr last>',
    '< S -5000:-5000(0) win 65535 <mss 1000,TS val 1003 ecr 0>',
  ),
  stamped(
    'TIME-WAIT: a SYN with the same timestamp',
    'shutdown',
    '< F. 1:1(0) ack 2 win 512 <TS val 1002 ecr last>',
    '< S -5000:-5000(0) win 65535 <mss 1000,TS val 1002 ecr 0>',
  ),
  stamped(
    'TIME-WAIT: a SYN beyond with an older timestamp',
    'shutdown',
    '< F. 1:1(0) ack 2 win 512 <TS val 1002 ecr last>',
    '< S 5000:5000(0) win 65535 <mss 1000,TS val 1001 ecr 0>',
  ),
  bare('closed with text unread', 'hold', text(1, 101), 'close'),
  bare('closed with text and FIN unread', 'hold', '< FP. 1:101(100) ack 1', 'close'),
  bare('closed with text unread behind both FINs', 'hold', 'shutdown', '< FP. 1:101(100) ack 2', 'close'),
  bare(
    'closed with text unread behind both FINs, ours not acknowledged',
    'hold',
    'shutdown',
    '< FP. 1:101(100) ack 1',
    'close',
  ),
  small('aborted with text to be sent', 0, 'write 100', 'abort'),
  bare('aborted in CLOSE-WAIT', '< F. 1:1(0) ack 1', 'abort'),
  bare('aborted in FIN-WAIT-1', 'shutdown', 'abort', '< . 1:1(0) ack 2'),
  bare('aborted in FIN-WAIT-2', 'shutdown', '< . 1:1(0) ack 2', 'abort', '< . 1:1(0) ack 2'),
];

/** All of them. */
export function streamScripts(): Script[] {
  return [...TIMES, ...DISORDER, ...REPORTS, ...WINDOWS, ...ENDS];
}
