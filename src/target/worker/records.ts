/**
 * What the two halves say to each other: the types of the records in the rings, and the words of each.
 *
 * Objects (neighbors, paths, connections) and parts of sends are named by numbers that the driver half gives out and takes back
 * when the object was terminated or the part came back; operations likewise. Bytes are named by their place in the pools.
 */

/** From the driver half to the NIC half. */
export const Down = {
  /** An ordinary frame: segmentBytes, 0; see `Outbox.frame`. */
  FRAME: 1,
  /** Part of a send: connection, part; then of each piece: block (of received data: its complement), at, length. */
  SEND: 2,
  /** connection, flags. Its data, if any, went before, by SEND. */
  DISCONNECT: 3,
  /** A segment to be forwarded: connection, number, pieces; then the pieces, as with SEND. */
  FORWARD: 4,
  /** So much of what was indicated is taken: connection, bytes. */
  TAKEN: 5,
  /** Received data is done with: block, pieces. */
  RETURN: 6,
  /** A state operation begins: operation, kind (`OperationKind`). */
  OPERATION: 7,
  /** A block of its tree, in the order of the walk; see tree-codec.ts. */
  BLOCK: 8,
  /** Send data that goes with the connection of the last BLOCK; as SEND. */
  CARRIED: 9,
  /** The tree is complete: operation. */
  GO: 10,
  /** An OID that is set: oid, JSON. */
  OID: 11,
  /** What an operator wants: a {@link Wish}, then its words. */
  WISH: 12,
  /** The answer to a reachability query: neighbor, HRD. */
  REACHABILITY: 13,
  /** Packets are to be shown: 1, or not any more: 0. */
  TAP: 14,
} as const;

/** From the NIC half to the driver half. */
export const Up = {
  /** An ordinary frame: segmentBytes, handledBy. */
  FRAME: 1,
  /** Received data: connection, 1 if pushed, pieces; then of each: block, at, length. */
  DATA: 2,
  /** Parts of sends came back: connection, status, parts; then of each: part, bytes acknowledged. */
  PARTS: 3,
  /** connection, 1 for the abortive one, status. */
  DISCONNECTED: 4,
  /** Forwarded segments came back: connection, segments; then of each: number, status. */
  FORWARDED: 5,
  /** connection, type, information. */
  EVENT: 6,
  /** NdisMIndicateStatusEx: code; its status buffer where that is a number, else 0. */
  STATUS: 7,
  /** NdisMOffloadEventIndicate: neighbor, NRD, HRD. */
  REACHABILITY: 8,
  /** A block of a tree that is done with, in the order of the walk; see tree-codec.ts. */
  RESULT: 9,
  /** operation. */
  DONE: 10,
  /** A packet for whoever looks at packets: direction, handledBy; see `Outbox.frame`. */
  PACKET: 11,
  /** The end of a receive batch. */
  BATCH: 12,
  /** A counter of the trace has grown: event, by how much. */
  COUNT: 13,
  /** NdisMRemoveMiniport: the device is gone. */
  REMOVED: 14,
  /** The NIC half is ready for an operation of which it was told. */
  READY: 15,
} as const;

/** What an operator can want of a NIC half. */
export const Wish = {
  /** connection, reason. */
  RETRIEVE: 0,
  UPLOAD_ALL: 1,
  PAUSE: 2,
  /** JSON of a partial capacity. */
  RESUME: 3,
  /** JSON of a partial capacity. */
  CAPACITY: 4,
  /** connection. */
  CORRUPT: 5,
  /** Want of memory for a send: connection. INIT-078. */
  STARVE: 6,
  /** MiniportPause: 1, MiniportRestart: 0. */
  STILL: 7,
  /** MiniportResetEx. */
  RESET: 8,
  /** MiniportDevicePnPEventNotifyEx: event. */
  DEVICE: 9,
  /** The NIC half is to fail: the place in FAILURES of how. */
  FAIL: 10,
} as const;
