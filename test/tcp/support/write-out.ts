/** The whole state of a connection as a move would take it. */
import { TcpCachedState, TcpConstState, TcpDelegatedState } from '../../../src/state/tcp.ts';
import type { TcpConnection } from '../../../src/tcp/connection.ts';
import type { TcpParameters } from '../../../src/tcp/parameters.ts';
import { writeCached, writeConst, writeDelegated } from '../../../src/tcp/transfer.ts';

export interface Parts {
  readonly constState: TcpConstState;
  readonly cached: TcpCachedState;
  readonly delegated: TcpDelegatedState;
}

/** Writes it as of `nowUs`. */
export function writeOut(c: TcpConnection, p: TcpParameters, nowUs: number): Parts {
  const parts = { constState: new TcpConstState(), cached: new TcpCachedState(), delegated: new TcpDelegatedState() };
  writeConst(c, parts.constState);
  writeCached(c, parts.cached);
  writeDelegated(c, p, parts.delegated, nowUs);
  return parts;
}
