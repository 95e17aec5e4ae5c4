/** Opening: RFC 9293 3.5 and 3.10, in packets. */
import { describe, test } from 'vitest';
import { asSeq } from '../../../src/base/seq.ts';
import { play } from '../../support/packet-script/play.ts';

const OFFER = '<mss 1460,sackOK,TS val * ecr 0,...>';

describe('the active open', () => {
  test('SYN, SYN,ACK, ACK (RFC 9293 3.5 figure 6)', () => {
    play(`
      +0    app connect
      +0    state SYN-SENT
      +0    > S  0:0(0) <mss 1460,sackOK,TS val * ecr 0,...>
      +0.05 < S. 0:0(0) ack 1 win 1000 <mss 1400>
      +0    effects CONNECTED
      +0    > .  1:1(0) ack 1
      +0    state ESTABLISHED
      +1    nothing
    `);
  });

  test('data queued before the handshake is done goes out behind it (RFC 9293 3.10.2)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0) ${OFFER}
      +0    app write 100
      +0.05 < S. 0:0(0) ack 1 win 1000 <mss 1400>
      +0    > P. 1:101(100) ack 1
      +0.05 < .  1:1(0) ack 101 win 1000
      +0    completed 100
    `);
  });

  test('a lost SYN is sent again after 1, 2, 4 seconds, and without a sample data begins with an RTO of 3 s (RFC 6298 2.1, 5.5, 5.7)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0) ${OFFER}
      +1    > S  0:0(0) ${OFFER}
      +2    > S  0:0(0) ${OFFER}
      +4    > S  0:0(0) ${OFFER}
      +0.05 < S. 0:0(0) ack 1 win 1000 <mss 1400>
      +0    > .  1:1(0) ack 1
      +0    app write 100
      +0    > P. 1:101(100) ack 1
      +3    > P. 1:101(100) ack 1
    `);
  });

  test('a SYN that nobody answers is given up after more than three minutes (RFC 9293 MUST-23)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0) ${OFFER}
      +1    > S  0:0(0) ${OFFER}
      +2    > S  0:0(0) ${OFFER}
      +4    > S  0:0(0) ${OFFER}
      +8    > S  0:0(0) ${OFFER}
      +16   > S  0:0(0) ${OFFER}
      +32   > S  0:0(0) ${OFFER}
      +64   > S  0:0(0) ${OFFER}
      +60   state SYN-SENT
      +70   state CLOSED
      +0    effects TIMED_OUT
      +0    nothing
    `);
  });

  test('a reset that acknowledges the SYN refuses the connection; one that does not is not believed (RFC 9293 3.10.7.3)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0) ${OFFER}
      +0.01 < R  0:0(0)
      +0    state SYN-SENT
      +0    < R. 0:0(0) ack 0
      +0    state SYN-SENT
      +0    < R. 0:0(0) ack 2
      +0    nothing
      +0    state SYN-SENT
      +0    < R. 0:0(0) ack 1
      +0    state CLOSED
      +0    effects ABORTED
      +0    nothing
    `);
  });

  test('an ACK of something never sent is answered with a reset and changes nothing (RFC 9293 3.10.7.3)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0) ${OFFER}
      +0.01 < S. 0:0(0) ack 7 win 1000
      +0    > R  7:7(0)
      +0    state SYN-SENT
      +0.01 < .  0:0(0) ack 0 win 1000
      +0    > R  0:0(0)
      +0    state SYN-SENT
    `);
  });

  test('a half-open connection of an old incarnation is discovered and reset, then the open succeeds (RFC 9293 3.5 figure 8)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0) ${OFFER}
      +0.01 < .  300:300(0) ack 100 win 1000
      +0    > R  100:100(0)
      +0    state SYN-SENT
      +0.99 > S  0:0(0) ${OFFER}
      +0.01 < S. 0:0(0) ack 1 win 1000
      +0    > .  1:1(0) ack 1
      +0    state ESTABLISHED
    `);
  });

  test('a segment without SYN, ACK and RST is dropped in SYN-SENT', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0) ${OFFER}
      +0.01 < F  0:0(0) win 1000
      +0.5  nothing
      +0    state SYN-SENT
    `);
  });

  test('closing before anything was answered leaves nothing behind (RFC 9293 3.10.4)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0) ${OFFER}
      +0    app close
      +0    state CLOSED
      +9    nothing
    `);
  });

  test('simultaneous open: both SYNs cross, both sides answer SYN,ACK, both are established (RFC 9293 3.5 figure 7, MUST-10)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0) ${OFFER}
      +0.01 < S  0:0(0) win 1000 <mss 1400>
      +0    state SYN-RECEIVED
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.01 < S. 0:0(0) ack 1 win 1000 <mss 1400>
      +0    effects CONNECTED
      +0    state ESTABLISHED
      +0.5  nothing
    `);
  });
});

describe('the passive open', () => {
  test('SYN, SYN,ACK, ACK (RFC 9293 3.5 figure 6)', () => {
    play(`
      +0    app listen
      +0    state LISTEN
      +0    < S  0:0(0) win 1000 <mss 1400>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0    state SYN-RECEIVED
      +0.05 < .  1:1(0) ack 1 win 1000
      +0    effects CONNECTED
      +0    state ESTABLISHED
      +1    nothing
    `);
  });

  test('the last ACK of the handshake may bring text and FIN', () => {
    play(`
      +0    app listen
      +0    < S  0:0(0) win 1000 <mss 1400>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.05 < FP. 1:11(10) ack 1 win 1000
      +0    effects CONNECTED TEXT END_OF_STREAM
      +0    readable 10
      +0    > .  1:1(0) ack 12
      +0    state CLOSE-WAIT
    `);
  });

  test('a lost SYN,ACK is sent again, by the timer and when the SYN comes once more', () => {
    play(`
      +0    app listen
      +0    < S  0:0(0) win 1000 <mss 1400>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +1    > S. 0:0(0) ack 1 <mss 1460>
      +0.5  < S  0:0(0) win 1000 <mss 1400>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.05 < .  1:1(0) ack 1 win 1000
      +0    state ESTABLISHED
    `);
  });

  test('a SYN,ACK for the listener is old: an ACK, and its own is not looked at (RFC 9293 3.10.7.4 first before fifth)', () => {
    play(`
      +0    app listen
      +0    < S  0:0(0) win 1000 <mss 1400>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.05 < S. 0:0(0) ack 1 win 1000 <mss 1400>
      +0    > .  1:1(0) ack 1
      +0    state SYN-RECEIVED
      +0    < .  1:1(0) ack 1 win 1000
      +0    state ESTABLISHED
    `);
  });

  test('where both opened, a SYN,ACK of something else is old, too: an ACK, no reset (RFC 9293 3.10.7.4 first)', () => {
    play(`
      +0    app connect
      +0    > S  0:0(0) ${OFFER}
      +0.01 < S  0:0(0) win 1000 <mss 1400>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.01 < S. 0:0(0) ack 0 win 1000 <mss 1400>
      +0    > .  1:1(0) ack 1
      +0    state SYN-RECEIVED
    `);
  });

  test('an ACK of something else in SYN-RECEIVED is answered with a reset (RFC 9293 3.10.7.4 fifth)', () => {
    play(`
      +0    app listen
      +0    < S  0:0(0) win 1000 <mss 1400>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.05 < .  1:1(0) ack 2 win 1000
      +0    > R  2:2(0)
      +0    state SYN-RECEIVED
      +0    < .  1:1(0) ack 0 win 1000
      +0    > R  0:0(0)
      +0    state SYN-RECEIVED
    `);
  });

  test('a reset in SYN-RECEIVED returns a passive open to LISTEN, silently (RFC 9293 3.10.7.4 second)', () => {
    play(`
      +0    app listen
      +0    < S  0:0(0) win 1000 <mss 1400>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0.05 < R  1:1(0)
      +0    state LISTEN
      +3    nothing
    `);
  });

  test('segments for a listener that are no SYN: an ACK is reset, a RST ignored (RFC 9293 3.10.7.2)', () => {
    play(`
      +0    app listen
      +0    < R  0:0(0)
      +0    nothing
      +0    < .  5:5(0) ack 77 win 1000
      +0    > R  77:77(0)
      +0    state LISTEN
    `);
  });

  test('closing in SYN-RECEIVED sends the FIN once the handshake is done (RFC 9293 3.10.4)', () => {
    play(`
      +0    app listen
      +0    < S  0:0(0) win 1000 <mss 1400>
      +0    > S. 0:0(0) ack 1 <mss 1460>
      +0    app close
      +0.05 < .  1:1(0) ack 1 win 1000
      +0    > F. 1:1(0) ack 1
      +0    state FIN-WAIT-1
    `);
  });

  test('wherever both sequence numbers stand, the handshake is the same', () => {
    for (const iss of [0, -1, 0x7fffffff, -0x80000000]) {
      for (const irs of [0, -1, 0x7fffffff, -0x80000000]) {
        play(
          `
          +0    app listen
          +0    < S  0:0(0) win 1000 <mss 1400>
          +0    > S. 0:0(0) ack 1 <mss 1460>
          +0.05 < .  1:1(0) ack 1 win 1000
          +0    app write 100
          +0    > P. 1:101(100) ack 1
          +0.05 < P. 1:11(10) ack 101 win 1000
          +0    state ESTABLISHED
          +0.04 > .  101:101(0) ack 11
        `,
          { iss: asSeq(iss), irs: asSeq(irs) },
        );
      }
    }
  });
});
