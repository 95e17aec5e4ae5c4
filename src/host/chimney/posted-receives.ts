/**
 * Posted receives (MiniportTcpOffloadReceive): asking a target for data instead of waiting for its indications.
 *
 * Three kinds. What an application refused stays at the target; once it reads again a receive of no bytes is posted, which lets the
 * target indicate it again, where it lies (RECV-042). One that wants larger pieces than come always has a receive of the size it wants posted.
 * And one that brings memory of its own (TcpHandler.receiveBuffer) has that posted, in push mode, one at a time: the target puts the
 * bytes where they are wanted. Source: chimney-sequences 12, 13.
 */

import { NdisStatus } from '../../ndis/protocol.ts';
import { emptyNetBufferList, type NetBufferList, netBufferListOver } from '../../state/net-buffer-list.ts';
import type { ChimneyContext } from './context.ts';
import type { OffloadedConnection } from './objects.ts';

export class PostedReceives {
  readonly #context: ChimneyContext;

  constructor(context: ChimneyContext) {
    this.#context = context;
  }

  /** The application takes data again: what the target holds is indicated to it anew. */
  readable(connection: OffloadedConnection): void {
    if (!connection.isOffloaded || connection.isReleased || !connection.endpoint.isReadable) return;
    if (connection.postedReceives > 0) return;
    if (connection.refusedBytes > 0) {
      connection.refusedBytes = 0;
      this.#post(connection, emptyNetBufferList());
      return;
    }
    this.#postLowWater(connection);
    this.postOwn(connection);
  }

  /** An endpoint that collects always has a receive posted, in push mode, of as many bytes as it wants at once. */
  #postLowWater(connection: OffloadedConnection): void {
    const { endpoint } = connection;
    if (!endpoint.isCollecting || connection.peerFinished || connection.wantsTerminate) return;
    this.#post(connection, netBufferListOver(new Uint8Array(endpoint.lowWater)));
  }

  #post(connection: OffloadedConnection, list: NetBufferList): void {
    list.protocolReserved2 = connection;
    connection.postedReceives++;
    this.#context.ndis.offloadTcpReceive(connection.handle, list);
  }

  /** Posts the application's own memory, if it has some and nothing that came before is still to be taken. */
  postOwn(connection: OffloadedConnection): void {
    const { endpoint } = connection;
    if (connection.isOwnReceivePosted || !connection.isOffloaded || connection.wantsTerminate) return;
    if (connection.isReleased || connection.peerFinished || connection.aborted !== null || endpoint.isOrphan) return;
    if (connection.refusedBytes > 0 || connection.postedReceives > 0 || !endpoint.isReadable) return;
    const memory = endpoint.handler.receiveBuffer?.() ?? null;
    if (memory === null || memory.length === 0) return;
    connection.isOwnReceivePosted = true;
    this.#context.ndis.offloadTcpReceive(connection.handle, ownReceive(connection, memory));
  }

  /** ProtocolTcpOffloadReceiveComplete. */
  complete(lists: NetBufferList): void {
    let list: NetBufferList | null = lists;
    while (list !== null) {
      const next: NetBufferList | null = list.next;
      list.next = null;
      const connection = list.protocolReserved2 as OffloadedConnection;
      if (list === connection.ownReceive) this.#ownComplete(connection, list);
      else this.#postedComplete(connection, list);
      list = next;
    }
  }

  #postedComplete(connection: OffloadedConnection, list: NetBufferList): void {
    connection.postedReceives--;
    const bytes = list.tcpOffloadBytesTransferred;
    if (bytes === 0) return;
    connection.cameUp(bytes);
    if (!connection.isReleased) {
      const { buffer } = list.firstNetBuffer!.mdlChain!;
      const { endpoint } = connection;
      const taken = endpoint.deliver(buffer, 0, bytes);
      // The bytes are the host's now; what the application does not take waits above, not at the target.
      if (taken < bytes) endpoint.restoreUnread(buffer, taken, bytes - taken);
      endpoint.deliverDone();
      endpoint.tellEnd();
    }
    // The next one, unless it waits for the application above; behind the end of the stream there is none.
    this.readable(connection);
  }

  /** Whatever the status, the count says what is in the memory (RECV-053, RECV-063). */
  #ownComplete(connection: OffloadedConnection, list: NetBufferList): void {
    const mdl = list.firstNetBuffer!.mdlChain!;
    const bytes = list.tcpOffloadBytesTransferred;
    const memory = mdl.buffer;
    connection.isOwnReceivePosted = false;
    // Not kept longer than it is used: it is the application's.
    mdl.buffer = NONE;
    connection.cameUp(bytes);
    if (!connection.isReleased && !connection.endpoint.filled(bytes) && bytes > 0) {
      // Nobody reads any more: what comes then resets the connection.
      connection.endpoint.deliver(memory, mdl.byteOffset, bytes);
    }
    if (!connection.isReleased) connection.endpoint.tellEnd();
    // Empty and good: the peer has finished, which the target tells next.
    if (list.status === NdisStatus.SUCCESS && bytes > 0) this.postOwn(connection);
  }
}

const NONE: Uint8Array = new Uint8Array(0);

/** The connection's list, over `memory`. */
function ownReceive(connection: OffloadedConnection, memory: Uint8Array): NetBufferList {
  connection.ownReceive ??= netBufferListOver(NONE);
  const list = connection.ownReceive;
  const nb = list.firstNetBuffer!;
  const mdl = nb.mdlChain!;
  mdl.buffer = memory;
  mdl.byteOffset = 0;
  mdl.byteCount = memory.length;
  nb.currentMdl = mdl;
  nb.currentMdlOffset = 0;
  nb.dataOffset = 0;
  nb.dataLength = memory.length;
  list.next = null;
  list.status = NdisStatus.SUCCESS;
  list.tcpReceiveBytesTransferred = 0;
  list.tcpOffloadBytesTransferred = 0;
  list.protocolReserved2 = connection;
  return list;
}
