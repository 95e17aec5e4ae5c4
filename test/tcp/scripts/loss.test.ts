/** Loss: limited transmit, fast retransmit and recovery with and without SACK, and what must not be taken for loss. */
import { describe, test } from 'vitest';
import { play } from '../../support/packet-script/play.ts';

const WITHOUT_SACK = `
  +0    app listen
  +0    < S  0:0(0) win 65535 <mss 1000>
  +0    > S. 0:0(0) ack 1 <mss 1460>
  +0.01 < .  1:1(0) ack 1 win 65535
`;

const WITH_SACK = `
  +0    app listen
  +0    < S  0:0(0) win 65535 <mss 1000,sackOK>
  +0    > S. 0:0(0) ack 1 <mss 1460,sackOK>
  +0.01 < .  1:1(0) ack 1 win 65535
`;

/** Ten segments of 1000 bytes, sent at once. */
const TEN = `
  +0    > .  1:1001(1000) ack 1
  +0    > .  1001:2001(1000) ack 1
  +0    > .  2001:3001(1000) ack 1
  +0    > .  3001:4001(1000) ack 1
  +0    > .  4001:5001(1000) ack 1
  +0    > .  5001:6001(1000) ack 1
  +0    > .  6001:7001(1000) ack 1
  +0    > .  7001:8001(1000) ack 1
  +0    > .  8001:9001(1000) ack 1
`;

describe('without SACK', () => {
  const handshake = WITHOUT_SACK;

  test('the first two duplicate ACKs send one new segment each, the third retransmits (RFC 3042 2, RFC 5681 3.2, TCP-115, TCP-130)', () => {
    play(
      `
      +0    app write 20000
      ${TEN}
      +0    > .  9001:10001(1000) ack 1
      +0.05 < .  1:1(0) ack 1
      +0    > .  10001:11001(1000) ack 1
      +0    < .  1:1(0) ack 1
      +0    > .  11001:12001(1000) ack 1
      +0    check cWnd == 10000
      +0    < .  1:1(0) ack 1
      +0    check ssThresh == 5000
      +0    > .  1:1001(1000) ack 1
    `,
      { handshake },
    );
  });

  test('the duplicate ACKs of one loss, then the ACK of everything (RFC 5681 3.2 steps 2 to 6)', () => {
    play(
      `
      +0    app write 10000
      ${TEN}
      +0    > P. 9001:10001(1000) ack 1
      +0.05 < .  1:1(0) ack 1
      +0    < .  1:1(0) ack 1
      +0    < .  1:1(0) ack 1
      +0    > .  1:1001(1000) ack 1
      +0    check cWnd == 8000
      +0    < .  1:1(0) ack 1
      +0    < .  1:1(0) ack 1
      +0    check cWnd == 10000
      +0.05 < .  1:1(0) ack 10001
      +0    check ssThresh == 5000
      +0    check cWnd == 2000
      +0    completed 10000
    `,
      { handshake },
    );
  });

  test('two losses in a window: the partial ACK retransmits the next hole at once (RFC 6582 3.2 step 3, TCP-129)', () => {
    play(
      `
      +0    app write 10000
      ${TEN}
      +0    > P. 9001:10001(1000) ack 1
      +0.05 < .  1:1(0) ack 1
      +0    < .  1:1(0) ack 1
      +0    < .  1:1(0) ack 1
      +0    > .  1:1001(1000) ack 1
      +0.05 < .  1:1(0) ack 4001
      +0    > .  4001:5001(1000) ack 1
      +0    check dupAckCount == 0
      +0.05 < .  1:1(0) ack 10001
      +0    check ssThresh == 5000
      +0.5  nothing
    `,
      { handshake },
    );
  });

  test('duplicates of what recovery sent again begin no second one (RFC 6582 3.2 step 2)', () => {
    play(
      `
      +0    app write 10000
      ${TEN}
      +0    > P. 9001:10001(1000) ack 1
      +0.05 < .  1:1(0) ack 1
      +0    < .  1:1(0) ack 1
      +0    < .  1:1(0) ack 1
      +0    > .  1:1001(1000) ack 1
      +0.05 < .  1:1(0) ack 10001
      +0    app write 1000
      +0    > P. 10001:11001(1000) ack 1
      +0.01 < .  1:1(0) ack 10001
      +0    < .  1:1(0) ack 10001
      +0    < .  1:1(0) ack 10001
      +0    nothing
    `,
      { handshake },
    );
  });

  test('a window update, text or a changed window is no duplicate ACK (RFC 5681 2)', () => {
    play(
      `
      +0    app write 10000
      ${TEN}
      +0    > P. 9001:10001(1000) ack 1
      +0.05 < .  1:1(0) ack 1 win 65000
      +0    < .  1:1(0) ack 1 win 64000
      +0    < .  1:1(0) ack 1 win 63000
      +0    < P. 1:11(10) ack 1 win 63000
      +0    < P. 11:21(10) ack 1 win 63000
      +0    > .  10001:10001(0) ack 21
      +0    check dupAckCount == 0
    `,
      { handshake },
    );
  });
});

describe.each([
  ['counted (RFC 6675)', false],
  ['found by time (RFC 8985)', true],
] as const)('with SACK, losses %s', (_name, rack) => {
  const handshake = WITH_SACK;
  const parameters = { rack };

  test('three SACKed runs above make a hole lost; recovery repairs all holes in one round trip (TCP-125, TCP-131)', () => {
    play(
      `
      +0    app write 10000
      ${TEN}
      +0    > P. 9001:10001(1000) ack 1
      +0.05 < .  1:1(0) ack 1 <sack 1001:2001>
      +0    < .  1:1(0) ack 1 <sack 3001:4001 1001:2001>
      +0    nothing
      +0    < .  1:1(0) ack 1 <sack 5001:6001 3001:4001 1001:2001>
      +0    check ssThresh == 5000
      +0    check cWnd == 5000
      +0    > .  1:1001(1000) ack 1
      +0    < .  1:1(0) ack 1 <sack 5001:8001 3001:4001 1001:2001>
      +0    > .  2001:3001(1000) ack 1
      +0    > .  4001:5001(1000) ack 1
      +0    < .  1:1(0) ack 1 <sack 5001:9001 3001:4001 1001:2001>
      ${rack ? '' : '+0    > P. 9001:10001(1000) ack 1'}         // the rescue retransmission, NextSeg rule 4
      +0    < .  1:1(0) ack 1 <sack 5001:10001 3001:4001 1001:2001>
      +0    nothing
      +0.05 < .  1:1(0) ack 10001
      +0    completed 10000
      +0    check cWnd == 5000
      +1    nothing
    `,
      { handshake, parameters },
    );
  });

  test('more than two segments SACKed above count as three duplicate ACKs, however few ACKs tell so', () => {
    play(
      `
      +0    app write 10000
      ${TEN}
      +0    > P. 9001:10001(1000) ack 1
      +0.05 < .  1:1(0) ack 1 <sack 1001:5001>
      +0    > .  1:1001(1000) ack 1
      +0.05 < .  1:1(0) ack 10001
      +0    completed 10000
    `,
      { handshake, parameters },
    );
  });

  test('duplicate ACKs without news in their SACK blocks are not counted (5681-22, 3042-3)', () => {
    play(
      `
      +0    app write 20000
      ${TEN}
      +0    > .  9001:10001(1000) ack 1
      +0.05 < .  1:1(0) ack 1
      +0    < .  1:1(0) ack 1
      +0    < .  1:1(0) ack 1
      +0    < .  1:1(0) ack 1
      +0    nothing
      +0    check dupAckCount == 0
    `,
      { handshake, parameters },
    );
  });

  test('limited transmit: new segments on the first two ACKs with news, not beyond (RFC 3042)', () => {
    play(
      `
      +0    app write 20000
      ${TEN}
      +0    > .  9001:10001(1000) ack 1
      +0.05 < .  1:1(0) ack 1 <sack 2001:3001>
      +0    > .  10001:11001(1000) ack 1
      +0    < .  1:1(0) ack 1 <sack 2001:4001>
      +0    > .  11001:12001(1000) ack 1
      +0    check cWnd == 10000
    `,
      { handshake, parameters },
    );
  });

  test('lies in SACK blocks do nothing: beyond what was sent, behind, reversed', () => {
    play(
      `
      +0    app write 5000
      +0    > .  1:1001(1000) ack 1
      +0    > .  1001:2001(1000) ack 1
      +0    > .  2001:3001(1000) ack 1
      +0    > .  3001:4001(1000) ack 1
      +0    > P. 4001:5001(1000) ack 1
      +0.01 < .  1:1(0) ack 1 <sack 2001:9001>
      +0    < .  1:1(0) ack 1 <sack -5000:-1000>
      +0    < .  1:1(0) ack 1 <sack 4001:1001>
      +0    < .  1:1(0) ack 1 <sack 100000001:100001001>
      +0    nothing
      +0    check dupAckCount == 0
      +0    < .  1:1(0) ack 5001
      +0    completed 5000
    `,
      { handshake, parameters },
    );
  });

  test('a report of a duplicate is no sign of loss (RFC 2883)', () => {
    play(
      `
      +0    app write 5000
      +0    > .  1:1001(1000) ack 1
      +0    > .  1001:2001(1000) ack 1
      +0    > .  2001:3001(1000) ack 1
      +0    > .  3001:4001(1000) ack 1
      +0    > P. 4001:5001(1000) ack 1
      +0.01 < .  1:1(0) ack 2001
      +0    < .  1:1(0) ack 2001 <sack 1:1001>
      +0    < .  1:1(0) ack 2001 <sack 1:1001>
      +0    < .  1:1(0) ack 2001 <sack 1:1001>
      +0    < .  1:1(0) ack 2001 <sack 1:1001>
      +0    nothing
    `,
      { handshake, parameters },
    );
  });

  test('a lost retransmission is left to the timer, which begins again at SND.UNA, SACKed or not (RFC 2018 8, 2018-11, 2018-12)', () => {
    play(
      `
      +0    app write 5000
      +0    > .  1:1001(1000) ack 1
      +0    > .  1001:2001(1000) ack 1
      +0    > .  2001:3001(1000) ack 1
      +0    > .  3001:4001(1000) ack 1
      +0    > P. 4001:5001(1000) ack 1
      +0.01 < .  1:1(0) ack 1 <sack 1001:5001>
      +0    > .  1:1001(1000) ack 1
      +0.2..0.4 > .  1:1001(1000) ack 1
      +0    check cWnd == 1000
      +0.01 < .  1:1(0) ack 5001
      +0    completed 5000
      +1    nothing
    `,
      { handshake, parameters },
    );
  });
});
