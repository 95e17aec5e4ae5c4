/**
 * What few endpoints have at a time: made when it comes, forgotten when it has gone, as an idle connection is to be small.
 */

import type { NetBufferList } from '../../state/net-buffer-list.ts';
import type { TransportErrorCode } from '../api.ts';
import type { HalfOpen } from './tcp-listener.ts';

/** Writes that are over while packets refer to some. */
export interface HeldSends {
  readonly lists: NetBufferList;
  readonly error: TransportErrorCode | null;
}

class Extras {
  error: TransportErrorCode | null = null;
  halfOpen: HalfOpen | null = null;
  heldSends: HeldSends[] | null = null;

  get isEmpty(): boolean {
    return this.error === null && this.halfOpen === null && this.heldSends === null;
  }
}

/** The part of an endpoint that holds them. */
export class EndpointExtras {
  #extras: Extras | null = null;

  // Static, as private methods cost each object a word.

  static #of(endpoint: EndpointExtras): Extras {
    endpoint.#extras ??= new Extras();
    return endpoint.#extras;
  }

  static #forget(endpoint: EndpointExtras): void {
    if (endpoint.#extras?.isEmpty === true) endpoint.#extras = null;
  }

  /** What `closed` will say, or the last soft error until then. RFC 1122 4.2.3.9. */
  get error(): TransportErrorCode | null {
    return this.#extras === null ? null : this.#extras.error;
  }
  set error(value: TransportErrorCode | null) {
    if (value !== null || this.#extras !== null) EndpointExtras.#of(this).error = value;
    if (value === null) EndpointExtras.#forget(this);
  }

  /** The listener it came from while it is half open; null otherwise. */
  get halfOpen(): HalfOpen | null {
    return this.#extras === null ? null : this.#extras.halfOpen;
  }
  set halfOpen(value: HalfOpen | null) {
    if (value !== null || this.#extras !== null) EndpointExtras.#of(this).halfOpen = value;
    if (value === null) EndpointExtras.#forget(this);
  }

  /** Null: none. */
  protected get heldSends(): HeldSends[] | null {
    return this.#extras === null ? null : this.#extras.heldSends;
  }
  protected set heldSends(value: HeldSends[] | null) {
    if (value !== null || this.#extras !== null) EndpointExtras.#of(this).heldSends = value;
    if (value === null) EndpointExtras.#forget(this);
  }
}
