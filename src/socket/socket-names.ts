/**
 * Names of a socket that have no code of their own in its class: `defineAddresses` and `defineNodeNames` put them on its prototype, alike.
 */

import type { AddressInfo } from './addresses.ts';
import { Duplex } from './node.ts';

/** A stream with the names of both ends of its connection. */
export class NamedDuplex extends Duplex {
  declare readonly localAddress: string | undefined;
  declare readonly localPort: number | undefined;
  declare readonly localFamily: 'IPv4' | 'IPv6' | undefined;
  declare readonly remoteAddress: string | undefined;
  declare readonly remotePort: number | undefined;
  declare readonly remoteFamily: 'IPv4' | 'IPv6' | undefined;
  /** Node's names for `connecting`, and for libuv's handle, of which there is none. */
  declare readonly _connecting: boolean;
  declare readonly _handle: null;
  declare _getsockname: () => AddressInfo | Record<string, never>;
}
