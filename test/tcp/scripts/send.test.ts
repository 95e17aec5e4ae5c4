/** Sending: segments, PSH, Nagle, windows, zero-window probes, keepalive. */
import { describe, test } from 'vitest';
import { play } from '../../support/packet-script/play.ts';

describe('segments', () => {
  test('full segments, PSH at the end of each list (RFC 9293 3.9.1.2, SEND-014)', () => {
    play(
      `
      +0    app write 3000
      +0    > .  1:1461(1460) ack 1
      +0    > .  1461:2921(1460) ack 1
      +0    > P. 2921:3001(79) ack 1
    `.replace('3001(79)', '3001(80)'),
      { noDelay: true },
    );
  });

  test('super-segments where the device takes them, still ended by a list', () => {
    play(
      `
      +0    app write 10000
      +0    > .  1:5841(5840) ack 1
      +0    > P. 5841:10001(4160) ack 1
    `,
      { tsoSegments: 4, noDelay: true },
    );
  });

  test('the initial window is ten segments (RFC 6928)', () => {
    play(
      `
      +0    app write 30000
      +0    > .  1:7301(7300) ack 1
      +0    > .  7301:14601(7300) ack 1
      +0.01 nothing
      +0.04 < .  1:1(0) ack 7301
      +0    > .  14601:21901(7300) ack 1
      +0    > .  21901:29201(7300) ack 1
    `,
      { tsoSegments: 5 },
    );
  });
});

describe("Nagle's algorithm (RFC 9293 3.7.4 SHLD-7, RFC 1122 4.2.3.4)", () => {
  test('while something is unacknowledged a short segment waits (TCP-117, TCP-108)', () => {
    play(`
      +0    app write 100
      +0    > P. 1:101(100) ack 1
      +0.01 app write 100
      +0    app write 100
      +0    nothing
      +0.04 < .  1:1(0) ack 101
      +0    > P. 101:301(200) ack 1
    `);
  });

  test('a full segment does not wait, its short end does', () => {
    play(`
      +0    app write 100
      +0    > P. 1:101(100) ack 1
      +0    app write 2000
      +0    > .  101:1561(1460) ack 1
      +0    nothing
      +0.04 < .  1:1(0) ack 1561
      +0    > P. 1561:2101(540) ack 1
    `);
  });

  test('it can be switched off (RFC 9293 MUST-17)', () => {
    play(
      `
      +0    app write 100
      +0    > P. 1:101(100) ack 1
      +0    app write 100
      +0    > P. 101:201(100) ack 1
    `,
      { noDelay: true },
    );
  });

  test('a FIN does not wait', () => {
    play(`
      +0    app write 100
      +0    > P. 1:101(100) ack 1
      +0    app write 100
      +0    app close
      +0    > FP. 101:201(100) ack 1
    `);
  });
});

describe("the peer's window", () => {
  test('is never exceeded, and what it opens is used (RFC 9293 3.8.6)', () => {
    play(`
      +0    < .  1:1(0) ack 1 win 3000
      +0    app write 5000
      +0    > .  1:1461(1460) ack 1
      +0    > .  1461:2921(1460) ack 1
      +0.01 nothing
      +0    < .  1:1(0) ack 2921 win 3000
      +0    > .  2921:4381(1460) ack 1
      +0.01 < .  1:1(0) ack 4381 win 3000
      +0    > P. 4381:5001(620) ack 1
    `);
  });

  test('a segment smaller than half the largest window waits for more room, at most the silly-window time (RFC 9293 3.8.6.2.1, TCP-014, TCP-054, TCP-055, TCP-056, TCP-132)', () => {
    play(
      `
      +0    app write 5000
      +0    > .  1:1461(1460) ack 1
      +0    > .  1461:2921(1460) ack 1
      +0    > .  2921:4381(1460) ack 1
      +0    > P. 4381:5001(620) ack 1
      +0.01 < .  1:1(0) ack 5001 win 500
      +0    app write 1000
      +0    nothing
      +0.2  > .  5001:5501(500) ack 1
    `,
      { noDelay: true },
    );
  });

  test('an old segment does not change it (SND.WL1, SND.WL2; RFC 9293 3.10.7.4)', () => {
    play(`
      +0    < P. 1:11(10) ack 1 win 5000
      +0    check sndWnd == 5000
      +0    < .  1:1(0) ack 1 win 100
      +0    check sndWnd == 5000
      +0    > .  1:1(0) ack 11
    `);
  });

  test('it may shrink below what is in flight: nothing more is sent, nothing breaks (RFC 9293 3.8.6 MUST-34)', () => {
    play(
      `
      +0    app write 4000
      +0    > .  1:1461(1460) ack 1
      +0    > .  1461:2921(1460) ack 1
      +0    > P. 2921:4001(1080) ack 1
      +0.01 < .  1:1(0) ack 1461 win 100
      +0    app write 1000
      +0.1  nothing
      +0    < .  1:1(0) ack 4001 win 5000
      +0    > P. 4001:5001(1000) ack 1
    `,
      { noDelay: true },
    );
  });
});

describe('a closed window (RFC 9293 3.8.6.1 MUST-35, MUST-36)', () => {
  test('is probed after one RTO, then at growing intervals, with a byte that may be taken (TCP-113, TCP-002)', () => {
    play(`
      +0    < .  1:1(0) ack 1 win 0
      +0    app write 1000
      +0.2..0.6 > .  1:2(1) ack 1
      +0.01 < .  1:1(0) ack 1 win 0
      +0.4..1.2 > .  1:2(1) ack 1
      +0.01 < .  1:1(0) ack 1 win 0
      +0.8..2.4 > .  1:2(1) ack 1
      +0    state ESTABLISHED
    `);
  });

  test('opens: everything goes out at once, the probed byte too', () => {
    play(`
      +0    < .  1:1(0) ack 1 win 0
      +0    app write 1000
      +0.2..0.6 > .  1:2(1) ack 1
      +0.01 < .  1:1(0) ack 1 win 0
      +0.1  < .  1:1(0) ack 1 win 5000
      +0    > P. 1:1001(1000) ack 1
      +0.01 < .  1:1(0) ack 1001 win 5000
      +0    completed 1000
      +1    nothing
    `);
  });

  test('a probe whose byte was taken counts', () => {
    play(`
      +0    < .  1:1(0) ack 1 win 0
      +0    app write 1000
      +0.2..0.6 > .  1:2(1) ack 1
      +0.01 < .  1:1(0) ack 2 win 0
      +0.1  < .  1:1(0) ack 2 win 5000
      +0    > P. 2:1001(999) ack 1
    `);
  });

  test('a peer that answers with a closed window is probed for ever (RFC 9293 MUST-37)', () => {
    const round = `
      +0..130 > .  1:2(1) ack 1
      +0.01 < .  1:1(0) ack 1 win 0
    `;
    play(`
      +0    < .  1:1(0) ack 1 win 0
      +0    app write 1000
      ${round.repeat(40)}
      +0    state ESTABLISHED
    `);
  });

  test('closing behind a closed window sends the FIN once there is room', () => {
    play(`
      +0    < .  1:1(0) ack 1 win 0
      +0    app write 100
      +0    app close
      +0    state FIN-WAIT-1
      +0.1  < .  1:1(0) ack 1 win 5000
      +0    > FP. 1:101(100) ack 1
    `);
  });
});

describe('keepalive (RFC 9293 3.8.4)', () => {
  const parameters = { keepAliveIdleUs: 60_000_000, keepAliveIntervalUs: 10_000_000, keepAliveProbes: 3 };

  test('is off unless asked for (MUST-25)', () => {
    play('+90000 nothing', { parameters });
  });

  test('probes an idle peer with an old sequence number and no text; an answer starts the time anew (MUST-26, MUST-28, SHLD-12)', () => {
    play(
      `
      +0    > .  0:0(0) ack 1
    `.replace('+0 ', '+60 '),
      {
        parameters,
        handshake: `
        +0    app listen
        +0    set keepalive 1
        +0    < S  0:0(0) win 65535 <mss 1460,sackOK>
        +0    > S. 0:0(0) ack 1 <mss 1460,sackOK>
        +0    < .  1:1(0) ack 1 win 65535
      `,
      },
    );
  });

  test('gives up after the probes it was told to send', () => {
    play(
      `
      +60   > .  0:0(0) ack 1
      +1    < .  1:1(0) ack 1
      +60   > .  0:0(0) ack 1
      +10   > .  0:0(0) ack 1
      +10   > .  0:0(0) ack 1
      +9    state ESTABLISHED
      +1    state CLOSED
      +0    effects TIMED_OUT
    `,
      {
        parameters,
        handshake: `
        +0    app listen
        +0    set keepalive 1
        +0    < S  0:0(0) win 65535 <mss 1460,sackOK>
        +0    > S. 0:0(0) ack 1 <mss 1460,sackOK>
        +0    < .  1:1(0) ack 1 win 65535
      `,
      },
    );
  });
});
