/**
 * OID requests of the host as promises: NdisOidRequest, and ProtocolOidRequestComplete where the answer is PENDING.
 */

import {
  type NdisBindingHandle,
  type NdisForProtocol,
  NdisStatus,
  ndisStatusName,
  type OidRequest,
} from '../ndis/protocol.ts';

/** An OID request that was not answered with SUCCESS. */
export class AdapterError extends Error {
  override readonly name: string = 'AdapterError';
  readonly code: 'ERR_ADAPTER' = 'ERR_ADAPTER';
  /** NDIS_STATUS name: 'NOT_SUPPORTED', 'INVALID_PARAMETER', ... */
  readonly status: string;

  constructor(adapterName: string, what: string, status: number) {
    const name = ndisStatusName(status);
    super(`${name}: adapter ${adapterName} did not take the request: ${what}`);
    this.status = name;
  }
}

/** The requests that are under way. */
export class OidRequests {
  readonly #ndis: NdisForProtocol;
  readonly #pending: Map<OidRequest, (status: number) => void> = new Map();

  constructor(ndis: NdisForProtocol) {
    this.#ndis = ndis;
  }

  /** Asks for `oid`; resolves with the answer. Rejects with {@link AdapterError}; `what` says it in words. */
  query(binding: NdisBindingHandle, oid: number, what: string): Promise<unknown> {
    return this.#request(binding, { oid, kind: 'query', information: null }, what);
  }

  /** Sets `oid`. */
  async set(binding: NdisBindingHandle, oid: number, information: unknown, what: string): Promise<void> {
    await this.#request(binding, { oid, kind: 'set', information }, what);
  }

  #request(binding: NdisBindingHandle, request: OidRequest, what: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const settle = (status: number): void => {
        if (status === NdisStatus.SUCCESS) resolve(request.information);
        else reject(new AdapterError(binding.adapterName, what, status));
      };
      const status = this.#ndis.oidRequest(binding, request);
      if (status === NdisStatus.PENDING) this.#pending.set(request, settle);
      else settle(status);
    });
  }

  /** ProtocolOidRequestComplete: whether the request was one of these. */
  complete(request: OidRequest, status: number): boolean {
    const settle = this.#pending.get(request);
    if (settle === undefined) return false;
    this.#pending.delete(request);
    settle(status);
    return true;
  }
}
