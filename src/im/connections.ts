/**
 * The connections that are offloaded through a driver, by their ends: what a driver may know of traffic that it does not see.
 *
 * Learned from initiate trees: a path's addresses from its constant state, a connection's ports from its own. Kept in the
 * driver's offload entries, so that nothing is looked up. Source: chimney-ddi 7.5, 7.6; rules IM-007, TREE-021.
 */

import { BlockKind, BlockLayer, type BlockWalk, kindOfBlock, layerOf } from '../ndis/miniport.ts';
import type { OffloadBlock } from '../ndis/protocol.ts';
import type { PathConstState } from '../state/path.ts';
import type { TcpConstState } from '../state/tcp.ts';
import type { ImOffloadEntry } from './entries.ts';
import type { Standstill } from './standstill.ts';

/** A connection that is offloaded through the driver. */
export class OffloadedConnection {
  readonly entry: ImOffloadEntry;
  readonly localAddress: Uint8Array;
  readonly localPort: number;
  readonly remoteAddress: Uint8Array;
  readonly remotePort: number;
  /** A terminate is below. */
  isTerminating = false;
  /** The driver has asked for it to be uploaded, with a mandatory reason: it stands still. */
  standstill: Standstill | null = null;

  constructor(entry: ImOffloadEntry, path: PathConstState, tcp: TcpConstState) {
    this.entry = entry;
    this.localAddress = path.sourceAddress;
    this.localPort = tcp.localPort;
    this.remoteAddress = path.destinationAddress;
    this.remotePort = tcp.remotePort;
  }
}

/** The entry of an object that is offloaded through the driver, from a block with its lower face; null: not offloaded. */
function entryBehind(block: OffloadBlock): ImOffloadEntry | null {
  return (block.miniportOffloadContext?.miniportOffloadContext ?? null) as ImOffloadEntry | null;
}

/** The addresses of a path block with its lower face: of a new one those behind it, of another those that were noted. */
export function addressesOfPath(block: OffloadBlock): PathConstState | null {
  if (kindOfBlock(block) === BlockKind.NEW_OFFLOAD) return block.constState as PathConstState | null;
  return (entryBehind(block)?.annotation ?? null) as PathConstState | null;
}

/** All connections that are offloaded through a driver. */
export class ConnectionBook {
  readonly connections: Set<OffloadedConnection> = new Set();
  readonly #walk: BlockWalk<OffloadBlock>;

  constructor(walk: BlockWalk<OffloadBlock>) {
    this.#walk = walk;
  }

  /** Notes what an initiate offloaded; for `initiateCompleting`. Calls `onNew` with each connection. */
  learn(root: OffloadBlock, onNew: (connection: OffloadedConnection) => void): void {
    const walk = this.#walk;
    walk.start(root);
    for (let block = walk.next(); block !== null; block = walk.next()) {
      const entry = entryBehind(block);
      if (entry === null || block.constState === null) continue;
      const layer = layerOf(block.header.type);
      if (layer === BlockLayer.PATH) entry.annotation = block.constState;
      else if (layer === BlockLayer.TCP && walk.parent !== null) {
        const path = addressesOfPath(walk.parent);
        if (path === null) continue;
        const connection = new OffloadedConnection(entry, path, block.constState as TcpConstState);
        entry.annotation = connection;
        this.connections.add(connection);
        onNew(connection);
      }
    }
  }

  /** Marks the connections of a terminate that goes down (`isTerminating` true) or has failed. */
  mark(root: OffloadBlock, isTerminating: boolean): void {
    const walk = this.#walk;
    walk.start(root);
    for (let block = walk.next(); block !== null; block = walk.next()) {
      const connection = entryBehind(block)?.annotation;
      if (connection instanceof OffloadedConnection) connection.isTerminating = isTerminating;
    }
  }

  /** Forgets what a terminate has ended; for `terminateCompleting`. Calls `onEnd` with each connection of it, ended or not. */
  forget(root: OffloadBlock, onEnd: (connection: OffloadedConnection) => void): void {
    const walk = this.#walk;
    walk.start(root);
    for (let block = walk.next(); block !== null; block = walk.next()) {
      const connection = entryBehind(block)?.annotation;
      if (!(connection instanceof OffloadedConnection)) continue;
      onEnd(connection);
      if (block.status === 0) this.connections.delete(connection);
      else connection.isTerminating = false;
    }
  }
}
