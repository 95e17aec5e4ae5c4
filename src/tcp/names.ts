/**
 * Names of states, effects and options for people: messages, traces, tests.
 */

import { TcpConnectionState } from '../state/tcp.ts';
import { Effect } from './effects.ts';

/** RFC 9293's name of a state: 'FIN-WAIT-1'. */
export function tcpStateName(state: number): string {
  return STATE_NAMES[state] ?? `STATE(${state})`;
}

const STATE_NAMES: Readonly<Record<number, string>> = {
  [TcpConnectionState.CLOSED]: 'CLOSED',
  [TcpConnectionState.LISTEN]: 'LISTEN',
  [TcpConnectionState.SYN_SENT]: 'SYN-SENT',
  [TcpConnectionState.SYN_RCVD]: 'SYN-RECEIVED',
  [TcpConnectionState.ESTABLISHED]: 'ESTABLISHED',
  [TcpConnectionState.FIN_WAIT1]: 'FIN-WAIT-1',
  [TcpConnectionState.FIN_WAIT2]: 'FIN-WAIT-2',
  [TcpConnectionState.CLOSE_WAIT]: 'CLOSE-WAIT',
  [TcpConnectionState.CLOSING]: 'CLOSING',
  [TcpConnectionState.LAST_ACK]: 'LAST-ACK',
  [TcpConnectionState.TIME_WAIT]: 'TIME-WAIT',
};

/** The effects in a set, in their order: 'ACKED TRANSMIT'; '' for none. */
export function effectNames(effects: number): string {
  const names: string[] = [];
  for (const [name, bit] of Object.entries(Effect)) if (bit !== 0 && (effects & bit) !== 0) names.push(name);
  return names.join(' ');
}
