/**
 * What several threads say of themselves, as the one adapter that they are says it.
 *
 * Promises: what all of them say is said once; nothing is said while one of them works on an initiate (INIT-052); after an UPLOAD_ALL no
 * OFFLOAD_RESUME before the last connection of all of them is gone (TERM-074), of which each thread knows only its own.
 */

import { NdisStatus, type StatusIndication } from '../../ndis/miniport.ts';

export interface SpreadStatusesParts {
  /** NdisMIndicateStatusEx. */
  readonly indicate: (indication: StatusIndication) => void;
  /** Whether no thread has a connection. */
  readonly isEmpty: () => boolean;
}

/** Of one spread adapter. */
export class SpreadStatuses {
  readonly #parts: SpreadStatusesParts;
  /** Initiates that are not complete, and what waits for them. */
  #initiates = 0;
  readonly #unsaid: StatusIndication[] = [];
  #linkStatus: number = NdisStatus.LINK_STATE_UP;
  /** MTU of the device as it was last said; 0: as it was at the beginning. */
  #mtu: unknown = 0;
  /** UPLOAD_ALL was said and OFFLOAD_RESUME was not yet; and whether that waits for connections to go. */
  #isUploadingAll = false;
  #isResumeDue = false;

  constructor(parts: SpreadStatusesParts) {
    this.#parts = parts;
  }

  /** A thread says something. All of them see what becomes of the device, and are told what an operator wants: one speaks for all. */
  told(indication: StatusIndication, isFirst: boolean): void {
    const { statusCode, statusBuffer } = indication;
    if (statusCode === NdisStatus.L2_MTU_SIZE_CHANGE) {
      if (statusBuffer === this.#mtu) return;
      this.#mtu = statusBuffer;
      this.say(indication);
    } else if (statusCode !== NdisStatus.LINK_STATE_UP && statusCode !== NdisStatus.LINK_STATE_DOWN) {
      if (isFirst) this.say(indication);
    } else if (statusCode !== this.#linkStatus) {
      this.#linkStatus = statusCode;
      this.say(indication);
    }
  }

  say(indication: StatusIndication): void {
    if (this.#initiates > 0) this.#unsaid.push(indication);
    else this.#say(indication);
  }

  initiateBegun(): void {
    this.#initiates++;
  }

  /** An operation of the driver above is complete. */
  operationDone(wasInitiate: boolean): void {
    if (wasInitiate) this.#initiates--;
    while (this.#initiates === 0 && this.#unsaid.length > 0) this.#say(this.#unsaid.shift()!);
    if (this.#initiates > 0 || !this.#isResumeDue) return;
    this.#isResumeDue = false;
    this.#say({ statusCode: NdisStatus.OFFLOAD_RESUME, statusBuffer: null });
  }

  #say(indication: StatusIndication): void {
    const { statusCode } = indication;
    if (statusCode === NdisStatus.OFFLOAD_RESUME) {
      this.#isResumeDue = this.#isUploadingAll && !this.#parts.isEmpty();
      if (this.#isResumeDue) return;
      this.#isUploadingAll = false;
    } else if (statusCode === NdisStatus.UPLOAD_ALL || statusCode === NdisStatus.OFFLOAD_PAUSE) {
      this.#isUploadingAll ||= statusCode === NdisStatus.UPLOAD_ALL;
      this.#isResumeDue = false;
    }
    this.#parts.indicate(indication);
  }
}
