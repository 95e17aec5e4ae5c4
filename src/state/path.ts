/**
 * Path state as it crosses the chimney: the pair of IP addresses and the path MTU. chimney-ddi 7.5.
 */

/** PATH_OFFLOAD_STATE_CONST. */
export class PathConstState {
  /** 4 or 16 bytes, network order. */
  sourceAddress: Uint8Array;
  /** 4 or 16 bytes, network order. */
  destinationAddress: Uint8Array;

  constructor(sourceAddress: Uint8Array, destinationAddress: Uint8Array) {
    this.sourceAddress = sourceAddress;
    this.destinationAddress = destinationAddress;
  }
}

/** PATH_OFFLOAD_STATE_CACHED. */
export class PathCachedState {
  /** Path MTU, bytes of IP datagram. RFC 1191, RFC 8201. */
  pathMtu: number;

  constructor(pathMtu = 0) {
    this.pathMtu = pathMtu;
  }
}

/** PATH_OFFLOAD_STATE_DELEGATED: has a header and no variables. */
export class PathDelegatedState {
  readonly kind: 'path' = 'path';
}
