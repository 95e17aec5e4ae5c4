/** The retransmission timer: RFC 6298, R1 and R2, the user timeout. */
import { describe, test } from 'vitest';
import { FULL_HANDSHAKE, play } from '../../support/packet-script/play.ts';

describe('the retransmission timer', () => {
  test('expires one RTO after the last progress and doubles each time (RFC 6298 5.1, 5.4, 5.5, TCP-118, TCP-002, TCP-108, TCP-111)', () => {
    // The handshake measured 10 ms: RTO = 10 + max(200, 4 * 5) = 210 ms.
    play(`
      +0    app write 1000
      +0    > P. 1:1001(1000) ack 1
      +0.21 > P. 1:1001(1000) ack 1
      +0.42 > P. 1:1001(1000) ack 1
      +0.84 > P. 1:1001(1000) ack 1
      +1.68 > P. 1:1001(1000) ack 1
      +0    check cWnd == 1460
      +0.1  < .  1:1(0) ack 1001
      +0    completed 1000
      +30   nothing
    `);
  });

  test('is restarted by each ACK of new data and off when all is acknowledged (RFC 6298 5.2, 5.3)', () => {
    play(`
      +0    app write 2920
      +0    > .  1:1461(1460) ack 1
      +0    > P. 1461:2921(1460) ack 1
      +0.15 < .  1:1(0) ack 1461
      +0.15 nothing
      +0    < .  1:1(0) ack 2921
      +5    nothing
    `);
  });

  test('a retransmission gives no sample, so the timeout stays backed off until new data is acknowledged (RFC 6298 3, Karn)', () => {
    play(`
      +0    app write 1000
      +0    > P. 1:1001(1000) ack 1
      +0.21 > P. 1:1001(1000) ack 1
      +0.42 > P. 1:1001(1000) ack 1
      +0.5  < .  1:1(0) ack 1001
      +0    app write 1000
      +0    > P. 1001:2001(1000) ack 1
      +0.84 > P. 1001:2001(1000) ack 1
    `);
  });

  test('an ACK that reports a duplicate was delayed by the loss of another: no sample, and the back-off ends (RFC 7323 4.1, RFC 2883)', () => {
    // The first copy has arrived, its ACK was lost: the echo is of the first copy.
    play(
      `
      +0    app write 1000
      +0    > P. 1:1001(1000) ack 1 <TS val f ecr 1010>
      +0.21 > P. 1:1001(1000) ack 1 <TS val * ecr 1010>
      +0.42 > P. 1:1001(1000) ack 1 <TS val * ecr 1010>
      +0.01 < .  1:1(0) ack 1001 win 512 <TS val 2000 ecr f, sack 1:1001>
      +0    app write 1000
      +0    > P. 1001:2001(1000) ack 1 <TS val * ecr 2000>
      +0.2..0.25 > P. 1001:2001(1000) ack 1 <TS val * ecr 2000>
    `,
      { handshake: FULL_HANDSHAKE },
    );
  });

  test('with timestamps a retransmission gives one (RFC 7323 4.1)', () => {
    play(
      `
      +0    app write 1000
      +0    > P. 1:1001(1000) ack 1 <TS val * ecr 1010>
      +0.21 > P. 1:1001(1000) ack 1 <TS val r ecr 1010>
      +0.01 < .  1:1(0) ack 1001 win 512 <TS val 2000 ecr r>
      +0    app write 1000
      +0    > P. 1001:2001(1000) ack 1 <TS val * ecr 2000>
      +0.2..0.25 > P. 1001:2001(1000) ack 1 <TS val * ecr 2000>
    `,
      { handshake: FULL_HANDSHAKE },
    );
  });

  test('after a timeout everything unacknowledged is sent again in slow start, as ACKs come (RFC 5681 3.1, RFC 6298 5.4, TCP-115, TCP-111)', () => {
    play(`
      +0    app write 5840
      +0    > .  1:1461(1460) ack 1
      +0    > .  1461:2921(1460) ack 1
      +0    > .  2921:4381(1460) ack 1
      +0    > P. 4381:5841(1460) ack 1
      +0.21 > .  1:1461(1460) ack 1
      +0    check ssThresh == 2920
      +0.01 < .  1:1(0) ack 1461
      +0    > .  1461:2921(1460) ack 1
      +0    > .  2921:4381(1460) ack 1
      +0.01 < .  1:1(0) ack 5841
      +0    completed 5840
      +5    nothing
    `);
  });

  test('an ACK of everything after a timeout ends the repeating at once', () => {
    play(`
      +0    app write 5840
      +0    > .  1:1461(1460) ack 1
      +0    > .  1461:2921(1460) ack 1
      +0    > .  2921:4381(1460) ack 1
      +0    > P. 4381:5841(1460) ack 1
      +0.21 > .  1:1461(1460) ack 1
      +0.01 < .  1:1(0) ack 5841
      +0    completed 5840
      +0    app write 100
      +0    > P. 5841:5941(100) ack 1
    `);
  });

  test('the peer is in doubt after R1 retransmissions and given up after R2 (RFC 9293 3.8.3 MUST-20)', () => {
    play(
      `
      +0    app write 100
      +0    > P. 1:101(100) ack 1
      +0.21 > P. 1:101(100) ack 1
      +0.42 > P. 1:101(100) ack 1
      +0    effects !PATH_IN_DOUBT
      +0.84 > P. 1:101(100) ack 1
      +0    effects PATH_IN_DOUBT
      +1.68 > P. 1:101(100) ack 1
      +3.36 > P. 1:101(100) ack 1
      +6    state ESTABLISHED
      +1    state CLOSED
      +0    effects TIMED_OUT
      +0    completed 0
    `,
      { parameters: { doubtRetransmissions: 3, maximumRetransmissions: 5 } },
    );
  });

  test('the default R2 is at least 100 seconds (RFC 9293 SHLD-11)', () => {
    const again = '+0..121 > P. 1:101(100) ack 1\n';
    play(`
      +0    app write 100
      +0    > P. 1:101(100) ack 1
      ${again.repeat(15)}
      +0    state ESTABLISHED
      +125  state CLOSED
    `);
  });

  test('after a long pause the window starts over, at most the initial one (RFC 5681 4.1)', () => {
    play(
      `
      +0    set cWnd 100000
      +5    app write 30000
      +0    check cWnd == 14600
      +0    > .  1:14601(14600) ack 1
    `,
      { tsoSegments: 44 },
    );
  });
});

describe('a timeout that was in vain (RFC 3522, RFC 4015)', () => {
  const sent = `
      +0    app write 5792
      +0    > .  1:1449(1448) ack 1 <TS val t+10 ecr 1010>
      +0    > .  1449:2897(1448) ack 1 <TS val * ecr 1010>
      +0    > .  2897:4345(1448) ack 1 <TS val * ecr 1010>
      +0    > P. 4345:5793(1448) ack 1 <TS val * ecr 1010>
      +0.21 > .  1:1449(1448) ack 1 <TS val t+220 ecr 1010>
      +0    check ssThresh == 2896
  `;

  test('is known by an ACK that echoes an older timestamp: nothing more is repeated, the windows come back (4015-1, 4015-2, 4015-4)', () => {
    play(
      `${sent}
      +0.05 < .  1:1(0) ack 1449 win 512 <TS val 1270 ecr t+10>
      +0    check ssThresh == 2147483647
      +0    check cWnd == 5792
      +0    app write 2896
      +0    > .  5793:7241(1448) ack 1 <TS val * ecr 1270>
      +0.01 < .  1:1(0) ack 5793 win 512 <TS val 1280 ecr t+10>
      +0    > P. 7241:8689(1448) ack 1 <TS val * ecr 1280>
      +0    completed 5792
      +0.6  nothing
    `,
      { handshake: FULL_HANDSHAKE },
    );
  });

  test('also where all is acknowledged at once', () => {
    play(
      `${sent}
      +0.05 < .  1:1(0) ack 5793 win 512 <TS val 1270 ecr t+10>
      +0    completed 5792
      +0    check ssThresh == 2147483647
      +0    check cWnd == 5792
    `,
      { handshake: FULL_HANDSHAKE },
    );
  });

  test('one that was not in vain is repaired: the echo is of the repetition', () => {
    play(
      `${sent}
      +0.05 < .  1:1(0) ack 1449 win 512 <TS val 1270 ecr t+220>
      +0    check ssThresh == 2896
      +0    > .  1449:2897(1448) ack 1 <TS val * ecr 1270>
      +0    > .  2897:4345(1448) ack 1 <TS val * ecr 1270>
    `,
      { handshake: FULL_HANDSHAKE },
    );
  });

  test('an ACK that reports the repetition as a duplicate tells nothing of the congestion: the ACKs were lost', () => {
    play(
      `${sent}
      +0.05 < .  1:1(0) ack 5793 win 512 <TS val 1270 ecr t+10,sack 1:1449>
      +0    completed 5792
      +0    check ssThresh == 2896
    `,
      { handshake: FULL_HANDSHAKE },
    );
  });

  test('a second timeout is no new doubt: the first repetition is what counts (4015-2)', () => {
    play(
      `${sent}
      +0.42 > .  1:1449(1448) ack 1 <TS val t+640 ecr 1010>
      +0.05 < .  1:1(0) ack 1449 win 512 <TS val 1700 ecr t+220>
      +0    check ssThresh == 2896
      +0    > .  1449:2897(1448) ack 1 <TS val * ecr 1700>
      +0    > .  2897:4345(1448) ack 1 <TS val * ecr 1700>
    `,
      { handshake: FULL_HANDSHAKE },
    );
  });
});
