/** Negotiation: MSS, window scale, SACK-permitted, timestamps. */
import { describe, test } from 'vitest';
import { FULL_HANDSHAKE, play } from '../../support/packet-script/play.ts';

describe('maximum segment size', () => {
  test('without an option the peer takes 536 bytes (RFC 9293 3.7.1 MUST-15)', () => {
    play(
      `
      +0    app listen
      +0    < S  0:0(0) win 10000
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.05 < .  1:1(0) ack 1 win 10000
      +0    app write 1000
      +0    > .  1:537(536) ack 1
      +0    > P. 537:1001(464) ack 1
    `,
      { noDelay: true },
    );
  });

  test("the smaller of the peer's MSS and ours is used, ours is announced (RFC 9293 MUST-14, MUST-16)", () => {
    play(
      `
      +0    app listen
      +0    < S  0:0(0) win 10000 <mss 9000>
      +0    > S. 0:0(0) ack 1 <mss 1000>
      +0.05 < .  1:1(0) ack 1 win 10000
      +0    app write 1500
      +0    > .  1:1001(1000) ack 1
      +0    > P. 1001:1501(500) ack 1
    `,
      { localMss: 1000, noDelay: true },
    );
  });

  test('options count against the segment, not against the MSS (RFC 6691)', () => {
    play(
      `
      +0    app write 2000
      +0    > .  1:1449(1448) ack 1 <TS val * ecr 1010>
      +0    > P. 1449:2001(552) ack 1 <TS val * ecr 1010>
    `,
      { handshake: FULL_HANDSHAKE, noDelay: true },
    );
  });

  test('an absurdly small MSS does not make an absurd number of segments', () => {
    play(
      `
      +0    app listen
      +0    < S  0:0(0) win 10000 <mss 1>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.05 < .  1:1(0) ack 1 win 10000
      +0    app write 100
      +0    > .  1:49(48) ack 1
      +0    > .  49:97(48) ack 1
      +0    > P. 97:101(4) ack 1
    `,
      { noDelay: true },
    );
  });

  test('a small one is kept to (RFC 9293 3.7.1 MUST-16)', () => {
    play(
      `
      +0    app listen
      +0    < S  0:0(0) win 10000 <mss 64>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.05 < .  1:1(0) ack 1 win 10000
      +0    app write 100
      +0    > .  1:65(64) ack 1
      +0    > P. 65:101(36) ack 1
    `,
      { noDelay: true },
    );
  });
});

describe('window scale', () => {
  test('applies only when both SYNs carried it, and never to the window of a SYN (RFC 7323 2.2, TCP-122)', () => {
    play(
      `
      +0    app listen
      +0    < S  0:0(0) win 1000 <mss 1000,nop,wscale 2>
      +0    > S. 0:0(0) ack 1 <mss 1460,wscale 5>
      +0    check sndWnd == 1000
      +0.05 < .  1:1(0) ack 1 win 1000
      +0    check sndWnd == 4000
      +0    check rcvWindScale == 5
    `,
      { receiveBuffer: 2_000_000, parameters: { maxReceiveBuffer: 2_000_000 } },
    );
  });

  test('a peer without it gets windows as they are, and its windows are taken as they are (RFC 7323 2.2)', () => {
    play(
      `
      +0    app listen
      +0    < S  0:0(0) win 1000 <mss 1000>
      +0    > S. 0:0(0) ack 1 win 65535 <mss 1460>
      +0.05 < .  1:1(0) ack 1 win 1000
      +0    check sndWnd == 1000
      +0    check rcvWindScale == 0
      +0    check rcvWnd == 65535
    `,
      { receiveBuffer: 2_000_000, parameters: { maxReceiveBuffer: 2_000_000 } },
    );
  });

  test('a shift above 14 counts as 14 (RFC 7323 2.3)', () => {
    play(`
      +0    app listen
      +0    < S  0:0(0) win 1000 <mss 1000,nop,wscale 255>
      +0    > S. 0:0(0) ack 1 <mss 1460,...>
      +0.05 < .  1:1(0) ack 1 win 65535
      +0    check sndWindScale == 14
      +0    check sndWnd == 1073725440
    `);
  });
});

describe('SACK-permitted and timestamps', () => {
  test('a SYN,ACK answers with the options of the SYN and no others (RFC 2018 2, RFC 7323 3.2)', () => {
    for (const [offer, answer] of [
      ['', ''],
      [',sackOK', ',sackOK'],
      [',TS val 7 ecr 0', ',TS val * ecr 7'],
      [',sackOK,TS val 7 ecr 0', ',sackOK,TS val * ecr 7'],
    ] as const) {
      play(`
        +0    app listen
        +0    < S  0:0(0) win 1000 <mss 1000${offer}>
        +0    > S. 0:0(0) ack 1 <mss 1460${answer}>
      `);
    }
  });

  test('once agreed on, timestamps are in every segment but a reset, and a segment without them is dropped in silence (RFC 7323 3.2)', () => {
    play(
      `
      +0    app write 100
      +0    > P. 1:101(100) ack 1 <TS val * ecr 1010>
      +0.01 < .  1:1(0) ack 101 win 512
      +0    completed 0
      +0    < .  1:1(0) ack 101 win 512 <TS val 1020 ecr t+10>
      +0    completed 100
      +0.1  < P. 1:11(10) ack 101 win 512 <TS val 1120 ecr t+10>
      +0.04 > .  101:101(0) ack 11 <TS val * ecr 1120>
    `,
      { handshake: FULL_HANDSHAKE },
    );
  });

  test('no SACK blocks for a peer that did not permit them (RFC 2018 4, 2018-3)', () => {
    play(`
      +0    app listen
      +0    < S  0:0(0) win 1000 <mss 1000>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.05 < .  1:1(0) ack 1 win 10000
      +0    < .  1001:2001(1000) ack 1 win 10000
      +0    > .  1:1(0) ack 1 <>
    `);
  });
});
