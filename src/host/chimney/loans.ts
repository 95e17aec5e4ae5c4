/**
 * Indicated data that the application keeps: the memory stays the application's until it returns it, and only then goes back to the
 * target with MiniportTcpOffloadReceiveReturn (chimney-sequences 14).
 *
 * Promises: a list goes back once, when everybody who keeps some of it has let go and the indication was accepted. What a
 * connection may keep is bounded, because the pool below serves all; beyond the bound nothing is lent, and the bytes are copied.
 */

import { dataLengthOf, type NetBufferList } from '../../state/net-buffer-list.ts';
import type { HostEndpoint } from '../transport/tcp-endpoint.ts';
import type { OffloadedConnection } from './objects.ts';

/** Bytes of indications that one connection may keep, and all together: a target's pool serves many. */
export const KEPT_BYTES_MAX: number = 4 << 20;
const KEPT_IN_ALL_MAX = 16 << 20;

/** One list of which some is kept. */
class Loan {
  readonly connection: OffloadedConnection;
  readonly list: NetBufferList;
  readonly bytes: number;
  keepers = 0;
  isAccepted = false;

  constructor(connection: OffloadedConnection, list: NetBufferList) {
    this.connection = connection;
    this.list = list;
    this.bytes = dataLengthOf(list);
  }
}

/** The loans of one chimney client. */
export class Loans {
  readonly #giveBack: (connection: OffloadedConnection, list: NetBufferList) => void;
  /** The indication that is being shown to an application. */
  #connection: OffloadedConnection | null = null;
  #list: NetBufferList | null = null;
  #loan: Loan | null = null;
  /** Bytes kept by all connections. */
  #kept = 0;

  /** `giveBack` returns a list to its target. */
  constructor(giveBack: (connection: OffloadedConnection, list: NetBufferList) => void) {
    this.#giveBack = giveBack;
  }

  /** From now on the application is shown this list. */
  begin(connection: OffloadedConnection, list: NetBufferList): void {
    this.#connection = connection;
    this.#list = list;
    this.#loan = null;
  }

  /** Keeps the list that is being shown; see TcpEndpoint.keepData. */
  keep(endpoint: HostEndpoint): (() => void) | null {
    const connection = this.#connection;
    const list = this.#list;
    if (connection === null || list === null || connection.endpoint !== endpoint) return null;
    let loan = this.#loan;
    if (loan === null) {
      loan = new Loan(connection, list);
      if (connection.keptBytes + loan.bytes > KEPT_BYTES_MAX || this.#kept + loan.bytes > KEPT_IN_ALL_MAX) return null;
      this.#loan = loan;
    }
    const kept = loan;
    if (kept.keepers === 0) {
      connection.keptBytes += kept.bytes;
      this.#kept += kept.bytes;
    }
    kept.keepers++;
    let isKept = true;
    return () => {
      if (!isKept) return;
      isKept = false;
      this.#release(kept);
    };
  }

  /** Whether some of the list that is being shown is kept: then all of it has to be accepted. */
  get isKept(): boolean {
    return this.#loan !== null && this.#loan.keepers > 0;
  }

  /** The list was shown. Answers whether it goes back later, if it was accepted. */
  end(): boolean {
    const { isKept } = this;
    if (isKept) this.#loan!.isAccepted = true;
    this.#connection = null;
    this.#list = null;
    this.#loan = null;
    return isKept;
  }

  #release(loan: Loan): void {
    loan.keepers--;
    if (loan.keepers > 0) return;
    loan.connection.keptBytes -= loan.bytes;
    this.#kept -= loan.bytes;
    if (loan.isAccepted) this.#giveBack(loan.connection, loan.list);
  }
}
