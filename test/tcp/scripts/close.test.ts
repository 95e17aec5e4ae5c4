/** Closing: RFC 9293 3.6, in packets. */
import { describe, test } from 'vitest';
import { play } from '../../support/packet-script/play.ts';

describe('closing', () => {
  test('we close first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, CLOSED after 2 MSL (RFC 9293 3.6 figure 12, MUST-13)', () => {
    play(`
      +0    app close
      +0    > F. 1:1(0) ack 1
      +0    state FIN-WAIT-1
      +0.01 < .  1:1(0) ack 2
      +0    effects FIN_ACKED
      +0    state FIN-WAIT-2
      +0.01 < F. 1:1(0) ack 2
      +0    effects END_OF_STREAM TIME_WAIT
      +0    state TIME-WAIT
      +0    > .  2:2(0) ack 2
      +59   state TIME-WAIT
      +1    state CLOSED
      +0    effects CLOSED
      +0    nothing
    `);
  });

  test('the peer closes first: CLOSE-WAIT, LAST-ACK, CLOSED', () => {
    play(`
      +0    < F. 1:1(0) ack 1
      +0    effects END_OF_STREAM
      +0    > .  1:1(0) ack 2
      +0    state CLOSE-WAIT
      +0.5  app close
      +0    > F. 1:1(0) ack 2
      +0    state LAST-ACK
      +0.01 < .  2:2(0) ack 2
      +0    effects FIN_ACKED CLOSED
      +0    state CLOSED
      +0    nothing
    `);
  });

  test('the peer answers our FIN with its own and the ACK together', () => {
    play(`
      +0    app close
      +0    > F. 1:1(0) ack 1
      +0.01 < F. 1:1(0) ack 2
      +0    > .  2:2(0) ack 2
      +0    state TIME-WAIT
    `);
  });

  test('both close at once: CLOSING, TIME-WAIT (RFC 9293 3.6 figure 13)', () => {
    play(`
      +0    app close
      +0    > F. 1:1(0) ack 1
      +0.01 < F. 1:1(0) ack 1
      +0    > .  2:2(0) ack 2
      +0    state CLOSING
      +0.01 < .  2:2(0) ack 2
      +0    effects FIN_ACKED TIME_WAIT
      +0    state TIME-WAIT
      +60   state CLOSED
    `);
  });

  test('half-closed, we go on receiving and the peer goes on sending (RFC 9293 3.6.1)', () => {
    play(`
      +0    app close
      +0    > F. 1:1(0) ack 1
      +0.01 < .  1:1(0) ack 2
      +0    state FIN-WAIT-2
      +0    < .  1:1461(1460) ack 2
      +0    < P. 1461:2001(540) ack 2
      +0    > .  2:2(0) ack 2001
      +0    readable 2000
      +0    < F. 2001:2001(0) ack 2
      +0    > .  2:2(0) ack 2002
    `);
  });

  test('half-closed by the peer, we go on sending', () => {
    play(`
      +0    < F. 1:1(0) ack 1
      +0    > .  1:1(0) ack 2
      +0    app write 1000
      +0    > P. 1:1001(1000) ack 2
      +0.01 < .  2:2(0) ack 1001
      +0    completed 1000
      +0    app close
      +0    > F. 1001:1001(0) ack 2
      +0.01 < .  2:2(0) ack 1002
      +0    state CLOSED
    `);
  });

  test('the FIN follows all queued data and is sent again when it is lost', () => {
    play(`
      +0    app write 2000
      +0    > .  1:1461(1460) ack 1
      +0    app close
      +0    > FP. 1461:2001(540) ack 1
      +0.01 < .  1:1(0) ack 2001
      +0    completed 2000
      +0    state FIN-WAIT-1
      +0.2..0.3 > F. 2001:2001(0) ack 1
      +0.4..0.6 > F. 2001:2001(0) ack 1
      +0.01 < .  1:1(0) ack 2002
      +0    state FIN-WAIT-2
    `);
  });

  test("the peer's FIN once more in TIME-WAIT is acknowledged and the 2 MSL begin anew (RFC 9293 3.10.7.4 eighth)", () => {
    play(`
      +0    app close
      +0    > F. 1:1(0) ack 1
      +0.01 < F. 1:1(0) ack 2
      +0    > .  2:2(0) ack 2
      +30   < F. 1:1(0) ack 2
      +0    > .  2:2(0) ack 2
      +59   state TIME-WAIT
      +1    state CLOSED
    `);
  });

  test('the FIN of the peer that comes with text is delivered behind it', () => {
    play(`
      +0    < FP. 1:101(100) ack 1
      +0    effects TEXT END_OF_STREAM
      +0    readable 100
      +0    > .  1:1(0) ack 102
    `);
  });

  test('text beyond the FIN is not believed', () => {
    play(`
      +0    < F. 1:1(0) ack 1
      +0    > .  1:1(0) ack 2
      +0    < P. 2:102(100) ack 1
      +0    readable 0
      +0    > .  1:1(0) ack 2
      +0    state CLOSE-WAIT
    `);
  });

  test('an orphan in FIN-WAIT-2 does not stay for ever (TCP-023)', () => {
    play(`
      +0    app close
      +0    > F. 1:1(0) ack 1
      +0.01 < .  1:1(0) ack 2
      +0    state FIN-WAIT-2
      +119  state FIN-WAIT-2
      +2    state CLOSED
    `);
  });
});
