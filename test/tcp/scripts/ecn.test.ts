/** ECN: what is asked and agreed, what is marked, echoed and answered. RFC 3168. */
import { describe, test } from 'vitest';
import { play } from '../../support/packet-script/play.ts';

const parameters = { ecn: true };
const options = { parameters };

/** We listen, and ECN is agreed on. ECN fields: 0 not capable, 2 ECT(0), 3 CE. */
const AGREED = `
  +0    app listen
  +0    < SEW  0:0(0) win 65535 <mss 1000,sackOK>
  +0    > S.E  0:0(0) ack 1 ecn 0 <mss 1460,sackOK>
  +0.01 < .  1:1(0) ack 1 win 65535
`;
const agreed = { parameters, handshake: AGREED };

describe('the handshake', () => {
  test('an ECN-setup SYN is answered by an ECN-setup SYN,ACK where that is wanted, and neither is ECN-capable [3168-1, 3168-2, 3168-8]', () => {
    play(`${AGREED} +0 app write 100\n +0 > P. 1:101(100) ack 1 ecn 2`, options).abort();
    play(
      `
      +0    app listen
      +0    < SEW  0:0(0) win 65535 <mss 1000,sackOK>
      +0    > S.   0:0(0) ack 1
      +0.01 < .  1:1(0) ack 1 win 65535
      +0    app write 100
      +0    > P. 1:101(100) ack 1 ecn 0
    `,
    ).abort();
  });

  test.each(['S', 'SE', 'SW'])('a SYN with flags %s does not ask [3168-1, 3168-7]', (flags) => {
    play(
      `
      +0    app listen
      +0    < ${flags} 0:0(0) win 65535 <mss 1000,sackOK>
      +0    > S.   0:0(0) ack 1
      +0.01 < .  1:1(0) ack 1 win 65535
      +0    app write 100
      +0    > P. 1:101(100) ack 1 ecn 0
    `,
      options,
    ).abort();
  });

  test.each([
    ['S.E', 2],
    ['S.', 0],
    ['S.W', 0],
    ['S.EW', 0],
  ] as const)(
    'our SYN asks; a SYN,ACK with flags %s makes our data ECN field %i [3168-2, 3168-6, 3168-7]',
    (flags, ecn) => {
      play(
        `
      +0    app connect
      +0    > SEW 0:0(0) ecn 0 <mss 1460,sackOK,...>
      +0.01 < ${flags} 0:0(0) ack 1 win 65535 <mss 1460,sackOK>
      +0    > .  1:1(0) ack 1 ecn 0
      +0    app write 100
      +0    > P. 1:101(100) ack 1 ecn ${ecn}
    `,
        options,
      ).abort();
    },
  );

  test('a SYN that got no answer is sent again without asking; what comes of the first is still echoed, but nothing of ours is ECN-capable [3168-3, 3168-5, 3168-9]', () => {
    play(
      `
      +0    app connect
      +0    > SEW 0:0(0)
      +1    > S   0:0(0)
      +0.01 < S.E 0:0(0) ack 1 win 65535 <mss 1460,sackOK>
      +0    > .  1:1(0) ack 1
      +0    app write 100
      +0    > P. 1:101(100) ack 1 ecn 0
      +0.01 < .  1:1461(1460) ack 101 win 65535 ecn 3
      +0    < .  1461:2921(1460) ack 101 win 65535 ecn 2
      +0    > .E 101:101(0) ack 2921
    `,
      options,
    ).abort();
  });

  test('a SYN that comes again without asking takes it back [3168-3, 3168-7]', () => {
    play(
      `
      +0    app listen
      +0    < SEW  0:0(0) win 65535 <mss 1000,sackOK>
      +0    > S.E  0:0(0) ack 1
      +0.5  < S  0:0(0) win 65535 <mss 1000,sackOK>
      +0    > S.   0:0(0) ack 1
      +0.01 < .  1:1(0) ack 1 win 65535
      +0    app write 100
      +0    > P. 1:101(100) ack 1 ecn 0
    `,
      options,
    ).abort();
  });
});

describe('the receiver', () => {
  test('echoes a mark in every ACK until the sender says that it has heard [3168-4, 3168-5, 3168-16, 3168-17]', () => {
    play(
      `
      +0    < .  1:1001(1000) ack 1 win 65535 ecn 2
      +0    < .  1001:2001(1000) ack 1 win 65535 ecn 2
      +0    > .  1:1(0) ack 2001 ecn 0
      +0    < .  2001:3001(1000) ack 1 win 65535 ecn 3
      +0    < .  3001:4001(1000) ack 1 win 65535 ecn 2
      +0    > .E 1:1(0) ack 4001 ecn 0
      +0    app write 100
      +0    > P.E 1:101(100) ack 4001 ecn 2
      +0    < .  4001:5001(1000) ack 101 win 65535 ecn 2
      +0    < .  5001:6001(1000) ack 101 win 65535 ecn 2
      +0    > .E 101:101(0) ack 6001
      +0    < .W 6001:7001(1000) ack 101 win 65535 ecn 2
      +0    < .  7001:8001(1000) ack 101 win 65535 ecn 2
      +0    > .  101:101(0) ack 8001
      +0    < .W 8001:9001(1000) ack 101 win 65535 ecn 3
      +0    < .  9001:10001(1000) ack 101 win 65535 ecn 2
      +0    > .E 101:101(0) ack 10001
    `,
      agreed,
    ).abort();
  });

  test('takes no notice of marks on what is outside the window, nor on what has no text [3168-17, 3168-19]', () => {
    play(
      `
      +0    < .  1:1001(1000) ack 1 win 65535 ecn 2
      +0    < .  1001:2001(1000) ack 1 win 65535 ecn 2
      +0    > .  1:1(0) ack 2001
      +0    < .  1:1001(1000) ack 1 win 65535 ecn 3
      +0    > .  1:1(0) ack 2001
      +0    < .  2001:2001(0) ack 1 win 65535 ecn 3
      +0    < .  2001:3001(1000) ack 1 win 65535 ecn 2
      +0    < .  3001:4001(1000) ack 1 win 65535 ecn 2
      +0    > .  1:1(0) ack 4001
    `,
      agreed,
    ).abort();
  });
});

describe('the sender', () => {
  const SIX = Array.from(
    { length: 6 },
    (_, i) => `+0 > ${i === 5 ? 'P' : ''}. ${i * 1000 + 1}:${i * 1000 + 1001}(1000) ack 1 ecn 2`,
  ).join('\n');

  test('answers an echo like a loss, once a window, and says so with the next new data [3168-10, 3168-11, 3168-12, 3168-14]', () => {
    play(
      `
      +0    set cWnd 6000
      +0    app write 6000
      ${SIX}
      +0.01 < .E 1:1(0) ack 2001
      +0    check cWnd == 3000
      +0    check ssThresh == 3000
      +0    app write 6000
      +0    < .E 1:1(0) ack 4001
      +0    > .W 6001:7001(1000) ack 1 ecn 2
      +0    check cWnd == 3000
      +0    < .E 1:1(0) ack 6001
      +0    > .  7001:8001(1000) ack 1 ecn 2
      +0    > .  8001:9001(1000) ack 1 ecn 2
      +0    check cWnd == 3000
      +0.01 < .  1:1(0) ack 8001
      +0    > .  9001:10001(1000) ack 1 ecn 2
      +0    > .  10001:11001(1000) ack 1 ecn 2
      +0    check cWnd == 3000
      +0    < .E 1:1(0) ack 11001
      +0    check cWnd == 1500
      +0    check ssThresh == 2000
      +0    > P.W 11001:12001(1000) ack 1 ecn 2
    `,
      agreed,
    ).abort();
  });

  test('with a window of one segment waits for the timer before the next one [3168-13, 9438-10]', () => {
    play(
      `
      +0    set cWnd 1000
      +0    app write 3000
      +0    > .  1:1001(1000) ack 1 ecn 2
      +0.01 < .E 1:1(0) ack 1001
      +0    check cWnd == 1000
      +0.1  nothing
      +0.11 > .W 1001:2001(1000) ack 1 ecn 2
      +0.01 < .  1:1(0) ack 2001
      +0    > P. 2001:3001(1000) ack 1 ecn 2
      +0.01 < .  1:1(0) ack 3001
      +1    nothing
    `,
      { ...agreed, toleranceMs: 15 },
    ).abort();
  });

  test('does not mark what it sends again as ECN-capable, nor says there that the window is smaller [3168-15, 3168-18]', () => {
    play(
      `
      +0    set cWnd 6000
      +0    app write 6000
      ${SIX}
      +0.01 < .  1:1(0) ack 1 <sack 1001:4001>
      +0    > .  1:1001(1000) ack 1 ecn 0
      +0    app write 2000
      +0    < .  1:1(0) ack 1 <sack 1001:6001>
      +0    > .W 6001:7001(1000) ack 1 ecn 2
      +0    > P. 7001:8001(1000) ack 1 ecn 2
    `,
      agreed,
    ).abort();
    play(
      `
      +0    app write 2000
      +0    > .  1:1001(1000) ack 1 ecn 2
      +0    > P. 1001:2001(1000) ack 1 ecn 2
      +0.21 > .  1:1001(1000) ack 1 ecn 0
      +0.01 < .  1:1(0) ack 1001
      +0    > P. 1001:2001(1000) ack 1 ecn 0
      +0.01 < .  1:1(0) ack 2001
      +0    app write 1000
      +0    > P.W 2001:3001(1000) ack 1 ecn 2
    `,
      agreed,
    ).abort();
  });

  test('probes of a closed window are neither [3168-20]', () => {
    play(
      `
      +0    < .  1:1(0) ack 1 win 0
      +0    app write 1000
      +0.2..0.6 > .  1:2(1) ack 1 ecn 0
    `,
      agreed,
    ).abort();
  });

  test('CWR goes in a segment by itself where a device cuts super-segments', () => {
    play(
      `
      +0    app write 30000
      +0    > .  1:10001(10000) ack 1 ecn 2
      +0.01 < .E 1:1(0) ack 10001
      +0    > .W 10001:11001(1000) ack 1 ecn 2
      +0    > .  11001:15001(4000) ack 1 ecn 2
    `,
      { ...agreed, tsoSegments: 44 },
    ).abort();
  });

  test('an echo that nobody agreed to says nothing [3168-2]', () => {
    play(
      `
      +0    app write 2000
      +0    > .  1:1461(1460) ack 1 ecn 0
      +0    > P. 1461:2001(540) ack 1 ecn 0
      +0.01 < .E 1:1(0) ack 1461
      +0    check ssThresh == 2147483647
      +0    < .E 1:1(0) ack 2001
      +0    check ssThresh == 2147483647
    `,
      { parameters, noDelay: true },
    ).abort();
  });
});
