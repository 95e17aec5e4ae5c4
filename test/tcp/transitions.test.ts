/** The state diagram, cell by cell. */
import { describe, expect, test } from 'vitest';
import { TcpConnectionState as State } from '../../src/state/tcp.ts';
import { tcpStateName } from '../../src/tcp/names.ts';
import { ARROWS, nextState, TcpEvent } from '../../src/tcp/transitions.ts';

describe('the state diagram', () => {
  test('every state and event (RFC 9293 3.3.2 figure 5, TCP-112)', () => {
    const lines = Object.values(State).map((state) => {
      const cells = Object.entries(TcpEvent).map(([name, event]) => {
        const to = nextState(state, event);
        return to === state ? null : `${name} -> ${tcpStateName(to)}`;
      });
      return `${tcpStateName(state)}: ${cells.filter((cell) => cell !== null).join(', ')}`;
    });
    expect(`${lines.join('\n')}\n`).toMatchInlineSnapshot(`
      "CLOSED: ACTIVE_OPEN -> SYN-SENT, SYN_RECEIVED -> SYN-RECEIVED
      LISTEN: ACTIVE_OPEN -> SYN-SENT, SYN_RECEIVED -> SYN-RECEIVED
      SYN-SENT: SYN_RECEIVED -> SYN-RECEIVED, SYN_ACKED -> ESTABLISHED, CLOSE -> CLOSED, TIMEOUT -> CLOSED, RESET -> CLOSED
      SYN-RECEIVED: SYN_ACKED -> ESTABLISHED, TIMEOUT -> CLOSED, RESET -> CLOSED
      ESTABLISHED: CLOSE -> FIN-WAIT-1, FIN_RECEIVED -> CLOSE-WAIT, TIMEOUT -> CLOSED, RESET -> CLOSED
      FIN-WAIT-1: FIN_RECEIVED -> CLOSING, FIN_ACKED -> FIN-WAIT-2, TIMEOUT -> CLOSED, RESET -> CLOSED
      FIN-WAIT-2: FIN_RECEIVED -> TIME-WAIT, TIMEOUT -> CLOSED, RESET -> CLOSED
      CLOSE-WAIT: CLOSE -> LAST-ACK, TIMEOUT -> CLOSED, RESET -> CLOSED
      CLOSING: FIN_ACKED -> TIME-WAIT, TIMEOUT -> CLOSED, RESET -> CLOSED
      LAST-ACK: FIN_ACKED -> CLOSED, TIMEOUT -> CLOSED, RESET -> CLOSED
      TIME-WAIT: TIMEOUT -> CLOSED
      "
    `);
  });

  test('no pair of state and event has two arrows', () => {
    const pairs = ARROWS.map(([from, on]) => `${from} ${on}`);
    expect(new Set(pairs).size).toBe(pairs.length);
  });

  test('every state is reached, and every state but CLOSED can be left', () => {
    for (const state of Object.values(State)) {
      if (state === State.LISTEN) continue;
      expect(
        ARROWS.some(([, , to]) => to === state),
        tcpStateName(state),
      ).toBe(true);
      if (state !== State.CLOSED) expect(ARROWS.some(([from]) => from === state)).toBe(true);
    }
  });
});
