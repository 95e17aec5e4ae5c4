/** What comes from below and beside: ICMP errors, the path MTU, urgent data, device segmentation. */
import { describe, test } from 'vitest';
import { play } from '../../support/packet-script/play.ts';

describe('ICMP errors', () => {
  test('a hard error refuses a connection that is being opened (RFC 9293 3.9.2.2, RFC 5461)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0)
      +0.01 icmp hard
      +0    state CLOSED
      +0    effects ABORTED
      +9    nothing
    `);
  });

  test('a soft error does not (RFC 9293 MUST-56)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0)
      +0.01 icmp soft
      +0    state SYN-SENT
      +0.99 > S  0:0(0)
    `);
  });

  test('no error ends an established connection, for anybody can send one (RFC 5927 4.1)', () => {
    play(`
      +0    icmp hard
      +0    icmp soft
      +0    state ESTABLISHED
    `);
  });
});

describe('the path MTU', () => {
  test('a smaller one cuts segments to size at once, and what was too long is sent again (RFC 1191 6.5)', () => {
    play(`
      +0    app write 2920
      +0    > .  1:1461(1460) ack 1
      +0    > P. 1461:2921(1460) ack 1
      +0.01 icmp mtu 1000
      +0    > .  1:961(960) ack 1
      +0    > .  961:1921(960) ack 1
      +0    > .  1921:2881(960) ack 1
      +0    > P. 2881:2921(40) ack 1
      +0.02 < .  1:1(0) ack 2921
      +0    completed 2920
      +0    check effectiveMss == 960
    `);
  });

  test('a larger one is used for what comes next, up to the MSS of the peer', () => {
    play(
      `
      +0    icmp mtu 1000
      +0    app write 960
      +0    > P. 1:961(960) ack 1
      +0.01 < .  1:1(0) ack 961
      +0    icmp mtu 9000
      +0    app write 3000
      +0    > .  961:2421(1460) ack 1
      +0    > .  2421:3881(1460) ack 1
      +0    > P. 3881:3961(80) ack 1
    `,
      { noDelay: true },
    );
  });

  test('an absurdly small one is not believed', () => {
    play(`
      +0    icmp mtu 41
      +0    check effectiveMss == 48
    `);
  });
});

describe('urgent data (RFC 6093)', () => {
  test('a host takes it as ordinary text and is told', () => {
    play(`
      +0    < PU. 1:101(100) ack 1 urg 100
      +0    effects TEXT URGENT
      +0    readable 100
      +0.04 > .  1:1(0) ack 101
    `);
  });

  test('a target leaves the segment alone: nothing is taken, nothing acknowledged (TCP-079 to TCP-084)', () => {
    play(
      `
      +0    < PU. 1:101(100) ack 1 urg 100
      +0    effects URGENT !TEXT
      +0    readable 0
      +1    nothing
    `,
      { parameters: { role: 'target' } },
    );
  });
});

describe('a window that shrinks or lags', () => {
  test('an ACK of new data brings its window also where a later segment has overtaken it (SND.WL1, RFC 9293 3.10.7.4)', () => {
    // Else SND.UNA alone would carry the right edge 1448 bytes beyond what the peer ever offered.
    play(`
      +0    < .  101:201(100) ack 1 win 3000
      +0    > .  1:1(0) ack 1
      +0    app write 4000
      +0    > .  1:1449(1448) ack 1
      +0    > .  1449:2897(1448) ack 1
      +0.01 < .  1:101(100) ack 1449 win 1500
      +0    check sndWnd == 1500
      +0    > .  2897:2897(0) ack 201
      +0.05 nothing
      +0    < .  201:201(0) ack 2897 win 5000
      +0    > P. 2897:4001(1104) ack 201
    `);
  });

  test('a pure ACK bears the number behind all that was sent, though the window has shrunk since (RFC 9293 3.4 SND.NXT)', () => {
    play(
      `
      +0    app write 2000
      +0    > .  1:1461(1460) ack 1
      +0    > P. 1461:2001(540) ack 1
      +0    < .  1:1(0) ack 1 win 500
      +0    < .  1:1461(1460) ack 1 win 500
      +0    < .  1461:2921(1460) ack 1 win 500
      +0    > .  2001:2001(0) ack 2921
    `,
      { noDelay: true },
    );
  });

  test('with a closed window it is the number the peer waits for', () => {
    play(`
      +0    < .  1:1(0) ack 1 win 0
      +0    app write 100
      +0.2..0.3 > .  1:2(1) ack 1
      +0    < .  1:1461(1460) ack 1 win 0
      +0    < .  1461:2921(1460) ack 1 win 0
      +0    > .  1:1(0) ack 2921
    `);
  });

  test('windows of a simultaneous open are taken as they stand in the SYN,ACK, not scaled (RFC 7323 2.2)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0)
      +0.01 < S  0:0(0) win 1000 <mss 1400,nop,wscale 4>
      +0    > S. 0:0(0) ack 1
      +0.01 < S. 0:0(0) ack 1 win 1000 <mss 1400,nop,wscale 4>
      +0    check sndWnd == 1000
      +0    < .  1:1(0) ack 1 win 1000
      +0    check sndWnd == 16000
    `);
  });
});

describe('a target (role)', () => {
  const parameters = { role: 'target' } as const;

  test('an in-order SYN ends the connection there, unanswered: the host decides (TCP-089)', () => {
    play(
      `
      +0    < S  1:1(0) win 1000
      +0    effects SYN_IN_ORDER
      +0    nothing
      +0    state CLOSED
    `,
      { parameters },
    );
  });

  test('a suspicious RST is challenged once until the peer is heard again (TCP-097)', () => {
    play(
      `
      +0    < R  101:101(0)
      +0    > .  1:1(0) ack 1
      +0    < R  102:102(0)
      +0    < R  103:103(0)
      +0    nothing
      +0    < .  1:1(0) ack 1
      +0    < R  104:104(0)
      +0    > .  1:1(0) ack 1
      +0    state ESTABLISHED
    `,
      { parameters },
    );
  });

  test('giving up leaves the connection as it is, for the host to take back (TCP-012, TCP-045)', () => {
    play(
      `
      +0    app write 100
      +0    > P. 1:101(100) ack 1
      +0.21 > P. 1:101(100) ack 1
      +0.42 > P. 1:101(100) ack 1
      +1    effects TIMED_OUT
      +0    state ESTABLISHED
      +60   nothing
    `,
      { parameters: { ...parameters, maximumRetransmissions: 2 } },
    );
  });
});
