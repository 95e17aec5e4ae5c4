/** RACK-TLP and PRR: losses found by time, tails probed for, the window brought down evenly. RFC 8985, RFC 9937. */
import { describe, expect, test } from 'vitest';
import { hasReordering, reorderingMultiple } from '../../../src/tcp/rack.ts';
import { play } from '../../support/packet-script/play.ts';

/** The least and the smoothed round trip are 10 ms: a quarter is 2.5 ms. */
const HANDSHAKE = `
  +0    app listen
  +0    < S  0:0(0) win 65535 <mss 1000,sackOK>
  +0    > S. 0:0(0) ack 1 <mss 1460,sackOK>
  +0.01 < .  1:1(0) ack 1 win 65535
`;

const FIVE = `
  +0    app write 5000
  +0    > .  1:1001(1000) ack 1
  +0    > .  1001:2001(1000) ack 1
  +0    > .  2001:3001(1000) ack 1
  +0    > .  3001:4001(1000) ack 1
  +0    > P. 4001:5001(1000) ack 1
`;

const handshake = HANDSHAKE;
const tailLossProbe = true;

describe('reordering', () => {
  test('what comes late by less than a quarter of the least round trip is not sent again [8985-4, 8985-5]', () => {
    const endpoint = play(
      `
      ${FIVE}
      +0.01 < .  1:1(0) ack 1 <sack 1001:2001>
      +0.002 nothing
      +0    < .  1:1(0) ack 2001
      +0    < .  1:1(0) ack 5001
      +1    nothing
    `,
      { handshake },
    );
    expect(hasReordering(endpoint.c)).toBe(true);
    expect(endpoint.c.retransmittedSegments).toBe(0);
  });

  test('what comes later than that is sent again when the reordering timer expires [8985-5, 8985-7]', () => {
    play(
      `
      ${FIVE}
      +0.01 < .  1:1(0) ack 1 <sack 1001:2001>
      +0    nothing
      +0.0025 > . 1:1001(1000) ack 1
      +0    check ssThresh == 2500
      +0.01 < .  1:1(0) ack 5001
      +1    nothing
    `,
      { handshake, toleranceMs: 0.1 },
    );
  });

  test('three SACKed segments are a loss at once while the path was not seen to reorder, and not afterwards [8985-5, 5681-19, 6675-10]', () => {
    play(
      `
      ${FIVE}
      +0.01 < .  1:1(0) ack 1 <sack 1001:2001>
      +0    < .  1:1(0) ack 5001                 // it was only late
      +0    app write 5000
      +0    > .  5001:6001(1000) ack 1
      +0    > .  6001:7001(1000) ack 1
      +0    > .  7001:8001(1000) ack 1
      +0    > .  8001:9001(1000) ack 1
      +0    > P. 9001:10001(1000) ack 1
      +0.01 < .  1:1(0) ack 5001 <sack 6001:10001>
      +0    nothing
      +0.0025 > . 5001:6001(1000) ack 1
      +0.01 < .  1:1(0) ack 10001
    `,
      { handshake, toleranceMs: 0.1 },
    );
  });

  test('a needless retransmission makes the window wider, and news of it counts once a round trip [8985-6, 2883-5]', () => {
    const endpoint = play(
      `
      ${FIVE}
      +0.01 < .  1:1(0) ack 1 <sack 1001:4001>
      +0    > .  1:1001(1000) ack 1
      +0.001 < . 1:1(0) ack 4001
      +0    < .  1:1(0) ack 4001 <sack 1:1001>
      +0    < .  1:1(0) ack 4001 <sack 1:1001>
      +0    < .  1:1(0) ack 5001
      +1    nothing
    `,
      { handshake },
    );
    expect(hasReordering(endpoint.c)).toBe(true);
    expect(reorderingMultiple(endpoint.c)).toBe(2);
  });

  test('a retransmission answered sooner than any path could answer tells nothing of what was sent before it [8985-3]', () => {
    play(
      `
      ${FIVE}
      +0.01 < .  1:1(0) ack 1 <sack 1001:2001 3001:4001>
      +0.0025 > . 1:1001(1000) ack 1
      +0.001 < . 1:1(0) ack 4001                 // the first transmissions, late; 5 is not lost for that
      +0    nothing
      +0.001 < . 1:1(0) ack 5001
      +1    nothing
    `,
      { handshake, toleranceMs: 0.1 },
    );
  });
});

describe('the loss of a retransmission', () => {
  test('is found when something sent after it arrives, and repaired without a timeout [8985-4, 8985-18, 5681-36]', () => {
    play(
      `
      +0    app write 20000
      +0    > .  1:1001(1000) ack 1
      +0    > .  1001:2001(1000) ack 1
      +0    > .  2001:3001(1000) ack 1
      +0    > .  3001:4001(1000) ack 1
      +0    > .  4001:5001(1000) ack 1
      +0    > .  5001:6001(1000) ack 1
      +0    > .  6001:7001(1000) ack 1
      +0    > .  7001:8001(1000) ack 1
      +0    > .  8001:9001(1000) ack 1
      +0    > .  9001:10001(1000) ack 1
      +0.01 < .  1:1(0) ack 1 <sack 1001:4001>
      +0    > .  1:1001(1000) ack 1              // lost again
      +0    check ssThresh == 5000
      +0.001 < . 1:1(0) ack 1 <sack 1001:5001>
      +0    > .  10001:11001(1000) ack 1         // sent after it
      +0    < .  1:1(0) ack 1 <sack 1001:8001>
      +0    > .  11001:12001(1000) ack 1
      +0.01 < .  1:1(0) ack 1 <sack 1001:11001>
      +0    > .  1:1001(1000) ack 1
      +0    > .  12001:13001(1000) ack 1
      +0    > .  13001:14001(1000) ack 1
      +0    > .  14001:15001(1000) ack 1
      +0    check ssThresh == 5000
      +0    check retransmitCount == 0
      +0.01 < .  1:1(0) ack 15001
      +0    check cWnd == 5000
      +0    > .  15001:16001(1000) ack 1
      +0    > .  16001:17001(1000) ack 1
      +0    > .  17001:18001(1000) ack 1
      +0    > .  18001:19001(1000) ack 1
      +0    > P. 19001:20001(1000) ack 1
    `,
      { handshake, parameters: { tailLossProbe: false } },
    ).abort();
  });
});

describe('the tail loss probe', () => {
  test('repeats the last segment after two round trips; then the retransmission timer runs anew [8985-9, 8985-10, 8985-12, 8985-13]', () => {
    play(
      `
      ${FIVE}
      +0.022 > P. 4001:5001(1000) ack 1
      +0.21  > .  1:1001(1000) ack 1
      +0    check cWnd == 1000
    `,
      { handshake, parameters: { tailLossProbe }, toleranceMs: 0.1 },
    );
  });

  test('finds what was lost before the end, which recovery repairs at once [8985-8, 8985-4]', () => {
    play(
      `
      ${FIVE}
      +0.01 < .  1:1(0) ack 1001
      +0.022 > P. 4001:5001(1000) ack 1
      +0.01 < .  1:1(0) ack 1001 <sack 4001:5001>
      +0    > .  1001:2001(1000) ack 1
      +0    check ssThresh == 2000
      +0.01 < .  1:1(0) ack 2001 <sack 4001:5001>
      +0    > .  2001:3001(1000) ack 1
      +0    > .  3001:4001(1000) ack 1
      +0.01 < .  1:1(0) ack 5001
      +0    completed 5000
      +1    nothing
    `,
      { handshake, parameters: { tailLossProbe }, toleranceMs: 0.1 },
    );
  });

  test('is new data where there is some and the peer has room [8985-12]', () => {
    play(
      `
      +0    set cWnd 2000
      +0    app write 5000
      +0    > .  1:1001(1000) ack 1
      +0    > .  1001:2001(1000) ack 1
      +0.022 > . 2001:3001(1000) ack 1
      +0.1  nothing                              // one probe a flight
      +0.01 < .  1:1(0) ack 3001
      +0    > .  3001:4001(1000) ack 1
      +0    > P. 4001:5001(1000) ack 1
      +0    check ssThresh == 2147483647
    `,
      { handshake, parameters: { tailLossProbe }, toleranceMs: 0.1 },
    ).abort();
  });

  test('of a single segment waits for a delayed ACK too, which leaves it to the retransmission timer [8985-9]', () => {
    play(
      `
      +0    app write 500
      +0    > P. 1:501(500) ack 1
      +0.21 > P. 1:501(500) ack 1
      +0    check cWnd == 1000
    `,
      { handshake, parameters: { tailLossProbe }, toleranceMs: 0.1 },
    );
  });

  test('that repaired the loss itself costs as much as any loss [8985-14]', () => {
    play(
      `
      ${FIVE}
      +0.01 < .  1:1(0) ack 4001
      +0    app write 1000
      +0    > P. 5001:6001(1000) ack 1
      +0.022 > P. 5001:6001(1000) ack 1
      +0.01 < .  1:1(0) ack 6001
      +0    check ssThresh == 2147483647
      +0    app write 1000
      +0    > P. 6001:7001(1000) ack 1
      +0.01 < .  1:1(0) ack 7001
      +0    check ssThresh == 2000
      +0    check cWnd == 2000
    `,
      { handshake, parameters: { tailLossProbe }, toleranceMs: 0.1 },
    );
  });

  test('whose copy proves needless by D-SACK costs nothing [8985-14, 2883-5]', () => {
    play(
      `
      ${FIVE}
      +0.022 > P. 4001:5001(1000) ack 1
      +0.01 < .  1:1(0) ack 5001
      +0    < .  1:1(0) ack 5001 <sack 4001:5001>
      +0    app write 1000
      +0    > P. 5001:6001(1000) ack 1
      +0.01 < .  1:1(0) ack 6001
      +0    check ssThresh == 2147483647
    `,
      { handshake, parameters: { tailLossProbe }, toleranceMs: 0.1 },
    );
  });

  test('is not sent while something is SACKed, nor in recovery, nor while the timeout is backed off [8985-8, 8985-11, 8985-15]', () => {
    play(
      `
      ${FIVE}
      +0.01 < .  1:1(0) ack 1 <sack 1001:4001>
      +0    > .  1:1001(1000) ack 1
      +0.21 > .  1:1001(1000) ack 1
      +0.42 > .  1:1001(1000) ack 1
    `,
      { handshake, parameters: { tailLossProbe } },
    );
  });

  test('needs SACK, and can be switched off [8985-1]', () => {
    const timeout = `
      +0    app write 3000
      +0    > .  1:1001(1000) ack 1
      +0    > .  1001:2001(1000) ack 1
      +0    > P. 2001:3001(1000) ack 1
      +0.21 > .  1:1001(1000) ack 1
    `;
    play(timeout, { handshake: handshake.replaceAll(',sackOK', ''), parameters: { tailLossProbe } });
    play(timeout, { handshake, parameters: { tailLossProbe: false } });
    play(timeout, { handshake, parameters: { tailLossProbe, rack: false } });
  });
});

describe('proportional rate reduction', () => {
  const TWENTY = Array.from({ length: 20 }, (_, i) => `+0 > . ${i * 1000 + 1}:${i * 1000 + 1001}(1000) ack 1`).join(
    '\n',
  );

  test('one segment for two that arrived, from the first retransmission on, and SSTHRESH at the end [9937-1, 9937-4, 9937-6, 9937-7, 6937-1]', () => {
    play(
      `
      +0    set cWnd 20000
      +0    app write 60000
      ${TWENTY}
      +0.01 < .  1:1(0) ack 1 <sack 1001:4001>
      +0    check ssThresh == 10000
      +0    > .  1:1001(1000) ack 1              // 3 * 10 / 20 = 1.5 segments
      +0    < .  1:1(0) ack 1 <sack 1001:5001>
      +0    > .  20001:21001(1000) ack 1         // 4 * 10 / 20 = 2, less the one that is out
      +0    < .  1:1(0) ack 1 <sack 1001:6001>
      +0    nothing
      +0    < .  1:1(0) ack 1 <sack 1001:7001>
      +0    > .  21001:22001(1000) ack 1
      +0    < .  1:1(0) ack 1 <sack 1001:9001>
      +0    > .  22001:23001(1000) ack 1
      +0    < .  1:1(0) ack 1 <sack 1001:20001>
      +0    > .  23001:24001(1000) ack 1
      +0    > .  24001:25001(1000) ack 1
      +0    > .  25001:26001(1000) ack 1
      +0    > .  26001:27001(1000) ack 1
      +0    > .  27001:28001(1000) ack 1
      +0    > .  28001:29001(1000) ack 1
      +0    check cWnd == 10000
      +0.01 < .  1:1(0) ack 21001
      +0    check cWnd == 10000
      +0    > .  29001:30001(1000) ack 1
      +0    > .  30001:31001(1000) ack 1
    `,
      { handshake },
    ).abort();
  });

  test('where much was lost at once, no more is sent than arrived, and a segment more for ACKs that bring no bad news [9937-5, 6937-2]', () => {
    play(
      `
      +0    set cWnd 20000
      +0    app write 60000
      ${TWENTY}
      +0.01 < .  1:1(0) ack 1 <sack 17001:20001>  // 17 of 20 are lost
      +0    check ssThresh == 10000
      +0    > .  1:1001(1000) ack 1
      +0    > .  1001:2001(1000) ack 1
      +0    > .  2001:3001(1000) ack 1
      +0.01 < .  1:1(0) ack 1001 <sack 17001:20001>
      +0    > .  3001:4001(1000) ack 1
      +0    > .  4001:5001(1000) ack 1
      +0    < .  1:1(0) ack 2001 <sack 17001:20001>
      +0    > .  5001:6001(1000) ack 1
      +0    > .  6001:7001(1000) ack 1
    `,
      { handshake },
    ).abort();
  });
});
